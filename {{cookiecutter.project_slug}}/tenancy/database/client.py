"""psql, for `dbshell`."""

import os

from django.db.backends.postgresql.client import DatabaseClient
from django_tenants.utils import get_public_schema_name


class Client(DatabaseClient):
    def settings_to_cmd_args_env(self, settings_dict, parameters):
        """As Django's; psql begins in the current tenant."""
        args, env = super().settings_to_cmd_args_env(settings_dict, parameters)
        if self.connection.schema_name == get_public_schema_name():
            return args, env
        path = self.connection.wanted.replace(" ", "")
        options = os.environ.get("PGOPTIONS", "")
        return args, (env or {}) | {"PGOPTIONS": f"{options} -c search_path={path}"}
