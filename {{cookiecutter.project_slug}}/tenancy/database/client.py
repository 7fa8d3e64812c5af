"""psql, for `dbshell`."""

import os

from django.db.backends.postgresql.client import DatabaseClient
from django_tenants.utils import get_public_schema_name

from tenancy.postgres import embedded, programs


class Client(DatabaseClient):
    def runshell(self, parameters):
        """Run psql: the private PostgreSQL's if there is one. Raises LocalPostgresError."""
        if "SERVER" in self.connection.settings_dict:
            self.executable_name = str(programs.psql(embedded.DIRECTORY / "data"))
        super().runshell(parameters)

    def settings_to_cmd_args_env(self, settings_dict, parameters):
        """Let psql start in the current tenant, and start the private PostgreSQL if there is one.

        Raises LocalPostgresError.
        """
        if start_server := settings_dict.get("SERVER"):
            settings_dict = settings_dict | start_server()  # its address
        args, env = super().settings_to_cmd_args_env(settings_dict, parameters)
        args[0] = self.executable_name
        if self.connection.schema_name == get_public_schema_name():
            return args, env
        path = self.connection.wanted.replace(" ", "")
        options = os.environ.get("PGOPTIONS", "")
        return args, (env or {}) | {"PGOPTIONS": f"{options} -c search_path={path}"}
