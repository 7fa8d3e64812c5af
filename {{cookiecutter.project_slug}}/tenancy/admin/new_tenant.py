"""“Add tenant” in the public admin, and the page that shows what becomes of it."""

from django import forms
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path

from tenancy import hosts, lifecycle
from tenancy.concrete import Tenant, editable_fields
from tenancy.exceptions import InvalidSlug, ProvisioningError, SlugTaken, UnknownUser
from tenancy.lifecycle.provisioning import in_background

FIELDS = {InvalidSlug: "slug", SlugTaken: "slug", UnknownUser: "username"}


class NewTenantForm(forms.Form):
    name = forms.CharField(max_length=200, help_text="What people call it.")
    slug = forms.CharField(help_text=f"Its place below the domain. {hosts.SLUG_RULE}")
    organization = forms.CharField(
        max_length=200, help_text="The customer, who is found by this name or made."
    )
    username = forms.CharField(label="Owner", help_text="A user name or e-mail.")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields |= forms.fields_for_model(Tenant, editable_fields(Tenant))


def waits() -> str:
    """What the page says of a tenant that nobody has begun to make."""
    if in_background():
        return "Its schema is made as soon as a worker is running."
    return "Its schema isn't made yet. If that has failed, the action “Finish” makes it."


class NewTenant:
    """The part of a ModelAdmin that makes tenants, in the background where there is one."""

    @property
    def state_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_state"

    def get_urls(self):
        state = self.admin_site.admin_view(self.state_view)
        own = path("<int:pk>/state/", state, name=self.state_name)
        return [own, *super().get_urls()]

    # Not Django's, which is one transaction: what is reserved in it the background wouldn't find.
    def add_view(self, request, form_url="", extra_context=None):
        if not self.has_add_permission(request):
            raise PermissionDenied
        data = (request.POST, request.FILES) if request.method == "POST" else ()
        form = NewTenantForm(*data)
        if form.is_valid():
            try:
                tenant = lifecycle.request_tenant(**form.cleaned_data, by=request.user.username)
            except ProvisioningError as error:
                form.add_error(FIELDS.get(type(error)), str(error))
            else:
                return redirect(f"{self.admin_site.name}:{self.state_name}", tenant.pk)
        return self.page(request, "tenancy/admin/new_tenant.html", title="Add tenant", form=form)

    def state_view(self, request, pk):
        if not self.has_view_permission(request):
            raise PermissionDenied
        tenant = get_object_or_404(Tenant.all_objects, pk=pk)
        url = hosts.site_url(request, tenant.get_primary_domain().domain)
        context = {"title": tenant.name, "tenant": tenant, "url": url, "waits": waits()}
        return self.page(request, "tenancy/admin/tenant_state.html", **context)

    def page(self, request, template: str, **context) -> TemplateResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, shared | context)
