"""Runs the tests on Citus if CITUS_SUPERUSER is set (docs/citus.md says how to make a coordinator).

DATABASE_URL is a coordinator's then. Each test database is made on all its nodes. Only a superuser
may add the extension and the nodes: CITUS_SUPERUSER is its name, perhaps with a colon and its
password.
"""

import os
from contextlib import closing

from django.db import connection

SUPERUSER, _, PASSWORD = os.environ.get("CITUS_SUPERUSER", "").partition(":")
# The coordinator first.
NODES = "SELECT nodename, nodeport FROM pg_dist_node WHERE noderole = 'primary' ORDER BY groupid"


def use() -> None:
    """Let test databases be made on each node of the coordinator in DATABASE_URL."""
    with connection.cursor() as cursor:
        cursor.execute(NODES)
        nodes = cursor.fetchall()
    connection.close()
    creation = type("Creation", (OnEachNode, type(connection.creation)), {"nodes": nodes})
    connection.creation = creation(connection)


class OnEachNode:
    def execute(self, statements, node, **address):
        host, port = node
        parameters = connection.get_connection_params()
        parameters |= {"host": host, "port": port, "user": SUPERUSER, "password": PASSWORD}
        with closing(connection.Database.connect(**parameters | address)) as own:
            own.autocommit = True
            for statement in statements:
                own.cursor().execute(statement)

    def _create_test_db(self, verbosity, autoclobber, keepdb=False):
        name = self._get_test_db_name()
        coordinator, *workers = self.nodes
        user = connection.settings_dict["USER"]
        for node in self.nodes:
            create = f'CREATE DATABASE "{name}" OWNER "{user}"'
            self.execute([drop(name), create], node, dbname="postgres")
            self.execute(["CREATE EXTENSION citus"], node, dbname=name)
        add = "SELECT citus_{}('{}', {})".format
        statements = [add("set_coordinator_host", *coordinator)]
        statements += [add("add_node", *node) for node in workers]
        self.execute(statements, coordinator, dbname=name)
        return name

    def _destroy_test_db(self, test_database_name, verbosity):
        for node in self.nodes:
            self.execute([drop(test_database_name)], node, dbname="postgres")


def drop(name: str) -> str:
    return f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'
