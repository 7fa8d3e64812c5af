"""Plain Django with the packages that ours starts with, each as its documentation says."""

from celery import Celery
from settings import *  # noqa: F403
from settings import INSTALLED_APPS, MIDDLEWARE

app = Celery("plain")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

INSTALLED_APPS += [
    "allauth.mfa",
    "allauth.usersessions",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
]
STATIC_URL = "static/"
MIDDLEWARE.insert(1, "whitenoise.middleware.WhiteNoiseMiddleware")
