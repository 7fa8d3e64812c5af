"""System checks of the libraries that identify people for APIs."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, get_args, get_type_hints

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.module_loading import import_string

from tenancy.health.findings import finding
from tenancy.health.lazy import register
from tenancy.health.requirements import is_a
from tenancy.isolation.credentials import credential_models
from tenancy.isolation.router import is_in_tenants

# They make a person out of a token, without a look into the database.
STATELESS = {
    "ninja_jwt.authentication.JWTStatelessUserAuthentication",
    "rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication",
}
# They accept a person who is inactive.
CARELESS = {
    "django.contrib.auth.backends.AllowAllUsersModelBackend",
    "django.contrib.auth.backends.AllowAllUsersRemoteUserBackend",
}
# Their tokens name no tenant.
EVERYWHERE = ("graphql_jwt", "ninja_jwt", "rest_framework_jwt")


@register("tenants")
def check_credentials(**kwargs) -> Iterator[CheckMessage]:
    try:
        models = credential_models()
    except (LookupError, ValueError) as error:
        yield finding("E043", f"TENANCY_CREDENTIALS: {error}.".replace("..", "."))
        return
    for model in models:
        # django-allauth's open the main website alone, which hands the sign-in over.
        if not is_in_tenants(model) and not model.__module__.startswith("allauth."):
            message = "lets people in, and all tenants would share its table."
            yield finding("E040", message, model)


@register("tenants")
def check_authentication(**kwargs) -> Iterator[CheckMessage]:
    for name in settings.AUTHENTICATION_BACKENDS:
        if any(is_a(careless, name) for careless in CARELESS):
            yield finding("E041", f"AUTHENTICATION_BACKENDS: {name} accepts inactive people.")
    simple_jwt = getattr(settings, "SIMPLE_JWT", {})
    if not simple_jwt.get("CHECK_USER_IS_ACTIVE", True):
        yield finding("E041", "SIMPLE_JWT: CHECK_USER_IS_ACTIVE accepts inactive people.")
    for view, authentication in authentications():
        if STATELESS & names_of(authentication):
            name = authentication.__name__
            yield finding("E041", f"{view}: {name} identifies no user of the database.")
    for view, callback in ninja_callbacks():
        if kinds := ", ".join(sorted(kind.__name__ for kind in kinds_without_user(callback))):
            yield finding("E041", f"{view}: it returns {kinds}, which is no user of the database.")


@register("tenants")
def check_tokens(**kwargs) -> Iterator[CheckMessage]:
    for label in filter(apps.is_installed, EVERYWHERE):
        yield finding("E042", f"INSTALLED_APPS: tokens of {label} are valid in every tenant.")
    if getattr(settings, "OAUTH2_PROVIDER", {}).get("RESOURCE_SERVER_INTROSPECTION_URL"):
        name = "RESOURCE_SERVER_INTROSPECTION_URL"
        message = (
            f"OAUTH2_PROVIDER: with {name}, another server's tokens are valid in every tenant."
        )
        yield finding("E042", message)
    if jwt := sys.modules.get("tenancy.isolation.jwt"):
        for token in jwt.settings.api_settings.AUTH_TOKEN_CLASSES:
            if not isinstance(token().get_token_backend(), jwt.TenantTokenBackend):
                message = f"SIMPLE_JWT: tokens of {token.__name__} are valid in every tenant."
                yield finding("E042", message)


def authentications() -> Iterator[tuple[str, type]]:
    """Yield each class by which Django REST framework identifies, and the setting or view."""
    defaults = getattr(settings, "REST_FRAMEWORK", {}).get("DEFAULT_AUTHENTICATION_CLASSES", ())
    for name in defaults:
        yield "REST_FRAMEWORK", import_string(name) if isinstance(name, str) else name
    for pattern in patterns():
        inherited = getattr(getattr(pattern.callback, "cls", None), "authentication_classes", ())
        options = getattr(pattern.callback, "initkwargs", {})
        for authentication in options.get("authentication_classes", inherited):
            yield str(pattern.pattern), authentication


def ninja_callbacks() -> Iterator[tuple[str, Any]]:
    """Yield each callable by which django-ninja identifies, and the path."""
    for pattern in patterns():
        if getattr(pattern.callback, "__module__", "") != "ninja.operation":
            continue
        for cell in pattern.callback.__closure__ or ():
            for operation in getattr(cell.cell_contents, "operations", ()):
                for callback in operation.auth_callbacks:
                    yield str(pattern.pattern), callback


def kinds_without_user(callback) -> set[type]:
    """Return the classes that a callback says it returns, without models.

    Those that say nothing are found when they are used.
    """
    function = getattr(callback, "authenticate", callback)
    try:
        annotation = get_type_hints(function).get("return")
    except (NameError, TypeError):
        return set()
    kinds = {*get_args(annotation)} or {annotation}
    ignored = (type(None), object)
    return {
        kind
        for kind in kinds
        if isinstance(kind, type) and kind not in ignored and not issubclass(kind, Model)
    }


def patterns(found: Iterable | None = None) -> Iterator[URLPattern]:
    if found is None:
        for urlconf in {settings.ROOT_URLCONF, settings.PUBLIC_SCHEMA_URLCONF}:
            yield from patterns(get_resolver(urlconf).url_patterns)
        return
    for pattern in found:
        if isinstance(pattern, URLResolver):
            yield from patterns(pattern.url_patterns)
        else:
            yield pattern


def names_of(found: type) -> set[str]:
    return {f"{base.__module__}.{base.__qualname__}" for base in found.__mro__}
