"""Changes of a tenant's state, owner and fields.

`by` is the name of the person or program for the log. Each function returns the tenant's new row,
and raises IllegalTransition if the tenant's state forbids the change.
"""

from django.utils import timezone

from tenancy.concrete import CHOICES, Tenant
from tenancy.exceptions import IllegalTransition
from tenancy.lifecycle.reservation import clean_field, clean_fields, clean_name
from tenancy.people.members import make_owner
from tenancy.states import end_of_grace, transition


def suspend(tenant: Tenant, by: str) -> Tenant:
    """Let the tenant's hosts answer 503, with a page that explains it."""
    with transition("suspend", tenant, by) as (row, _):
        return row


def resume(tenant: Tenant, by: str) -> Tenant:
    """Let a suspended tenant's hosts answer again."""
    with transition("resume", tenant, by) as (row, _):
        return row


def delete(tenant: Tenant, by: str) -> Tenant:
    """Let the tenant's hosts answer 410. `undelete` brings it back within TENANT_GRACE_DAYS."""
    with transition("delete", tenant, by) as (row, event):
        row.status_before, row.deleted = event.before, timezone.now()
        return row


def undelete(tenant: Tenant, by: str) -> Tenant:
    """Bring a deleted tenant back, active or suspended as it was."""
    with transition("undelete", tenant, by) as (row, _):
        if timezone.now() >= end_of_grace(row):
            reason = f"it was to be kept until {end_of_grace(row):%F}"
            raise IllegalTransition("undelete", row.slug, reason)
        row.status, row.status_before, row.deleted = row.status_before, "", None
        return row


def change(tenant: Tenant, by: str, **fields) -> Tenant:
    """Set the tenant's name, its organization, fields that the project added, or those in CHOICES.

    The log gets a line for each field. Raises InvalidName or InvalidField.
    """
    for name, value in fields.items():
        with transition("change", tenant, by) as (tenant, event):
            event.before = f"{name}: {getattr(tenant, name)}"
            if name == "name":
                values = {name: clean_name(Tenant, value)}
            elif name in CHOICES:
                values = {name: clean_field(Tenant._meta.get_field(name), value)}
            else:
                values = {name: value} if name == "organization" else clean_fields({name: value})
            for attname, valid in values.items():
                setattr(tenant, attname, valid)
            event.after = f"{name}: {getattr(tenant, name)}"
    return tenant


def transfer(tenant: Tenant, username: str, by: str) -> Tenant:
    """Give the tenant to another owner, by user name or e-mail. The old owner stays a member.

    Raises UnknownUser, or NoSeat if the new owner isn't a member.
    """
    return make_owner(tenant, username, by)
