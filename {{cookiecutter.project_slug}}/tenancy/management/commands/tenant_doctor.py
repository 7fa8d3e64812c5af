import sys
from collections import Counter

from django.core.management.base import BaseCommand

from tenancy.health import doctor
from tenancy.management.base import add_tenant_options, find_tenant
from tenancy.schemas import spares


class Command(BaseCommand):
    help = (
        "Print what the schemas hold that they should not, or lack, one line each. The exit status"
        " is 1 if any of it is an error."
    )
    requires_system_checks = []  # they may fail because of what the doctor is to find

    def add_arguments(self, parser):
        add_tenant_options(parser)

    def handle(self, *, slug, schema_name, **options):
        all_of_them = slug is None and schema_name is None
        only = None if all_of_them else find_tenant(slug, schema_name).schema_name
        found = Counter()
        for finding in doctor.examine():
            if finding.is_silenced() or (only and finding.obj != only):
                continue
            level = "error" if finding.is_serious() else "warning"
            found[level] += 1
            self.stdout.write(
                f"{level:7}  {finding.obj}: {finding.msg} {finding.hint} [{finding.id}]"
            )
        if spares.wanted() and all_of_them:
            self.stdout.write(spares.described())
        self.stdout.write(f"Errors: {found['error']}. Warnings: {found['warning']}.")
        if found["error"]:
            sys.exit(1)
