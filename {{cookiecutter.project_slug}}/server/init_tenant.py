"""`create_public_tenant(domain, username, password)` makes the main website's tenant."""

from tenancy.lifecycle import create_public_tenant

__all__ = ["create_public_tenant"]
