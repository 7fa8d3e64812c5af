"""The changes of a tenant's state, owner and fields.

`by` is the name of the person or program for the log. Each function returns the tenant's row as it
is afterwards, and raises IllegalTransition where the tenant's state forbids the change.
"""

from django.utils import timezone

from tenancy import roles
from tenancy.concrete import Tenant
from tenancy.exceptions import IllegalTransition
from tenancy.lifecycle.reservation import check_name, clean_fields
from tenancy.people.finding import find_user
from tenancy.people.members import grant
from tenancy.states import end_of_grace, transition


def suspend(tenant: Tenant, by: str) -> Tenant:
    """Have the tenant's hosts answer 503 with a page that says so, until it is resumed."""
    with transition("suspend", tenant, by) as (row, _):
        return row


def resume(tenant: Tenant, by: str) -> Tenant:
    """Have a suspended tenant's hosts answer again."""
    with transition("resume", tenant, by) as (row, _):
        return row


def delete(tenant: Tenant, by: str) -> Tenant:
    """Have the tenant's hosts answer 410. Within TENANT_GRACE_DAYS `undelete` brings it back."""
    with transition("delete", tenant, by) as (row, event):
        row.status_before, row.deleted = event.before, timezone.now()
        return row


def undelete(tenant: Tenant, by: str) -> Tenant:
    """Bring a deleted tenant back, active or suspended as it was."""
    with transition("undelete", tenant, by) as (row, _):
        if timezone.now() >= end_of_grace(row):
            raise IllegalTransition(
                "undelete", row.slug, f"it was to be kept until {end_of_grace(row):%F}"
            )
        row.status, row.status_before, row.deleted = row.status_before, "", None
        return row


def change(tenant: Tenant, by: str, **fields) -> Tenant:
    """Set the tenant's name, its organization, or fields that the project added to its model.

    Raises InvalidName or InvalidField. The log has a line for each field.
    """
    for name, value in fields.items():
        with transition("change", tenant, by) as (tenant, event):
            event.before = f"{name}: {getattr(tenant, name)}"
            if name == "name":
                tenant.name = value.strip()
                check_name(Tenant, tenant.name)
            elif name == "organization":
                tenant.organization = value
            else:
                for attname, clean_value in clean_fields({name: value}).items():
                    setattr(tenant, attname, clean_value)
            event.after = f"{name}: {getattr(tenant, name)}"
    return tenant


def transfer(tenant: Tenant, username: str, by: str) -> Tenant:
    """Give the tenant to another owner, by user name or e-mail. The old owner stays a member.

    Raises UnknownUser.
    """
    with transition("transfer", tenant, by) as (row, event):
        old, new = row.owner, find_user(username, active=True)
        if new == old:
            raise IllegalTransition("transfer", row.slug, f"{new} owns it already")
        event.before, event.after = str(old), str(new)
        row.owner = new
        grant(row, old, roles.MEMBER)
        grant(row, new, roles.OWNER)
        return row
