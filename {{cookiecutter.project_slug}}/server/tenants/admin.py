"""How the public site's administrators see tenants, and what a tenant's own admin is.

Nothing here deletes a tenant's data but purging, which `server.tenants.admin_moves` has.
"""

from functools import cache

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model

from server.roles.models import Member
from server.tenants.admin_members import MemberAdmin
from server.tenants.admin_moves import ACTIONS
from server.tenants.admin_new import NewTenant
from server.tenants.models import Tenant, TenantChange


class OrganizationAdmin(admin.ModelAdmin):
    list_display = ["name", "created"]
    search_fields = ["name"]


class TenantAdmin(NewTenant, admin.ModelAdmin):
    """Names only: by the actions it is moved, as `server.tenants.lifecycle` allows."""

    actions = ACTIONS

    list_display = ["name", "slug", "organization", "owner", "status", "created"]
    list_filter = ["status"]
    list_select_related = ["organization", "owner"]
    search_fields = ["name", "slug", "domains__domain", "owner__username", "owner__email"]
    fields = ["name", "organization", "slug", "schema_name", "owner", "status", "created"]
    readonly_fields = ["slug", "schema_name", "owner", "status", "created", "progress"]
    autocomplete_fields = ["organization"]

    def get_fields(self, request, obj=None):
        is_being_made = obj is not None and obj.status == Tenant.Status.PROVISIONING
        return [*self.fields, "progress"] if is_being_made else self.fields

    def get_queryset(self, request):
        return Tenant.everything.order_by("slug")

    def save_model(self, request, obj, form, change):
        # Not its status, which may be another by now.
        obj.save(update_fields=[*form.changed_data, "modified"])
        if "name" in form.changed_data:
            TenantChange.objects.create(
                by=request.user.username,
                move="rename",
                slug=obj.slug,
                schema_name=obj.schema_name,
                before=form.initial["name"],
                after=obj.name,
            )

    def has_delete_permission(self, request, obj=None):
        return False


class TenantChangeAdmin(admin.ModelAdmin):
    """The log, to read."""

    list_display = ["at", "by", "move", "username", "slug", "before", "after"]
    list_filter = ["move"]
    search_fields = ["slug", "schema_name", "by", "username"]

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class DomainAdmin(admin.ModelAdmin):
    """Further hosts come and go; the main one, without which a tenant can't be reached, stays."""

    list_display = ["domain", "tenant", "is_primary", "redirects"]
    list_select_related = ["tenant"]
    search_fields = ["domain", "tenant__name"]
    fields = ["domain", "tenant"]
    autocomplete_fields = ["tenant"]

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return obj is not None and not obj.is_primary

    def save_model(self, request, obj, form, change):
        obj.is_primary = False
        super().save_model(request, obj, form, change)


class MembersOnly:
    """Offers and shows a tenant's members where an admin would everybody who exists."""

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if self.model is get_user_model():
            return rows.filter(pk__in=request.tenant.user_set.values("pk"))
        return rows

    def get_inlines(self, request, obj):
        return [members_only(inline) for inline in super().get_inlines(request, obj)]

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        own = members_of(request, db_field)
        if own and db_field.name in self.raw_id_fields:
            own["widget"] = forms.Select  # the other shows whose the id is that an address names
        return super().formfield_for_foreignkey(db_field, request, **kwargs, **own)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        return super().formfield_for_manytomany(
            db_field, request, **kwargs, **members_of(request, db_field)
        )


def members_of(request, db_field) -> dict:
    return {"queryset": request.tenant.user_set.all()} if leads_to_people(db_field) else {}


def leads_to_people(field) -> bool:
    return field.related_model is get_user_model()


@cache
def members_only(admin_class: type) -> type:
    own = {"__module__": admin_class.__module__}
    return type(admin_class.__name__, (MembersOnly, admin_class), own)


# Filters by people offer those who are in the rows.
admin.FieldListFilter.register(
    leads_to_people, admin.RelatedOnlyFieldListFilter, take_priority=True
)


class TenantSite(admin.AdminSite):
    """Django's `admin.site`, which is a tenant's: it shows nobody of another tenant."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register(Member, MemberAdmin)

    def register(self, model_or_iterable, admin_class=None, **options):
        admin_class = members_only(admin_class or admin.ModelAdmin)
        super().register(model_or_iterable, admin_class, **options)
