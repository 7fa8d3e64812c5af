"""JSON web tokens of djangorestframework-simplejwt belong to one tenant and one membership.

`TenancyConfig` calls `install()` if the library is installed, so no setting can be forgotten.
"""

from django.db import connection
from django.utils.translation import gettext as _
from rest_framework_simplejwt import settings, state
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from tenant_users.permissions.models import UserTenantPermissions

MEMBERSHIP = "membership"  # the claim


class TenantTokenBackend(TokenBackend):
    """Signs tokens for the current tenant, and accepts no others.

    The audience is the tenant's schema, whose name is never used again, besides that of the
    setting. A claim names the membership, so a token ends with it, with the person's
    `session_epoch`, and stays dead when the person comes back.
    """

    @property
    def audience(self):
        return [connection.schema_name, *self.own_audience]

    @audience.setter
    def audience(self, audience):
        self.own_audience = [audience] if isinstance(audience, str) else [*(audience or ())]

    def encode(self, payload):
        if settings.api_settings.USER_ID_CLAIM in payload and MEMBERSHIP not in payload:
            payload = payload | {MEMBERSHIP: membership_named_by(payload)}
        return super().encode(payload)

    def decode(self, token, verify=True):
        payload = super().decode(token, verify)  # has accepted one of the audiences
        named = payload["aud"] if isinstance(payload["aud"], list) else [payload["aud"]]
        is_of_tenant = connection.schema_name in named
        is_for_us = not self.own_audience or bool({*self.own_audience} & {*named})
        if verify and not (is_of_tenant and is_for_us and is_of_membership(payload)):
            raise TokenBackendError(_("Token is invalid"))
        return payload


def is_of_membership(payload: dict) -> bool:
    if settings.api_settings.USER_ID_CLAIM not in payload:
        return True
    return payload.get(MEMBERSHIP) == membership_named_by(payload)


def membership_named_by(payload: dict) -> str | None:
    """Return what identifies the present membership of the token's person, None without one."""
    person = {
        f"profile__{settings.api_settings.USER_ID_FIELD}": payload[
            settings.api_settings.USER_ID_CLAIM
        ]
    }
    try:
        rows = UserTenantPermissions.objects.filter(**person)
        found = rows.values_list("pk", "profile__session_epoch").first()
    except (TypeError, ValueError) as error:
        raise TokenBackendError(_("Token is invalid")) from error
    return found and "{}.{}".format(*found)


def install() -> None:
    """Let the library use our backend, with the keys and options that its own has."""
    backend = TenantTokenBackend.__new__(TenantTokenBackend)
    for name, value in vars(state.token_backend).items():
        setattr(backend, name, value)
    state.token_backend = backend
