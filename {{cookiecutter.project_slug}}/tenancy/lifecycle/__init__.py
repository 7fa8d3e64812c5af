"""Functions that make, change and purge tenants. `tenancy.copies` has clones and backups."""

# ruff: noqa: F401 (other modules import these names from here)

from tenancy.lifecycle.changes import change, delete, resume, suspend, transfer, undelete
from tenancy.lifecycle.nodes import move_tenant
from tenancy.lifecycle.provisioning import (
    abandon,
    finish,
    provision_tenant,
    request_again,
    request_tenant,
)
from tenancy.lifecycle.public import create_public_tenant
from tenancy.lifecycle.purging import purge
from tenancy.lifecycle.recreate import recreate_schema
from tenancy.lifecycle.renaming import add_domain, remove_domain, rename
from tenancy.lifecycle.schema_names import rename_schema
