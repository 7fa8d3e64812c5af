"""A streaming replica of the default database, from which requests read (`REPLICA_URL`).

DATABASES has it under an alias of its own, with `ENGINE = "tenancy.database.replica"`. No code
names that alias: a request that may read there has a chooser in `chooser`, and the engine's router
asks it (`tenancy.isolation.router`). Without one, as in commands and tasks, nothing reads there.
"""

from contextvars import ContextVar

from django.conf import settings

from tenancy.database.prepared import PREFIX

ENGINE = __name__
# The beginnings of statements that write nothing, the engine's prepared ones among them. A function
# that writes isn't noticed.
READS = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET", "SHOW", "EXPLAIN")
READS += ("PREPARE", f"EXECUTE {PREFIX}".upper(), "DEALLOCATE")
LONGEST = max(map(len, READS))


class Chooser:
    """Says whether a request reads rows from the replica."""

    wrote = False

    def chooses(self, model: type) -> bool:
        raise NotImplementedError

    def note(self, sql) -> None:
        """Note whether a statement that the primary is about to get writes."""
        if not self.wrote:
            is_read = isinstance(sql, str) and sql.lstrip("( \n")[:LONGEST].upper().startswith(
                READS
            )
            self.wrote = not is_read


def find_alias() -> str | None:
    databases = settings.DATABASES.items()
    return next((alias for alias, database in databases if database["ENGINE"] == ENGINE), None)


alias = find_alias()
chooser: ContextVar[Chooser | None] = ContextVar("chooser", default=None)
