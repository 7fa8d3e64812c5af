"""Finds what the schemas hold that they should not, or lack."""

import re
from collections import defaultdict
from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage
from django.core.management import CommandError
from django.db import ProgrammingError, connection, router, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Exists, OuterRef
from django_tenants.utils import get_public_schema_name, quote_schema_name, schema_context
from tenant_users.permissions.models import UserTenantPermissions

from tenancy.concrete import Domain, Tenant
from tenancy.database import citus, pooler, replica
from tenancy.database.replica.standby import standby
from tenancy.fleet import rolling
from tenancy.fleet.threads import read_in_threads
from tenancy.health import sharding, structure
from tenancy.health.findings import finding
from tenancy.isolation.router import table_of
from tenancy.schemas import spares
from tenancy.schemas.ddl import FORMER, TEMPLATE_NAME

# The tables of each schema, without PostgreSQL's schemas and what belongs to an extension: PostGIS
# has a table in public, and may have whole schemas.
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
# People with a row in one of the two tables of memberships, but not in the other.
HALVES = """
    SELECT coalesce(member.tenant, own.tenant), coalesce(user_id, profile_id)
    FROM (SELECT tenant_id AS tenant, user_id FROM {members} WHERE tenant_id = ANY(%s)) member
    FULL JOIN ({rights}) own ON own.tenant = member.tenant AND profile_id = user_id
    WHERE user_id IS NULL OR profile_id IS NULL
"""
OWN_RIGHTS = "SELECT %s AS tenant, profile_id FROM {schema}.{rights}"
CHUNK = 200  # tenants in a query, because PostgreSQL locks a table for each


def examine() -> Iterator[CheckMessage]:
    """Yield what is wrong with any schema. It takes few queries: one for hundreds of tenants.

    A finding is a message of Django's check framework. `obj` is the schema's name, and
    SILENCED_SYSTEM_CHECKS may name its `id`.
    """
    public = get_public_schema_name()
    if pooler.is_mixing(connection):
        yield finding("E120", pooler.MESSAGE, public)
        return
    if citus.is_worker():
        yield finding("E121", "DATABASE_URL is the address of a worker of Citus.", public)
        return
    # The tenants first: the schema of a tenant that is made in between is found then.
    try:
        tenants = read_tenants()
    except ProgrammingError as error:
        yield finding("E100", f"the tenants can't be read: {str(error).splitlines()[0]}.", public)
        return
    yield from sharding.examine()
    tables = read_tables()
    shared, own = expected_tables(public), expected_tables("any")
    cohorts, expected = [], {}
    try:
        cohorts = structure.read_cohorts(settled(tenants, tables))
    except CommandError as error:
        yield finding("W114", f"can't be compared: {error}", public)
    for cohort in cohorts:
        if cohort.error:
            for name in cohort.schemas:
                yield finding("W114", f"can't be compared: {cohort.error}.", name)
        else:
            expected |= dict.fromkeys(cohort.schemas, structure.expected_tables(cohort))
    shared |= expected.get(public, {}).keys()

    can_tell = MEMBERS in tables[public]
    with_rights = {name for name, found in tables.items() if can_tell and RIGHTS in found}
    yield from compare(public, tables.pop(public), shared, expected)
    for name, status, has_domain in tenants:
        found = tables.pop(name, None)
        has_schema = "without a schema" if found is None else "with a schema"
        if not has_domain:
            yield finding("E101", "no primary domain leads to the tenant.", name)
        if name == public:
            continue
        if status == Tenant.Status.PROVISIONING:
            yield finding("W102", f"half made: provisioning, {has_schema}.", name)
        elif status == Tenant.Status.PURGING:
            yield finding("W108", f"half purged, {has_schema}.", name)
        elif found is None:
            yield finding("E103", f"the schema of a tenant that is {status} is missing.", name)
        else:
            yield from compare(name, found, own, expected, shared)
    for cohort in cohorts:
        if not cohort.error:
            yield from structure.compare(cohort)
    for migration, how in rolling.breaking(cohorts).items():
        yield finding("W116", f"breaks code that runs meanwhile: it {how}.", migration)
    yield from half_members(with_rights)
    unknown = tables.keys() - set(getattr(settings, "PG_EXTRA_SEARCH_PATHS", []))
    if unknown:
        unknown -= spares.names()
        # A spare may have been given out meanwhile.
        given_out = Tenant.all_objects.filter(schema_name__in=unknown)
        unknown -= {*given_out.values_list("schema_name", flat=True)}
    for name in sorted(unknown):
        # A template of the blueprint is dropped when the next one is made, at the latest.
        if not re.match(TEMPLATE_NAME, name):
            yield finding("W104", "a schema without a tenant.", name)
    if replica.alias:
        standby.refresh()
        if not standby.is_good():
            yield finding("W125", f"the replica is {standby.state}.", public)


def settled(tenants: list, tables: dict[str, set]) -> list[str]:
    """Return the schemas that are neither being made nor purged, and have recorded migrations."""
    passing = Tenant.Status.PROVISIONING, Tenant.Status.PURGING
    records = MigrationRecorder.Migration._meta.db_table
    return [
        name
        for name, status, _ in tenants
        if status not in passing and records in tables.get(name, ())
    ]


def compare(
    name: str, found: set, known: set, expected: dict[str, dict], shared: set = frozenset()
) -> Iterator[CheckMessage]:
    """Compare the schema's tables with those that this code and its own migrations know."""
    apps_of = expected.get(name, dict.fromkeys(known, "APP"))
    wanted = apps_of.keys()
    for number, what, tables in (
        ("E105", "missing", wanted - found),
        ("E106", "hides shared tables behind its own", (found - wanted) & shared),
        ("W107", "no model has these tables", found - wanted - known - shared),
    ):
        if tables:
            yield finding(
                *(number, f"{what}: {', '.join(sorted(tables))}.", name),
                apps=" ".join(sorted({apps_of.get(table, "") for table in tables})),
                drops=", ".join(
                    f"{quote_schema_name(name)}.{quote_schema_name(table)}"
                    for table in sorted(tables)
                ),
            )


def half_members(schema_names: set[str]) -> Iterator[CheckMessage]:
    tenants = Tenant.objects.filter(schema_name__in=schema_names).order_by("schema_name")
    names = dict(tenants.values_list("pk", "schema_name"))

    def read(connection, chunk):
        rights = " UNION ALL ".join(
            OWN_RIGHTS.format(schema=quote_schema_name(names[pk]), rights=RIGHTS) for pk in chunk
        )
        with connection.cursor() as cursor:
            cursor.execute(HALVES.format(members=MEMBERS, rights=rights), [chunk, *chunk])
            return cursor.fetchall()

    found = defaultdict(list)
    for pk, person in read_in_threads(connection, read, [*names], CHUNK):
        found[names[pk]].append(person)
    for name, ids in sorted(found.items()):
        people = ", ".join(sorted(map(str, get_user_model().objects.filter(pk__in=ids))))
        yield finding("E109", f"half a member: {people}.", name)


def read_tenants() -> list[tuple[str, str, bool]]:
    """Return each tenant's schema name and status, and whether it has a primary domain."""
    domains = Domain.objects.filter(tenant=OuterRef("pk"), is_primary=True)
    tenants = Tenant.all_objects.order_by("schema_name")
    with schema_context(get_public_schema_name()), transaction.atomic():
        return list(tenants.values_list("schema_name", "status", Exists(domains)))


def read_tables() -> dict[str, set[str]]:
    """Return the names of the tables in each schema."""
    with connection.cursor() as cursor:
        cursor.execute(TABLES, [FORMER])
        return {name: set(tables) - {None} for name, tables in cursor}


def expected_tables(schema_name: str) -> set[str]:
    """Return the tables that migrations create in public, or in a tenant's schema."""
    with schema_context(schema_name):  # the routers ask for it; any name but public is a tenant's
        return {MigrationRecorder.Migration._meta.db_table} | {
            table_of(model)
            for app in apps.get_app_configs()
            for model in router.get_migratable_models(
                app, connection.alias, include_auto_created=True
            )
            if model._meta.can_migrate(connection)
        }
