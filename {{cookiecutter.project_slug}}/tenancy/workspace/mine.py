"""A person's workspaces: on a page, and in an e-mail for those who know only the main address."""

from allauth.account.adapter import get_adapter
from allauth.account.models import EmailAddress
from django import forms
from django.contrib.auth.decorators import login_not_required, login_required
from django.db.models import OuterRef, Subquery
from django.http import Http404
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.emails import send_email
from tenancy.models import TenantEvent
from tenancy.people.account.pages import workspaces_for, workspaces_of
from tenancy.people.confirmation import confirmed
from tenancy.states import end_of_grace
from tenancy.workspace.access import attempt, form_on
from tenancy.workspace.new.making import check_number, one_at_a_time


@never_cache
@login_required
@require_safe
def workspaces(request):
    context = {"workspaces": workspaces_of(request), "deleted": deleted_of(request.user)}
    return render(request, "tenancy/workspaces/workspaces.html", context)


def deleted_of(user) -> list[Tenant]:
    """Return the person's deleted workspaces that are still kept.

    Each has `until`, and `may_return`: whether the owner has deleted it themselves.
    """
    lines = TenantEvent.objects.filter(schema_name=OuterRef("schema_name"), action="delete")
    rows = Tenant.all_objects.filter(owner=user, status=Tenant.Status.DELETED)
    rows = rows.annotate(deleted_by=Subquery(lines.order_by("-pk").values("by")[:1]))
    found = []
    for tenant in rows.order_by("name", "pk"):
        tenant.until = end_of_grace(tenant)
        tenant.may_return = tenant.deleted_by == user.get_username()
        if tenant.until > timezone.now():
            found.append(tenant)
    return found


@never_cache
@login_required
@confirmed(minutes=10)
@form_on("workspaces")
def bring_back(request):
    """Undo the deletion of a workspace by its owner, who did it."""
    slug = request.POST.get("slug", "")
    tenant = next((each for each in deleted_of(request.user) if each.slug == slug), None)
    if tenant is None or not tenant.may_return:
        raise Http404("There is no such workspace.")

    def undelete():
        with one_at_a_time(request.user):
            check_number(request.user)
            lifecycle.undelete(tenant, request.user.get_username())
        return gettext("%(workspace)s is back.") % {"workspace": tenant}

    return attempt(request, undelete, "workspaces")


class FindForm(forms.Form):
    email = forms.EmailField(
        label=_("E-mail address"), widget=forms.EmailInput({"autocomplete": "email"})
    )

    def clean_email(self):
        return get_adapter().clean_email(self.cleaned_data["email"])


@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def find(request):
    """Send a person the links to their workspaces.

    The answer is the same for each address, and each gets an e-mail: neither the page nor the time
    it takes tells who has an account.
    """
    form = FindForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        email = form.cleaned_data["email"]
        get_adapter(request).count_mail(email)
        confirmed = EmailAddress.objects.filter(email=email, verified=True, user__is_active=True)
        person = confirmed.select_related("user").first()
        found = [each for each in workspaces_for(person.user) if each["is_ready"]] if person else []
        send_email("workspaces", email, {"workspaces": found})
        return redirect(f"{reverse('workspaces-find')}?sent")
    context = {"form": form, "is_sent": "sent" in request.GET}
    return render(request, "tenancy/workspaces/find.html", context)
