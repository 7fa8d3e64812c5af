from tenancy import copies
from tenancy.copies.places import archive_at
from tenancy.lifecycle.organizations import organization_from
from tenancy.management.base import FIELD, LifecycleCommand, text


class Command(LifecycleCommand):
    help = (
        "Make a tenant from a backup. The last line of the output is its host name. Trust the file"
        " like code: its statements are executed. Run it again if it was interrupted."
    )
    arguments = {
        "path": text("a file that `backup_tenant` wrote, or a name that `archives` prints"),
        "--slug": text("another slug"),
        "--name": text("another name for people"),
        "--owner": text("another owner, by user name or e-mail"),
        "--organization": text("another customer, by name or as id:17"),
        **FIELD,
    }

    def perform(self, *, path, field, **values):
        values["organization"] = organization_from(values["organization"])
        with archive_at(path) as file:
            restored = copies.restore(file, **values, **dict(field))
        return "\n".join([*restored.notes, restored.host])
