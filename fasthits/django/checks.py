"""Checks for ``manage.py check``: mistakes in the settings FASTHITS, and models that cannot be counted."""

from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from typing import Any

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.db import router
from django.db.models import Manager, Model

from fasthits.daily.days import ONE_DAY
from fasthits.django import clock, live
from fasthits.django.conf import KEYS, NAME, given, setting, zone_doubt
from fasthits.django.expressions import TEXTS, has_key_of_history, key_field, to_migrate
from fasthits.django.resolve import KEY_CHARACTERS
from fasthits.errors import FasthitsError, UsageError
from fasthits.rules.config import read_rules
from fasthits.upkeep.doctor.verdicts import Finding

NUMBERS = {"hits_today", "hits_total", "hits_ever"}
"""The attributes that HitsMixin gives to objects, besides their history."""


@register()
def check_settings(**_: Any) -> list[CheckMessage]:
    """Return an error for each unknown key of FASTHITS, and for each invalid value."""
    try:
        unknown = given().keys() - KEYS.keys()
    except UsageError as error:
        return [Error(f"{error.failed}: {error.subject}.", hint=error.hint, id="fasthits.E001")]
    errors: list[CheckMessage] = []
    for key in unknown:
        close = get_close_matches(str(key).upper(), KEYS, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"Valid keys: {', '.join(KEYS)}."
        errors.append(Error(f"{NAME} has an unknown key: {key!r}.", hint=hint, id="fasthits.E002"))
    questions: list[Callable[[], object]] = [*(partial(setting, key) for key in KEYS), live.counter_servers]
    for ask in questions:
        try:
            ask()
        except UsageError as error:
            found = Error(f"{error.failed}: {error.subject}.", hint=error.hint or None, id="fasthits.E003")
            if found not in errors:  # RULES repeat an error of CONFIG, servers that of CACHE
                errors.append(found)
    return errors


@register()
def check_rules(**_: Any) -> list[CheckMessage]:
    """Return a warning if RULES differs from the config file: the logger reads only the file."""
    try:
        if not given().get("RULES") or setting("RULES") == read_rules({}, setting("CONFIG")).live:
            return []
    except UsageError:  # `check_settings` tells it
        return []
    hint = f'Write the rules into the config file of fasthits log, and name it in {NAME}["CONFIG"], instead of RULES.'
    text = f'{NAME}["RULES"] differs from the config file, so live numbers and history count differently.'
    return [checks.Warning(text, hint=hint, id="fasthits.W001")]


@register()
def check_time_zone(**_: Any) -> list[CheckMessage]:
    """Return a warning if the log named in LOGS is written in another time zone than TIME_ZONE."""
    try:
        difference = setting("LOGS") and clock.find_difference(setting("LOGS"), [live.today() - ONE_DAY, live.today()])
    except (FasthitsError, Finding):  # nothing to compare
        return []
    return [checks.Warning(difference[:1].upper() + difference[1:] + ".", id="fasthits.W002")] if difference else []


@register()
def check_machine_zone(**_: Any) -> list[CheckMessage]:
    """Return a warning if FASTHITS has no TIME_ZONE, and the time zone of this machine may be another."""
    try:
        doubt = None if given().get("TIME_ZONE") else zone_doubt()
    except UsageError:  # `check_settings` tells it
        return []
    hint = f'Set {NAME}["TIME_ZONE"] to the time zone of the web server.'
    text = f"Today may be the wrong day: {doubt}. Days are those of /etc/localtime."
    return [checks.Warning(text, hint=hint, id="fasthits.W004")] if doubt else []


@register()
def check_routers(**_: Any) -> list[CheckMessage]:
    """Return an error if a router sends the history to a database that has no content types: each row has one."""
    database = router.db_for_write(apps.get_model("fasthits", "Hits"))
    if router.allow_migrate_model(database, ContentType):
        return []
    hint = (
        f"Let allow_migrate() of the router allow contenttypes in that database, too. Then type: {to_migrate(database)}"
    )
    return [Error(f"The history is in the database {database!r}, without contenttypes.", hint=hint, id="fasthits.E007")]


@register()
def check_models(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Return what is wrong with models with HitsMixin: no page to count, no possible history, or a replaced manager.

    The page is that of ``get_absolute_url``. The history keeps each key as text, of up to KEY_CHARACTERS.
    """
    from fasthits.django.models import HitsMixin

    configs = apps.get_app_configs() if app_configs is None else app_configs
    errors: list[CheckMessage] = []
    for model in (model for config in configs for model in config.get_models() if issubclass(model, HitsMixin)):
        if not hasattr(model, "get_absolute_url"):
            hint = "Write the method. It returns the address of the object's page: the hits of that page are counted."
            text = f"{model.__name__} has HitsMixin, but no get_absolute_url()."
            errors.append(Error(text, hint=hint, obj=model, id="fasthits.E004"))
        if not any(field.name == "hits" for field in model._meta.private_fields):
            hint = "Rename that field: HitsMixin needs the name for the history, which is deleted with the object."
            text = f"{model.__name__} has HitsMixin, and a field 'hits' of its own."
            errors.append(Error(text, hint=hint, obj=model, id="fasthits.E006"))
        for name in sorted(NUMBERS & {field.name for field in model._meta.fields}):
            hint = "Rename that field: pages would show it in place of the number that fasthits counts."
            text = f"{model.__name__} has HitsMixin, and a field {name!r} of its own."
            errors.append(Error(text, hint=hint, obj=model, id="fasthits.E006"))
        for relation in model._meta.related_objects:
            if (name := relation.get_accessor_name()) in {"hits", *NUMBERS}:
                hint = f"Give {relation.field} another related_name: it takes the place of what HitsMixin has there."
                text = f"{model.__name__} has HitsMixin, and {relation.field} has the related_name {name!r}."
                errors.append(Error(text, hint=hint, obj=model, id="fasthits.E006"))
        if hidden := _hidden_manager(model):
            hint = "Put HitsMixin last among the bases. A manager may hide objects, or have methods that Django calls."
            text = f"{model.__name__} has HitsMixin before {hidden.__name__}, whose manager it replaces."
            errors.append(checks.Warning(text, hint=hint, obj=model, id="fasthits.W005"))
        key = key_field(model)
        if not has_key_of_history(model):
            hint = "Give the model a primary key that is an integer, a UUID or text."
            text = f"{model.__name__} has HitsMixin, but its primary key is a {type(key).__name__}."
            errors.append(Error(text, hint=hint, obj=model, id="fasthits.E005"))
        elif isinstance(key, TEXTS) and (key.max_length is None or key.max_length > KEY_CHARACTERS):
            hint = f"Set max_length={KEY_CHARACTERS} or less. parse_log names each page with a longer key."
            text = f"{model.__name__} may have primary keys of over {KEY_CHARACTERS} characters: they have no history."
            errors.append(checks.Warning(text, hint=hint, obj=model, id="fasthits.W003"))
    return errors


def _hidden_manager(model: type[Model]) -> type[Model] | None:
    """Return the base of *model* whose manager would be the default one without HitsMixin; None if nothing is lost."""
    from fasthits.django.models import HitsMixin

    bases: list[Any] = [base for base in model.__mro__ if hasattr(base, "_meta")]
    first, *others = [base for base in bases if any(type(each) is not Manager for each in base._meta.local_managers)]
    return others[0] if first is HitsMixin and others else None
