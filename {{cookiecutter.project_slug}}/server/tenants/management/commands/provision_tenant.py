from django.core.management.base import BaseCommand, CommandError

from server.tenants.lifecycle import ProvisioningError, provision_tenant


class Command(BaseCommand):
    help = "Make a tenant; its host name is the last line of the output."

    def add_arguments(self, parser):
        parser.add_argument("name", help="what people call it: EvilCorp")
        parser.add_argument("slug", help="its place below the domain: evilcorp")
        parser.add_argument("organization", help="the customer, found by name or made: org")
        parser.add_argument("username", help="the user (name or e-mail) who will own it: admin")

    def handle(self, *, name, slug, organization, username, **options):
        try:
            fqdn = provision_tenant(name, slug, organization, username)
        except ProvisioningError as error:
            raise CommandError(error) from None
        self.stdout.write(fqdn)
