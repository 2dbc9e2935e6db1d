"""The site's URLs, with a language prefix."""

from django.conf.urls.i18n import i18n_patterns
from django.urls import path

from tests.django_app.urls import PressReleaseDetail

urlpatterns = i18n_patterns(path("press/<slug:slug>/", PressReleaseDetail.as_view(), name="press_release"))
