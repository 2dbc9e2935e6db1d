"""The Django app, tried in the sample site `tests.django_app`. Importing this package sets Django up: no other does.

Django changes the environment, its time zone above all. That is not for the other tests and the processes they start.
"""

import os
import time
from unittest.mock import patch

import django

with patch.dict(os.environ, DJANGO_SETTINGS_MODULE="tests.django_app.settings"):
    django.setup()
time.tzset()
