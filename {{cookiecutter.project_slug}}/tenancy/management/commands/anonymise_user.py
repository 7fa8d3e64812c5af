from tenancy.management.calls import command

Command = command("anonymise_user")
