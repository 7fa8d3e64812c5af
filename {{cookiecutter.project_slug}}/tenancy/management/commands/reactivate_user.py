from tenancy.management.calls import command

Command = command("reactivate_user")
