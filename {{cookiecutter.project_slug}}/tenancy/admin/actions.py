"""The actions of the public admin. Each shows the chosen tenants or people on a page and acts when
that is confirmed."""

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy import lifecycle
from tenancy.concrete import Tenant, User
from tenancy.exceptions import LifecycleError, RateLimited
from tenancy.people import accounts, invitations
from tenancy.people.members import find_user
from tenancy.states import reason_against


class RenameForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), required=False, max_length=200, help_text=_("Its name for people.")
    )
    slug = forms.CharField(
        label=_("Slug"), required=False, help_text=_("The host name changes with it.")
    )
    domain = forms.CharField(
        label=_("Domain"),
        required=False,
        help_text=_("The new primary domain. The old one redirects to it."),
    )


class TransferForm(forms.Form):
    username = forms.CharField(
        label=_("New owner"),
        help_text=_(
            "A user name, or the e-mail of a member. Another e-mail gets an invitation, and nothing"
            " changes before it is accepted."
        ),
    )


class PurgeForm(forms.Form):
    """Asks for the name of the one tenant."""

    name = forms.CharField(label=_("Type the name, to purge it"), strip=True)
    now = forms.BooleanField(required=False, label=_("Before the grace period is over"))

    def clean(self):
        answers = super().clean()
        if [answers.pop("name", None)] != [tenant.name for tenant in self.rows]:
            self.add_error("name", gettext("Type the name as it is written. Purge one at a time."))
        return answers


def transfer(tenant: Tenant, username: str, by: str) -> None:
    """Give the tenant to a user name or a member, or invite another e-mail to own it."""
    is_address = "@" in username
    if is_address and not tenant.user_set.filter(email=username.lower()).exists():
        invitations.invite_owner(tenant, username.lower(), find_user(by))
    else:
        lifecycle.transfer(tenant, username, by)


def describe(row: Tenant | User) -> str:
    """Return what the page says after the row's name."""
    if isinstance(row, Tenant):
        return gettext("(%(slug)s, %(host)s) is %(status)s.") % {
            "slug": row.slug,
            "host": row.get_primary_domain() or gettext("no domain"),
            "status": row.get_status_display(),
        }
    return gettext("(%(email)s) is %(state)s, and a member of %(tenants)s.") % {
        "email": row.email,
        "state": gettext("active") if row.is_active else gettext("deactivated"),
        "tenants": ", ".join(tenant.slug for tenant in row.tenants.all()) or gettext("no tenant"),
    }


def action(
    function: Callable,
    title,
    effect,
    form_class=forms.Form,
    *,
    transition: str = "",
    is_grave: bool = False,
) -> Callable:
    """Return an action that calls `function` for each row, with the form's values, when confirmed.

    The function gets a tenant, or a person's user name. `transition` is the tenant's, by default of
    the function's name. `is_grave` makes the page look as what it is.
    """

    @admin.action(description=title, permissions=["change"])
    def run(model_admin, request, queryset):
        is_confirmed = "confirmed" in request.POST
        form = form_class(request.POST if is_confirmed else None)
        form.rows = queryset
        if is_confirmed and form.is_valid():
            for row in queryset:
                call(model_admin, request, row, form.cleaned_data)
            return None
        context = {
            **model_admin.admin_site.each_context(request),
            "title": f"{title}: {', '.join(map(str, queryset))}",
            "button": title,
            "effect": effect,
            "is_grave": is_grave,
            "rows": [(row, describe(row)) for row in queryset],
            "form": form,
            "opts": model_admin.opts,
            "action": run.__name__,
            "checkbox": admin.helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "tenancy/admin/confirm_action.html", context)

    def call(model_admin, request, row: Tenant | User, answers: dict) -> None:
        target = row if isinstance(row, Tenant) else row.get_username()
        try:
            function(target, by=request.user.username, **answers)
        except (LifecycleError, RateLimited) as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        else:
            message = gettext("%(action)s: done for “%(name)s”.")
            model_admin.message_user(request, message % {"action": title, "name": row})

    run.__name__ = function.__name__
    run.title, run.transition, run.is_grave = title, transition or function.__name__, is_grave
    return run


TENANT_ACTIONS = [
    action(lifecycle.suspend, _("Suspend"), _("The hosts answer 503 until the tenant is resumed.")),
    action(lifecycle.resume, _("Resume"), _("The hosts answer again.")),
    action(
        lifecycle.rename,
        _("Rename"),
        _("An empty field changes nothing. Rename one tenant at a time."),
        RenameForm,
    ),
    action(transfer, _("Transfer"), _("The old owner stays a member."), TransferForm),
    action(lifecycle.delete, _("Delete"), _("The hosts answer 410. “Undelete” reverts it.")),
    action(lifecycle.undelete, _("Undelete"), _("The tenant is active or suspended as before.")),
    action(
        lifecycle.purge,
        _("Purge"),
        _("Schema, uploads and rows are removed. This can't be undone."),
        PurgeForm,
        is_grave=True,
    ),
    action(
        lifecycle.finish,
        _("Finish"),
        _("A tenant whose making was interrupted is made."),
        transition="provision",
    ),
    action(
        lifecycle.abandon,
        _("Abandon"),
        _("A tenant whose making was interrupted is removed."),
        is_grave=True,
    ),
]


def legal_actions(tenant: Tenant) -> list[Callable]:
    """Return the actions that the tenant's state allows."""
    return [each for each in TENANT_ACTIONS if not reason_against(each.transition, tenant)]


USER_ACTIONS = [
    action(accounts.deactivate, _("Deactivate"), _("All sessions and memberships end.")),
    action(
        accounts.reactivate,
        _("Reactivate"),
        _("They can set a password and sign in. They are members of no tenant."),
    ),
    action(
        accounts.anonymise,
        _("Anonymise"),
        _("Name and e-mail are erased. This can't be undone."),
    ),
]
