"""A person's connections with providers. Without any provider there are none."""

from allauth.account.authentication import get_authentication_records
from django.apps import apps
from django.db.models import QuerySet

INSTALLED = apps.is_installed("allauth.socialaccount")


def connections_of(user) -> QuerySet | list:
    """Return the person's rows of django-allauth's."""
    if not INSTALLED:
        return []
    return apps.get_model("socialaccount", "SocialAccount").objects.filter(user=user)


def used_in(request, user) -> list:
    """Return those by which this browser has just signed in, or signed up."""
    records = get_authentication_records(request, user)
    used = {(record.get("provider"), record.get("uid")) for record in records}
    return [row for row in connections_of(user) if (row.provider, row.uid) in used]
