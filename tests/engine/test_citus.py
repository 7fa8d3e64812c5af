"""A coordinator of Citus in DATABASE_URL. The marked tests need one; the others need none."""

import threading

import pytest
from django.core.management import CommandError
from django.db import connection, transaction
from server.notes.models import Note
from server.users.models import User
from tenancy import copies, lifecycle
from tenancy.database import citus
from tenancy.database.citus import Move
from tenancy.exceptions import LifecycleError, UnknownNode
from tenancy.health import doctor
from tenancy.isolation.router import shared_tables_of_tenants
from tenancy.lifecycle import nodes
from tenancy.models import TenantEvent
from tenancy.schemas import blueprint
from tenancy.testing import TenantClient

from engine.copies import cleaned_up, execute, get, provision
from engine.statements import record

NODES = ["a:1", "b:1", "c:1"]
ON_COORDINATOR = """
    SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')
        AND NOT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = pg_class.oid)
"""


# On any server


@pytest.mark.parametrize(
    ("places", "sizes", "moves"),
    [
        ({}, {}, []),
        ({"x": "a:1", "y": "b:1", "z": "c:1"}, {"x": 5, "y": 5, "z": 5}, []),
        ({"x": "a:1"}, {"x": 9}, []),  # it would only change the place of the load
        ({"x": "a:1", "y": "a:1"}, {"x": 9, "y": 5}, [Move("x", "a:1", "b:1", 9)]),
        (
            {"x": "a:1", "y": "a:1", "z": "a:1"},
            {"x": 4, "y": 4, "z": 4},
            [Move("x", "a:1", "b:1", 4), Move("y", "a:1", "c:1", 4)],
        ),
        ({"x": "gone:1", "y": "b:1"}, {"x": 4, "y": 4}, [Move("x", "gone:1", "a:1", 4)]),
    ],
)
def test_a_plan_makes_the_nodes_even(places, sizes, moves):
    assert citus.plan_moves(places, sizes, NODES) == moves


def test_the_tables_of_people_are_among_those_that_tenants_refer_to():
    assert {"users_user", "django_content_type"} <= {*shared_tables_of_tenants()}


@pytest.fixture(params=[False])
def recognised(request, monkeypatch):
    """Whether the server is taken for one of Citus."""
    monkeypatch.setattr(citus, "is_citus", lambda connection=None: request.param)
    return request.param


@pytest.mark.parametrize("recognised", [False, True], indirect=True)
def test_only_citus_gets_statements_one_by_one(recognised):
    statements = ["SELECT 1;", "SELECT 2;"]
    expected = statements if recognised else ["SELECT 1;\nSELECT 2;"]
    assert citus.messages(statements) == expected


@pytest.mark.parametrize("recognised", [False, True], indirect=True)
def test_only_citus_numbers_its_tables(recognised):
    name = "users_user" if recognised else "users_user_102008"
    assert citus.without_shard("users_user_102008") == name


@pytest.mark.parametrize(
    "command", [["move_tenant", "first", "a:1"], ["rebalance_tenants"], ["distribute_tenants"]]
)
def test_a_plain_server_has_no_nodes(outside, run, command, recognised):
    with pytest.raises(CommandError, match=r"no Citus coordinator"):
        run(*command)


def test_a_new_connection_asks_for_no_more_than_before(committed_db):
    """The query that looks for a pooler says it, once a process."""
    connection.close()
    connection.ensure_connection()
    sent = record()
    execute("SELECT 1")
    citus.is_citus()
    assert [str(each) for each in sent if "SELECT" in str(each)] == ["SELECT 1"]


# On a coordinator


@pytest.fixture
def born(committed_db):
    with cleaned_up():
        tenant = provision("born")
        with tenant:
            Note.objects.create(text="Remember", author=tenant.owner)
        connection.set_schema_to_public()
        yield tenant


def is_whole(tenant) -> bool:
    """Return whether the tenant is on a node with all its tables."""
    [(left,)] = execute(ON_COORDINATOR, [f'"{tenant.schema_name}"'])
    return tenant.schema_name in citus.places() and not left


def texts(tenant):
    with tenant:
        return [*Note.objects.values_list("text", flat=True)]


def other_node(tenant) -> str:
    return next(node for node in citus.nodes() if node != citus.places()[tenant.schema_name])


@pytest.mark.citus
def test_a_tenant_is_born_on_a_node(born, monkeypatch):
    assert is_whole(born)
    assert texts(born) == ["Remember"]
    monkeypatch.setattr(blueprint, "load", blueprint_missing)
    assert is_whole(provision("by-migrations"))


def blueprint_missing():
    raise blueprint.NoBlueprint("there is none")


blueprint_missing.cache_clear = lambda: None


@pytest.mark.citus
def test_copies_are_on_a_node(born, tmp_path):
    copies.clone(born, "cloned", "ada")
    copies.restore(copies.backup(born, tmp_path / "born.zip", "ada"), "ada", slug="restored")
    for slug in ("cloned", "restored"):
        assert is_whole(get(slug))
        assert texts(get(slug)) == ["Remember"]


@pytest.mark.citus
def test_people_are_on_every_node(born):
    """So a node joins them with its tenants' rows, and new people have new ids."""
    tables = execute("SELECT logicalrelid::text FROM pg_dist_partition WHERE repmodel = 't'")
    assert {("users_user",), ("django_content_type",)} <= {*tables}
    with born:
        [note] = Note.objects.select_related("author")
    assert note.author == born.owner
    ids = {*User.objects.values_list("pk", flat=True)}
    with transaction.atomic():
        assert User.objects.create_user("new@example.com", username="new").pk > max(ids)
        transaction.set_rollback(True)


@pytest.mark.citus
def test_identities_go_on_where_a_table_had_rows(committed_db):
    """Citus makes them anew, and the next row would have the first one's id."""
    execute("CREATE TABLE tried (id bigint GENERATED BY DEFAULT AS IDENTITY, x int)")
    try:
        execute("INSERT INTO tried (x) VALUES (1), (2), (3)")
        assert citus.make_reference_tables(connection, ["tried"]) == ["tried"]
        execute("INSERT INTO tried (x) VALUES (4)")
        assert execute("SELECT max(id) FROM tried") == [(4,)]
        assert citus.make_reference_tables(connection, ["tried"]) == []
    finally:
        execute("DROP TABLE tried")


@pytest.mark.citus
def test_a_shared_table_can_lose_its_reference_to_people(committed_db):
    execute(
        "CREATE TABLE tried (id bigint GENERATED BY DEFAULT AS IDENTITY,"
        " person_id bigint REFERENCES users_user)"
    )
    try:
        citus.make_reference_tables(connection, [])
        execute("ALTER TABLE tried DROP person_id")
        assert execute("SELECT * FROM tried") == []
    finally:
        execute("DROP TABLE tried")


@pytest.mark.citus
def test_a_tenant_moves_while_it_is_used(born, run):
    before, after = citus.places()[born.schema_name], other_node(born)
    assert before in run("tenants")
    done, answers = threading.Event(), []

    def visit():
        client = TenantClient(born, born.owner)
        while not done.is_set():
            answers.append(client.get("/").status_code)
        connection.close()

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        assert run("move_tenant", "born", after) == f"“born” is on {after}, and was on {before}."
    finally:
        done.set()
        visitor.join()
    assert citus.places()[born.schema_name] == after
    assert texts(born) == ["Remember"]
    assert {*answers} == {200}
    event = TenantEvent.objects.get(action="move")
    assert (event.before, event.after) == (before, after)


@pytest.mark.citus
def test_an_unknown_node_is_refused(born):
    with pytest.raises(UnknownNode, match="nowhere:1"):
        lifecycle.move_tenant(born, "nowhere:1", "ada")


@pytest.mark.citus
def test_a_plan_is_carried_out(born, run):
    first, *_ = citus.nodes()
    for name, node in citus.places().items():
        if node != first:
            citus.move(name, first)
    assert "--apply" in run("rebalance_tenants")
    assert {*citus.places().values()} == {first}
    run("rebalance_tenants", "--apply")
    assert {*citus.places().values()} == {*citus.nodes()}
    assert texts(born) == ["Remember"]


@pytest.fixture
def local(committed_db, monkeypatch):
    """A tenant that is on the coordinator, as all are before an installation has moved."""
    with cleaned_up():
        with monkeypatch.context() as context:
            context.setattr(citus, "distribute", lambda schema_name: None)
            tenant = provision("left")
        with tenant:
            Note.objects.create(text="Remember", author=tenant.owner)
        connection.set_schema_to_public()
        yield tenant


@pytest.mark.citus
def test_tenants_of_a_server_that_becomes_a_coordinator_move_to_nodes(local, run):
    assert [each.id for each in doctor.examine()] == ["tenancy.W124"]
    assert "Moved: 1. Failed: 0." in run("distribute_tenants")
    assert is_whole(local)
    assert texts(local) == ["Remember"]
    assert [*doctor.examine()] == []


@pytest.mark.citus
def test_a_trigger_keeps_a_tenant_where_it_is_and_is_named(local):
    with local:
        execute(
            "CREATE FUNCTION tried() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
        )
        execute(
            "CREATE TRIGGER tried BEFORE UPDATE ON notes_note FOR EACH ROW EXECUTE FUNCTION tried()"
        )
    with pytest.raises(LifecycleError, match="notes_note has the trigger tried"):
        nodes.distribute_tenant(local, "ada")
    assert any("trigger tried" in each.msg for each in doctor.examine())
    copies.clone(local, "cloned", "ada")
    assert texts(get("cloned")) == ["Remember"]


@pytest.mark.citus
def test_the_doctor_knows_a_worker_and_a_setting(committed_db, monkeypatch):
    execute("SET citus.enable_schema_based_sharding = on")
    try:
        assert "tenancy.E122" in [each.id for each in doctor.examine()]
    finally:
        execute("RESET citus.enable_schema_based_sharding")
    host, port = citus.nodes()[0].split(":")
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", host)
    monkeypatch.setitem(connection.settings_dict, "PORT", port)
    assert {each.id for each in doctor.examine()} == {"tenancy.E121"}
    connection.close()
