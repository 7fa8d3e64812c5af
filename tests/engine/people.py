"""People whom a test removes again. The product keeps every person."""

from allauth.account.models import EmailAddress
from django.db import connection

GUEST = "guest"  # the only one whom the random lives deactivate


def erase(people) -> None:
    """Delete the rows of a queryset of people, who are members of no tenant."""
    EmailAddress.objects.filter(user__in=people).delete()
    people._raw_delete(connection.alias)
