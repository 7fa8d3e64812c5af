from django.core.management.base import CommandError

from tenancy import copies
from tenancy.lifecycle.organizations import organization_from
from tenancy.management.base import FIELD, LifecycleCommand, find_tenant, text


class Command(LifecycleCommand):
    help = (
        "Make a full copy of a tenant under another slug. The last line of the output is its host"
        " name. Run it again if it was interrupted."
    )
    arguments = {
        "source": {"nargs": "?", "help": "the slug of the tenant to copy"},
        "slug": {"nargs": "?", "help": "the slug of the copy"},
        "--name": text("the copy's name for people; default: the source's"),
        "--owner": text("a user name or e-mail; default: the source's owner"),
        "--organization": text("the customer's name, or id:17; default: the source's"),
        "--clone_from": {"help": "the source by its schema, as in the library's command"},
        "--slug": {"dest": "new_slug", "help": "the slug, as in the library's command"},
        **FIELD,
    }

    def perform(self, *, source, slug, clone_from, new_slug, field, **values):
        if (source is None) == (clone_from is None) or (slug is None) == (new_slug is None):
            raise CommandError(
                "Name the tenant to copy and the copy's slug: `clone_tenant evilcorp goodcorp`, or"
                " `--clone_from SCHEMA --slug SLUG`."
            )
        tenant = find_tenant(source, clone_from)
        values["organization"] = organization_from(values["organization"])
        return copies.clone(tenant, slug or new_slug or "", **values, **dict(field))
