"""Support: the owner lets operators of this site into the workspace, and sees what they did."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from tenancy import support
from tenancy.lifecycle.schema_names import all_names
from tenancy.models import TenantEvent
from tenancy.people.confirmation import confirmed
from tenancy.workspace.access import for_the_owner, form_on
from tenancy.workspace.history.sentences import sentence
from tenancy.workspace.support.forms import AllowForm

PAGE = 20  # lines


@for_the_owner
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
def allow(request):
    """Show the grant and the history, and let operators in."""
    form = AllowForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        lasts, may_write = form.cleaned_data["hours"], form.cleaned_data["may_write"]
        support.allow(request.tenant, request.user, lasts, may_write=may_write)
        messages.success(request, _("Support may enter this workspace now."))
        return redirect("workspace-support")
    grant = support.current_grant(request.tenant)
    steps = TenantEvent.objects.filter(
        schema_name__in=all_names(request.tenant.schema_name), action__in=support.STEPS
    )
    page = Paginator(steps, PAGE).get_page(request.GET.get("page"))
    for step in page:
        step.sentence = sentence(step)
    return render(
        request, "tenancy/workspace/support.html", {"form": form, "grant": grant, "page": page}
    )


@for_the_owner
@form_on("workspace-support")
def end(request):
    """Let no operator in any more. It needs no fresh confirmation, for it takes rights away."""
    if support.end(request.tenant, request.user.get_username()):
        messages.success(request, _("Support has no access any more."))
    else:
        messages.info(request, _("Support had no access."))
    return redirect("workspace-support")
