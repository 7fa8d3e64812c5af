"""The settings of a workspace: its name, look and language, and its address."""

from functools import partial

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from tenancy import hosts, lifecycle, roles
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError
from tenancy.limits import give_back, limit
from tenancy.people.confirmation import confirmed
from tenancy.workspace.access import (
    at_present_host,
    attempt,
    for_managers,
    for_the_owner,
    refusals_to,
)
from tenancy.workspace.settings.forms import AddressForm, ColourForm, GeneralForm, LogoForm

FORMS = {"general": GeneralForm, "logo": LogoForm, "colour": ColourForm}


@for_managers
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request):
    """Show the forms. Each is sent alone, and named by `section`."""
    forms = {name: form(request.tenant) for name, form in FORMS.items()}
    section = request.POST.get("section")
    if section in forms:
        form = forms[section] = FORMS[section](request.tenant, request.POST, request.FILES)
        if form.is_valid():
            save = partial(form.save, request.user.get_username())
            return attempt(request, save, "workspace-settings")
    context = forms | {
        "is_owner": request.user.membership.role == roles.OWNER,
        "host": request.tenant.get_primary_domain().domain,
    }
    return render(request, "tenancy/workspace/settings.html", context)


@for_the_owner
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
def address(request):
    """Give the workspace another address. The former one redirects."""
    form = AddressForm(request.tenant, request.POST or None)
    if request.method == "POST" and form.is_valid() and (moved := move(request, form)):
        text = _("The address is %(host)s now.") % {"host": hosts.host_of(moved.slug)}
        messages.success(request, text)
        return at_present_host(request, redirect("workspace-settings"))
    context = {"form": form, "suffix": hosts.host_of("")}
    return render(request, "tenancy/workspace/address.html", context)


def move(request, form: AddressForm) -> Tenant | None:
    """Rename the tenant and return it, or None with the reason in the form."""
    use = "workspace-move", request.tenant.schema_name
    by, slug = request.user.get_username(), form.cleaned_data["address"]
    with refusals_to(partial(form.add_error, None)):
        limit(*use, "3/1d")
        try:
            return lifecycle.rename(request.tenant, by, slug=slug)
        except LifecycleError:
            give_back(use)
            raise
    return None
