from tenancy.management.calls import command

Command = command("backup_tenant")
