from django.urls import path, re_path

from mysite import views

urlpatterns = [
    path("", views.front_page),
    re_path(r"^health_check/?$", views.health_check),
]
