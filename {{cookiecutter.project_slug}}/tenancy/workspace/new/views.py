"""“Name your workspace”: a person makes one by themselves, and gets into it."""

from datetime import timedelta

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from tenancy import hosts, lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import IllegalTransition, ProvisioningError, SlugTaken
from tenancy.lifecycle.provisioning import FAILED, in_background
from tenancy.limits import limit
from tenancy.models import SIGN_UP
from tenancy.workspace.new.addresses import problem_with, suggest
from tenancy.workspace.new.forms import NewWorkspaceForm
from tenancy.workspace.new.making import TooManyWorkspaces, make

Status = Tenant.Status
USUAL = timedelta(seconds=15)  # that a workspace takes at most, when all is well


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def new(request):
    if not request.user.is_verified:
        return render(request, "tenancy/workspaces/unconfirmed.html", status=403)
    form = NewWorkspaceForm(request.user, request.POST or None)
    if request.method == "POST" and form.is_valid():
        name, slug = form.cleaned_data["name"], form.cleaned_data["address"]
        try:
            tenant = form.existing or make(request, name, slug)
        except SlugTaken:
            form.add_error("address", problem_with(slug) or _("Choose another address."))
        except (ProvisioningError, TooManyWorkspaces) as error:
            form.add_error(None, str(error))
        else:
            return redirect("workspace-progress", tenant.slug)
    context = {"form": form, "host": hosts.host_of("")}
    return render(request, "tenancy/workspaces/new.html", context)


@never_cache
@login_required
@require_safe
def address(request):
    """Tell the script of the form, as JSON, what it may say below the address.

    `name` asks for a suggestion, `address` about that address.
    """
    limit("workspace-check", str(request.user.pk), "120/1m")
    if "name" in request.GET:
        slug, problem = suggest(request.GET["name"]), ""
    else:
        slug = request.GET.get("address", "")
        problem = problem_with(slug) if slug else ""
    free = _("“%(host)s” is free.") % {"host": hosts.host_of(slug)} if slug else ""
    return JsonResponse({"address": slug, "problem": problem, "message": problem or free})


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def progress(request, slug):
    """Show how far the person's new workspace is, and go into it when it is ready."""
    tenants = Tenant.all_objects.filter(origin=SIGN_UP, owner=request.user)
    tenant = get_object_or_404(tenants, slug=slug, status__in=(Status.PROVISIONING, Status.ACTIVE))
    if request.method == "POST" and tenant.status == Status.PROVISIONING:
        return HttpResponseRedirect(discard_or_go_on(request, tenant))
    is_ready = tenant.status == Status.ACTIVE
    has_failed = tenant.progress.startswith(FAILED)
    is_late = not is_ready and (has_failed or timezone.now() - tenant.modified > USUAL)
    context = {
        "tenant": tenant,
        "is_late": is_late,
        "needs_worker": settings.DEBUG and not is_ready and in_background(),
        "url": hosts.site_url(tenant.get_primary_domain().domain, "/sign-in/") if is_ready else "",
    }
    return render(request, "tenancy/workspaces/progress.html", context)


def discard_or_go_on(request, tenant: Tenant) -> str:
    """Do what the person chose for a workspace that isn't ready; return where to go."""
    by = request.user.get_username()
    limit("workspace-again", str(tenant.pk), "20/1h")
    try:
        if "discard" in request.POST:
            lifecycle.abandon(tenant, by)
            messages.success(request, _("%(workspace)s is discarded.") % {"workspace": tenant})
            return reverse("workspace-new")
        # The page gives it the usual time again.
        Tenant._base_manager.filter(pk=tenant.pk).update(progress="", modified=timezone.now())
        lifecycle.request_again(tenant, by)
    except (IllegalTransition, SlugTaken):
        messages.info(request, _("%(workspace)s is being made right now.") % {"workspace": tenant})
    return reverse("workspace-progress", args=[tenant.slug])
