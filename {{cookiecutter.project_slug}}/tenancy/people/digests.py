"""The digest of a code, key or token that is shown once: what the database has of it."""

import hashlib

from django.views.decorators.debug import sensitive_variables


@sensitive_variables("secret")
def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
