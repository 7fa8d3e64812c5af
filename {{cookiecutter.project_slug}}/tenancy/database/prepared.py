"""Queries that PostgreSQL plans once a connection, where planning takes longer than running.

A connection that has gone to another tenant in between plans again: PostgreSQL remembers a plan for
one search_path, and so the names always mean the current tenant's tables
(https://www.postgresql.org/docs/current/sql-prepare.html).
"""

from dataclasses import dataclass

from django.db import Error
from django.db.backends.postgresql.psycopg_any import errors

PREFIX = "tenancy_"  # of their names on the server
# After DISCARD or DEALLOCATE.
LOST = errors.InvalidSqlStatementName
# After a migration has changed a column's type; and where another user of the server's process, or
# an interrupted PREPARE, has left a statement of that name.
STALE = errors.FeatureNotSupported, errors.DuplicatePreparedStatement


@dataclass(frozen=True)
class PreparedQuery:
    """A query with `%s` for each parameter. `name` is unique in the project."""

    name: str
    sql: str

    def fetch_one(self, connection, *parameters) -> tuple | None:
        """Return the first row. Raises what a cursor raises.

        In a transaction the query is sent as it is: a plan that is stale would end it.
        """
        with connection.cursor() as cursor:
            if self.is_usable(connection):
                try:
                    cursor.execute(self.execution(connection, len(parameters)), parameters)
                    return cursor.fetchone()
                except Error as error:
                    if not isinstance(error.__cause__, (LOST, *STALE)):
                        raise
                    self.forget(connection, error.__cause__)
            cursor.execute(self.sql, parameters)
            return cursor.fetchone()

    def is_usable(self, connection) -> bool:
        # With server-side binding psycopg 3 prepares statements by itself, and EXECUTE takes no
        # parameters.
        binds_here = not getattr(connection.features, "uses_server_side_binding", False)
        return binds_here and connection.get_autocommit()

    def execution(self, connection, count: int) -> str:
        """Return the statement that runs the query, which the connection has prepared."""
        name, prepared = PREFIX + self.name, connection.connection.prepared
        if name not in prepared:
            numbered = self.sql % tuple(f"${number}" for number in range(1, count + 1))
            # The driver's cursor: nobody counts this among the queries of a page.
            with connection.wrap_database_errors, connection.connection.cursor() as own:
                own.execute(f"PREPARE {name} AS {numbered}")
            prepared.add(name)
        return f"EXECUTE {name}({', '.join(['%s'] * count)})"

    def forget(self, connection, error) -> None:
        name = PREFIX + self.name
        connection.connection.prepared.discard(name)
        if isinstance(error, STALE):
            with connection.connection.cursor() as own:
                own.execute(f"DEALLOCATE {name}")
