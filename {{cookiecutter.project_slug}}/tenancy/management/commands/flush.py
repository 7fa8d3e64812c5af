from tenancy.management.refused import refused

Command = refused("flush")
