"""The admin of a tenant's host, which shows and offers only the tenant's members."""

from functools import cache

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model


class MembersOnly:
    """Restricts a ModelAdmin to the tenant's members where it would show or offer all users."""

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
            own["widget"] = forms.Select  # the raw id's would show the name of any user
        return super().formfield_for_foreignkey(db_field, request, **kwargs, **own)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        return super().formfield_for_manytomany(
            db_field, request, **kwargs, **members_of(request, db_field)
        )


def members_of(request, db_field) -> dict:
    return {"queryset": request.tenant.user_set.all()} if refers_to_user(db_field) else {}


def refers_to_user(field) -> bool:
    return field.related_model is get_user_model()


@cache
def members_only(admin_class: type) -> type:
    own = {"__module__": admin_class.__module__}
    return type(admin_class.__name__, (MembersOnly, admin_class), own)


# Filters by user offer only the users in the rows.
admin.FieldListFilter.register(refers_to_user, admin.RelatedOnlyFieldListFilter, take_priority=True)


class TenantSite(admin.AdminSite):
    """Django's `admin.site` on a tenant's host."""

    def register(self, model_or_iterable, admin_class=None, **options):
        admin_class = members_only(admin_class or admin.ModelAdmin)
        super().register(model_or_iterable, admin_class, **options)
