"""What is sent over the connection, also past Django's cursors."""

from django.db import connection


def driver_cursor() -> type:
    """Return the class of the driver's own cursors: psycopg2's or psycopg's."""
    connection.ensure_connection()
    with connection.connection.cursor() as cursor:
        return type(cursor)


def record() -> list[str]:
    """A list that gets each statement from now on, until the connection is closed."""
    seen = []

    class Recorder(driver_cursor()):
        def execute(self, sql, *args):
            seen.append(sql)
            return super().execute(sql, *args)

    connection.connection.cursor_factory = Recorder
    return seen
