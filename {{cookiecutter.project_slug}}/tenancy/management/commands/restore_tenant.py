from tenancy import copies
from tenancy.management.base import FIELD, LifecycleCommand, text


class Command(LifecycleCommand):
    help = (
        "Make a tenant from a backup. The last line of the output is its host name. Trust the file"
        " like code: its statements are executed. Run it again if it was interrupted."
    )
    arguments = {
        "path": text("a file that `backup_tenant` wrote"),
        "--slug": text("another slug"),
        "--name": text("another name for people"),
        "--owner": text("another owner, by user name or e-mail"),
        "--organization": text("another customer"),
        **FIELD,
    }

    def perform(self, *, field, **values):
        restored = copies.restore(**values, **dict(field))
        return "\n".join([*restored.notes, restored.host])
