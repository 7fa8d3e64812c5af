"""What the database holds that it should not, or lacks."""

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning
from django.db import ProgrammingError, connection, router, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Exists, OuterRef
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions

from tenancy.concrete import Domain, Tenant
from tenancy.schemas.ddl import FORMER, TEMPLATE_NAME

# PostgreSQL's own schemas, and what belongs to an extension (PostGIS has a table in public and may
# have whole schemas), are nobody's.
TABLES = """
    WITH of_extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e')
    SELECT namespace.nspname, array_agg(class.relname::text)
    FROM pg_namespace namespace
    LEFT JOIN pg_class class
        ON class.relnamespace = namespace.oid
        AND class.relkind IN ('r', 'p')
        AND NOT class.relispartition
        AND ('pg_class'::regclass, class.oid) NOT IN (SELECT classid, objid FROM of_extensions)
    WHERE namespace.nspname !~ '^pg_'
        AND namespace.nspname <> 'information_schema'
        AND obj_description(namespace.oid, 'pg_namespace') IS DISTINCT FROM %s
        AND ('pg_namespace'::regclass, namespace.oid)
            NOT IN (SELECT classid, objid FROM of_extensions)
    GROUP BY namespace.nspname
"""

RIGHTS = UserTenantPermissions._meta.db_table
MEMBERS = get_user_model().tenants.through._meta.db_table
# Whose membership is in one of the two places only.
HALVES = """
    SELECT %s, user_id, profile_id
    FROM (SELECT user_id FROM {members} WHERE tenant_id = %s) member
    FULL JOIN {schema}.{rights} ON profile_id = user_id
    WHERE user_id IS NULL OR profile_id IS NULL
"""
CHUNK = 200  # tenants in a query: each has a table more that PostgreSQL locks


def examine() -> Iterator[CheckMessage]:
    """Yield what is wrong with any schema, after three queries, and one for each 200 tenants.

    A finding is a message of Django's check framework: `obj` is the schema's name, `msg` what is
    wrong, `hint` what to do, `is_serious()` tells errors from warnings, and SILENCED_SYSTEM_CHECKS
    may name its `id`.
    """
    public = get_public_schema_name()
    # The tenants first: one that is made in between has its schema when the schemas are read.
    try:
        tenants = read_tenants()
    except ProgrammingError as error:
        yield Error(
            f"the tenants can't be read: {str(error).splitlines()[0]}.",
            hint="Run `manage.py migrate_schemas --shared`.",
            obj=public,
            id="tenancy.E100",
        )
        return
    tables = read_tables()
    shared, own = expected_tables(public), expected_tables("any")

    can_tell = MEMBERS in tables[public]
    with_rights = {name for name, found in tables.items() if can_tell and RIGHTS in found}
    yield from compare(public, tables.pop(public), shared)
    for schema_name, status, has_domain in tenants:
        found = tables.pop(schema_name, None)
        if not has_domain:
            yield Error(
                "no primary domain leads to the tenant.",
                hint="Add one in the admin of the public site.",
                obj=schema_name,
                id="tenancy.E101",
            )
        if schema_name == public:
            continue
        if status == Tenant.Status.PROVISIONING:
            yield Warning(
                f"half made: provisioning, {'without' if found is None else 'with'} a schema.",
                hint="Unless it is being made right now, finish it with `manage.py provision_tenant"
                " --resume SLUG`, or remove it with `--abandon SLUG`.",
                obj=schema_name,
                id="tenancy.W102",
            )
        elif status == Tenant.Status.PURGING:
            yield Warning(
                f"half purged, {'without' if found is None else 'with'} a schema.",
                hint="Unless it is being purged right now, finish with `manage.py purge_tenant"
                f" --schema {schema_name}`.",
                obj=schema_name,
                id="tenancy.W108",
            )
        elif found is None:
            yield Error(
                f"the schema of a tenant that is {status} is missing.",
                hint="Restore it from a backup, or let `manage.py create_missing_schemas --schema"
                f" {schema_name}` make an empty one.",
                obj=schema_name,
                id="tenancy.E103",
            )
        else:
            yield from compare(schema_name, found, own, shared)
    yield from half_members(with_rights)
    for schema_name in sorted(tables.keys() - set(getattr(settings, "PG_EXTRA_SEARCH_PATHS", []))):
        if re.match(TEMPLATE_NAME, schema_name):
            continue  # it is about to be dropped, at the latest when the next one is made
        # A warning: the owner may keep something else in the database.
        yield Warning(
            "a schema without a tenant.",
            hint="Drop it if it was a tenant's; if it never was, silence tenancy.W104.",
            obj=schema_name,
            id="tenancy.W104",
        )


def compare(schema_name: str, found: set, expected: set, shared: set = frozenset()):
    if missing := expected - found:
        yield Error(
            f"missing: {', '.join(sorted(missing))}.",
            hint="Run `manage.py migrate_schemas`, and restore from a backup what is still missing:"
            " until then a tenant reads and writes a table of that name in the public schema.",
            obj=schema_name,
            id="tenancy.E105",
        )
    extra = found - expected
    if hiding := extra & shared:
        yield Error(
            f"hides shared tables behind its own: {', '.join(sorted(hiding))}.",
            hint="Move the rows to the public schema and drop the tables.",
            obj=schema_name,
            id="tenancy.E106",
        )
    if extra := extra - shared:
        # A warning: migrations with RunSQL make tables that no model knows.
        yield Warning(
            f"no model has these tables: {', '.join(sorted(extra))}.",
            hint="Drop them if an app that is gone has left them; if a migration of yours makes"
            " them with RunSQL, silence tenancy.W107.",
            obj=schema_name,
            id="tenancy.W107",
        )


def half_members(schema_names: set[str]) -> Iterator[CheckMessage]:
    tenants = Tenant.objects.filter(schema_name__in=schema_names).order_by("schema_name")
    parameters = [*tenants.values_list("schema_name", "pk")]
    found = defaultdict(list)
    for start in range(0, len(parameters), CHUNK):
        chunk = parameters[start : start + CHUNK]
        queries = [
            HALVES.format(schema=quote_schema_name(schema_name), members=MEMBERS, rights=RIGHTS)
            for schema_name, _ in chunk
        ]
        with connection.cursor() as cursor:
            cursor.execute(" UNION ALL ".join(queries), [*chain.from_iterable(chunk)])
            for schema_name, user_id, profile_id in cursor:
                found[schema_name].append(user_id or profile_id)
    for schema_name, ids in found.items():
        names = get_user_model().objects.filter(pk__in=ids)
        yield Error(
            f"half a member: {', '.join(sorted(map(str, names)))}.",
            hint=f"Run `manage.py add_member --schema {schema_name}` with the name, or"
            " `remove_member`.",
            obj=schema_name,
            id="tenancy.E109",
        )


def read_tenants() -> list[tuple[str, str, bool]]:
    """The schema name, the status and whether there is a primary domain, of each tenant."""
    domains = Domain.objects.filter(tenant=OuterRef("pk"), is_primary=True)
    tenants = Tenant.all_objects.order_by("schema_name")
    with schema_context(get_public_schema_name()), transaction.atomic():
        return list(tenants.values_list("schema_name", "status", Exists(domains)))


def read_tables() -> dict[str, set[str]]:
    """The names of the tables in each schema."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES, [FORMER])
        return {schema_name: set(tables) - {None} for schema_name, tables in cursor}


def expected_tables(schema_name: str) -> set[str]:
    """The tables that migrations make in the schema; any name but public's means a tenant's."""
    with schema_context(schema_name):  # where the routers look
        return {MigrationRecorder.Migration._meta.db_table} | {
            model._meta.db_table
            for app in apps.get_app_configs()
            for model in router.get_migratable_models(
                app, connection.alias, include_auto_created=True
            )
            if model._meta.can_migrate(connection)
        }
