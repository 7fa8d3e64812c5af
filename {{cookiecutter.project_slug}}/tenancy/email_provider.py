"""Providers of e-mail that have an API, by django-anymail (EMAIL_URL)."""

import re
from importlib.util import find_spec
from urllib.parse import parse_qsl

from tenancy.exceptions import MissingRequirement

URL = re.compile(r"([a-z][a-z0-9-]*)://(?:\?(.*))?")


def read(url: str) -> tuple[str, dict[str, str]]:
    """Return django-anymail's backend and settings for a provider of e-mail.

    The URL has the provider's name, as anymail spells it, and its settings without that name:
    `postmark://?server_token=…`. Raises MissingRequirement for others, and without anymail.
    """
    found = URL.fullmatch(url)
    if not found:
        raise MissingRequirement("EMAIL_URL: write it like postmark://?server_token=….")
    name, query = found[1].replace("-", "_"), found[2] or ""
    if not find_spec("anymail"):
        raise MissingRequirement(
            "EMAIL_URL needs the package django-anymail: `uv sync --group email` installs it."
        )
    if not find_spec(f"anymail.backends.{name}"):
        raise MissingRequirement(f"EMAIL_URL: django-anymail knows no provider “{found[1]}”.")
    settings = {f"{name}_{key}".upper(): value for key, value in parse_qsl(query)}
    return f"anymail.backends.{name}.EmailBackend", settings
