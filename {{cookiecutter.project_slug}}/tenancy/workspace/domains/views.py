"""The domains of a workspace: the owner adds one of their own, and says which is the address."""

from functools import partial

from django.contrib import messages
from django.db.models import F
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from tenancy import hosts
from tenancy.domains import claims, names
from tenancy.exceptions import LifecycleError
from tenancy.limits import limit
from tenancy.models import DomainClaim
from tenancy.people.confirmation import confirmed
from tenancy.workspace.access import at_present_host, attempt, for_the_owner, form_on, refusals_to
from tenancy.workspace.domains.forms import DomainForm

PAGE = "workspace-domains"


@for_the_owner
@require_safe
def domains(request):
    """Show the domains, and those that wait for their DNS records."""
    context = {"domains": domains_of(request.tenant), "claims": claims_of(request)}
    return render(request, "tenancy/workspace/domains.html", context)


@for_the_owner
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request):
    """Claim a domain. It has a page of its own, which asks before the person fills it in."""
    form = DomainForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        host, as_primary = form.cleaned_data["host"], form.cleaned_data["as_primary"]
        with refusals_to(partial(form.add_error, "host")):
            made = claims.claim(request.tenant, host, name_of(request), as_primary=as_primary)
            text = _("Set the DNS records of %(host)s now. Then press “Check now”.")
            messages.success(request, text % {"host": names.shown(made.host)})
            return redirect(f"{reverse(PAGE)}#claim-{made.pk}")
    return render(request, "tenancy/workspace/new_domain.html", {"form": form})


def domains_of(tenant) -> list:
    """Return the hosts that lead to the workspace, the primary one first."""
    rows = [*tenant.domains.order_by("-is_primary", "redirects", "domain")]
    for row in rows:
        is_own = not hosts.is_ours(row.domain)
        row.shown = names.shown(row.domain)
        row.url = hosts.site_url(row.domain)
        row.may_be_primary = not row.is_primary and (
            is_own or row.domain == hosts.host_of(tenant.slug)
        )
    return rows


def claims_of(request) -> list[DomainClaim]:
    rows = DomainClaim.objects.filter(tenant=request.tenant)
    rows = [*rows.order_by(F("verified").asc(nulls_first=True), "host")]
    for row in rows:
        row.shown = names.shown(row.host)
        row.records = [names.proof(row), *names.way(row.host)]
        row.message = _(claims.PROBLEMS[row.problem]) if row.problem else ""
        row.until = claims.end_of_grace(row) if row.lost else None
    return rows


@for_the_owner
@form_on(PAGE)
def check(request, pk):
    """Look the DNS records up now."""
    claim = find(request, pk)

    def look_up():
        count(request)
        row = claims.check(claim, name_of(request))
        sign_out_if_gone(request, claim)
        if row is None:
            return _("%(host)s is removed.") % {"host": names.shown(claim.host)}
        if row.problem:
            raise LifecycleError(_(claims.PROBLEMS[row.problem]))
        return _("%(host)s leads to this workspace.") % {"host": names.shown(row.host)}

    return at_present_host(request, attempt(request, look_up, PAGE))


@for_the_owner
@confirmed(minutes=10)
@form_on(PAGE)
def remove(request, pk):
    claim = find(request, pk)

    def end():
        claims.remove(claim, name_of(request))
        sign_out_if_gone(request, claim)
        return _("%(host)s is removed.") % {"host": names.shown(claim.host)}

    return at_present_host(request, attempt(request, end, PAGE))


@for_the_owner
@confirmed(minutes=10)
@form_on(PAGE)
def primary(request):
    """Make another domain the workspace's address."""
    host = request.POST.get("host", "")

    def change():
        count(request)
        claims.make_primary(request.tenant, host, name_of(request))
        return _("%(host)s is the address of this workspace now.") % {"host": names.shown(host)}

    return at_present_host(request, attempt(request, change, PAGE))


def count(request) -> None:
    """Count a question to the DNS. Raises RateLimited."""
    limit("domain-check", request.tenant.schema_name, "60/1h")


def sign_out_if_gone(request, claim: DomainClaim) -> None:
    """A session ends with the domain that it is for, and can't be saved any more."""
    is_here = hosts.normalise_host(request.get_host()) == claim.host
    if is_here and not request.tenant.domains.filter(domain=claim.host).exists():
        request.session.flush()


def find(request, pk) -> DomainClaim:
    return get_object_or_404(DomainClaim, pk=pk, tenant=request.tenant)


def name_of(request) -> str:
    return request.user.get_username()
