"""A person's account on the main website, beside the pages that django-allauth has."""

from allauth.account.decorators import reauthentication_required
from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import auth, messages
from django.contrib.auth.decorators import login_not_required, login_required
from django.db.models import Q
from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_tenants.utils import get_public_schema_name

from tenancy import hosts
from tenancy.concrete import Domain, Tenant, User
from tenancy.exceptions import OwnsTenant
from tenancy.factors import set_up_by
from tenancy.models import SIGN_UP
from tenancy.people import accounts, failed
from tenancy.people.account.export import data_of
from tenancy.people.account.forms import DeleteForm, ProfileForm
from tenancy.people.handover.sessions import opened_from
from tenancy.people.members import remove_member
from tenancy.people.social.connections import connections_of

# In this order, because most browsers claim to be others as well.
BROWSERS = {
    "Edg": "Edge",
    "OPR": "Opera",
    "Firefox": "Firefox",
    "Chrome": "Chrome",
    "Safari": "Safari",
}
SYSTEMS = {
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Windows": "Windows",
    "Mac OS": "Mac",
    "Linux": "Linux",
}


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def account(request):
    form = ProfileForm(request.POST or None, instance=request.user)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, _("Saved."))
        return redirect("account")
    context = {
        "form": form,
        "addresses": EmailAddress.objects.filter(user=request.user).order_by("-primary", "email"),
        "connections": connections_of(request.user),
        "second_factors": [each["kind"] for each in set_up_by(request.user)],
        "failed": failed.before_and_since(request),
        "workspaces": workspaces_of(request),
    }
    return render(request, "tenancy/account/account.html", context)


def workspaces_of(request) -> list[dict]:
    """Return the workspaces of the person who asks; see `workspaces_for`."""
    return workspaces_for(request.user)


def workspaces_for(user: User) -> list[dict]:
    """Return the person's workspaces that answer, and those that they began to make.

    Each is a dictionary: `tenant`, `url`, `is_owner`, and `is_ready`, without which the URL is that
    of the page to go on.
    """
    answering = Q(tenant__in=user.tenants.all(), tenant__status=Tenant.Status.ACTIVE)
    begun = Q(tenant__owner=user, tenant__status=Tenant.Status.PROVISIONING, tenant__origin=SIGN_UP)
    domains = Domain.objects.filter(answering | begun, is_primary=True)
    domains = domains.exclude(tenant__schema_name=get_public_schema_name())
    return [
        {
            "tenant": domain.tenant,
            "host": domain.domain,
            "url": url_of(domain),
            "is_owner": domain.tenant.owner_id == user.pk,
            "is_ready": domain.tenant.status == Tenant.Status.ACTIVE,
        }
        for domain in domains.select_related("tenant").order_by("tenant__name", "pk")
    ]


def url_of(domain: Domain) -> str:
    """Return where a person goes who chooses the workspace in a list."""
    if domain.tenant.status == Tenant.Status.ACTIVE:
        # Who chooses it wants to be in it, and is signed in at the main website.
        return hosts.site_url(domain.domain, "/sign-in/")
    return hosts.main_website_url(f"/workspaces/new/{domain.tenant.slug}/")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sessions(request):
    """List the person's sessions at the main website, and end one or all others.

    With a session end those that it opened in workspaces.
    """
    if request.method == "POST":
        others = UserSession.objects.filter(user=request.user)
        if pk := request.POST.get("session"):
            others = others.filter(pk=pk if pk.isdecimal() else None)
        for session in others.exclude(session_key=request.session.session_key):
            session.end()
        return redirect("account-sessions")
    listed = UserSession.objects.purge_and_list(request.user)
    opened = opened_from(session.session_key for session in listed)
    for session in listed:
        session.opened = opened.get(session.session_key, [])
        session.browser = browser_of(session.user_agent)
    return render(request, "tenancy/account/sessions.html", {"sessions": listed})


def browser_of(user_agent: str) -> str:
    """Return what a person calls the browser, such as “Firefox, Linux”."""
    found = [
        next((name for token, name in names.items() if token in user_agent), None)
        for names in (BROWSERS, SYSTEMS)
    ]
    return ", ".join(filter(None, found)) or user_agent[:60]


@login_required
@require_POST
def leave(request):
    """End the person's membership of a workspace, which they asked for themselves."""
    tenant = get_object_or_404(
        Tenant.objects.active(), slug=request.POST.get("slug", ""), user_set=request.user
    )
    name = request.user.get_username()
    try:
        remove_member(tenant, name, by=name)
    except OwnsTenant:
        text = _("You own %(workspace)s. Hand it over to another person before you leave.")
        messages.error(request, text % {"workspace": tenant})
    else:
        messages.success(request, _("You have left %(workspace)s.") % {"workspace": tenant})
    return redirect("account")


@never_cache
@login_required
@reauthentication_required(app="allauth.account")
@require_safe
def export(request):
    response = JsonResponse(data_of(request.user), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = 'attachment; filename="my-data.json"'
    return response


@never_cache
@login_required
@reauthentication_required(app="allauth.account")
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request):
    """Deactivate and anonymise the person. What they wrote in workspaces stays."""
    owned = accounts.owned(request.user)
    form = DeleteForm(request.user, request.POST or None)
    if request.method == "POST" and not owned and form.is_valid():
        user = request.user
        accounts.deactivate(user.get_username(), by=user.get_username())
        accounts.anonymise(user.get_username(), by=accounts.gone(user))
        auth.logout(request)
        messages.success(request, _("Your account is deleted."))
        return redirect("home")
    return render(request, "tenancy/account/delete.html", {"form": form, "owned": owned})


def page(name: str):
    @login_not_required
    @require_safe
    def view(request):
        return render(request, f"tenancy/account/{name}.html", {"version": settings.TERMS_VERSION})

    return view


terms, privacy = page("terms"), page("privacy")


@login_not_required
@require_safe
def change_password(request):
    """Lead a password manager, which asks any host for this, to the page of the main website."""
    return HttpResponseRedirect(hosts.main_website_url("/account/password/change/"))


@login_not_required
@require_safe
def account_elsewhere(request):
    """Lead from a workspace to the person's account on the main website."""
    return HttpResponseRedirect(hosts.main_website_url("/account/"))


@login_not_required
@require_safe
def workspaces_elsewhere(request):
    """Lead from a workspace to the list of the person's workspaces on the main website."""
    return HttpResponseRedirect(hosts.main_website_url("/workspaces/"))
