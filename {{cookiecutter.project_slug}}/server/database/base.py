"""The database backend (`ENGINE = "server.database"`): how a connection gets its schema.

django-tenants keeps the schema with each connection and sets the search_path before each query, or
remembers that it did where PostgreSQL has taken it back. Here the search_path is remembered only
if it was set outside of a transaction, for then nothing but another SET can change it.
"""

import functools

from django.db import connections
from django_tenants.postgresql_backend import base
from django_tenants.postgresql_backend.base import original_backend
from django_tenants.postgresql_backend.introspection import DatabaseSchemaIntrospection
from django_tenants.utils import quote_schema_name

IDLE, IN_ERROR = 0, 3  # libpq's PGTransactionStatusType, the same in psycopg2 and psycopg


class Introspection(
    DatabaseSchemaIntrospection, original_backend.DatabaseWrapper.introspection_class
):
    """django-tenants' view of one schema, with what the original backend (PostGIS) knows more."""


def of_this_thread() -> list["DatabaseWrapper"]:
    opened = connections.all(initialized_only=True)
    return [each for each in opened if isinstance(each, DatabaseWrapper)]


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection in the schema of the current tenant.

    `DATABASES[alias]["SERVER"]`, where there is one, is called whenever a connection is opened, and
    returns where the server is by then: HOST, PORT, USER, PASSWORD. All aliases with this engine
    are in the same tenant.
    """

    def __init__(self, *args, **kwargs):
        self.search_path = None  # what is in force for certain
        super().__init__(*args, **kwargs)
        self.introspection = Introspection(self)
        for other in of_this_thread():
            self.take_tenant(other.tenant, other.include_public_schema)

    def get_connection_params(self):
        if find_server := self.settings_dict.get("SERVER"):
            self.settings_dict.update(find_server())
        return super().get_connection_params()

    def set_tenant(self, tenant, include_public=True):
        """Be in the tenant's schema from the next query on, under every alias.

        `tenant` has a `schema_name`; if it also has `check_schema`, that may raise when the schema
        can't be entered.
        """
        if check := getattr(tenant, "check_schema", None):
            check()
        connected = of_this_thread()
        # One that is being made, or is made aside to create a database, concerns no other.
        for each in connected if self in connected else [self]:
            each.take_tenant(tenant, include_public)

    def take_tenant(self, tenant, include_public):
        self.tenant = tenant
        self.schema_name = tenant.schema_name
        self.include_public_schema = include_public
        self.set_settings_schema(tenant.schema_name)
        if base.EXTRA_SET_TENANT_METHOD:
            base.EXTRA_SET_TENANT_METHOD(self, tenant)

    def on_commit(self, func, robust=False):
        """Run `func` after the commit, in the tenant that is current now."""
        tenant, include_public = self.tenant, self.include_public_schema

        @functools.wraps(func)
        def in_its_tenant():
            before = self.tenant, self.include_public_schema
            self.set_tenant(tenant, include_public)
            try:
                func()
            finally:
                self.set_tenant(*before)

        super().on_commit(in_its_tenant, robust)

    def init_connection_state(self):
        self.search_path = None
        super().init_connection_state()

    def _set_autocommit(self, autocommit):
        if not autocommit:
            # Before the transaction, where it is remembered.
            self._handle_search_path()
        super()._set_autocommit(autocommit)

    def _handle_search_path(self, cursor=None):
        wanted = self._get_cursor_search_paths()
        if wanted == self.search_path:
            return
        status = self.connection.info.transaction_status
        if status == IN_ERROR:
            return  # nothing runs before the rollback
        with self.wrap_database_errors, self.connection.cursor() as own:
            own.execute(f"SET search_path = {','.join(map(quote_schema_name, wanted))}")
        outside = status == IDLE and self.connection.autocommit
        self.search_path = wanted if outside else None
