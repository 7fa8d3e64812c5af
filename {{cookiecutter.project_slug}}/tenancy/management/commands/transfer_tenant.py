from tenancy.management.calls import command

Command = command("transfer_tenant")
