from django.core.management.base import CommandError

from tenancy import lifecycle
from tenancy.management.base import LifecycleCommand, find_tenant
from tenancy.schemas.migrate_signals import progress

NEEDED = ("name", "slug", "organization", "username")


class Command(LifecycleCommand):
    help = (
        "Make a tenant; its host name is the last line of the output. What a killed call has left"
        " the same call finishes."
    )

    def add_arguments(self, parser):
        parser.add_argument("name", nargs="?", help="what people call it: EvilCorp")
        parser.add_argument("slug", nargs="?", help="its place below the domain: evilcorp")
        parser.add_argument(
            "organization", nargs="?", help="the customer, found by name or made: org"
        )
        parser.add_argument(
            "username", nargs="?", help="the user (name or e-mail) who will own it: admin"
        )
        left = parser.add_mutually_exclusive_group()
        left.add_argument("--resume", metavar="SLUG", help="finish what a killed call has left")
        left.add_argument("--abandon", metavar="SLUG", help="remove what a killed call has left")
        parser.add_argument(
            "--background",
            action="store_true",
            help="reserve it, and return before its schema is made",
        )
        self.add_field(parser)
        self.add_by(parser)

    def perform(self, *, resume, abandon, background, field, by, **options):
        arguments = [options[name] for name in NEEDED]
        slug = resume if resume is not None else abandon
        if slug is not None:
            if background or any(argument is not None for argument in arguments):
                raise CommandError("--resume and --abandon take a slug and nothing else.")
            tenant = find_tenant(slug=slug)
            if resume is None:
                lifecycle.abandon(tenant, by)
                return f"“{slug}” is abandoned."
            with progress(self.stdout.write):
                return lifecycle.finish(tenant, by)
        if None in arguments:
            raise CommandError(f"All of these are needed: {', '.join(NEEDED)}.")
        fields = dict(field)
        if background:
            tenant = lifecycle.request_tenant(*arguments, by=by, **fields)
            return tenant.get_primary_domain().domain
        with progress(self.stdout.write):
            return lifecycle.provision_tenant(*arguments, by=by, **fields)
