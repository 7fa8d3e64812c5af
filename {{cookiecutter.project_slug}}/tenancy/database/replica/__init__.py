"""A streaming replica of the default database, from which requests read (`REPLICA_URL`).

DATABASES has it under an alias of its own, with `ENGINE = "tenancy.database.replica"`. No code
names that alias: a request that may read there has a chooser in `chooser`, and the engine's router
asks it (`tenancy.isolation.router`). Without one, as in commands and tasks, nothing reads there.
"""

from contextvars import ContextVar

from django.conf import settings
from django.db.models import Model

ENGINE = __name__


class Chooser:
    """Says whether a request reads rows from the replica."""

    wrote = False  # the router sets it before a write

    def chooses(self, model: type[Model]) -> bool:
        raise NotImplementedError


def find_alias() -> str | None:
    databases = settings.DATABASES.items()
    return next((alias for alias, database in databases if database["ENGINE"] == ENGINE), None)


alias = find_alias()
chooser: ContextVar[Chooser | None] = ContextVar("chooser", default=None)
