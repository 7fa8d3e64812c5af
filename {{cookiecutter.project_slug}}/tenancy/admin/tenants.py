"""The public host's admin of tenants, domains, organizations, and the log.

Every change goes through `tenancy.lifecycle`, which checks and logs it.
"""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from django_tenants.utils import get_public_schema_name

from tenancy import hosts, lifecycle, support
from tenancy.admin.actions import TENANT_ACTIONS, legal_actions
from tenancy.admin.base import LifecycleAdmin, never
from tenancy.concrete import Domain, Tenant, User, editable_fields
from tenancy.exceptions import (
    AmbiguousOrganization,
    InvalidSlug,
    InvalidUser,
    LifecycleError,
    RateLimited,
    SlugTaken,
    UnknownOrganization,
    UnknownUser,
)
from tenancy.isolation.deletion import ignoring_tenants
from tenancy.isolation.membership import membership_of
from tenancy.lifecycle.organizations import organization_from
from tenancy.lifecycle.origins import origin_of, with_maker, with_use
from tenancy.lifecycle.provisioning import in_background
from tenancy.lifecycle.schema_names import all_names
from tenancy.models import TenantEvent
from tenancy.people.accounts import create_user, new_username
from tenancy.requests.failures import how_long

PUBLIC = get_public_schema_name()
MOST_EVENTS = 20  # on a tenant's page
PLAN = ["plan"] * any(field.name == "plan" for field in Tenant._meta.get_fields())
FIELDS = {
    InvalidSlug: "slug",
    SlugTaken: "slug",
    UnknownUser: "username",
    InvalidUser: "username",
    AmbiguousOrganization: "organization",
    UnknownOrganization: "organization",
}


class OrganizationAdmin(admin.ModelAdmin):
    list_display = ["name", "id", "created"]
    search_fields = ["name", "tenants__slug"]


class NewTenantForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=200, help_text=_("Its name for people."))
    slug = forms.CharField(label=_("Slug"), help_text=hosts.SLUG_RULE)
    organization = forms.CharField(
        label=_("Organization"),
        max_length=200,
        help_text=_(
            "The customer's name, or “id:17” if several have it. A new name makes a new one."
        ),
    )
    username = forms.CharField(label=_("Owner"), help_text=_("A user name or e-mail."))
    is_new = forms.BooleanField(
        label=_("Make an account for this e-mail"),
        required=False,
        help_text=_("It gets an e-mail when all is ready, and signs in with a code."),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields |= forms.fields_for_model(Tenant, editable_fields(Tenant))

    def values(self) -> dict:
        """Return what was entered, without the files that were not chosen.

        Makes the owner's account, if there is none and it is wanted. Raises UnknownOrganization
        or InvalidUser.
        """
        values = {
            name: value
            for name, value in self.cleaned_data.items()
            if name != "is_new" and (value or not isinstance(self.fields[name], forms.FileField))
        }
        if self.cleaned_data["is_new"]:
            values["username"] = account_for(values["username"]).username
        return values | {"organization": organization_from(values["organization"])}


def account_for(email: str) -> User:
    """Return the person with the e-mail: a new one, if there is none.

    The account is nobody's before a code from the mailbox has confirmed the address.
    """
    return User.objects.filter(email=email).first() or create_user(new_username(email), email)


class TenantAdmin(LifecycleAdmin):
    """Name, organization and the project's own fields are edited here. Actions do the rest.

    A tenant's page has those that its state allows, its history, and the way in for support. “Add
    tenant” makes the tenant in the background, if there is one, and shows its progress.
    """

    actions = TENANT_ACTIONS

    list_display = [
        *("name", "status", *PLAN, "members", "last_use", "owner"),
        *("slug", "organization", "created", "came_by"),
    ]
    list_filter = ["status"]
    list_select_related = ["organization", "owner"]
    search_fields = ["name", "slug", "domains__domain", "owner__username", "owner__email"]
    fields = ["name", "organization", "slug", "schema_name", "owner", "status", "created"]
    readonly_fields = ["slug", "schema_name", "owner", "status", "created", "progress"]
    autocomplete_fields = ["organization"]
    has_delete_permission = never
    change_form_template = "tenancy/admin/tenant.html"

    @property
    def state_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_state"

    def get_urls(self):
        state = self.admin_site.admin_view(self.state_view)
        ask = self.admin_site.admin_view(require_POST(self.ask_view))
        return [
            path("<int:pk>/state/", state, name=self.state_name),
            path("<int:pk>/ask/", ask, name=self.state_name.replace("state", "ask")),
            *super().get_urls(),
        ]

    def get_fields(self, request, obj=None):
        is_being_made = obj is not None and obj.status == Tenant.Status.PROVISIONING
        return [*self.fields, *editable_fields(Tenant), *["progress"] * is_being_made]

    def get_queryset(self, request):
        return with_use(with_maker(Tenant.all_objects.order_by("slug")))

    @admin.display(description=_("members"), ordering="member_count")
    def members(self, tenant):
        return tenant.member_count or 0

    @admin.display(description=_("last use"), ordering="last_use")
    def last_use(self, tenant):
        return tenant.last_use

    @admin.display(description=_("origin"), ordering="origin")
    def came_by(self, tenant):
        return origin_of(tenant)

    def save_model(self, request, obj, form, change):
        own = ["name", "organization", *editable_fields(Tenant)]
        values = {name: getattr(obj, name) for name in form.changed_data if name in own}
        lifecycle.change(obj, request.user.username, **values)

    def add_view(self, request, form_url="", extra_context=None):
        # Django's view is one transaction, in which a worker can't see the reserved tenant.
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = NewTenantForm(*[request.POST, request.FILES] * (request.method == "POST"))
        if form.is_valid():
            try:
                tenant = lifecycle.request_tenant(**form.values(), by=request.user.username)
            except LifecycleError as error:
                form.add_error(FIELDS.get(type(error)), str(error))
            else:
                return redirect(f"{self.admin_site.name}:{self.state_name}", tenant.pk)
        title = gettext("Add tenant")
        return self.page(request, "tenancy/admin/new_tenant.html", title=title, form=form)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        tenant = self.get_object(request, unquote(object_id))
        context = self.about(request, tenant) if tenant else {}
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def about(self, request, tenant) -> dict:
        """Return what the tenant's page shows below the form."""
        events = TenantEvent.objects.filter(schema_name__in=all_names(tenant.schema_name))
        log = reverse(
            f"{self.admin_site.name}:tenancy_tenantevent_changelist",
            current_app=self.admin_site.name,
        )
        has_more = events[MOST_EVENTS:].exists()
        return {
            "actions": [
                {"name": each.__name__, "title": each.title, "is_grave": each.is_grave}
                for each in legal_actions(tenant)
                if self.has_change_permission(request, tenant)
            ],
            "checkbox": admin.helpers.ACTION_CHECKBOX_NAME,
            "support": self.support_for(request, tenant),
            "events": events[:MOST_EVENTS],
            "events_url": f"{log}?q={tenant.schema_name}" if has_more else "",
        }

    def support_for(self, request, tenant) -> dict | None:
        """Return how the operator gets into the workspace, if it has an open host."""
        if tenant.schema_name == PUBLIC or tenant.status != Tenant.Status.ACTIVE:
            return None
        return {
            "is_member": membership_of(request.user, tenant) is not None,
            "is_operator": support.is_operator(request.user),
            "grant": support.current_grant(tenant),
            "url": hosts.site_url(hosts.host_of(tenant.slug), "/sign-in/support/"),
        }

    def ask_view(self, request, pk):
        tenant = get_object_or_404(Tenant.objects.active().exclude(schema_name=PUBLIC), pk=pk)
        if not (self.has_view_permission(request) and support.is_operator(request.user)):
            raise PermissionDenied
        try:
            support.ask(tenant, request.user)
        except RateLimited as error:
            self.message_user(request, how_long(error.wait), messages.ERROR)
        else:
            self.message_user(request, gettext("We have asked the owner for access by e-mail."))
        change = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_change"
        return redirect(change, pk)

    def state_view(self, request, pk):
        if not self.has_view_permission(request):
            raise PermissionDenied
        tenant = get_object_or_404(Tenant.all_objects, pk=pk)
        context = {
            "title": tenant.name,
            "tenant": tenant,
            "url": hosts.site_url(tenant.get_primary_domain().domain),
            "in_background": in_background(),
        }
        return self.page(request, "tenancy/admin/tenant_state.html", **context)

    def page(self, request, template: str, **context) -> TemplateResponse:
        shared = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, shared | context)


class TenantEventAdmin(admin.ModelAdmin):
    """The log, which is read-only."""

    list_display = ["at", "by", "action", "username", "slug", "before", "after"]
    list_filter = ["action"]
    search_fields = ["slug", "schema_name", "by", "username"]
    has_add_permission = has_change_permission = has_delete_permission = never


class DomainAdmin(LifecycleAdmin):
    """Adds and removes further hosts. The primary one stays."""

    list_display = ["domain", "tenant", "is_primary", "redirects"]
    list_select_related = ["tenant"]
    search_fields = ["domain", "tenant__name"]
    fields = ["domain", "tenant"]
    autocomplete_fields = ["tenant"]
    has_change_permission = never

    def get_fields(self, request, obj=None):
        return [*self.fields, *editable_fields(Domain)]

    def has_delete_permission(self, request, obj=None):
        return obj is not None and not obj.is_primary

    def save_model(self, request, obj, form, change):
        own = {name: getattr(obj, name) for name in editable_fields(Domain)}
        host = lifecycle.add_domain(obj.tenant, obj.domain, request.user.username, **own)
        obj.pk = obj.tenant.domains.get(domain=host).pk

    def get_deleted_objects(self, objs, request):
        with ignoring_tenants():  # remove_domain looks at the domain's tenant
            return super().get_deleted_objects(objs, request)

    def delete_model(self, request, obj):
        lifecycle.remove_domain(obj.tenant, obj.domain, request.user.username)
