"""Tests of django/, in the sample site `tests.django_app`. Only importing this package sets Django up.

Django changes the environment, above all the time zone. Other tests, and the processes that they start, must not see
these changes.
"""

import os
import time
from unittest.mock import patch

import django

with patch.dict(os.environ, DJANGO_SETTINGS_MODULE="tests.django_app.settings"):
    django.setup()
time.tzset()
