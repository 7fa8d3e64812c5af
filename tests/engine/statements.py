"""What is sent over the connection, also past Django's cursors."""

from django.db import connection
from tenancy.database import cursors


def driver_cursor() -> type:
    """Return the class of the driver's own cursors: psycopg2's or psycopg's."""
    connection.ensure_connection()
    with connection.unguarded_cursor() as cursor:
        return type(cursor)


def use_for_all(cursor_class: type) -> None:
    """Let the connection's cursors be of the class, also those that set the search_path."""
    connection.connection.cursor_factory = cursors.guarded(cursor_class)


def record() -> list[str]:
    """A list that gets each statement from now on, until the connection is closed."""
    seen = []

    class Recorder(driver_cursor()):
        def execute(self, sql, *args):
            seen.append(sql)
            return super().execute(sql, *args)

    use_for_all(Recorder)
    return seen
