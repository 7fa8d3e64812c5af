from tenancy.management.calls import command

Command = command("delete_tenant")
