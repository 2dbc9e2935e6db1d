"""The URLs of the app: ``path("fasthits/", include("fasthits.django.urls"))``."""

from django.urls import path

from fasthits.django import views

app_name = "fasthits"
urlpatterns = [path("hits_today.json", views.hits_today, name="hits_today")]
