"""A migration that breaks code which still runs is named before it runs."""

import pytest
from tenancy.health import doctor

from engine.zoo import ADD_COLOR

NAME = 'migrations.AlterField("animal", "name", models.{})'
# Each case is a second migration of the zoo, after Animal with a name, and what it breaks.
BREAKING = {
    ADD_COLOR: "adds zoo.Animal.color, which is not null and has no db_default",
    'migrations.RemoveField("animal", "name")': "drops the column of zoo.Animal.name",
    'migrations.RenameField("animal", "name", "called")': "renames the column of zoo.Animal.name",
    'migrations.DeleteModel("Animal")': "drops the table of zoo.Animal",
    'migrations.RenameModel("Animal", "Beast")': "renames the table of zoo.Animal",
    'migrations.AlterModelTable("animal", "beasts")': "renames the table of zoo.Animal",
    NAME.format("CharField(max_length=10)"): "shortens zoo.Animal.name",
    NAME.format("IntegerField()"): "changes the type of zoo.Animal.name",
    NAME.format('CharField(max_length=20, db_column="x")'): "renames the column of zoo.Animal.name",
    'migrations.RunSQL("alter table zoo_animal drop  column name")': "has SQL with DROP COLUMN",
    'migrations.RunSQL([("ALTER TABLE zoo_animal RENAME name TO x", None)])': "has SQL with RENAME",
    "migrations.SeparateDatabaseAndState(database_operations=["
    'migrations.RemoveField("animal", "name")])': "drops the column of zoo.Animal.name",
}
HARMLESS = [
    'migrations.AddField("animal", "shy", models.BooleanField(null=True))',
    'migrations.AddField("animal", "legs", models.IntegerField(db_default=4))',
    'migrations.AddField("animal", "friends", models.ManyToManyField("self"))',
    'migrations.AddField("animal", "lower", models.GeneratedField(expression=Lower("name"),'
    " output_field=models.TextField(), db_persist=True))",
    NAME.format("CharField(max_length=30, null=True)"),
    NAME.format("CharField(max_length=20, unique=True)"),
    'migrations.AddIndex("animal", models.Index("name", name="by_name"))',
    'migrations.CreateModel("Cage", [("id", models.BigAutoField(primary_key=True))])',
    'migrations.RunSQL("UPDATE zoo_animal SET name = upper(name)")',
    # The code of the deployment before has lost the field.
    "migrations.SeparateDatabaseAndState(state_operations=["
    'migrations.RemoveField("animal", "name")])',
]
CREATE_CAGE = HARMLESS[7]
PRINTED = "Warning: zoo.0002_next breaks code that runs meanwhile: it {}.\n"


@pytest.mark.parametrize(("operation", "how"), BREAKING.items())
def test_a_migration_that_breaks_running_code_is_named(zoo, operation, how):
    zoo.write("0002_next", operation)

    assert PRINTED.format(how) in zoo.migrate(plan=True)


@pytest.mark.parametrize("operation", HARMLESS)
def test_a_migration_that_keeps_running_code_well_is_not(zoo, operation):
    zoo.write("0002_next", operation)

    assert "Warning" not in zoo.migrate(plan=True)


def test_columns_that_were_optional(zoo):
    add = 'migrations.AddField("animal", "{}", models.IntegerField({}))'
    change = 'migrations.AlterField("animal", "{}", models.IntegerField())'
    zoo.write("0002_add", add.format("legs", "null=True"), add.format("eyes", "db_default=2"))
    zoo.migrate()
    zoo.write("0003_required", change.format("legs"), change.format("eyes"))

    how = "sets not null on zoo.Animal.legs, and drops the db_default of zoo.Animal.eyes"
    assert f"zoo.0003_required breaks code that runs meanwhile: it {how}." in zoo.migrate(plan=True)


def test_running_code_knows_no_table_of_the_same_deployment(zoo):
    zoo.write("0002_cage", CREATE_CAGE)
    zoo.write("0003_size", 'migrations.AddField("cage", "size", models.IntegerField(default=1))')
    zoo.write("0004_gone", 'migrations.DeleteModel("Cage")')

    assert "Warning" not in zoo.migrate(plan=True)


def test_what_is_applied_is_judged_no_more(zoo):
    zoo.write("0002_next", ADD_COLOR)

    assert "Warning" in zoo.migrate()
    assert "Warning" not in zoo.migrate()


def test_a_line_acknowledges_a_migration(zoo):
    zoo.write("0002_next", ADD_COLOR)
    path = zoo.folder / "zoo/migrations/0002_next.py"
    path.write_text(path.read_text() + "    breaks_running_code = False\n")

    assert "Warning" not in zoo.migrate(plan=True)


def test_the_way_back_is_not_judged(zoo):
    zoo.write("0002_next", HARMLESS[0])
    zoo.migrate()

    assert "Warning" not in zoo.migrate("zoo", "0001", plan=True)


def test_a_check_of_the_database_names_it(zoo):
    zoo.write("0002_next", ADD_COLOR)

    [found] = [each for each in doctor.examine() if each.id == "tenancy.W116"]

    assert found.obj == "zoo.0002_next"
    assert found.msg == f"breaks code that runs meanwhile: it {BREAKING[ADD_COLOR]}."
    assert "breaks_running_code = False" in found.hint
