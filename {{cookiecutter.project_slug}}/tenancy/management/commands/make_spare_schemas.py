from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from tenancy.exceptions import NoBlueprint, one_line
from tenancy.schemas import spares


class Command(BaseCommand):
    help = (
        "Make schemas for tenants to come until SPARE_SCHEMAS are ready, and drop outdated ones."
        " `migrate_schemas` and beat do this too."
    )

    def handle(self, **options):
        try:
            made = spares.refill()
        except (NoBlueprint, DatabaseError, InterfaceError) as error:
            raise CommandError(f"The spare schemas can't be made: {one_line(error)}") from None
        return f"{spares.ready()} spare schemas are ready; {made} of them are new."
