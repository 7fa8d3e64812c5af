"""How a tenant is made, changed and purged. Clones and backups are in `tenancy.copies`."""

from tenancy.lifecycle.changes import change, delete, resume, suspend, transfer, undelete
from tenancy.lifecycle.provisioning import abandon, finish, provision_tenant, request_tenant
from tenancy.lifecycle.public import create_public_tenant
from tenancy.lifecycle.purging import purge
from tenancy.lifecycle.recreate import recreate_schema
from tenancy.lifecycle.renaming import add_domain, remove_domain, rename
from tenancy.lifecycle.schema_names import rename_schema

__all__ = [
    "abandon",
    "add_domain",
    "change",
    "create_public_tenant",
    "delete",
    "finish",
    "provision_tenant",
    "purge",
    "recreate_schema",
    "remove_domain",
    "rename",
    "rename_schema",
    "request_tenant",
    "resume",
    "suspend",
    "transfer",
    "undelete",
]
