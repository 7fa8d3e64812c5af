from tenancy.management.calls import command

Command = command("restore_rows")
