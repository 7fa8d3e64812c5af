"""The project's settings, read anew with other variables."""

import re
import runpy
import traceback
from pathlib import Path

import pytest
from django.conf import settings
from tenancy.environment import EnvError
from tenancy.exceptions import MissingRequirement

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


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("{}", "write it like s3://KEY:SECRET@host/bucket"),
        ("https://key:{}@host/bucket", "write it like"),
        ("s3://key:{}@host", "write it like"),
        ("s3://key:{}/x@host/bucket", "write it like"),
        ("s3://key:{}@host/bucket/folder", "write it like"),
        ("s3://key:{}@host/Bucket", "write it like"),
        ("s3://key:{}@host/bucket?tls=maybe", "tls is on or off"),
        ("s3://key:{}@host/bucket?regoin=x", "unknown parameter 'regoin'"),
    ],
)
def test_a_garbled_bucket_is_one_line_without_its_secret(read, url, says):
    with pytest.raises(MissingRequirement, match=f"^UPLOADS_URL: {re.escape(says)}") as caught:
        read(UPLOADS_URL=url.format(SECRET))

    assert len(str(caught.value).splitlines()) == 1
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_pages_show_pictures_from_the_bucket(read):
    found = read(UPLOADS_URL="s3://key:p%2Fss@s3.example.com:8443/files?region=eu")

    assert found["STORAGES"]["default"]["OPTIONS"] == {
        "access_key": "key",
        "secret_key": "p/ss",
        "endpoint_url": "https://s3.example.com:8443",
        "bucket_name": "files",
        "region_name": "eu",
    }
    for kind in ("img-src", "media-src"):
        hosts = found["CONTENT_SECURITY_POLICY"]["DIRECTIVES"][kind]
        assert {"'self'", "https://s3.example.com:8443"} <= {*hosts}
    assert "s3.example.com" not in str(read(UPLOADS_URL="")["CONTENT_SECURITY_POLICY"])
