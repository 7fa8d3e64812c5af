"""The keys by which programs use a workspace."""

from functools import partial

from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import roles
from tenancy.people.confirmation import confirmed
from tenancy.people.keys import keys_of, make, revoke
from tenancy.people.members import role_from
from tenancy.workspace.access import attempt, for_managers, form_on, refusals_to
from tenancy.workspace.keys.forms import KeyForm


@for_managers
@require_safe
def keys(request):
    """List the keys. What each one is was shown once, when it was made."""
    found = [*keys_of(request.tenant).select_related("user")]
    makers = UserTenantPermissions.objects.filter(profile__in={key.user_id for key in found})
    makers = makers.annotate(role=roles.role_name())
    own = {maker.profile_id: role_from(request.tenant, maker) for maker in makers}
    for key in found:
        key.label = roles.all_roles().get(key.role, {}).get("label", key.role)
        key.has_expired = key.expires <= timezone.now()
        key.has_lapsed = not roles.may_give(own.get(key.user_id), key.role)
    return render(request, "tenancy/workspace/keys.html", {"keys": found})


@for_managers
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_variables("secret", "context")
def new(request):
    """Make a key, and show it in the answer. It is stored nowhere, and so is shown once."""
    form = KeyForm(request.POST or None)
    context = {"form": form}
    if request.method == "POST" and form.is_valid():
        with refusals_to(partial(form.add_error, None)):
            key, secret = make(request.tenant, request.user, **form.cleaned_data)
            context |= {"key": key, "secret": secret}
    return render(request, "tenancy/workspace/new_key.html", context)


@for_managers
@form_on("workspace-keys")
def revoke_key(request, pk):
    def end():
        key = revoke(request.tenant, pk, request.user)
        return _("The key “%(name)s” is revoked.") % {"name": key.name}

    return attempt(request, end, "workspace-keys")
