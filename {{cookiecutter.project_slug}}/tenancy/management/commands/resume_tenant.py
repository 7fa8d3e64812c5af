from tenancy.management.calls import command

Command = command("resume_tenant")
