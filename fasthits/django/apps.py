"""The app's AppConfig."""

from django.apps import AppConfig


class FasthitsConfig(AppConfig):
    """The app ``fasthits.django``, with the label ``fasthits``."""

    name = "fasthits.django"
    label = "fasthits"
    verbose_name = "Fasthits"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks."""
        from fasthits.django import checks  # noqa: F401
