"""Credentials: rows that let somebody in, such as tokens, keys and sessions.

Each belongs to one tenant and one membership. So their tables are in the tenants' schemas, clones
and backups leave them behind, and a person's end with the membership. Those of the libraries below
are known. The setting TENANCY_CREDENTIALS names the project's own: `["invoices.Key"]`.
"""

from typing import NamedTuple

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Model
from django_tenants.utils import get_public_schema_name

from tenancy.isolation.router import is_in_tenants, is_shared, table_of

# A model is a credential if it, or a class that it extends, is defined in one of these packages.
PACKAGES = (
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "django.contrib.sessions",
    "django_otp",
    "knox",
    "oauth2_provider",
    "rest_framework.authtoken",
    "rest_framework_api_key",
    "rest_framework_simplejwt.token_blacklist",
    "social_django",
)
# These are a person's, whatever they are a member of: they open the main website.
SIGN_INS = ("allauth.mfa", "allauth.socialaccount")
# What a program is registered by. It stays when the person who has registered it leaves.
REGISTRATION = ("oauth2_provider.models", "AbstractApplication")


class LeftBehind(NamedTuple):
    """What a copy of a tenant goes without."""

    tables: set[str]
    columns: set[tuple[str, str]]  # table and column of nullable foreign keys to those tables


def credential_models() -> list[type[Model]]:
    """Return the models whose rows are credentials. Raises LookupError for an unknown name."""
    own = {apps.get_model(label) for label in getattr(settings, "TENANCY_CREDENTIALS", ())}
    models = [model for model in apps.get_models() if not model._meta.proxy]
    return [model for model in models if model in own or any(map(is_known, model.__mro__))]


def is_known(base: type) -> bool:
    return is_in(PACKAGES, base)


def is_in(packages: tuple[str, ...], base: type) -> bool:
    return f"{base.__module__}.".startswith(tuple(f"{package}." for package in packages))


def left_behind() -> LeftBehind:
    """Return the tables of credentials, and of rows that can't be without one."""
    models = {*credential_models()}
    references = [
        (model, field)
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.local_concrete_fields
        if field.related_model
    ]

    def refer(model, field):
        return model not in models and field.related_model._meta.concrete_model in models

    while more := {model for model, field in references if refer(model, field) and not field.null}:
        models |= more
    columns = {
        (table_of(model), field.column) for model, field in references if refer(model, field)
    }
    return LeftBehind({table_of(model) for model in models}, columns)


def delete_credentials(user) -> None:
    """Delete the person's credentials in the current schema.

    Sessions end by themselves: they depend on the membership. Second factors and social accounts
    stay (see `delete_sign_ins`).
    """
    in_public = connection.schema_name == get_public_schema_name()
    for model in credential_models():
        is_here = is_shared(model) if in_public else is_in_tenants(model)
        if is_here and REGISTRATION not in names_of(model) and not is_in(SIGN_INS, model):
            delete_rows(model, user)


def delete_sign_ins(user, packages: tuple[str, ...] = SIGN_INS) -> None:
    """Delete the person's second factors, passkeys and social accounts."""
    for model in credential_models():
        if is_in(packages, model):
            delete_rows(model, user)


def delete_rows(model: type[Model], user) -> None:
    """Delete the rows that refer to the person."""
    for field in model._meta.concrete_fields:
        if field.related_model is get_user_model():
            model._base_manager.filter(**{field.name: user}).delete()


def names_of(model: type[Model]) -> set[tuple[str, str]]:
    return {(base.__module__, base.__qualname__) for base in model.__mro__}
