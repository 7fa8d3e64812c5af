from tenancy.management.calls import command

Command = command("remove_member")
