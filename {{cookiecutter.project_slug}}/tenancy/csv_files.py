"""CSV for people, who open it in a program for spreadsheets."""

import csv
import re
from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse

# A spreadsheet takes a cell that begins so for a formula, and runs it. One that begins with an
# apostrophe is shown. Python and PostgreSQL read the pattern in the same way.
FORMULA = r"^(\s*[=+@＝＋－＠-]|[\t\r\n])"


def harmless(cell: object) -> str:
    """Return the cell's text; with an apostrophe before it, if it would be a formula."""
    text = "" if cell is None else str(cell)
    return f"'{text}" if re.match(FORMULA, text) else text


def lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """Yield each row as a line of CSV."""
    writer = csv.writer(Echo())
    for row in rows:
        yield writer.writerow(map(harmless, row))


class Echo:
    """A file that returns what is written to it."""

    def write(self, text: str) -> str:
        return text


def download(rows: Iterable[Iterable[object]], name: str) -> StreamingHttpResponse:
    """Return a response that sends the rows as they come, as a file of this name."""
    response = StreamingHttpResponse(lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
