"""As many tenants as are wanted: copies of the tenant `seed`, made by SQL, which is fastest."""

import re
from concurrent.futures import ThreadPoolExecutor

from benchmarks.projects import seed

# What pg_dump sets for a session, and psql's own commands.
PREAMBLE = re.compile(r"^(SET .*|SELECT pg_catalog\.set_config.*|\\.*|--.*)\n", re.MULTILINE)

BATCH = 100

CATALOG = "pg_class, pg_attribute, pg_type, pg_index, pg_constraint, pg_depend, pg_trigger"

# A seed's row with other values in the columns that are its own.
ROWS = """
    INSERT INTO tenants_tenant
    SELECT made.* FROM tenants_tenant seed, generate_series(%(first)s, %(last)s) n,
        jsonb_populate_record(seed, jsonb_build_object(
            'id', nextval(pg_get_serial_sequence('tenants_tenant', 'id')),
            'slug', 't' || n,
            'name', 't' || n,
            'schema_name', 't' || n || '_' || lpad(to_hex(n), 8, '0'))) made
    WHERE seed.slug = 'seed';

    INSERT INTO tenants_domain
    SELECT made.* FROM tenants_domain seed, tenants_tenant tenant,
        jsonb_populate_record(seed, jsonb_build_object(
            'id', nextval(pg_get_serial_sequence('tenants_domain', 'id')),
            'domain', tenant.slug || '.localhost',
            'tenant_id', tenant.id)) made
    WHERE seed.domain = 'seed.localhost'
        AND tenant.id NOT IN (SELECT tenant_id FROM tenants_domain);

    INSERT INTO users_user_tenants (user_id, tenant_id)
    SELECT owner_id, id FROM tenants_tenant
    WHERE id NOT IN (SELECT tenant_id FROM users_user_tenants);
"""

# A spare schema is not named after its tenant, and a raw one has none.
SCHEMAS = """
    SELECT nspname FROM pg_namespace WHERE nspname ~ %s
    UNION SELECT schema_name FROM tenants_tenant WHERE slug ~ %s
"""

REFERRING = """
    SELECT conrelid::regclass::text, attname
    FROM pg_constraint JOIN pg_attribute ON attrelid = conrelid AND attnum = conkey[1]
    WHERE contype = 'f' AND confrelid = 'tenants_tenant'::regclass
"""


def text(side):
    """The seed's schema as SQL."""
    dump = side.postgres(
        "pg_dump",
        "--no-owner",
        "--no-privileges",
        "--rows-per-insert=1000",
        f"--schema={seed(side)}",
    )
    return PREAMBLE.sub("", dump)


def replay(connection, dump, template, schema):
    """Make a schema like the template of the dump, in one round trip and one transaction."""
    with connection.cursor() as cursor:
        cursor.execute(dump.replace(template, schema))


def grow(sides, size):
    """Let there be `size` tenants in each project."""
    with ThreadPoolExecutor(len(sides)) as pool:
        list(pool.map(grow_one, sides, [size] * len(sides)))


def grow_one(side, size):
    dump, template = text(side), seed(side)
    first = len(schemas(side)) + 1
    for numbers in batched(range(first, size + 1)):
        with side.connect() as connection:
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")
            for n in numbers:
                replay(connection, dump, template, f"t{n}_{n:08x}")
    side.query(ROWS % {"first": first, "last": size})
    tidy(side)


def batched(items):
    """Yield as many at once as one connection may change: each makes the next one slower."""
    items = [*items]
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]


def tidy(side):
    """What PostgreSQL would do by itself, in the middle of what is measured."""
    side.query(f"VACUUM ANALYZE {CATALOG}, tenants_tenant, tenants_domain")


def remove(side, prefix):
    """Let the tenants go whose slugs begin with the prefix."""
    pattern = f"^{prefix}"
    with side.connect() as connection, connection.cursor() as cursor:
        cursor.execute(SCHEMAS, [pattern, pattern])
        for names in batched(schema for (schema,) in cursor.fetchall()):
            with side.connect() as another, another.cursor() as dropping:
                for schema in names:
                    dropping.execute(f'DROP SCHEMA "{schema}" CASCADE')
        of = "(SELECT id FROM tenants_tenant WHERE slug ~ %s)"
        cursor.execute(REFERRING)
        for table, column in cursor.fetchall():
            cursor.execute(f"DELETE FROM {table} WHERE {column} IN {of}", [pattern])
        cursor.execute("DELETE FROM tenants_tenant WHERE slug ~ %s", [pattern])


def schemas(side):
    rows = side.query(
        "SELECT schema_name FROM tenants_tenant WHERE schema_name <> 'public' ORDER BY id"
    )
    return [schema for (schema,) in rows]


def hosts(side):
    rows = side.query("SELECT domain FROM tenants_domain WHERE domain <> 'localhost' ORDER BY id")
    return [host for (host,) in rows]
