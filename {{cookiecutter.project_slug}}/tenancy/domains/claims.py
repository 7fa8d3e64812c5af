"""Claims of hosts: made, checked in the DNS, verified, lost and given up.

`by` is the name of the person or program for the log. What the DNS says is asked for before any row
is locked, and is acted on under a lock, so two checks at once do no more than one.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import hosts
from tenancy.concrete import Tenant
from tenancy.domains import names
from tenancy.domains.lookup import Lookup, LookupFailed
from tenancy.emails import send_email
from tenancy.exceptions import HostTaken, InvalidHost
from tenancy.history import record
from tenancy.lifecycle import add_domain, remove_domain, rename
from tenancy.models import DomainClaim, Status

MOST = 20  # claims of a workspace
PATIENCE = timedelta(days=7)  # how long a new claim is checked without being asked for
KEPT = timedelta(days=30)  # an unverified claim

MISSING, OTHER, UNREACHABLE, TAKEN = "missing", "other", "unreachable", "taken"
PROBLEMS = {
    MISSING: gettext_noop(
        "We don't find the TXT record yet. It can take an hour until a new record is seen."
    ),
    OTHER: gettext_noop("The TXT record has another value."),
    UNREACHABLE: gettext_noop("The domain's DNS servers don't answer, or answer with an error."),
    TAKEN: gettext_noop(
        "Another workspace has this domain. Remove it there, or delete the other workspace's TXT"
        " record, and the domain becomes free after a while."
    ),
}

logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """What the DNS says: the problem with the record, if any, and whether the host leads here.

    None for what it doesn't say.
    """

    problem: str
    leads_here: bool | None


def claim(tenant: Tenant, text: str, by: str, *, as_primary: bool = False) -> DomainClaim:
    """Note that the workspace wants the host that a customer has typed.

    Raises InvalidHost, also if the workspace has the host or claims it already, or too many.
    """
    host = names.clean_host(text)
    with in_public():
        tenant = Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
        claims = DomainClaim.objects.filter(tenant=tenant)
        if tenant.domains.filter(domain=host).exists() or claims.filter(host=host).exists():
            raise InvalidHost(_("“%(host)s” is in the list already.") % {"host": names.shown(host)})
        if claims.count() >= MOST:
            raise InvalidHost(
                _("A workspace can have %(most)d domains of its own.") % {"most": MOST}
            )
        record("claim domain", tenant, by, after=host)
        return DomainClaim.objects.create(
            tenant=tenant,
            host=host,
            label=names.label(),
            token=secrets.token_urlsafe(18),
            as_primary=as_primary,
        )


def check(claim: DomainClaim, by: str) -> DomainClaim | None:
    """Ask the DNS, and act on what it says; return the claim's row, None if it is gone.

    The workspace gets the host if the record is there. If the record of a verified domain is gone,
    its owner is told, and after DOMAIN_GRACE_DAYS the domain is given up.
    """
    found = ask(claim)
    try:
        with locked(claim) as row:
            if row is None:
                return None
            row.checked, row.problem = timezone.now(), found.problem
            row.leads_here = found.leads_here
            if row.verified:
                recheck(row, by)
            elif not found.problem:
                verify(row, by)
            if row.pk:
                row.save()
            return row if row.pk else None
    except HostTaken:
        rows = DomainClaim.objects.filter(pk=claim.pk)
        rows.update(checked=timezone.now(), problem=TAKEN, leads_here=found.leads_here)
        return rows.first()


def ask(claim: DomainClaim) -> Found:
    problem, leads_here = "", None
    wanted = names.proof(claim)
    try:
        lookup = Lookup()
        texts = lookup.texts(wanted.name)
        if wanted.value not in texts:
            problem = OTHER if texts else MISSING
    except LookupFailed as error:
        logger.info("Domain %s: %s", claim.host, error)
        return Found(UNREACHABLE, None)
    try:
        leads_here = lookup.leads_here(claim.host)
    except LookupFailed as error:
        logger.info("Domain %s: %s", claim.host, error)
    return Found(problem, leads_here)


def verify(row: DomainClaim, by: str) -> None:
    """Let the host lead to the workspace. Raises HostTaken: the first with its record has it."""
    is_primary = bool(row.as_primary and row.leads_here)
    add_domain(row.tenant, row.host, by, is_primary=is_primary)
    row.verified = timezone.now()
    row.as_primary = row.as_primary and not is_primary
    if by != row.tenant.owner.get_username():  # the owner sees it on the page
        mail("domain_verified", row)


def recheck(row: DomainClaim, by: str) -> None:
    """Act on what was found about a verified domain. An answer that fails says nothing."""
    domain = row.tenant.domains.filter(domain=row.host).first()
    if domain is None:  # removed in the admin
        row.delete()
    elif not row.problem:
        row.lost = None
        if row.as_primary and row.leads_here and row.tenant.status != Status.DELETED:
            row.as_primary = False
            rename(row.tenant, by, domain=row.host)
    elif row.problem in (MISSING, OTHER):
        if row.lost is None:
            row.lost = timezone.now()
            record("miss domain", row.tenant, by, before=row.host)
            mail("domain_lost", row)
        elif timezone.now() >= end_of_grace(row):
            mail("domain_given_up", row)
            give_up(row, by)


def give_up(row: DomainClaim, by: str) -> None:
    """Let a verified host lead nowhere. The workspace's own address becomes primary, if need be.

    Sessions at the host and codes for it end in the same transaction, before anybody else can
    verify it.
    """
    remove_domain(row.tenant, row.host, by, fall_back=True)  # and the claim
    row.pk = None


def remove(claim: DomainClaim, by: str) -> None:
    """Take back a claim, or give up a verified domain. Raises LifecycleError."""
    with locked(claim) as row:
        if row is None:
            return
        if row.verified and row.tenant.domains.filter(domain=row.host).exists():
            give_up(row, by)
            return
        record("withdraw claim", row.tenant, by, before=row.host)
        row.delete()


def make_primary(tenant: Tenant, host: str, by: str) -> Tenant:
    """Let the other hosts of the workspace redirect to this one.

    Raises InvalidHost if visitors of a customer's domain don't come to us.
    """
    domain = tenant.domains.filter(domain=host).first()
    if domain is None or not (host == hosts.host_of(tenant.slug) or not hosts.is_ours(host)):
        raise InvalidHost(_("“%(host)s” is not a domain of this workspace.") % {"host": host[:253]})
    if not hosts.is_ours(host) and domain.secure_since is None and not does_lead_here(host):
        message = _("“%(host)s” doesn't lead here yet, so nobody would reach this workspace.")
        raise InvalidHost(message % {"host": names.shown(host)})
    return rename(tenant, by, domain=host)


def does_lead_here(host: str) -> bool:
    try:
        return Lookup().leads_here(host)
    except LookupFailed as error:
        logger.info("Domain %s: %s", host, error)
        return False


def due() -> QuerySet[DomainClaim]:
    """Return the claims to check now, those that have waited for longest first.

    A new claim is checked every ten minutes, after an hour each hour, and after PATIENCE only when
    a person asks for it. A verified domain is checked each week, one whose record is gone each day;
    these also of a deleted workspace, which would otherwise keep its domain from others.
    """
    now = timezone.now()
    hour, day, week = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
    answering = Q(tenant__status__in=(Status.ACTIVE, Status.SUSPENDED))
    claimed, verified = answering & Q(verified=None), Q(verified__isnull=False)
    young, middle = Q(created__gt=now - hour), Q(created__gt=now - PATIENCE)
    is_due = (
        claimed & Q(checked=None)
        | claimed & young & Q(checked__lt=now - timedelta(minutes=10))
        | claimed & middle & Q(checked__lt=now - hour)
        | verified & Q(checked__lt=now - week)
        | verified & Q(lost__isnull=False, checked__lt=now - day)
    )
    rows = DomainClaim.objects.exclude(tenant__status=Status.PURGING)
    return rows.filter(is_due).order_by("checked", "pk")


def delete_old() -> None:
    """Delete the claims that nobody has proved."""
    rows = DomainClaim.objects.filter(verified=None, created__lt=timezone.now() - KEPT)
    rows.delete()


def end_of_grace(row: DomainClaim):
    """Return when a domain is given up, whose record is gone."""
    return row.lost + timedelta(days=getattr(settings, "DOMAIN_GRACE_DAYS", 14))


# Steps


@contextmanager
def in_public() -> Iterator[None]:
    """Begin a transaction in the public schema."""
    with schema_context(get_public_schema_name()), transaction.atomic():
        yield


@contextmanager
def locked(claim: DomainClaim) -> Iterator[DomainClaim | None]:
    """Begin a transaction in public; yield the claim's locked row, None if it is gone.

    The tenant's row is locked first, as in transitions.
    """
    with in_public():
        tenants = Tenant.all_objects.select_for_update(no_key=True)
        tenant = tenants.filter(pk=claim.tenant_id).first()
        row = DomainClaim.objects.select_for_update().filter(pk=claim.pk).first()
        if row:
            row.tenant = tenant
        yield row


def mail(name: str, row: DomainClaim) -> None:
    """Send the e-mail to the workspace's owner after the commit."""
    context = {
        "workspace": row.tenant.name,
        "host": names.shown(row.host),
        "record": names.proof(row),
        "until": end_of_grace(row) if row.lost else None,
        "url": hosts.site_url(hosts.host_of(row.tenant.slug), "/workspace/domains/"),
    }
    send = partial(send_email, name, row.tenant.owner.email, context)
    transaction.on_commit(send, robust=True)
