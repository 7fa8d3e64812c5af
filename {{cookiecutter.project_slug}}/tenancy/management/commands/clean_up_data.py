from tenancy.copies import jobs
from tenancy.management.base import LifecycleCommand


class Command(LifecycleCommand):
    help = (
        "Remove exports that have expired, and archives of tenants that were purged a while ago."
        " Run it daily, unless beat does."
    )

    def perform(self, by):
        jobs.clean_up()
