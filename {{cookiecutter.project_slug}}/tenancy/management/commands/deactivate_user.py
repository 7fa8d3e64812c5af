from tenancy.management.calls import command

Command = command("deactivate_user")
