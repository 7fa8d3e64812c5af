from tenancy.management.calls import command

Command = command("purge_tenant")
