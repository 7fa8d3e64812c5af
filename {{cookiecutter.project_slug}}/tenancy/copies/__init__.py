"""Clone a tenant, back it up into a file, and restore it, or a table's rows, from one."""

from tenancy.copies.backups import backup
from tenancy.copies.cloning import clone
from tenancy.copies.restoring import restore
from tenancy.copies.rows import restore_rows

__all__ = ["backup", "clone", "restore", "restore_rows"]
