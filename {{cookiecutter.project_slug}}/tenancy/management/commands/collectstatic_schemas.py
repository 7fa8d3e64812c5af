from tenancy.management.refused import refused

Command = refused("collectstatic_schemas")
