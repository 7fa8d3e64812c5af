"""Keys by which programs use a workspace's API, in the name of the member who made them.

A key is good in one workspace, until it expires, is revoked, or its maker is no member any more or
may no longer give its role. It has the role's rights. Only views that ask for it take one, with
`tenancy.people.keys.rest`, `tenancy.people.keys.ninja` or `find_person`; pages never do.
"""

import re
import secrets
from datetime import timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django_tenants.utils import get_public_schema_name
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import roles
from tenancy.concrete import Tenant, User
from tenancy.exceptions import InvalidRole, NoSuchKey, TooManyKeys
from tenancy.history import record
from tenancy.isolation.membership import remember
from tenancy.limits import limit
from tenancy.masking import KEY, KEY_PREFIX
from tenancy.models import ApiKey
from tenancy.people.backend import PERSON, PERSON_COLUMNS, person_from
from tenancy.people.digests import digest
from tenancy.people.members import locked, role_of

DAYS = (30, 90, 365)  # for which a key is good
MAX_KEYS = 50  # of a workspace
KEPT = timedelta(days=30)  # a row after the key has expired
EVERY = timedelta(hours=1)  # the time of the last use is written

QUERY = f"""
SELECT key.id, key.name, key.role, key.used, {PERSON_COLUMNS}
FROM {PERSON} JOIN {ApiKey._meta.db_table} key ON key.user_id = person.id
WHERE key.digest = %s AND key.tenant_id = %s AND key.expires > statement_timestamp()
    AND rights.id = key.membership
"""  # noqa: S608


def make(tenant: Tenant, by: User, name: str, role: str, days: int) -> tuple[ApiKey, str]:
    """Make a key of a member's; return its row and the key itself, which isn't stored.

    Raises InvalidRole if the member may not give the role, TooManyKeys, RateLimited, and ValueError
    if it were good for more than a year.
    """
    if not 1 <= days <= DAYS[-1]:
        raise ValueError(f"A key is good for 1 to {DAYS[-1]} days.")
    limit("key", tenant.schema_name, f"{MAX_KEYS}/1d")
    with locked(tenant) as row:
        is_public = row.schema_name == get_public_schema_name()
        if is_public or not roles.may_give(role_of(row, by), role):
            raise InvalidRole(_("You can't give this role."))
        now = timezone.now()
        rows = ApiKey.objects.filter(tenant=row)
        rows.filter(expires__lt=now - KEPT).delete()
        if rows.filter(expires__gt=now).count() >= MAX_KEYS:
            text = _("A workspace has at most %(most)d keys. Revoke one that isn't used.")
            raise TooManyKeys(text % {"most": MAX_KEYS})
        with row:
            membership = UserTenantPermissions.objects.get(profile_id=by.pk).pk
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = ApiKey.objects.create(
            tenant=row,
            user=by,
            membership=membership,
            name=name,
            role=role,
            digest=digest(secret),
            expires=now + timedelta(days=days),
        )
        record("make key", row, by.get_username(), before=role, after=name)
    return key, secret


def revoke(tenant: Tenant, pk: int, by: User) -> ApiKey:
    """End a key of the workspace. Raises NoSuchKey."""
    with locked(tenant) as row:
        key = ApiKey.objects.filter(tenant=row, pk=pk).first()
        if key is None:
            raise NoSuchKey(_("This key was revoked before."))
        key.delete()
        record("revoke key", row, by.get_username(), before=key.role, after=key.name)
    return key


def keys_of(tenant: Tenant) -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(tenant=tenant).order_by("-created", "-pk")


@sensitive_variables("header", "secret")
def key_in(request) -> str | None:
    """Return the key in the header `Authorization: Bearer …`; None for other kinds of tokens."""
    kind, _space, secret = request.headers.get("Authorization", "").partition(" ")
    return secret if kind.lower() == "bearer" and re.fullmatch(KEY, secret) else None


@sensitive_variables("secret")
def find_person(request) -> User | None:
    """Return the member whose key the request has, with the key's rights; None without a good one.

    `user.api_key` is the key. It costs one query, which loads the rights as well, and a second one
    once an hour.
    """
    secret = key_in(request)
    tenant = connection.tenant
    if secret is None or tenant.schema_name == get_public_schema_name():
        return None
    with connection.cursor() as cursor:
        cursor.execute(QUERY, [digest(secret), tenant.pk])
        row = cursor.fetchone()
    if row is None:
        return None
    (pk, name, role, used), values = row[:4], row[4:]
    user = person_from(values)
    maker = user.membership
    if maker is None or not roles.may_give(maker.role, role):
        return None
    key = ApiKey(pk=pk, name=name, role=role, used=used, tenant_id=tenant.pk, user=user)
    rights = roles.restrict(maker.rights, role)
    rights.is_of_key = True
    user.api_key = key
    remember(user, tenant.schema_name, rights)
    note_use(key)
    return user


def note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.used and now - key.used < EVERY:
        return
    try:
        with transaction.atomic():
            ApiKey.objects.filter(pk=key.pk).update(used=now)
    except DatabaseError:  # such as one that takes no writes now
        return
