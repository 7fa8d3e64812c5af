from django.core.management.base import CommandError

from tenancy import lifecycle
from tenancy.lifecycle.organizations import organization_from
from tenancy.management.base import FIELD, LifecycleCommand, find_tenant, flag
from tenancy.schemas.migrate_signals import progress

NEEDED = {
    "name": "its name for people: EvilCorp",
    "slug": "its place below the domain: evilcorp",
    "organization": "the customer's name, or id:17; a new name makes a new one: org",
    "username": "the owner, by user name or e-mail: admin",
}


class Command(LifecycleCommand):
    help = (
        "Make a tenant. The last line of the output is its host name. Run it again if it was"
        " interrupted."
    )
    arguments = {
        **{name: {"nargs": "?", "help": about} for name, about in NEEDED.items()},
        "--resume": {"metavar": "SLUG", "help": "finish a tenant whose making was interrupted"},
        "--abandon": {"metavar": "SLUG", "help": "remove a tenant whose making was interrupted"},
        "--background": flag("reserve the tenant only; a worker makes its schema"),
        **FIELD,
    }

    def perform(self, *, resume, abandon, background, field, by, **names):
        slug = resume if abandon is None else abandon
        if slug is not None:
            if None not in (resume, abandon) or background or any(names.values()):
                raise CommandError("--resume and --abandon take a slug and nothing else.")
            tenant = find_tenant(slug)
            if abandon is not None:
                lifecycle.abandon(tenant, by)
                return f"“{slug}” is abandoned."
            with progress(self.stdout.write):
                return lifecycle.finish(tenant, by)
        if None in names.values():
            raise CommandError(f"All of these are needed: {', '.join(NEEDED)}.")
        names["organization"] = organization_from(names["organization"])
        fields = names | dict(field)
        if background:
            return str(lifecycle.request_tenant(by=by, **fields).get_primary_domain())
        with progress(self.stdout.write):
            return lifecycle.provision_tenant(by=by, **fields)
