"""Fewer statements say the same. That PostgreSQL thinks so too is seen in test_blueprint."""

from server.tenants.folding import fold

TABLE = "CREATE TABLE s.{} (\n    other integer,\n    id integer NOT NULL,\n    id2 integer\n);"
KEY = "ALTER TABLE ONLY s.{}\n    ADD CONSTRAINT {}_key UNIQUE (id);"
REFERENCE = (
    "ALTER TABLE ONLY s.a\n    ADD CONSTRAINT {0} FOREIGN KEY (id) REFERENCES {1}.b(id) DEFERRABLE;"
)
IDENTITY = "ALTER TABLE s.{} ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (\n    CACHE 1\n);"


def test_an_identity_goes_into_its_table():
    [folded, other] = fold([TABLE.format("a"), TABLE.format("b"), IDENTITY.format("a")])

    assert folded == (
        "CREATE TABLE s.a (\n    other integer,\n"
        "    id integer NOT NULL GENERATED ALWAYS AS IDENTITY (\n    CACHE 1\n),\n"
        "    id2 integer\n);"
    )
    assert other == TABLE.format("b")


def test_what_has_no_table_to_go_into_stays():
    statements = [IDENTITY.format("a"), "SELECT 1;", IDENTITY.format("a"), "SELECT 1;"]

    assert fold(statements) == statements


def test_keys_of_one_table_become_one_statement_where_the_first_stood():
    statements = [KEY.format("a", "one"), KEY.format("b", "x"), KEY.format("a", "two"), "SELECT 1;"]

    assert fold(statements) == [
        "ALTER TABLE ONLY s.a ADD CONSTRAINT one_key UNIQUE (id),"
        " ADD CONSTRAINT two_key UNIQUE (id);",
        "ALTER TABLE ONLY s.b ADD CONSTRAINT x_key UNIQUE (id);",
        "SELECT 1;",
    ]


def test_a_key_that_leads_out_of_the_schema_stays_last():
    """A table of others, who must wait for it, is locked at the end."""
    names = [("one", "s"), ("two", "s"), ("three", "public")]
    own, *statements = (REFERENCE.format(*pair) for pair in names)

    *_, last = folded = fold([own, statements[0], "SELECT 1;", statements[1]])

    assert [statement.count("FOREIGN KEY") for statement in folded] == [2, 0, 1]
    assert "public" in last
