from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from tenancy.lifecycle import create_public_tenant
from tenancy.locks import advisory_lock


class Command(BaseCommand):
    help = (
        "Migrate the public schema, and create the public tenant with its domain and its owner if"
        " they are missing. Safe to repeat: run it in a fresh clone and with every deployment."
    )

    def handle(self, *, verbosity, **options):
        with advisory_lock("init_tenant"):
            call_command("migrate_schemas", shared=True, interactive=False, verbosity=verbosity)
            try:
                tenant = create_public_tenant(
                    settings.DOMAIN,
                    settings.ADMIN_USERNAME,
                    settings.ADMIN_PASSWORD,
                    email=settings.ADMIN_EMAIL,
                )
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from None
        self.stdout.write(f"The public site is {settings.DOMAIN}; {tenant.owner} administers it.")
