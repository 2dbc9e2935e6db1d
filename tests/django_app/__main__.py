"""``python -m tests.django_app``: the site's manage.py."""

import os

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.django_app.settings")
execute_from_command_line()
