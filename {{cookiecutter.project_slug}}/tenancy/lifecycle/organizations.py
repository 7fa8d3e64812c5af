"""The organization that a new tenant belongs to. Names aren't unique."""

import re

from django.db import connection

from tenancy.concrete import Organization
from tenancy.exceptions import AmbiguousOrganization, UnknownOrganization

ID = re.compile(r"id:([0-9]{1,18})")


def organization_from(text: str) -> Organization | str:
    """Return the organization that an operator means: by “id:17”, otherwise the text, a name.

    Never give it what a customer typed: that must not lead to another customer. Raises
    UnknownOrganization.
    """
    if not (found := ID.fullmatch(text.strip())):
        return text
    if row := Organization.objects.filter(pk=found[1]).first():
        return row
    raise UnknownOrganization(f"There is no organization with the id {found[1]}.")


def find_or_make(name: str, fields: dict) -> tuple[Organization, bool]:
    """Return the organization of that name, and whether it is new, in the caller's transaction.

    `fields` are those of a new one. Raises AmbiguousOrganization if several have the name.
    """
    found = named(name)
    if not found:
        # Another call may be making it. The lock ends with the transaction.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"organization {name}"])
        found = named(name)
    if not found:
        return Organization.objects.create(name=name, **fields), True
    if len(found) > 1:
        ids = " or ".join(f"id:{row.pk}" for row in found)
        raise AmbiguousOrganization(f"Several organizations are called “{name}”: write {ids}.")
    return found[0], False


def named(name: str) -> list[Organization]:
    return [*Organization.objects.filter(name=name).order_by("pk")[:10]]
