from django.core.management.base import BaseCommand

from tenancy.domains import claims
from tenancy.exceptions import LifecycleError


class Command(BaseCommand):
    help = "Look up the DNS records of customers' domains, as far as it is time to. For cron."

    def handle(self, **options):
        claims.delete_old()
        for claim in claims.due():
            try:
                row = claims.check(claim, by="manage.py")
            except LifecycleError as error:
                self.stderr.write(f"{claim.host}: {error}")
                continue
            self.stdout.write(f"{claim.host}: {state(row)}")


def state(row) -> str:
    if row is None:
        return "given up"
    return row.problem or "verified"
