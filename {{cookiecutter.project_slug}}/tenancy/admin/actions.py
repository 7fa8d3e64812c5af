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
from tenancy.exceptions import LifecycleError
from tenancy.people import accounts


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
    username = forms.CharField(label=_("New owner"), help_text=_("A user name or e-mail."))


class PurgeForm(forms.Form):
    now = forms.BooleanField(required=False, label=_("Before the grace period is over"))


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


def action(function: Callable, title, effect, form_class=forms.Form) -> Callable:
    """Return an action that calls `function` for each row, with the form's values, when confirmed.

    The function gets a tenant, or a person's user name.
    """

    @admin.action(description=title, permissions=["change"])
    def run(model_admin, request, queryset):
        is_confirmed = "confirmed" in request.POST
        form = form_class(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid():
            for row in queryset:
                call(model_admin, request, row, form.cleaned_data)
            return None
        context = {
            **model_admin.admin_site.each_context(request),
            "title": f"{title}: {', '.join(map(str, queryset))}",
            "button": title,
            "effect": effect,
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
        except LifecycleError as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        else:
            message = gettext("%(action)s: done for “%(name)s”.")
            model_admin.message_user(request, message % {"action": title, "name": row})

    run.__name__ = function.__name__
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
    action(lifecycle.transfer, _("Transfer"), _("The old owner stays a member."), TransferForm),
    action(lifecycle.delete, _("Delete"), _("The hosts answer 410. “Undelete” reverts it.")),
    action(lifecycle.undelete, _("Undelete"), _("The tenant is active or suspended as before.")),
    action(
        lifecycle.purge,
        _("Purge"),
        _("Schema, uploads and rows are removed. This can't be undone."),
        PurgeForm,
    ),
    action(lifecycle.finish, _("Finish"), _("A tenant whose making was interrupted is made.")),
    action(lifecycle.abandon, _("Abandon"), _("A tenant whose making was interrupted is removed.")),
]

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
