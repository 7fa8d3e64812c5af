"""Who did what and when in a workspace. Nobody can change it there, and `prune` deletes old lines.

The lines are in the public schema, by the name of the workspace's schema, which is never used
again. So a workspace that is made at the address of a purged one has none of its history.
"""

from collections.abc import Iterator
from datetime import UTC
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from tenancy.csv_files import download
from tenancy.lifecycle.schema_names import all_names
from tenancy.models import TenantEvent
from tenancy.support import note_expiry
from tenancy.workspace.access import for_managers
from tenancy.workspace.history.forms import FilterForm
from tenancy.workspace.history.sentences import sentence, shown

PAGE = 50  # lines
CHUNK = 1000


@for_managers
@require_safe
def history(request):
    form = FilterForm(request.GET)
    lines = [*lines_for(request, form)[: PAGE + 1]]
    older, lines = lines[PAGE:], lines[:PAGE]
    for line in lines:
        line.text = sentence(line)
    asked = {name: value for name, value in request.GET.items() if name in form.fields and value}
    pages = asked | {"before": lines[-1].pk} if older else {}
    asked.pop("before", None)
    context = {
        "form": form,
        "lines": lines,
        "query": urlencode(asked),
        "older": urlencode(pages),
        "is_filtered": bool(asked),
    }
    return render(request, "tenancy/workspace/history.html", context)


@for_managers
@require_safe
def as_csv(request):
    """Send all lines that the form asks for, the newest first."""
    rows = lines_for(request, FilterForm(request.GET))
    # The connection is in the tenant until the next request, and public is visible from there.
    return download(cells(rows, translation.get_language()), "history.csv")


def lines_for(request, form: FilterForm) -> QuerySet[TenantEvent]:
    """Return the lines of the workspace that were asked for; none if the form is not valid."""
    if not form.is_valid():
        return TenantEvent.objects.none()
    note_expiry(request.tenant)
    names = all_names(request.tenant.schema_name)
    rows = TenantEvent.objects.filter(shown(), schema_name__in=names)
    return rows.filter(form.lines_of(request.tenant))


def cells(rows: QuerySet[TenantEvent], language: str) -> Iterator[list[str]]:
    """Yield the lines of a file, which is sent after the request: when its language is over."""
    with translation.override(language):
        titles = [_("Time"), _("By"), _("Action"), _("Person"), _("Text")]
    yield titles
    last = None
    while chunk := [*(rows.filter(pk__lt=last) if last else rows)[:CHUNK]]:
        with translation.override(language):
            found = [[*cells_of(row)] for row in chunk]
        yield from found
        last = chunk[-1].pk


def cells_of(line: TenantEvent) -> Iterator[str]:
    yield f"{line.at.astimezone(UTC):%FT%TZ}"
    yield from (line.by, line.action, line.username, sentence(line))
