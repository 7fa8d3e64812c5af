"""Settings of the tests: the project's, with the same values on every machine."""

import os

os.environ |= {
    "DEBUG": "on",
    "SECRET_KEY": "a key for tests, which sign nothing that anybody trusts",
    "DOMAIN": "localhost",
    "SERVE_PUBLIC": "on",
    "HTTPS": "off",
    "TRUSTED_PROXIES": "0",
    "CACHE_URL": "",
    "REPLICA_URL": os.environ.get("TEST_REPLICA_URL", ""),
    "GOOGLE": "",
    "OIDC": "",
    "MFA_REQUIRED": "off",
    "UPLOADS_URL": "",
    "BACKUPS_URL": "",
    # template: if cookiecutter.use_celery
    "CELERY_BROKER_URL": "",
    "CELERY_RESULT_BACKEND": "",
    # template: endif
}

from server.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick, and bad
