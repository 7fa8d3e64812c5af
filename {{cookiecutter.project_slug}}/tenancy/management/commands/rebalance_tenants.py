from django.core.management.base import CommandError
from django.template.defaultfilters import filesizeformat

from tenancy.exceptions import LifecycleError, one_line
from tenancy.lifecycle import nodes
from tenancy.management.base import LifecycleCommand, flag, format_table

TITLES = ("SLUG", "FROM", "TO", "SIZE")


class Command(LifecycleCommand):
    help = (
        "Show which tenants to move so that all nodes of Citus hold about as many bytes; with"
        " --apply, move them one after the other, while they are in use."
    )
    arguments = {"--apply": flag("carry the plan out")}

    def perform(self, *, apply, by):
        moves = nodes.plan()
        if not moves:
            return "The nodes are even: nothing to move."
        rows = [
            (tenant.slug, move.source, move.target, filesizeformat(move.size).replace("\xa0", " "))
            for tenant, move in moves
        ]
        self.stdout.write(format_table([TITLES, *rows]))
        if not apply:
            return "Run it with --apply to carry this out."
        failed = 0
        for tenant, move in moves:
            try:
                nodes.move_tenant(tenant, move.target, by)
            except LifecycleError as error:
                failed += 1
                self.stderr.write(one_line(error))
            else:
                self.stdout.write(f"“{tenant.slug}” is on {move.target}.")
        summary = f"Moved: {len(moves) - failed}, failed: {failed}."
        if failed:
            raise CommandError(summary)
        return summary
