"""Keys for programs in the isolation proof."""

import secrets
from datetime import timedelta

from django.db import connection
from django.utils import timezone
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import roles
from tenancy.masking import KEY_PREFIX
from tenancy.models import ApiKey
from tenancy.people.keys import digest


def api_key(canary: str) -> ApiKey:
    """Return a key of the current tenant's owner, that is not saved."""
    return new_key(connection.tenant.owner, canary)


def new_key(user, name: str, secret: str = "") -> ApiKey:
    rights = UserTenantPermissions.objects.filter(profile_id=user.pk).first()
    return ApiKey(
        tenant=connection.tenant,
        user=user,
        membership=rights.pk if rights else 0,
        name=name[:50],
        role=roles.ADMIN,
        digest=digest(secret or name),
        expires=timezone.now() + timedelta(days=30),
    )


def by_key(user) -> dict[str, str]:
    """Return the header of a program that has a key of the person's."""
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    new_key(user, "proof", secret).save()
    return {"Authorization": f"Bearer {secret}"}
