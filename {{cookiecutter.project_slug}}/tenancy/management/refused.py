"""Commands of Django and the libraries that are refused, each with what to call instead."""

from django.core.management.base import BaseCommand, CommandError

INSTEAD = {
    "collectstatic_schemas": "All tenants share the static files: call `collectstatic`.",
    "create_domain": "Call `add_domain SLUG HOST`.",
    "create_public_tenant": "Call `init_tenant`, which takes domain and owner from .env.",
    "create_tenant": "Call `provision_tenant NAME SLUG ORGANIZATION USERNAME`.",
    "create_tenant_superuser": "Call `add_member SLUG USERNAME --role admin`.",
    "delete_domain": "Call `remove_domain SLUG HOST`.",
    "flush": (
        "It would empty the tables of all tenants. `purge_tenant` ends one tenant; to begin anew,"
        " drop the database."
    ),
}


def refused(name: str) -> type[BaseCommand]:
    """Return the command class of a name in INSTEAD."""

    class Command(BaseCommand):
        help = f"Refused. {INSTEAD[name]}"
        requires_system_checks = []
        # Django's callers of `flush` pass these.
        stealth_options = (
            *("interactive", "database", "reset_sequences"),
            *("allow_cascade", "inhibit_post_migrate"),
        )

        def create_parser(self, *args, **kwargs):
            parser = super().create_parser(*args, **kwargs)
            # Accept any arguments: they are not the reason why it is refused.
            parser.parse_args = lambda args=None, space=None: parser.parse_known_args(args)[0]
            return parser

        def handle(self, **options):
            raise CommandError(INSTEAD[name])

    return Command
