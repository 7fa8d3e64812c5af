"""The commands that call one function for a tenant or a person, as a table."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from django.db import transaction
from django_tenants.utils import get_public_schema_name

from tenancy import copies, hosts, lifecycle, roles
from tenancy.copies.places import archive_at
from tenancy.emails import send_email
from tenancy.management.base import LifecycleCommand, TenantCommand, flag, text
from tenancy.people import accounts, members
from tenancy.states import end_of_grace


class Call(NamedTuple):
    """Call `function` with the tenant, if any, the values of `arguments`, and `by`; print `done`.

    `done` may use what the function got, and its `result`.
    """

    function: Callable
    help: str
    done: str
    arguments: dict[str, dict] = {}
    base: type[LifecycleCommand] = TenantCommand


def delete(tenant, by, noinput):
    return end_of_grace(lifecycle.delete(tenant, by))


def add_member(tenant, username, role, by):
    """Add the member, and tell the tenant's owner about it."""
    user = members.find_user(username, active=True)
    before = members.role_of(tenant, user)
    members.add_member(tenant, username, role, by=by)
    if before is None and tenant.schema_name != get_public_schema_name():
        context = {
            "person": user.name or user.get_username(),
            "email": user.email,
            "workspace": tenant.name,
            "role": roles.assignable_roles()[role],
            "url": hosts.site_url(tenant.get_primary_domain().domain, "/workspace/people/"),
        }
        mail = partial(send_email, "member_added", tenant.owner.email, context, tenant)
        transaction.on_commit(mail, robust=True)


def rename(tenant, by, name, new_slug, domain):
    renamed = lifecycle.rename(tenant, by, name=name, slug=new_slug, domain=domain)
    return renamed.get_primary_domain()


def restore_rows(tenant, by, path, table, overwrite):
    with archive_at(path) as file:
        return copies.restore_rows(tenant, file, table, by, overwrite=overwrite)


HOST = {"host": text("like workspace.example.com")}
USERNAME = {"username": text("a user name or e-mail")}

CALLS = {
    "suspend_tenant": Call(
        lifecycle.suspend,
        "Make a tenant's hosts answer 503, until `resume_tenant`.",
        "“{tenant.slug}” is suspended.",
    ),
    "resume_tenant": Call(
        lifecycle.resume,
        "Make a suspended tenant's hosts answer again.",
        "“{tenant.slug}” is active.",
    ),
    "delete_tenant": Call(
        delete,
        "Make a tenant's hosts answer 410. `undelete_tenant` brings all of it back within"
        " TENANT_GRACE_DAYS; `purge_tenant` removes it for good.",
        "“{tenant.slug}” is deleted, and kept until {result:%F}.",
        {"--noinput --no-input": flag("for callers of the library's command; it never asks")},
    ),
    "undelete_tenant": Call(
        lifecycle.undelete,
        "Bring a deleted tenant back, active or suspended as it was.",
        "“{tenant.slug}” is {result.status}.",
    ),
    "purge_tenant": Call(
        lifecycle.purge,
        "Remove a deleted tenant for good, with its schema and uploads, after TENANT_GRACE_DAYS."
        " Run it again if it was interrupted.",
        "“{tenant.slug}” is purged.",
        {"--now": flag("before the grace period is over")},
    ),
    "rename_tenant": Call(
        rename,
        "Change a tenant's name, slug or primary domain. Prints its host name.",
        "{result}",
        {
            "--name": text("the new name for people"),
            "--new-slug": text("the new slug; the host name changes with it"),
            "--domain": text("the new primary domain"),
        },
    ),
    "transfer_tenant": Call(
        lifecycle.transfer,
        "Give a tenant to another owner. The old owner stays a member.",
        "“{tenant.slug}” is {result.owner}'s.",
        {"--to": text("a user name or e-mail", dest="username", required=True)},
    ),
    "add_domain": Call(
        lifecycle.add_domain,
        "Add a host name to a tenant. Prints it as it is stored.",
        "{result}",
        HOST | {"--primary": flag("the other host names redirect to it", dest="is_primary")},
    ),
    "remove_domain": Call(
        lifecycle.remove_domain,
        "Remove a host name from a tenant. The primary one stays.",
        "{result} is removed.",
        HOST,
    ),
    "backup_tenant": Call(
        copies.backup,
        "Write a tenant to a file: schema, rows, members, uploads. It may be in use meanwhile.",
        "“{tenant.slug}” is in {result}.",
        {"path": text("such as evilcorp.zip"), "--overwrite": flag("replace an existing file")},
    ),
    "restore_rows": Call(
        restore_rows,
        "Bring the rows of one table back out of a tenant's archive: those that are missing.",
        "{result} rows of {table} are written.",
        {
            "path": text("a file that `backup_tenant` wrote, or a name that `archives` prints"),
            "table": text("such as notes_note"),
            "--overwrite": flag("rows that are there get the archive's values, too"),
        },
    ),
    "add_member": Call(
        add_member,
        "Add a person to a tenant, and tell its owner; or change a member's role.",
        "“{username}” is {role} of “{tenant.slug}”.",
        USERNAME
        | {"--role": text(f"one of {', '.join(roles.assignable_roles())}", default=roles.MEMBER)},
    ),
    "remove_member": Call(
        members.remove_member,
        "End a person's membership of a tenant, and their sessions there.",
        "“{username}” is not a member of “{tenant.slug}” any more.",
        USERNAME,
    ),
    "deactivate_user": Call(
        accounts.deactivate,
        "End a person's sessions and memberships everywhere. Run it again if it was interrupted.",
        "“{username}” can't sign in any more, and belongs to no tenant.",
        USERNAME,
        LifecycleCommand,
    ),
    "reactivate_user": Call(
        accounts.reactivate,
        "Let a deactivated person sign in again. They are a member of no tenant.",
        "“{username}” can sign in again, once a password is set.",
        USERNAME,
        LifecycleCommand,
    ),
    "reset_mfa": Call(
        accounts.reset_mfa,
        "Take away the second factors and passkeys of a person who has lost them, and end their"
        " sessions. Make sure first that it is the person who asks.",
        "“{username}” signs in without a second factor, and was told so by e-mail.",
        USERNAME,
        LifecycleCommand,
    ),
    "anonymise_user": Call(
        accounts.anonymise,
        "Erase a deactivated person's name and e-mail for good.",
        "“{username}” is anonymised.",
        USERNAME,
        LifecycleCommand,
    ),
}


def command(name: str) -> type[LifecycleCommand]:
    """Return the command class of a name in CALLS."""
    call = CALLS[name]

    class Command(call.base):
        help = call.help
        arguments = call.arguments
        stealth_options = ("interactive",)  # callers of the library's `delete_tenant` pass it

        def perform(self, **values):
            result = call.function(**values)
            return call.done.format(result=result, **values)

    return Command
