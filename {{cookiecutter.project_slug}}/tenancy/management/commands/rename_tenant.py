from tenancy.management.calls import command

Command = command("rename_tenant")
