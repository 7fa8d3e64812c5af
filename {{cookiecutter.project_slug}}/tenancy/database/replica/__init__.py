"""A streaming replica of the default database, from which requests read (`REPLICA_URL`).

DATABASES has it under an alias of its own, with `ENGINE = "tenancy.database.replica"`. No code
names that alias: a request that may read there has a chooser in `chooser`, and the engine's router
asks it (`tenancy.isolation.router`). Without one, as in commands and tasks, nothing reads there.
"""

import re
from contextvars import ContextVar

from django.conf import settings

from tenancy.database.prepared import PREFIX

ENGINE = __name__
# What begins like this writes nothing, such as the engine's prepared queries. A function that
# writes isn't noticed.
READ = re.compile(
    r"(?: [\s(] | /\*.*?\*/ )*"
    r"(?: SELECT | SAVEPOINT | RELEASE | ROLLBACK | SET | SHOW | EXPLAIN | PREPARE | DEALLOCATE"
    rf"| EXECUTE\s+{PREFIX} )",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)


class Chooser:
    """Says whether a request reads rows from the replica."""

    wrote = False

    def chooses(self, model: type) -> bool:
        raise NotImplementedError

    def note(self, sql) -> None:
        """Note whether a statement that the primary is about to get writes."""
        if not self.wrote:
            self.wrote = not (isinstance(sql, str) and READ.match(sql))


def find_alias() -> str | None:
    databases = settings.DATABASES.items()
    return next((alias for alias, database in databases if database["ENGINE"] == ENGINE), None)


alias = find_alias()
chooser: ContextVar[Chooser | None] = ContextVar("chooser", default=None)
