from tenancy import copies
from tenancy.management.base import LifecycleCommand, find_tenant


class Command(LifecycleCommand):
    help = "Write a tenant into a file: schema, rows, members, uploads. It may be in use."

    def add_arguments(self, parser):
        parser.add_argument("slug", help="which tenant: evilcorp")
        parser.add_argument("file", help="a path, such as evilcorp.zip")
        parser.add_argument("--overwrite", action="store_true", help="the file, if there is one")
        self.add_by(parser)

    def perform(self, *, slug, file, overwrite, by, **options):
        path = copies.backup(find_tenant(slug=slug), file, by, overwrite=overwrite)
        return f"“{slug}” is in {path}."
