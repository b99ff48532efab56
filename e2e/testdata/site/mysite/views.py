from django.db import connection
from django.http import HttpResponse
from django.views.decorators.http import require_safe


@require_safe
def front_page(request):
    """A page like any other: without the database it is a 500."""
    with connection.cursor() as cursor:
        cursor.execute("select title from article order by title")
        titles = [title for (title,) in cursor.fetchall()]
    return HttpResponse("\n".join(titles), content_type="text/plain")


@require_safe
def health_check(request):
    with connection.cursor() as cursor:
        cursor.execute("select 1")
        if cursor.fetchone()[0] != 1:
            raise RuntimeError("the database does not answer 1 to select 1")
    return HttpResponse("ok", content_type="text/plain")
