"""One PostgreSQL schema per tenant, and people who exist once and belong to many tenants."""

__version__ = "1.5.0"
