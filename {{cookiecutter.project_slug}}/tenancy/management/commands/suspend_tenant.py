from tenancy.management.base import transition_command

Command = transition_command("suspend")
