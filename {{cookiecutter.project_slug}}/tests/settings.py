"""The project's settings for its tests: the same on every machine, whatever `.env` says.

Only DATABASE_URL is heeded, so that the tests can run against another PostgreSQL.
"""

import os
import tempfile

os.environ |= {
    "DEBUG": "on",
    "SECRET_KEY": "a key for tests, of which nobody makes a secret at all",
    "DOMAIN": "localhost",
    "ALLOWED_HOSTS": ".localhost",
    "PROJECT_NAME": "Main Site",
    "ADMIN_USERNAME": "admin",
    "ADMIN_EMAIL": "admin@localhost",
    "ADMIN_PASSWORD": "",
    "SERVE_PUBLIC": "on",
    "HTTPS": "off",
    "EMAIL_HOST": "",
    "TRUST_PROXY": "off",
    "STATIC_ROOT": "static_root",
    "CACHE_URL": "",
    "TENANT_GRACE_DAYS": "30",
    # template: if cookiecutter.use_celery
    "CELERY_BROKER_URL": "",
    "CELERY_RESULT_BACKEND": "",
    # template: endif
    "MAP_TILES": "",
}

from server.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, and bad
UPLOADS = tempfile.TemporaryDirectory()  # is removed when the tests are done
MEDIA_ROOT = UPLOADS.name
