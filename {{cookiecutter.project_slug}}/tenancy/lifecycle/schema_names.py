"""Rename a tenant's schema. Code that still uses the old name gets an error."""

import re
import secrets

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django_tenants.utils import (
    get_public_schema_name,
    quote_schema_name,
    schema_context,
    schema_exists,
)

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.exceptions import InvalidSchemaName, LifecycleError, SchemaNameTaken
from tenancy.models import TenantEvent
from tenancy.schemas.ddl import leaving_tombstones
from tenancy.schemas.uploads import uploads_of
from tenancy.states import exclusive, fetch_for, transition

ACTION = "rename schema"
LENGTH = Tenant._meta.get_field("schema_name").max_length
RULE = f"A schema's name is a slug, “_” and eight hexadecimal digits, {LENGTH} characters at most."
# ALTER SCHEMA doesn't change their text.
FUNCTIONS = """
    SELECT proname FROM pg_proc
    WHERE pronamespace = to_regnamespace(%s)
        AND strpos(concat(prosrc, array_to_string(proconfig, ' ')), %s) > 0
    ORDER BY 1
"""


def rename_schema(tenant: Tenant, by: str, name: str = "") -> Tenant:
    """Give a suspended tenant's schema a name that was never used; return the tenant's row.

    The default name is the slug and eight random digits. The uploads move after the commit: if the
    process is killed in between, the next call moves them. It can't be called inside a transaction.
    Raises InvalidSchemaName, SchemaNameTaken, IllegalTransition, and LifecycleError if the text of
    a function in the schema contains the schema's name.
    """
    name = name or f"{tenant.slug}_{secrets.token_hex(4)}"
    if len(name) > LENGTH or not re.match(hosts.SCHEMA_NAME, name):
        raise InvalidSchemaName(RULE)
    with exclusive(ACTION, tenant):
        row = fetch_for(ACTION, tenant)
        for before in names_before(row.schema_name):
            move_uploads(before, row.schema_name)
            if name == row.schema_name:
                return row
        with transaction.atomic(durable=True), transition(ACTION, tenant, by) as (row, event):
            check_never_used(name)
            check_functions(row.schema_name)
            event.before, event.after = row.schema_name, name
            move_tables(row.schema_name, name)
            row.schema_name = name
        move_uploads(event.before, name)
        return row


def names_before(schema_name: str) -> QuerySet:
    """Return the schema's former name, if any. A killed call leaves the uploads there."""
    changes = TenantEvent.objects.filter(action=ACTION, after=schema_name)
    return changes.values_list("schema_name", flat=True)


def all_names(schema_name: str) -> list[str]:
    """Return the schema's name and all its former ones."""
    names = [schema_name]
    for name in names:  # which grows meanwhile
        names += names_before(name)
    return names


def name_now(schema_name: str) -> str | None:
    """Return the present name of a schema that was renamed, or None."""
    now = None
    with schema_context(get_public_schema_name()):
        while name := TenantEvent.objects.filter(action=ACTION, before=now or schema_name).first():
            now = name.after
    return now


def check_never_used(name: str) -> None:
    rows = Q(schema_name=name)
    in_use = Tenant.all_objects.filter(rows).exists() or TenantEvent.objects.filter(rows).exists()
    if in_use or schema_exists(name) or uploads_of(name).exist():
        raise SchemaNameTaken(f"“{name}” is or was in use.")


def check_functions(schema_name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS, [quote_schema_name(schema_name), schema_name])
        if names := ", ".join(name for (name,) in cursor):
            raise LifecycleError(f"The text of these functions contains {schema_name}: {names}.")


def move_tables(old: str, new: str) -> None:
    own, other = quote_schema_name(old), quote_schema_name(new)
    with connection.cursor() as cursor:
        # Waits for a migration, which locks this table from beginning to end.
        cursor.execute(f"LOCK TABLE {own}.django_migrations")
        with leaving_tombstones(old):
            cursor.execute(f"ALTER SCHEMA {own} RENAME TO {other}")


def move_uploads(old: str, new: str) -> None:
    """Move the uploads along. Raises LifecycleError."""
    source, target = uploads_of(old), uploads_of(new)
    try:
        source.move_to(target)
    except FileExistsError:
        message = f"Uploads are in {source} and in {target}: put them together by hand."
        raise LifecycleError(message) from None
    except OSError as error:
        raise LifecycleError(f"Uploads are left in {source}: {error}. Run it again.") from None
