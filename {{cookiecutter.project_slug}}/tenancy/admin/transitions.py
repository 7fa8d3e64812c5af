"""The moves of a tenant, and of a person, as actions of the public admin: each has a page that
names whom it is about, and is done when that is confirmed."""

from collections.abc import Callable
from typing import NamedTuple

from django import forms
from django.contrib import admin, messages
from django.db.models import Model
from django.template.response import TemplateResponse

from tenancy import lifecycle
from tenancy.concrete import Tenant
from tenancy.exceptions import LifecycleError
from tenancy.people import accounts


class RenameForm(forms.Form):
    name = forms.CharField(required=False, max_length=200, help_text="What people call it.")
    slug = forms.CharField(required=False, help_text="It brings its host along.")
    domain = forms.CharField(required=False, help_text="The primary one; the old one redirects.")


class TransferForm(forms.Form):
    username = forms.CharField(label="New owner", help_text="A user name or e-mail.")


class PurgeForm(forms.Form):
    now = forms.BooleanField(required=False, label="Before the time of grace is over")


class Kind(NamedTuple):
    """Of what is chosen: what it is called, what the page says of one, what a move takes."""

    plural: str
    describe: Callable[[Model], str]
    argument: Callable[[Model], object]


def describe_tenant(tenant: Tenant) -> str:
    host = tenant.get_primary_domain() or "no domain"
    return f"({tenant.slug}, {host}) is {tenant.status}."


def describe_user(user) -> str:
    state = "active" if user.is_active else "deactivated"
    slugs = ", ".join(tenant.slug for tenant in user.tenants.all()) or "no tenant"
    return f"({user.email}) is {state}, and a member of {slugs}."


TENANT = Kind("tenants", describe_tenant, lambda tenant: tenant)
USER = Kind("users", describe_user, lambda user: user.get_username())


def action(move: Callable, says: str, form_class=forms.Form, kind: Kind = TENANT) -> Callable:
    """An action that calls `move(tenant, by=…)`, with what the form asks for, when confirmed."""
    title = move.__name__.capitalize()

    @admin.action(description=f"{title} selected {kind.plural}", permissions=["change"])
    def run(model_admin, request, queryset):
        is_confirmed = "confirmed" in request.POST
        form = form_class(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid():
            for row in queryset:
                carry_out(model_admin, request, row, form.cleaned_data)
            return None
        context = {
            **model_admin.admin_site.each_context(request),
            "title": f"{title} {', '.join(map(str, queryset))}?",
            "button": title,
            "says": says,
            "rows": [(row, kind.describe(row)) for row in queryset],
            "form": form,
            "opts": model_admin.opts,
            "action": run.__name__,
            "checkbox": admin.helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "tenancy/admin/confirm_action.html", context)

    def carry_out(model_admin, request, row: Model, answers: dict) -> None:
        try:
            move(kind.argument(row), by=request.user.username, **answers)
        except LifecycleError as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        else:
            model_admin.message_user(request, f"“{row}”: {move.__name__}, done.")

    run.__name__ = f"{move.__name__}_{kind.plural}"
    return run


ACTIONS = [
    action(lifecycle.suspend, "Its hosts answer that it is suspended, until it is resumed."),
    action(lifecycle.resume, "Its hosts answer as they did."),
    action(lifecycle.rename, "What is left empty stays. One tenant at a time.", RenameForm),
    action(lifecycle.transfer, "The old owner stays a member.", TransferForm),
    action(lifecycle.delete, "Its hosts answer that it was deleted. It can be undeleted."),
    action(lifecycle.undelete, "It is again what it was."),
    action(lifecycle.purge, "Schema, uploads and rows go. There is no way back.", PurgeForm),
    action(lifecycle.finish, "What a killed process has left is made anew."),
    action(lifecycle.abandon, "What a killed process has left is removed."),
]

USER_ACTIONS = [
    action(accounts.deactivate, "Sessions and memberships end, everywhere.", kind=USER),
    action(accounts.reactivate, "They set a password, and are a member of no tenant.", kind=USER),
    action(accounts.anonymise, "Name and e-mail go. There is no way back.", kind=USER),
]
