from tenancy.management.refused import refused

Command = refused("delete_domain")
