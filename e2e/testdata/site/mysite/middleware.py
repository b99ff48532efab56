from django.conf import settings


def name_instance(get_response):
    """Tells in a header which instance answered, so that tests can count."""

    def answer(request):
        response = get_response(request)
        response["X-Instance"] = settings.INSTANCE
        return response

    return answer
