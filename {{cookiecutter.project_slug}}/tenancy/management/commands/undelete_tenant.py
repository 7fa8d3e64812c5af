from tenancy.management.calls import command

Command = command("undelete_tenant")
