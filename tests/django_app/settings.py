"""The site's settings. The places of its database, memcached and log come from the environment."""

import json
import os
from pathlib import Path

from fasthits.live import quick

quick.PAGE_SECONDS = 30.0  # the machine may be busy

SECRET_KEY = "not one"
DEBUG = bool(os.environ.get("SITE_DEBUG"))
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.django_app.urls"
TIME_ZONE = "UTC"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "fasthits.django",
    "hitcount",  # fasthits can import its history
    "tests.django_app",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [Path(__file__).parent / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DATABASES = {"default": json.loads(os.environ.get("SITE_DATABASE", "null")) or {"ENGINE": "django.db.backends.dummy"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
FASTHITS = {
    "MEMCACHED": os.environ.get("SITE_MEMCACHED"),
    "RESOLVER": "tests.django_app.urls.find_object",
    "TIME_ZONE": "Europe/Berlin",  # the time zone of the lines that the tests log
}
