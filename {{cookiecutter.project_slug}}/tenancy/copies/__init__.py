"""A tenant as a clone, as a backup, and made of a backup."""

from tenancy.copies.backups import backup
from tenancy.copies.cloning import clone
from tenancy.copies.restoring import restore

__all__ = ["backup", "clone", "restore"]
