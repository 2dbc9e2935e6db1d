"""Checks for ``manage.py check``: mistakes in the settings FASTHITS, and models that cannot be counted."""

from difflib import get_close_matches
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, register

from fasthits.django.conf import KEYS, NAME, given, setting
from fasthits.errors import UsageError


@register()
def check_settings(**_: Any) -> list[CheckMessage]:
    """Return an error for each unknown key of FASTHITS, and for each invalid value."""
    if not isinstance(given(), dict):
        return [Error(f"{NAME} is not a dict.", id="fasthits.E001")]
    errors: list[CheckMessage] = []
    for key in given().keys() - KEYS.keys():
        close = get_close_matches(str(key), KEYS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Valid keys: {', '.join(KEYS)}."
        errors.append(Error(f"{NAME} has an unknown key: {key!r}.", hint=hint, id="fasthits.E002"))
    for key in KEYS:
        try:
            setting(key)
        except UsageError as error:
            errors.append(Error(f"{error.failed}: {error.subject}.", hint=error.hint or None, id="fasthits.E003"))
    return errors


@register()
def check_models(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Return an error for each model with HitsMixin but without ``get_absolute_url``, which gives the page to count."""
    from fasthits.django.models import HitsMixin

    configs = apps.get_app_configs() if app_configs is None else app_configs
    return [
        Error(f"{model.__name__} has HitsMixin, but no get_absolute_url().", obj=model, id="fasthits.E004")
        for config in configs
        for model in config.get_models()
        if issubclass(model, HitsMixin) and not hasattr(model, "get_absolute_url")
    ]
