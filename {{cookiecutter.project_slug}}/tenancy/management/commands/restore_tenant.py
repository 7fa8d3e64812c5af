from tenancy import copies
from tenancy.management.base import LifecycleCommand


class Command(LifecycleCommand):
    help = (
        "Make a tenant of a backup; its host name is the last line of the output. Trust the file"
        " like code: its statements are carried out. What a killed call has left the same call"
        " makes anew."
    )

    def add_arguments(self, parser):
        parser.add_argument("file", help="what `backup_tenant` wrote")
        parser.add_argument("--slug", default="", help="another place below the domain")
        parser.add_argument("--name", default="", help="another name for people")
        parser.add_argument("--owner", default="", help="another owner, by user name or e-mail")
        parser.add_argument("--organization", default="", help="another customer")
        self.add_field(parser)
        self.add_by(parser)

    def perform(self, *, file, field, by, **options):
        given = {name: options[name] for name in ("slug", "name", "owner", "organization")}
        restored = copies.restore(file, by, **given, **dict(field))
        return "\n".join([*restored.notes, restored.host])
