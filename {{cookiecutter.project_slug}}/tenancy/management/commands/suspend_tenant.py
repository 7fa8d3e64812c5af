from tenancy.management.calls import command

Command = command("suspend_tenant")
