"""Clone a tenant, back it up into a file, and restore it from one."""

from tenancy.copies.backups import backup
from tenancy.copies.cloning import clone
from tenancy.copies.restoring import restore

__all__ = ["backup", "clone", "restore"]
