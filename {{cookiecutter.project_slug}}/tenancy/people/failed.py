"""Tries to sign in as a person that failed, for the person's account page alone.

A row counts those since the person's last sign-in. The sign-in takes it away, and the session keeps
what it said.
"""

from datetime import UTC, datetime
from typing import NamedTuple

from django.contrib.auth.signals import user_logged_in
from django.db import connection
from django.dispatch import receiver
from django_tenants.utils import get_public_schema_name

from tenancy.models import FailedSignIn

KEY = "failed_sign_ins"  # in the session
TABLE = FailedSignIn._meta.db_table
NOTE = f"""
    INSERT INTO {TABLE} AS known (person, count, at, address)
    VALUES (%s, 1, statement_timestamp(), %s)
    ON CONFLICT (person) DO UPDATE
    SET count = known.count + 1, at = excluded.at, address = excluded.address
"""  # noqa: S608
TAKE = f"DELETE FROM {TABLE} WHERE person = %s RETURNING count, at, address"  # noqa: S608


class Failed(NamedTuple):
    """How many tries failed, and when and from which address (perhaps "") the last one came."""

    count: int
    at: datetime
    address: str


def note(person: str, address: str) -> None:
    """Count a failed try for the person with this key.

    It is "" for a name that nobody has: if that took less time, the time would tell who is there.
    """
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [person, address])


@receiver(user_logged_in)
def keep(request, user, **kwargs):
    """Keep in the new session what happened since the sign-in before it."""
    if request is None or connection.schema_name != get_public_schema_name():
        return
    with connection.cursor() as cursor:
        cursor.execute(TAKE, [str(user.pk)])
        if row := cursor.fetchone():
            failed = Failed(*row)
            request.session[KEY] = failed._replace(at=failed.at.timestamp())


def before_and_since(request) -> Failed | None:
    """Return the tries that failed since the sign-in before the present one, if any."""
    kept, row = request.session.get(KEY), find(request.user)
    if not kept:
        return row
    count, at, address = kept
    if row:
        return row._replace(count=row.count + count)
    return Failed(count, datetime.fromtimestamp(at, UTC), address)


def find(user) -> Failed | None:
    """Return the tries that failed since the person's last sign-in, if any."""
    row = FailedSignIn.objects.filter(person=str(user.pk)).first()
    return row and Failed(row.count, row.at, row.address)
