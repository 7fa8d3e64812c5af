"""The statements of many tenants' schemas, from few runs of pg_dump.

pg_dump reads the catalog of all schemas, whichever it dumps: 20 seconds at 10,000 tenants. So one
run dumps the next tenants as well, and each uses its part if the schema is still the same.
"""

import logging
from collections.abc import Iterable

from django.apps import apps
from django.db import ProgrammingError, connection
from django_tenants.utils import quote_schema_name

from tenancy.exceptions import DumpFailed
from tenancy.isolation.router import is_in_tenants
from tenancy.schemas import dump

MAX_TABLES = 2000  # in one run, which locks them all: PostgreSQL has room for 6,400 by default

# A number that changes when an object of the schema is made, changed or dropped, because PostgreSQL
# then writes a new version of its row in the catalog. Each part is text: Citus gets the last one
# from a node, and can't read a ROW.
VERSION = """
    WITH own AS (SELECT oid, xmin FROM pg_class WHERE relnamespace = to_regnamespace(%s))
    SELECT sum(hashtextextended(part, 0)) FROM (
        SELECT ROW(1, oid, xmin)::text AS part FROM own
        UNION ALL
        SELECT ROW(2, attrelid, attnum, other.xmin)::text
        FROM own JOIN pg_attribute other ON attrelid = own.oid
        UNION ALL
        SELECT ROW(3, other.oid, other.xmin)::text
        FROM own JOIN pg_attrdef other ON adrelid = own.oid
        UNION ALL
        SELECT ROW(4, other.oid, other.xmin)::text
        FROM own JOIN pg_constraint other ON conrelid = own.oid
        UNION ALL
        SELECT ROW(5, indexrelid, other.xmin)::text
        FROM own JOIN pg_index other ON indrelid = own.oid
        UNION ALL
        SELECT ROW(6, other.oid, other.xmin)::text
        FROM own JOIN pg_trigger other ON tgrelid = own.oid
        UNION ALL
        SELECT ROW(7, other.oid, other.xmin)::text
        FROM own JOIN pg_rewrite other ON ev_class = own.oid
        UNION ALL
        SELECT ROW(8, other.oid, other.xmin)::text
        FROM own JOIN pg_policy other ON polrelid = own.oid
        UNION ALL
        SELECT ROW(9, seqrelid, other.xmin)::text
        FROM own JOIN pg_sequence other ON seqrelid = own.oid
        UNION ALL
        SELECT ROW(10, other.oid, other.xmin)::text FROM pg_proc other
        WHERE pronamespace = to_regnamespace(%s)
        UNION ALL
        SELECT ROW(11, other.oid, other.xmin)::text FROM pg_type other
        WHERE typnamespace = to_regnamespace(%s)
        UNION ALL
        SELECT ROW(12, pg_enum.oid, pg_enum.xmin)::text
        FROM pg_enum JOIN pg_type other ON other.oid = enumtypid
        WHERE typnamespace = to_regnamespace(%s)
        UNION ALL
        SELECT ROW(13, other.oid, other.xmin)::text
        FROM pg_type type JOIN pg_constraint other ON contypid = type.oid
        WHERE typnamespace = to_regnamespace(%s)
        UNION ALL
        SELECT ROW(14, objoid, objsubid, other.xmin)::text FROM own JOIN pg_description other
            ON objoid = own.oid AND classoid = 'pg_class'::regclass
        UNION ALL
        SELECT ROW(15, other.oid, other.xmin)::text FROM own JOIN pg_statistic_ext other
            ON stxrelid = own.oid
        UNION ALL
        SELECT ROW(16, oid, xmin)::text FROM pg_namespace WHERE oid = to_regnamespace(%s)
        UNION ALL
        SELECT ROW(17, oid, xmin)::text
        FROM pg_default_acl WHERE defaclnamespace = to_regnamespace(%s)
        UNION ALL  -- for all else that a migration may have done
        SELECT ROW(18, id, xmin)::text FROM {own}.django_migrations
    ) _
"""

logger = logging.getLogger(__name__)


class PrefetchedDumps:
    """Dumps of many schemas, made ahead. Callers ask for them in about the order that is given."""

    def __init__(self, schema_names: Iterable[str]):
        self.not_dumped = dict.fromkeys(schema_names)
        self.parts: dict[str, tuple[int, dump.Parts]] = {}

    def prepare(self, schema_name: str) -> None:
        """Dump the schema with the next ones, if it isn't yet.

        If one of them can't be dumped, such as one whose tables are locked, each has to be dumped
        by itself.
        """
        if schema_name not in self.not_dumped:
            return
        ahead = [schema_name, *(name for name in self.not_dumped if name != schema_name)]
        ahead = ahead[: max(1, MAX_TABLES // number_of_tables())]
        for name in ahead:
            del self.not_dumped[name]
        versions = {name: version_of(name) for name in ahead}
        try:
            parts = dump.dump_many_around_rows(ahead)
        except DumpFailed as error:
            logger.info(f"Each of {len(ahead)} tenants is dumped by itself: {error}")
            return
        self.parts |= {name: (versions[name], parts[name]) for name in ahead}

    def take(self, schema_name: str) -> dump.Parts | None:
        """Return the schema's statements; None if there are none, or if it has changed since."""
        version, parts = self.parts.pop(schema_name, (None, None))
        return parts if version == version_of(schema_name) else None


def number_of_tables() -> int:
    """Return about how many tables a tenant has."""
    return sum(is_in_tenants(model) for model in apps.get_models(include_auto_created=True)) or 1


def version_of(schema_name: str) -> int | None:
    """Return the schema's VERSION; None if it has no table of migrations."""
    own = quote_schema_name(schema_name)
    with connection.cursor() as cursor:
        try:
            cursor.execute(VERSION.format(own=own), [own] * VERSION.count("%s"))
        except ProgrammingError:
            return None
        return cursor.fetchone()[0]
