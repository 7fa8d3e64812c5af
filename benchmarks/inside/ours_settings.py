"""The baked project's settings, with the page that is measured in place of its own."""

from server.settings import *  # noqa: F403

ROOT_URLCONF = "page"
# The letter to a new tenant's owner, which the libraries don't send.
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
SILENCED_SYSTEM_CHECKS = ["tenancy.E013"]  # its one page needs no sign-in
