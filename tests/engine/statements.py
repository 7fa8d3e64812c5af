"""What is sent over the connection, also past Django's cursors."""

import psycopg2.extensions
from django.db import connection


def record() -> list[str]:
    """A list that gets each statement from now on, until the connection is closed."""
    seen = []

    class Recorder(psycopg2.extensions.cursor):
        def execute(self, sql, *args):
            seen.append(sql)
            return super().execute(sql, *args)

    connection.connection.cursor_factory = Recorder
    return seen
