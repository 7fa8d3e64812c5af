"""A workspace's history in words for customers: which lines they see, and what each one says."""

from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from tenancy import roles, support
from tenancy.concrete import Tenant, added_fields
from tenancy.models import TenantEvent


class Kind(NamedTuple):
    """Actions that people look for together, each with its sentence.

    A sentence may use `by`, `person`, `before` and `after`.
    """

    label: str
    sentences: dict[str, str]


KINDS = {
    "people": Kind(
        _("People and roles"),
        {
            "invite": _("%(by)s invited %(person)s as %(after)s."),
            "resend invitation": _("%(by)s sent the invitation of %(person)s again."),
            "revoke invitation": _("%(by)s revoked the invitation of %(person)s."),
            "accept invitation": _("%(person)s accepted an invitation as %(after)s."),
            "add member": _("%(by)s added %(person)s as %(after)s."),
            "change role": _("%(by)s changed the role of %(person)s from %(before)s to %(after)s."),
            "remove member": _("%(by)s ended the membership of %(person)s."),
            "transfer": _("%(by)s handed the workspace over from %(before)s to %(after)s."),
        },
    ),
    "sign-ins": Kind(
        _("Sign-ins"),
        {
            "sign in": _("%(by)s signed in."),
            "refuse sign-in": _("A sign-in was refused: %(after)s."),
        },
    ),
    "keys": Kind(
        _("Keys"),
        {
            "make key": _("%(by)s made the key “%(after)s” with the role %(before)s."),
            "revoke key": _("%(by)s revoked the key “%(after)s”."),
        },
    ),
    "data": Kind(
        _("Data"),
        {
            "export": _("%(by)s asked for an export of all data."),
            "download export": _("%(by)s downloaded an export of all data."),
            "ask for backup": _("%(by)s asked for a backup."),
            "drop archive": _("%(by)s removed the backup of %(before)s."),
            "make workspace from data": _(
                "%(by)s asked for a new workspace, %(after)s, with the data of this one."
            ),
        },
    ),
    "domains": Kind(
        _("Domains"),
        {
            "claim domain": _("%(by)s claimed the domain %(after)s."),
            "withdraw claim": _("%(by)s withdrew the claim of the domain %(before)s."),
            "add domain": _("%(by)s added the domain %(after)s."),
            "miss domain": _("The DNS record of the domain %(before)s was gone."),
            "remove domain": _("%(by)s removed the domain %(before)s."),
        },
    ),
    "support": Kind(
        _("Support"),
        {
            support.ALLOW: _("%(by)s allowed support to read until %(after)s."),
            support.END: _("%(by)s ended support's access."),
            support.EXPIRE: _("Support's access ended on %(after)s."),
            support.ENTER: _("%(by)s entered as support."),
            support.LEAVE: _("%(by)s left as support."),
            support.ASK: _("%(by)s asked for access as support."),
        },
    ),
    "workspace": Kind(
        _("The workspace"),
        {
            "provision": _("%(by)s made the workspace."),
            "clone": _("%(by)s made the workspace, as a copy of another one."),
            "restore": _("%(by)s made the workspace, from a backup."),
            "rename": _("%(by)s changed the name or the address from %(before)s to %(after)s."),
            "change": _("%(by)s changed the %(field)s from “%(before)s” to “%(after)s”."),
            "suspend": _("%(by)s suspended the workspace."),
            "resume": _("%(by)s opened the workspace again."),
            "delete": _("%(by)s deleted the workspace."),
            "undelete": _("%(by)s brought the workspace back."),
        },
    ),
}
OTHER = "other"

# These are the operator's alone. They say nothing to a customer.
HIDDEN = ("rename schema", "create schema", "move", "back up", "purge", "abandon")
# In `by`, where no person did it.
PROGRAMS = ("manage.py", "beat")
OF_ROLES = ("invite", "accept invitation", "add member", "change role", "make key")
REASONS = {
    "code": _("the link was used before, was too old, or belongs to another browser"),
    "no member": _("the person is not a member"),
    "second factor": _("the person has to set up two-step sign-in first"),
}


def own_sentences() -> dict[str, str | None]:
    """Return the sentences for the project's own actions, None for those that are hidden."""
    return getattr(settings, "TENANCY_HISTORY", {})


def all_sentences() -> dict[str, str | None]:
    engine = {}
    for kind in KINDS.values():
        engine |= kind.sentences
    return engine | own_sentences()


def kinds() -> list[tuple[str, str]]:
    """Return the kinds of actions, for a form."""
    other = pgettext_lazy("kind of action", "Other")
    return [*((name, kind.label) for name, kind in KINDS.items()), (OTHER, other)]


def of_kind(name: str) -> Q:
    if name in KINDS:
        return Q(action__in=KINDS[name].sentences)
    known = [action for kind in KINDS.values() for action in kind.sentences]
    return ~Q(action__in=known)


def shown() -> Q:
    """Return a filter for the lines that customers see.

    The fields that the project added to its tenants, such as a plan, are the operator's, and so is
    the organization.
    """
    hidden = [*HIDDEN, *(action for action, text in own_sentences().items() if text is None)]
    hidden = Q(action__in=hidden)
    for name in ("organization", *(field.name for field in added_fields(Tenant))):
        hidden |= Q(action="change", before__startswith=f"{name}: ")
    return ~hidden


def sentence(event: TenantEvent) -> str:
    """Return what the line says, in the current language."""
    values = {
        "by": settings.PROJECT_NAME if event.by in PROGRAMS else event.by,
        "person": event.username,
        "before": event.before,
        "after": event.after,
    }
    if event.action in OF_ROLES:
        values |= {name: label_of(values[name]) for name in ("before", "after")}
    if event.action == "refuse sign-in":
        values["after"] = REASONS.get(event.after, event.after)
    if event.action == "change":
        values |= change_of_field(event)
    return (template_of(event) or in_short(event)) % values


def template_of(event: TenantEvent) -> str | None:
    """Return the sentence of the action, which may depend on what was changed."""
    if event.action == "refuse sign-in" and event.username:
        return gettext("A sign-in of %(person)s was refused: %(after)s.")
    if event.action == support.ALLOW and event.before == support.WRITE:
        return gettext("%(by)s allowed support to read and write until %(after)s.")
    if event.action == "rename" and not event.before:
        return gettext("%(by)s added the domain %(after)s.")
    if event.action == "rename" and event.after == "removed":
        return gettext("%(by)s removed the domain %(before)s.")
    if event.action == "change" and "change" not in own_sentences():
        return template_of_change(event)
    return all_sentences().get(event.action)


def template_of_change(event: TenantEvent) -> str:
    """Return the sentence for a field that was empty, or is now. A logo is no text to quote."""
    name, _colon, before = event.before.partition(": ")
    after = event.after.partition(": ")[2]
    if name == "logo_file":
        return gettext("%(by)s changed the logo.") if after else gettext("%(by)s removed the logo.")
    if not before:
        return gettext("%(by)s set the %(field)s to “%(after)s”.")
    if not after:
        return gettext("%(by)s removed the %(field)s “%(before)s”.")
    return KINDS["workspace"].sentences["change"]


def in_short(event: TenantEvent) -> str:
    """Return a template for an action that nobody has described."""
    change = " → ".join(f"%({name})s" for name in ("before", "after") if getattr(event, name))
    parts = [f"%(by)s: {gettext(event.action).replace('%', '%%')}"]
    return ", ".join([*parts, *["%(person)s"] * bool(event.username), *filter(None, [change])])


def change_of_field(event: TenantEvent) -> dict:
    """Return what `tenancy.lifecycle.change` has logged as “name: before” and “name: after”."""
    name, _colon, before = event.before.partition(": ")
    try:
        label = Tenant._meta.get_field(name).verbose_name
    except FieldDoesNotExist:
        label = name
    return {"field": label, "before": before, "after": event.after.partition(": ")[2]}


def label_of(role: str) -> str:
    return roles.all_roles().get(role, {}).get("label", role)
