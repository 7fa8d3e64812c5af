import sys
from collections import Counter

from django.core.management.base import BaseCommand

from tenancy.health import doctor
from tenancy.management.base import find_tenant


class Command(BaseCommand):
    help = (
        "Say what the schemas hold that they should not, or lack, a line each; exit status 1 if"
        " there is an error among it."
    )
    requires_system_checks = []  # a doctor is for what is ill

    def add_arguments(self, parser):
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--slug", help="look at this tenant only")
        which.add_argument("--schema", dest="schema_name", help="look at this tenant only")

    def handle(self, *, slug, schema_name, **options):
        only = find_schema(slug, schema_name)
        found = Counter()
        for finding in doctor.examine():
            if finding.is_silenced() or (only and finding.obj != only):
                continue
            level = "error" if finding.is_serious() else "warning"
            found[level] += 1
            self.stdout.write(
                f"{level:7}  {finding.obj}: {finding.msg} {finding.hint} [{finding.id}]"
            )
        self.stdout.write(f"Errors: {found['error']}. Warnings: {found['warning']}.")
        if found["error"]:
            sys.exit(1)


def find_schema(slug: str | None, schema_name: str | None) -> str | None:
    """The schema to look at, or None for all. Raises CommandError if no tenant has it."""
    if slug is None and schema_name is None:
        return None
    wanted = {"schema_name": schema_name} if slug is None else {"slug": slug}
    return find_tenant(**wanted).schema_name
