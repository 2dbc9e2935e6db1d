"""The site's admin."""

from django.contrib import admin

from fasthits.django.admin import HitsAdminMixin
from tests.django_app.models import Photo, Place, PressRelease, Tag


@admin.register(PressRelease)
class PressReleaseAdmin(HitsAdminMixin, admin.ModelAdmin):
    """With the app's columns and history."""

    list_display = ("title", "slug")


admin.site.register([Photo, Place, Tag])
