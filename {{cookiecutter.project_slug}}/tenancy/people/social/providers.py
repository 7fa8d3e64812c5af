"""The providers with whom people sign in, as `.env` names them.

The settings import this, so it needs nothing of Django.
"""

import re
from urllib.parse import parse_qs, unquote, urlsplit

GOOGLE = r"([^\s:]+:[^\s:]+)?\Z"
GOOGLE_RULE = "Write the client's id and secret like 12-ab.apps.googleusercontent.com:secret."

TEXT = r"[A-Za-z0-9._~%-]+"
LOCAL = r"(?:localhost|127\.0\.0\.1)(?=[:/?]|\Z)"  # needs no TLS
OIDC = (
    rf"(https://{TEXT}:{TEXT}@[A-Za-z0-9.-]+|http://{TEXT}:{TEXT}@{LOCAL})"
    rf"(:[0-9]+)?(/[A-Za-z0-9._~%/-]*)?(\?name=[A-Za-z0-9._~%+-]+)?\Z|\Z"
)
OIDC_RULE = (
    "Write it like https://client-id:secret@login.example.com/?name=Example, with other characters"
    " than letters, digits and -._~ encoded, such as %40."
)


def configured(google: str = "", oidc: str = "") -> dict:
    """Return SOCIALACCOUNT_PROVIDERS for the values of GOOGLE and OIDC; empty without any."""
    found = {}
    if google:
        client_id, _, secret = google.partition(":")
        found["google"] = {"client_id": client_id, "secret": secret}
    if oidc:
        found["openid_connect"] = openid_connect(oidc)
    return {name: {"OAUTH_PKCE_ENABLED": True, "APPS": [app]} for name, app in found.items()}


def openid_connect(url: str) -> dict:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    return {
        # Connections are stored with it, so another provider never takes over those of this one.
        "provider_id": re.sub("[^a-z0-9.]+", "-", f"{host}{path}".lower()),
        "name": parse_qs(parts.query).get("name", [parts.hostname])[0],
        "client_id": unquote(parts.username),
        "secret": unquote(parts.password),
        "settings": {"server_url": f"{parts.scheme}://{host}{path}"},
    }
