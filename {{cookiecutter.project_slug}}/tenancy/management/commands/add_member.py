from tenancy.management.calls import command

Command = command("add_member")
