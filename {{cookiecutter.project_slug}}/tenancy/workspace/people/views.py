"""The people of a workspace: members, their roles, and invitations."""

from functools import partial

from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import hosts, lifecycle, roles
from tenancy.concrete import User
from tenancy.exceptions import LifecycleError, RateLimited
from tenancy.models import Invitation, LastSeen
from tenancy.people import invitations, members
from tenancy.people.confirmation import confirmed
from tenancy.people.seats import seats_of
from tenancy.requests.failures import how_long
from tenancy.workspace.access import attempt, for_managers, for_the_owner, form_on, refusals_to
from tenancy.workspace.people.forms import InviteForm, OwnerForm

PAGE = 50  # members


@for_managers
@require_http_methods(["GET", "HEAD", "POST"])
def people(request):
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid() and invite_all(request, form):
        return redirect("workspace-people")
    page = Paginator(all_members(), PAGE).get_page(request.GET.get("page"))
    seen = LastSeen.objects.filter(
        tenant=request.tenant, user__in=[member.profile_id for member in page]
    )
    seen = dict(seen.values_list("user", "at"))
    for member in page:
        member.role = members.role_from(request.tenant, member)
        member.label = label_of(member.role)
        member.seen = seen.get(member.profile_id)
    definitions = [(label_of(name), roles.describe(name)) for name in roles.all_roles()]
    context = {
        "form": form,
        "seats": seats_of(request.tenant),
        "page": page,
        "invitations": pending(request.tenant),
        "choices": roles.assignable_roles(),
        "definitions": definitions,
        "is_owner": request.user.membership.role == roles.OWNER,
        "leave_url": hosts.main_website_url("/account/#workspaces"),
    }
    return render(request, "tenancy/workspace/people.html", context)


def all_members():
    rows = UserTenantPermissions.objects.select_related("profile")
    return rows.annotate(role=roles.role_name()).order_by("profile__username")


def label_of(role: str) -> str:
    return roles.all_roles().get(role, {}).get("label", role)


def pending(tenant) -> list[Invitation]:
    """Return the invitations that wait, each with its state."""
    found = [*invitations.pending(tenant).select_related("invited_by", "tenant")]
    senders = all_members().filter(profile__in={each.invited_by_id for each in found})
    own = {member.profile_id: members.role_from(tenant, member) for member in senders}
    for each in found:
        each.label = label_of(each.role)
        each.has_expired = each.expires <= timezone.now()
        if each.role == roles.OWNER:  # by an operator
            each.has_lapsed = not invitations.is_good(each)
        else:
            each.has_lapsed = not roles.may_give(own.get(each.invited_by_id), each.role)
    return found


def invite_all(request, form: InviteForm) -> bool:
    """Invite each address; return False if some are left, which the form then has with reasons."""
    sent, left = [], []
    for email in form.cleaned_data["emails"]:
        try:
            invitations.invite(request.tenant, email, form.cleaned_data["role"], request.user)
        except LifecycleError as error:
            left.append(email)
            form.add_error(None, str(error))
        except RateLimited as error:
            left += form.cleaned_data["emails"][len(sent) + len(left) :]
            text = _("The limit of invitations is reached.")
            form.add_error(None, f"{text} {how_long(error.wait)}")
            break
        else:
            sent.append(email)
    if sent:
        text = ngettext(
            "We have sent an invitation to %(emails)s.",
            "We have sent invitations to %(emails)s.",
            len(sent),
        )
        messages.success(request, text % {"emails": ", ".join(sent)})
    form.data = form.data | {"emails": "\n".join(left)} if left else form.data
    return not left


@for_managers
@form_on("workspace-people")
def role(request, pk):
    """Give a member another role."""
    person = get_object_or_404(UserTenantPermissions, pk=pk).profile
    by = request.user.get_username()
    role = request.POST.get("role", "")

    def change():
        members.change_role(request.tenant, person.get_username(), role, by=by)
        return _("%(person)s has the role “%(role)s” now.") % {
            "person": person.name or person,
            "role": label_of(role),
        }

    return attempt(request, change, "workspace-people")


@for_managers
@form_on("workspace-people")
def remove(request, pk):
    """End a membership. What the person wrote stays."""
    person = get_object_or_404(UserTenantPermissions, pk=pk).profile
    by = request.user.get_username()

    def end():
        members.remove_member(request.tenant, person.get_username(), by=by)
        return _("%(person)s is not a member any more.") % {"person": person.name or person}

    return attempt(request, end, "workspace-people")


@for_managers
@form_on("workspace-people")
def invitation(request, pk):
    """Send an invitation again, or revoke it."""
    rows = invitations.pending(request.tenant).select_related("tenant")
    invitation = get_object_or_404(rows, pk=pk)

    def change():
        if "revoke" in request.POST:
            invitations.revoke(invitation, request.user)
            text = _("The invitation to %(email)s is revoked.")
        else:
            invitations.resend(invitation, request.user)
            text = _("We have sent another link to %(email)s. The earlier one isn't good any more.")
        return text % {"email": invitation.email}

    return attempt(request, change, "workspace-people")


@for_the_owner
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
def owner(request):
    """Hand the workspace over to another member."""
    others = User.objects.filter(tenants=request.tenant, is_active=True)
    others = others.exclude(pk=request.user.pk).order_by("username")
    form = OwnerForm(others, request.POST or None)
    if request.method == "POST" and form.is_valid():
        person = form.cleaned_data["member"]
        by = request.user.get_username()
        with refusals_to(partial(form.add_error, None)):
            lifecycle.transfer(request.tenant, person.get_username(), by)
            text = _("%(person)s owns this workspace now. You are a member.")
            messages.success(request, text % {"person": person.name or person})
            return redirect("home")
    context = {"form": form, "others": others}
    return render(request, "tenancy/workspace/owner.html", context)
