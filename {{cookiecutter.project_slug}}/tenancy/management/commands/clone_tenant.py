from django.core.management.base import CommandError

from tenancy import copies
from tenancy.management.base import LifecycleCommand, find_tenant


class Command(LifecycleCommand):
    help = (
        "Make a full copy of a tenant under another slug; its host name is the last line of the"
        " output. What a killed call has left the same call makes anew."
    )

    def add_arguments(self, parser):
        parser.add_argument("source", nargs="?", help="the tenant to copy: evilcorp")
        parser.add_argument("slug", nargs="?", help="the copy's place below the domain: goodcorp")
        parser.add_argument("--name", default="", help="what people call it, if not as the source")
        parser.add_argument("--owner", default="", help="a user, if not the source's owner")
        parser.add_argument("--organization", default="", help="the customer, if not the source's")
        parser.add_argument("--clone_from", help="the source by its schema, as in the library's")
        parser.add_argument("--slug", dest="by_name", help="the slug, as in the library's")
        self.add_field(parser)
        self.add_by(parser)

    def perform(self, *, source, slug, clone_from, by_name, field, by, **options):
        if (source is None) == (clone_from is None) or (slug is None) == (by_name is None):
            raise CommandError(
                "Name the tenant to copy and the copy's slug: `clone_tenant evilcorp goodcorp`, or"
                " `--clone_from SCHEMA --slug SLUG`."
            )
        wanted = {"slug": source} if clone_from is None else {"schema_name": clone_from}
        given = {name: options[name] for name in ("name", "owner", "organization")}
        return copies.clone(
            find_tenant(**wanted), slug or by_name or "", by, **given, **dict(field)
        )
