from django.core.management.base import BaseCommand

from tenancy.history import prune


class Command(BaseCommand):
    help = "Delete the lines of the log that are older than TENANCY_HISTORY_DAYS."

    def handle(self, **options):
        return f"{prune()} lines are deleted."
