"""A tenant whose tables aren't like the others' is migrated by Django alone."""

import pytest
from django.db import connection, transaction
from django.db.migrations.loader import MigrationLoader
from django_tenants.utils import schema_context
from tenancy.fleet import drift

from engine.zoo import ADD_COLOR

UNIQUE = 'migrations.AlterField("animal", "name", models.CharField(max_length=20, unique=True))'
CAGE = (
    'migrations.CreateModel("Cage", [("animal", models.OneToOneField("zoo.animal",'
    " models.CASCADE, primary_key=True))])"
)
VISIT = (
    'migrations.CreateModel("Visit", [("id", models.BigAutoField(primary_key=True)),'
    ' ("cage", models.ForeignKey("zoo.cage", models.CASCADE)),'
    ' ("keepers", models.ManyToManyField("auth.group"))])'
)
ZOO = {"zoo_animal", "zoo_cage", "zoo_visit", "zoo_visit_keepers"}


@pytest.mark.parametrize("more", [[], ["migrations.RunPython(lambda apps, editor: None)"]])
def test_drift(zoo, more):
    zoo.write("0002_unique", UNIQUE)
    zoo.migrate()
    drifted = zoo.schemas[0]
    [name] = zoo.sql(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'zoo_animal'::regclass"
        " AND contype = 'u'",
        schema=drifted,
    )
    zoo.sql(f"ALTER TABLE zoo_animal RENAME CONSTRAINT {name} TO own_name", schema=drifted)
    zoo.write("0003_common", UNIQUE.replace(", unique=True", ""), *more)

    text = zoo.migrate()

    assert "4 migrated, 0 up to date, 1 drifted" in text
    assert f"Drifted: {drifted}." in text
    assert f"[fleet:{drifted}]   Applying zoo.0003_common..." in text
    assert f"[fleet:{zoo.schemas[1]}]   Applying zoo.0003_common..." in text
    assert f"[fleet:{zoo.schemas[2]}]   Applying" not in text
    assert len({tuple(zoo.catalog(schema)) for schema in zoo.schemas}) == 1


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE zoo_animal ADD COLUMN legs int",
        "ALTER TABLE zoo_animal ALTER COLUMN name TYPE varchar(21)",
        "ALTER TABLE zoo_animal ALTER COLUMN name DROP NOT NULL",
        "ALTER TABLE zoo_animal ALTER COLUMN name SET DEFAULT 'cat'",
        "ALTER TABLE zoo_animal ALTER COLUMN id DROP IDENTITY",
        "ALTER TABLE zoo_animal ADD CONSTRAINT two CHECK (id > 2)",
        "ALTER TABLE zoo_animal ADD FOREIGN KEY (id) REFERENCES auth_permission",
        "CREATE INDEX own ON zoo_animal (name)",
        "CREATE INDEX own ON zoo_animal (lower(name)) WHERE id > 2",
        "CREATE TABLE own (id int)",
        "CREATE VIEW own AS SELECT 1",
    ],
)
def test_what_is_drift(zoo, change):
    first, second, *_ = zoo.schemas
    zoo.sql(change, schema=first)

    prints = drift.fingerprints(connection, zoo.schemas)

    assert len(set(prints.values())) == 2
    zoo.sql(change, schema=second)
    prints = drift.fingerprints(connection, zoo.schemas)
    assert prints[first] == prints[second]


KEY = "ALTER TABLE zoo_animal ADD FOREIGN KEY (id) REFERENCES auth_permission"
UNIQUE_NAME = "ALTER TABLE zoo_animal ADD UNIQUE"
CHECK = "ALTER TABLE zoo_animal ADD CONSTRAINT two CHECK (id > 2)"
INDEX = "CREATE INDEX own ON zoo_animal"
TRIGGER = "EXECUTE FUNCTION suppress_redundant_updates_trigger()"


def test_a_detail_is_drift(zoo):
    """The shapes of two schemas differ wherever their lines do."""
    first, second, *_ = zoo.schemas
    for one, other in [
        (KEY, f"{KEY} ON DELETE CASCADE"),
        (KEY, f"{KEY} ON UPDATE CASCADE"),
        (KEY, f"{KEY} DEFERRABLE"),
        (f"{KEY} DEFERRABLE", f"{KEY} DEFERRABLE INITIALLY DEFERRED"),
        (KEY, f"{KEY} NOT VALID"),
        (KEY, KEY.replace("auth_permission", "auth_group")),
        (f"{KEY} ON DELETE SET NULL", f"{KEY} ON DELETE SET NULL (id)"),
        (f"{UNIQUE_NAME} (name)", f"{UNIQUE_NAME} NULLS NOT DISTINCT (name)"),
        (f"{UNIQUE_NAME} (name, id)", f"{UNIQUE_NAME} (name) INCLUDE (id)"),
        (CHECK, CHECK.replace("2", "3")),
        (CHECK, f"{CHECK} NO INHERIT"),
        (f"{INDEX} (name)", f"{INDEX} (name DESC)"),
        (f"{INDEX} (name)", f"{INDEX} (name) INCLUDE (id)"),
        (f"{INDEX} (name)", f"{INDEX} (name varchar_pattern_ops)"),
        (f"{INDEX} (name)", f'{INDEX} (name COLLATE "C")'),
        (f"{INDEX} (name)", f"{INDEX} (name) WITH (fillfactor = 50)"),
        (f"{INDEX} (name)", f"{INDEX} USING hash (name)"),
        (f"{INDEX} (name) WHERE id > 2", f"{INDEX} (name) WHERE id > 3"),
        (
            f"{INDEX} USING gist (to_tsvector('simple', name) tsvector_ops (siglen = 100))",
            f"{INDEX} USING gist (to_tsvector('simple', name) tsvector_ops (siglen = 200))",
        ),
        (
            f"CREATE TRIGGER own BEFORE UPDATE ON zoo_animal {TRIGGER}",
            f"CREATE TRIGGER own BEFORE INSERT ON zoo_animal {TRIGGER}",
        ),
        ("SELECT 1", "ALTER TABLE zoo_animal ALTER id SET INCREMENT BY 2"),
        ("SELECT 1", "ALTER TABLE zoo_animal ALTER id SET GENERATED ALWAYS"),
        ("CREATE DOMAIN own AS int", "CREATE DOMAIN own AS bigint"),
        ("CREATE VIEW own AS SELECT 1", "CREATE VIEW own AS SELECT 2"),
    ]:
        with transaction.atomic():
            zoo.sql(one, schema=first)
            zoo.sql(other, schema=second)
            prints = drift.fingerprints(connection, zoo.schemas)
            assert prints[first] != prints[second], other
            transaction.set_rollback(True)


def test_of_schemas_that_are_alike_one_is_put_into_words(zoo, monkeypatch):
    """Else ten thousand take PostgreSQL ten seconds and a gigabyte."""
    asked, ask = [], drift.ask

    def count(connection, query, schemas, *arguments):
        asked.append(len(schemas))
        return ask(connection, query, schemas, *arguments)

    monkeypatch.setattr(drift, "ask", count)

    assert len(drift.fingerprints(connection, zoo.schemas)) == len(zoo.schemas)
    assert asked == [len(zoo.schemas), 1]


def test_a_column_s_number_is_no_drift(zoo):
    first = zoo.schemas[0]
    zoo.sql("ALTER TABLE zoo_animal ADD COLUMN x int, ADD COLUMN y varchar(9)", schema=first)
    zoo.sql("ALTER TABLE zoo_animal DROP COLUMN x, ADD UNIQUE (y)", schema=first)
    for schema in zoo.schemas[1:]:
        zoo.sql("ALTER TABLE zoo_animal ADD COLUMN y varchar(9) UNIQUE", schema=schema)

    assert len(set(drift.fingerprints(connection, zoo.schemas).values())) == 1


def test_a_reference_to_the_public_schema_is_drift(zoo):
    for schema, place in zip(zoo.schemas, ["", "public."], strict=False):
        zoo.sql(
            "ALTER TABLE zoo_animal ADD CONSTRAINT may FOREIGN KEY (id)"
            f" REFERENCES {place}auth_permission",
            schema=schema,
        )

    first, second = drift.fingerprints(connection, zoo.schemas[:2]).values()
    assert first != second


def loaded(zoo, *names):
    """The states' apps, and the migrations of these names."""
    with schema_context(zoo.schemas[0]):
        loader = MigrationLoader(connection)
    return [loader.get_migration(*name) for name in names], loader.project_state().apps


@pytest.mark.parametrize(
    ("operation", "tables"),
    [
        (ADD_COLOR, ZOO),
        (UNIQUE, ZOO),
        ('migrations.RunSQL("SELECT 1")', None),
        (f"migrations.SeparateDatabaseAndState([], [{ADD_COLOR}])", None),
        ('migrations.AlterModelOptions("animal", {"managed": True})', None),
    ],
)
def test_the_tables_that_a_migration_concerns(zoo, operation, tables):
    zoo.write("0002_more", CAGE, VISIT)
    zoo.write("0003_last", operation)

    found = drift.tables_concerned(*loaded(zoo, ("zoo", "0003_last")))

    assert (found and set(found)) == tables


def test_those_that_refer_to_a_table_are_concerned_with_it(zoo):
    zoo.write("0002_more", CAGE, VISIT)

    migrations, apps = loaded(zoo, ("auth", "0001_initial"), ("contenttypes", "0001_initial"))

    found = set(drift.tables_concerned(migrations, apps))
    assert found >= {"auth_group", "auth_group_permissions", "zoo_visit_keepers"}
    assert "zoo_animal" not in found
    assert drift.tables_concerned(migrations[1:], apps) == []  # shared, and not in a tenant


def test_drift_elsewhere_is_none(zoo):
    first = zoo.schemas[0]
    zoo.write("0002_color", ADD_COLOR)
    zoo.sql("ALTER TABLE auth_permission ADD COLUMN own int", schema=first)

    assert "drifted" not in zoo.migrate()
    zoo.write("0003_sql", 'migrations.RunSQL("SELECT 1")')
    assert f"Drifted: {first}." in zoo.migrate()


def test_a_canary_that_has_drifted(zoo):
    canary = zoo.schemas[3]
    zoo.sql("ALTER TABLE zoo_animal ADD COLUMN legs int", schema=canary)
    zoo.write("0002_color", ADD_COLOR)

    text = zoo.migrate(canary=canary)

    first = next(line for line in text.splitlines() if line.startswith("[fleet:"))
    assert first.startswith(f"[fleet:{canary}]")
    assert f"Drifted: {canary}." in text
    assert all("color" in zoo.columns(schema) for schema in zoo.schemas)


def test_a_restored_index_is_no_drift(tenant):
    """pg_restore makes PostgreSQL write the cast of a list at each of its texts."""
    as_made = "kind IN ('a', 'it''s')"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE made (kind varchar(9)); CREATE TABLE other (kind varchar(9))")
        cursor.execute(f"CREATE INDEX first_one ON made (kind) WHERE {as_made}")
        cursor.execute(
            "SELECT pg_get_expr(indpred, indrelid) FROM pg_index"
            " WHERE indexrelid = 'first_one'::regclass"
        )
        (dumped,) = cursor.fetchone()
        cursor.execute(f"CREATE INDEX others ON other (kind) WHERE {dumped}")
        cursor.execute(f"CREATE INDEX more ON other (kind) WHERE {as_made.replace('a', 'b')}")

    found = {
        line.name: line.definition.replace("own.other", "own.made")
        for line in drift.lines(connection, tenant.schema_name)
        if line.kind == "index"
    }

    assert found["first_one"] == found["others"] != found["more"]
