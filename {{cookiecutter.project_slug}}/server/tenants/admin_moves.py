"""The moves of a tenant as actions of the public admin, each with a page that names the tenants."""

from collections.abc import Callable

from django import forms
from django.contrib import admin, messages
from django.template.response import TemplateResponse

from server.tenants import lifecycle
from server.tenants.lifecycle import LifecycleError
from server.tenants.models import Tenant


class RenameForm(forms.Form):
    name = forms.CharField(required=False, max_length=200, help_text="What people call it.")
    slug = forms.CharField(required=False, help_text="It brings its host along.")
    domain = forms.CharField(required=False, help_text="The primary one; the old one redirects.")


class TransferForm(forms.Form):
    username = forms.CharField(label="New owner", help_text="A user name or e-mail.")


class PurgeForm(forms.Form):
    now = forms.BooleanField(required=False, label="Before the time of grace is over")


def action(move: Callable, says: str, form_class=forms.Form) -> Callable:
    """An action that calls `move(tenant, by=…)`, with what the form asks for, when confirmed."""
    title = move.__name__.capitalize()

    @admin.action(description=f"{title} selected tenants", permissions=["change"])
    def run(model_admin, request, queryset):
        is_confirmed = "confirmed" in request.POST
        form = form_class(request.POST if is_confirmed else None)
        if is_confirmed and form.is_valid():
            for tenant in queryset:
                carry_out(model_admin, request, tenant, form.cleaned_data)
            return None
        context = {
            **model_admin.admin_site.each_context(request),
            "title": f"{title} {', '.join(map(str, queryset))}?",
            "button": title,
            "says": says,
            "tenants": queryset,
            "form": form,
            "opts": model_admin.opts,
            "action": run.__name__,
            "checkbox": admin.helpers.ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/move_tenants.html", context)

    def carry_out(model_admin, request, tenant: Tenant, answers: dict) -> None:
        try:
            move(tenant, by=request.user.username, **answers)
        except LifecycleError as error:
            model_admin.message_user(request, str(error), messages.ERROR)
        else:
            model_admin.message_user(request, f"{tenant}: {move.__name__}, done.")

    run.__name__ = f"{move.__name__}_tenants"
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
