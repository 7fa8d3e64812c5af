"""No setting of a library for APIs that would pass over the membership passes `manage.py check`."""

import pytest
from django.core.checks import run_checks
from django.urls import clear_url_caches, path
from ninja import NinjaAPI
from ninja.security import APIKeyHeader
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTStatelessUserAuthentication
from rest_framework_simplejwt.state import TokenBackend
from rest_framework_simplejwt.tokens import AccessToken
from server import urls
from tenancy.isolation.router import tenant_app_labels


def messages():
    return [(message.id, message.msg) for message in run_checks(tags=["tenants"])]


class OwnStateless(JWTStatelessUserAuthentication):
    pass


class Stateless(APIView):
    authentication_classes = (OwnStateless,)


class Key(APIKeyHeader):
    def authenticate(self, request, key) -> str | None:
        return key


class Unbound(AccessToken):
    _token_backend = TokenBackend("HS256", "x" * 50)


def test_a_credentials_table_is_not_shared(settings):
    """I1"""
    settings.TENANT_APPS = [app for app in settings.TENANT_APPS if app != "knox"]
    settings.SHARED_APPS = [*settings.SHARED_APPS, "knox"]
    tenant_app_labels.cache_clear()
    try:
        assert [id for id, _ in messages()] == ["tenancy.E040"]
    finally:
        tenant_app_labels.cache_clear()


@pytest.mark.parametrize("name", ["apis.Kee", "nothing.Key", "Key"])
def test_a_misspelt_credential_is_named(settings, name):
    """I8"""
    settings.TENANCY_CREDENTIALS = [name]

    assert [id for id, _ in messages()] == ["tenancy.E043"]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        (
            "AUTHENTICATION_BACKENDS",
            [
                "tenancy.people.backend.UserBackend",
                "django.contrib.auth.backends.AllowAllUsersModelBackend",
            ],
            "E041",
        ),
        ("SIMPLE_JWT", {"CHECK_USER_IS_ACTIVE": False}, "E041"),
        (
            "REST_FRAMEWORK",
            {"DEFAULT_AUTHENTICATION_CLASSES": [f"{__name__}.OwnStateless"]},
            "E041",
        ),
        ("OAUTH2_PROVIDER", {"RESOURCE_SERVER_INTROSPECTION_URL": "https://other"}, "E042"),
        ("SIMPLE_JWT", {"AUTH_TOKEN_CLASSES": [f"{__name__}.Unbound"]}, "E042"),
    ],
)
def test_no_setting_identifies_without_a_membership(settings, name, value, found):
    """I1"""
    setattr(settings, name, value)

    assert [id for id, _ in messages()] == [f"tenancy.{found}"]


def test_no_view_identifies_without_a_user(settings, monkeypatch):
    """I1"""
    api = NinjaAPI(auth=Key(), urls_namespace="check", docs_url=None, openapi_url=None)
    api.get("/")(lambda request: "")
    own = [path("stateless/", Stateless.as_view()), path("ninja/", api.urls)]
    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, *own])
    clear_url_caches()
    try:
        assert messages() == [
            ("tenancy.E041", "stateless/: OwnStateless identifies no user of the database."),
            ("tenancy.E041", ": it returns str, which is no user of the database."),
        ]
    finally:
        clear_url_caches()
