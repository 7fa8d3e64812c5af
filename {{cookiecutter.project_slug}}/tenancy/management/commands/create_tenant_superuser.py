from tenancy.management.refused import refused

Command = refused("create_tenant_superuser")
