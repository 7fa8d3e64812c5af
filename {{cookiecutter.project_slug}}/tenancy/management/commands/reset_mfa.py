from tenancy.management.calls import command

Command = command("reset_mfa")
