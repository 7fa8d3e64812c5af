"""The project's settings, read anew with other variables."""

import runpy
import traceback
from pathlib import Path

import pytest
from django.conf import settings
from tenancy.environment import EnvError

SECRET = "hunter2"
PRODUCTION = {
    "DEBUG": "off",
    "DATABASE_URL": "postgis://user@host/name",
    "EMAIL_HOST": "localhost",
    "CELERY_BROKER_URL": "redis://localhost",
}


@pytest.fixture
def read(monkeypatch):
    """Read the settings with further variables; return them."""

    def read(**variables):
        for name, value in (PRODUCTION | variables).items():
            monkeypatch.setenv(name, value)
        return runpy.run_path(str(Path(settings.BASE_DIR, "server/settings.py")))

    return read


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:{}@host",
        "postgres://user:{}@host/",
        "postgres://user:{}@host:port/name",
        "postgres://user:{}@host:99999/name",
        "postgres://user:{}@host:5432:1/name",
        "postgres://user:{}@[host/name",
        "postgres://user:[{}]@host/name",
        "postgres://user:{}#@host/name",
        "postgres://user:{}?@host/name",
        "postgres://user:{}/@host/name",
        "postgres://user:/{}@host/name",
        "postgres://user:1/{}@host/name",
        "postgres://user:\u2100{}@host/name",
        "postgres:/user:{}@host/name",
        "mysql://user:{}@host/name",
        "user:{}@host/name",
        "{}",
    ],
)
def test_the_password_in_a_garbled_url_is_not_in_the_error(read, url):
    """R24: nor in the traceback that a server of applications logs."""
    with pytest.raises(EnvError, match='"DATABASE_URL"') as caught:
        read(DATABASE_URL=url.format(SECRET))

    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GOOGLE", "{}"),
        ("GOOGLE", "client id:{}"),
        ("OIDC", "{}"),
        ("OIDC", "https://login.example.com/?secret={}"),
        ("OIDC", "https://client:{}/@login.example.com"),
        ("OIDC", "http://client:{}@login.example.com"),
        ("OIDC", "http://client:{}@localhost.example.com"),
        ("OIDC", "https://client:{}@login.example.com\u2100"),
        ("OIDC", "https://client:{}@login.example.com/?title=Example"),
    ],
)
def test_a_garbled_provider_is_one_line_without_its_secret(read, name, value):
    with pytest.raises(EnvError, match=f'"{name}" invalid: Write ') as caught:
        read(**{name: value.format(SECRET)})

    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_provider_is_a_line_of_the_environment(read):
    url = "https://client-id:p%40ss@login.example.com/realms/staff?name=My%20Firm"
    found = read(OIDC=url, GOOGLE="id:secret")

    assert found["SOCIALACCOUNT_PROVIDERS"].keys() == {"google", "openid_connect"}
    [app] = found["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"]
    assert app == {
        "provider_id": "login.example.com-realms-staff",
        "name": "My Firm",
        "client_id": "client-id",
        "secret": "p@ss",
        "settings": {"server_url": "https://login.example.com/realms/staff"},
    }
    assert "allauth.socialaccount.providers.google" in found["SHARED_APPS"]
    assert not read(OIDC="", GOOGLE="")["SOCIALACCOUNT_PROVIDERS"]
