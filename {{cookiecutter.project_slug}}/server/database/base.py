"""The database backend (`ENGINE = "server.database"`): django-tenants', to a server that may have
to be started first."""

from django_tenants.postgresql_backend import base


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection whose `DATABASES[alias]["SERVER"]`, where there is one, is called whenever a
    connection is opened and returns where the server is by then: HOST, PORT, USER, PASSWORD."""

    def get_connection_params(self):
        if find_server := self.settings_dict.get("SERVER"):
            self.settings_dict.update(find_server())
        return super().get_connection_params()
