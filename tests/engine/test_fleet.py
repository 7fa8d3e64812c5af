"""`migrate_schemas`: tenants with the same migrations are migrated together, and rightly."""

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.signals import post_migrate, pre_migrate
from django.test.utils import CaptureQueriesContext
from django_tenants.migration_executors.standard import StandardExecutor
from django_tenants.signals import schema_migrated, schema_pre_migration
from server.tenants.models import Tenant
from tenancy.fleet import FleetExecutor, get_executor
from tenancy.schemas.migrate_signals import progress

from engine.signals import connected
from engine.zoo import ADD_COLOR, CREATE_ANIMAL

UNIQUE = 'migrations.AlterField("animal", "name", models.CharField(max_length=30, unique=True))'
# A migration each, one after the other.
ALIKE = [
    ADD_COLOR,
    'migrations.AddField("animal", "shy", models.BooleanField(null=True))',
    'migrations.AddField("animal", "legs", models.JSONField(default=dict))',
    'migrations.AddField("animal", "seen", models.DateTimeField(db_default="2000-01-01T00:00Z"))',
    'migrations.AddField("animal", "parent", models.ForeignKey("self", models.CASCADE, null=True))',
    'migrations.AddField("animal", "friends", models.ManyToManyField("self"))',
    UNIQUE,
    'migrations.AlterField("animal", "parent", models.BigIntegerField(null=True))',
    'migrations.AddIndex("animal", models.Index(Lower("name"), name="lower_name"))',
    'migrations.RenameIndex("animal", new_name="lower", old_name="lower_name")',
    'migrations.AddConstraint("animal", models.CheckConstraint(condition=~models.Q(name="%"),'
    ' name="no_percent"))',
    'migrations.AlterUniqueTogether("animal", {("id", "name")})',
    'migrations.AlterUniqueTogether("animal", set())',
    'migrations.AlterModelOptions("animal", {"permissions": [("feed", "Can feed")]})',
    'migrations.CreateModel("Cage", [("id", models.BigAutoField(primary_key=True)),'
    ' ("animal", models.OneToOneField("zoo.animal", models.CASCADE))])',
    'migrations.RenameField("animal", "color", "colour")',
    'migrations.RemoveField("animal", "shy")',
    'migrations.CreateModel("Gone", [("id", models.BigAutoField(primary_key=True))])',
    'migrations.DeleteModel("Gone")',
    "migrations.SeparateDatabaseAndState("
    'database_operations=[migrations.RunSQL("CREATE TABLE zoo_extra (id int)")])',
    'migrations.RunSQL("")',
    "migrations.RunSQL(\"INSERT INTO zoo_animal (name, colour, legs) VALUES ('100 % s', '%%',"
    " '{}'); -- and a comment\")",
    'migrations.RunSQL([("UPDATE zoo_animal SET colour = %s", ["50 %"]), "SELECT 1"])',
    'migrations.RunSQL("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS'
    ' $$ BEGIN RETURN 1; END $$")',
]
# The reason and a migration each, one after the other.
EACH = {
    "callable default": 'migrations.AddField("animal", "key",'
    " models.UUIDField(default=uuid.uuid4))",
    "current time": 'migrations.AddField("animal", "at", models.DateTimeField(auto_now_add=True,'
    ' default="2000-01-01T00:00Z"))',
    "RunPython": "migrations.RunPython(lambda apps, editor:"
    ' apps.get_model("zoo", "Animal").objects.create(name=connection.schema_name))',
    "OwnAddField": 'OwnAddField("animal", "size", models.IntegerField(default=1))',
    "OwnField": 'migrations.AddField("animal", "own", OwnField(null=True))',
    "RunSQL": 'migrations.RunSQL("SET LOCAL statement_timeout = 0")',
    "AddIndexConcurrently": 'AddIndexConcurrently("animal", models.Index("name", name="by_name"))',
    "RenameModel": 'migrations.RenameModel("Animal", "Beast")',
    "AlterField after": 'migrations.RunSQL("SELECT 1"), migrations.AlterField("beast", "name",'
    " models.CharField(max_length=20, unique=True))",
}
SQUASHED = ["0001_initial", "0002_color"]
OWN = """
class OwnAddField(migrations.AddField):
    pass

class OwnField(models.IntegerField):
    pass
"""
ADD_HOME = 'migrations.AddField("animal", "home", models.TextField(db_default=Home()))'
HOME = """
class Home(models.Func):
    allowed_default = True

    def as_sql(self, compiler, connection):
        return f"'{connection.schema_name}'", []
"""
# In place of Django's, from which each migration here is derived.
OWN_APPLY = """
class Own(migrations.Migration):
    def apply(self, state, editor, collect_sql=False):
        state = super().apply(state, editor, collect_sql)
        state.apps.get_model("zoo", "Animal").objects.create(name=connection.schema_name)
        editor.execute(
            "CREATE MATERIALIZED VIEW zoo_ids AS SELECT id FROM zoo_animal WITH NO DATA"
        )
        return state

class migrations:
    RemoveField, Migration = migrations.RemoveField, Own
"""


def rows(zoo, schema):
    return zoo.sql("SELECT to_jsonb(animal)::text FROM zoo_animal animal ORDER BY 1", schema=schema)


def expect_as_by_django(zoo):
    """One tenant is migrated by the standard executor, and the others must be like it."""
    by_django, *fleet = zoo.schemas
    zoo.migrate(schema_name=by_django, executor="standard", verbosity=0)
    zoo.migrate(verbosity=0)

    for schema in fleet:
        assert zoo.catalog(schema) == zoo.catalog(by_django)
        assert zoo.applied(schema) == zoo.applied(by_django)


def planned(zoo):
    """The lines about migrations, indented below their tenants'."""
    return [line for line in zoo.migrate(plan=True).splitlines() if line.startswith("  ")]


def test_what_is_the_same_for_all_is_replayed(zoo):
    for number, operation in enumerate(ALIKE, 2):
        zoo.write(f"{number:04}_more", operation)

    steps = planned(zoo)

    assert [step.partition(": ")[2] for step in steps] == ["replayed"] * len(ALIKE)
    expect_as_by_django(zoo)
    assert len({str(rows(zoo, schema)) for schema in zoo.schemas}) == 1


def test_what_asks_the_tenant_is_done_operation_by_operation(zoo):
    for number, (why, operation) in enumerate(EACH.items(), 2):
        zoo.write(f"{number:04}_more", operation, code=OWN, atomic="Concurrently" not in why)
    for schema in zoo.schemas:
        zoo.sql("INSERT INTO zoo_animal (name) VALUES ('cat')", schema=schema)

    steps = planned(zoo)

    for why, step in zip(EACH, steps, strict=True):
        assert "operation by operation" in step
        assert why in step
    expect_as_by_django(zoo)
    keys = [zoo.sql("SELECT key FROM zoo_beast", schema=schema)[0] for schema in zoo.schemas]
    assert len(set(keys)) == len(zoo.schemas)
    for schema in zoo.schemas:
        assert zoo.sql("SELECT name FROM zoo_beast ORDER BY id", schema=schema) == ["cat", schema]


def test_what_names_the_first_tenants_schema_is_done_in_each(zoo):
    zoo.write("0002_home", ADD_HOME, code=HOME)

    zoo.migrate()

    for schema in zoo.schemas:
        sql = "INSERT INTO zoo_animal (name) VALUES ('dog') RETURNING home"
        assert zoo.sql(sql, schema=schema) == [schema]


@pytest.mark.usefixtures("views_filled")
def test_a_migrations_own_apply_runs_for_each(zoo):
    zoo.write("0002_color", ADD_COLOR)
    zoo.write("0003_no_color", 'migrations.RemoveField("animal", "color")', code=OWN_APPLY)
    zoo.write("0004_unique", UNIQUE)

    _, no_color, unique = planned(zoo)

    assert "operation by operation (a migration with an apply() of its own)" in no_color
    assert "AlterField after SQL or Python" in unique
    expect_as_by_django(zoo)
    for schema in zoo.schemas:
        assert zoo.sql("SELECT name FROM zoo_animal", schema=schema) == [schema]
        assert zoo.sql("SELECT id FROM zoo_ids", schema=schema)  # which is filled by now


def test_all_migrations_of_a_new_tenant_without_a_word(zoo, capsys):
    for schema in zoo.schemas:
        zoo.sql("DROP TABLE django_migrations, auth_permission, zoo_animal", schema=schema)

    assert zoo.migrate(verbosity=0) == capsys.readouterr().out == ""

    assert len({tuple(zoo.catalog(schema)) for schema in zoo.schemas}) == 1
    assert "notes_note" in str(zoo.catalog(zoo.schemas[0]))


def test_squashed_migrations(zoo):
    zoo.write("0002_color", ADD_COLOR)
    zoo.migrate(schema_name=zoo.schemas[0])  # this one has both, the others one of them
    zoo.write("0001_squashed", CREATE_ANIMAL, ADD_COLOR, replaces=SQUASHED, after="")

    zoo.migrate()

    for schema in zoo.schemas:
        assert "0001_squashed" in zoo.applied(schema)
        assert zoo.columns(schema) == ["color", "id", "name"]


def test_squashed_migrations_in_a_new_tenant(zoo):
    zoo.write("0002_color", ADD_COLOR)
    zoo.write("0001_squashed", CREATE_ANIMAL, ADD_COLOR, replaces=SQUASHED, after="")
    for schema in zoo.schemas:
        zoo.sql(
            "DROP TABLE zoo_animal; DELETE FROM django_migrations WHERE app = 'zoo'", schema=schema
        )

    expect_as_by_django(zoo)
    assert zoo.applied(zoo.schemas[1]) == ["0001_initial", "0002_color", "0001_squashed"]


def count_queries(zoo) -> int:
    """Django's queries: what is replayed is none of them."""
    with CaptureQueriesContext(connection) as queries:
        zoo.migrate()
    return len(queries)


def test_who_is_up_to_date_costs_nothing_of_its_own(zoo):
    few = count_queries(zoo)
    zoo.add("zoo-x_00000000", Tenant.all_objects.get(slug="first"))

    assert count_queries(zoo) == few


def test_who_gets_the_recorded_sql_costs_no_query_of_its_own(zoo):
    zoo.write("0002_color", ADD_COLOR)
    few = count_queries(zoo)
    zoo.write("0003_shy", ADD_COLOR.replace("color", "shy"))
    for letter in "xyz":
        zoo.add(f"zoo-{letter}_00000000", Tenant.all_objects.get(slug="first"))
    zoo.migrate("zoo", "0002")

    assert count_queries(zoo) == few


def test_canary_only(zoo):
    zoo.write("0002_color", ADD_COLOR)
    first, canary, *others = zoo.schemas

    text = zoo.migrate(canary=canary, canary_only=True)

    assert "1 migrated, 0 up to date, 3 waiting behind a canary" in text
    assert "color" in zoo.columns(canary)
    assert not any("color" in zoo.columns(schema) for schema in (first, *others))
    zoo.migrate()
    assert all("color" in zoo.columns(schema) for schema in zoo.schemas)


def test_the_plan_shows_cohorts_and_does_nothing(zoo):
    zoo.write("0002_color", ADD_COLOR)
    zoo.migrate(schema_name=zoo.schemas[0])

    text = zoo.migrate(plan=True)

    assert text.splitlines() == [
        f"1 tenant, the first is {zoo.schemas[0]}: up to date",
        f"3 tenants, the first is {zoo.schemas[1]}:",
        "  zoo.0002_color: replayed",
        "Warning: zoo.0002_color breaks code that runs meanwhile: it adds zoo.Animal.color, which"
        " is not null and has no db_default.",
    ]
    assert zoo.applied(zoo.schemas[1]) == ["0001_initial"]


def test_check(zoo):
    zoo.migrate(check_unapplied=True)
    zoo.write("0002_color", ADD_COLOR)

    with pytest.raises(SystemExit) as exit:
        zoo.migrate(check_unapplied=True)

    assert exit.value.code == 1
    assert zoo.applied(zoo.schemas[0]) == ["0001_initial"]


def expect(zoo, columns, applied):
    for schema in zoo.schemas:
        assert zoo.columns(schema) == columns
        assert zoo.applied(schema) == applied


def test_up_to_a_migration_and_backwards(zoo):
    zoo.write("0002_color", ADD_COLOR)
    zoo.write("0003_unique", UNIQUE)

    zoo.migrate("zoo", "0002")
    expect(zoo, ["color", "id", "name"], ["0001_initial", "0002_color"])
    zoo.migrate("zoo", "0001")
    expect(zoo, ["id", "name"], ["0001_initial"])
    zoo.migrate("zoo", "zero")
    expect(zoo, [], [])


def test_what_only_djangos_command_does(zoo):
    zoo.write("0002_color", ADD_COLOR)

    zoo.migrate("zoo", fake=True)
    expect(zoo, ["id", "name"], ["0001_initial", "0002_color"])
    zoo.remove("0002_color")
    zoo.migrate("zoo", prune=True)
    expect(zoo, ["id", "name"], ["0001_initial"])
    for schema in zoo.schemas:
        zoo.sql("DELETE FROM django_migrations WHERE app = 'zoo'", schema=schema)
    zoo.migrate(fake_initial=True)
    expect(zoo, ["id", "name"], ["0001_initial"])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["nonsense"], {}, "nonsense"),
        (["zoo", "nonsense"], {}, "No migration of “zoo” matches “nonsense”"),
        (["zoo", "000"], {}, "More than one migration of “zoo” matches “000”"),
        ([], {"schema_name": "nonsense"}, "There is no tenant's schema “nonsense”"),
        ([], {"schema_name": "zoo-z_00000000"}, "There is no tenant's schema “zoo-z_00000000”"),
        ([], {"schema_name": "information_schema"}, "There is no tenant's schema “inf"),
        ([], {"schema_name": ""}, "There is no tenant's schema “”"),
        ([], {"database": "nonsense"}, "There is no database “nonsense”"),
        ([], {"canary": "nonsense"}, "has the schema “nonsense”"),
        ([], {"canary": "public"}, "has the schema “public”"),
        ([], {"executor": "nonsense"}, "No executor with codename nonsense"),
        ([], {"executor": "standard", "canary_only": True}, "Only the executor “fleet”"),
        ([], {"prune": True}, "--prune needs the label of an app"),
    ],
)
def test_a_mistake_is_told_in_one_line(zoo, arguments, options, message):
    zoo.write("0002_color", ADD_COLOR)

    with pytest.raises(CommandError) as mistake:
        zoo.migrate(*arguments, **options)

    assert message in str(mistake.value)
    assert "\n" not in str(mistake.value)
    assert zoo.applied(zoo.schemas[0]) == ["0001_initial"]


def test_a_role_that_may_not_is_told_in_one_line(zoo):
    with connection.cursor() as cursor:
        cursor.execute("REVOKE SELECT ON tenants_tenant FROM CURRENT_USER")
    try:
        with pytest.raises(CommandError, match=r"^The database failed: .*permission denied.*$"):
            zoo.migrate()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("GRANT SELECT ON tenants_tenant TO CURRENT_USER")


def test_the_executors(monkeypatch):
    assert get_executor() is FleetExecutor
    assert get_executor("standard") is StandardExecutor
    monkeypatch.setenv("EXECUTOR", "standard")
    assert get_executor() is StandardExecutor


def test_tenants_that_are_being_made_are_left_alone(zoo):
    zoo.write("0002_color", ADD_COLOR)
    Tenant.objects.filter(schema_name=zoo.schemas[1]).update(status=Tenant.Status.PROVISIONING)

    *_, told = zoo.migrate().splitlines()

    assert told.startswith("Being made, and not migrated: ")
    assert zoo.schemas[1] in told
    assert zoo.schemas[0] not in told
    assert zoo.applied(zoo.schemas[1]) == ["0001_initial"]
    zoo.migrate(schema_name=zoo.schemas[1])
    assert zoo.applied(zoo.schemas[1]) == ["0001_initial", "0002_color"]


@pytest.fixture
def heard():
    """What receivers of the library's signals, and of Django's for an app, are told."""
    heard = []

    def listen(signal, schema_name=None, app_config=None, plan=(), apps=None, **kwargs):
        if not app_config or app_config.label == "zoo":
            steps = [str(migration) for migration, _ in plan]
            fields = apps and [field.name for field in apps.get_model("zoo", "Animal")._meta.fields]
            heard.append((signal, schema_name, connection.schema_name, steps, fields))

    with connected(listen, schema_pre_migration, schema_migrated, pre_migrate, post_migrate):
        yield heard


def test_signals_come_as_from_the_standard_executor(zoo, heard):
    def listen(**options):
        heard.clear()
        zoo.migrate(**options)
        return list(heard)

    assert listen() == listen(executor="standard")
    assert len(heard) == 4 * len(zoo.schemas)
    zoo.write("0002_color", ADD_COLOR)
    of_the_fleet = listen()
    zoo.migrate("zoo", "0001", verbosity=0)
    assert of_the_fleet == listen(executor="standard")


def test_messages_are_sent(zoo):
    zoo.write("0002_color", ADD_COLOR)
    told = []

    with progress(told.append):
        zoo.migrate()

    assert f"[4/4 (100%) fleet:{zoo.schemas[3]}] zoo.0002_color" in told
    assert f"[fleet:{zoo.schemas[0]}]   Applying zoo.0002_color..." in told


def test_the_public_schema_is_migrated_by_django(zoo):
    zoo.write("0002_color", ADD_COLOR)

    zoo.migrate(tenant=False)

    assert zoo.applied("public") == ["0001_initial", "0002_color"]
    assert zoo.columns("public") == []
    assert all(zoo.columns(schema) for schema in zoo.schemas)


def test_it_is_the_project_s_command():
    with pytest.raises(CommandError, match="expected one argument"):
        call_command("migrate_schemas", "--canary")
