"""What a ModelAdmin shows, offers and deletes: nothing that isn't at its site's host."""

from functools import cache

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.widgets import ForeignKeyRawIdWidget
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import BadRequest, ValidationError
from django.db import models
from django.utils.translation import gettext

from tenancy.exceptions import ReferencedByTenants
from tenancy.isolation.router import is_shared
from tenancy.isolation.shared_files import owner_fields


class HostFields:
    """The form fields of a ModelAdmin or an inline."""

    def formfield_for_foreignkey(self, db_field, request, **kwargs):
        kwargs |= self.offered(db_field, request)
        if db_field.name in self.raw_id_fields:
            if "queryset" in kwargs:
                kwargs.setdefault("widget", forms.Select)  # a raw id's shows the name of any row
            elif not self.admin_site.is_registered(db_field.related_model):
                widget = UnlinkedRawIdWidget(db_field.remote_field, self.admin_site)
                kwargs.setdefault("widget", widget)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        kwargs |= self.offered(db_field, request)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def offered(self, db_field, request) -> dict:
        if db_field.related_model is Permission:
            rows = Permission.objects.filter(content_type__in=self.content_types())
            rows = rows.select_related("content_type")  # a part of each permission's name
        else:
            rows = self.admin_site.own_rows(request, db_field.related_model)
        return {} if rows is None else {"queryset": rows}

    def content_types(self) -> list[ContentType]:
        models = [model for model in apps.get_models() if self.admin_site.has(model)]
        return [*ContentType.objects.get_for_models(*models, for_concrete_models=False).values()]

    def get_autocomplete_fields(self, request):
        """Leave out the fields of models without an admin at this host, which are selects then."""
        return [
            name
            for name in super().get_autocomplete_fields(request)
            if self.admin_site.is_registered(self.opts.get_field(name).related_model)
        ]


class HostAdmin(HostFields):
    """A ModelAdmin on one of the engine's sites, which adds this to the class.

    Set `only_at` to a class of sites, if the model is at both kinds of hosts and its admin isn't.
    """

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        own = self.admin_site.own_rows(request, self.model)
        return rows if own is None else rows.filter(pk__in=own.values("pk"))

    def get_inlines(self, request, obj):
        inlines = super().get_inlines(request, obj)
        return [combine(HostFields, each) for each in inlines if self.admin_site.has(each.model)]

    def get_list_filter(self, request):
        return [
            (item[0], NARROWER.get(item[1], item[1])) if isinstance(item, (list, tuple)) else item
            for item in super().get_list_filter(request)
        ]

    def get_deleted_objects(self, objs, request):
        try:
            return super().get_deleted_objects(objs, request)
        except ReferencedByTenants as error:
            reason = gettext("%(names)s at other hosts, which may refer to it")
            names = error.referring._meta.verbose_name_plural
            return [], {}, set(), [reason % {"names": names}]

    def response_action(self, request, queryset, **options):
        for key in request.POST.getlist(helpers.ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.to_python(key)
            except ValidationError as error:
                raise BadRequest("An object was chosen by an invalid key.") from error
        return super().response_action(request, queryset, **options)


@cache
def combine(mixin: type, admin_class: type) -> type:
    if issubclass(admin_class, mixin):
        return admin_class
    own = {"__module__": admin_class.__module__}
    return type(admin_class.__name__, (mixin, admin_class), own)


class UnlinkedRawIdWidget(ForeignKeyRawIdWidget):
    def label_and_url_for_value(self, value):
        label, _ = super().label_and_url_for_value(value)
        return label, ""


class ReadonlyField(helpers.AdminReadonlyField):
    def get_admin_url(self, remote_field, remote_obj):
        if self.model_admin.admin_site.is_registered(remote_field.model):
            return super().get_admin_url(remote_field, remote_obj)
        return str(remote_obj)


class ValuesInRows(admin.AllValuesFieldListFilter):
    """Offers the values in the rows. Django's offers those of all rows of a related model."""

    def __init__(self, field, request, params, model, model_admin, field_path):
        super().__init__(field, request, params, model, model_admin, field_path)
        rows = model_admin.get_queryset(request).distinct().order_by(field_path)
        self.lookup_choices = rows.values_list(field_path, flat=True)


def refers_to_owned(field) -> bool:
    """Return whether the field refers to a shared model whose rows are somebody's."""
    model = field.related_model
    if model is None or not is_shared(model):
        return False
    return hasattr(model, "shows_files_to") or bool(owner_fields(model))


def is_of_user(field) -> bool:
    """Return whether Django would offer all values of this field of the user model."""
    others = (models.BooleanField, models.DateField, models.ForeignObjectRel)
    is_plain = not (field.related_model or field.choices or isinstance(field, others))
    return is_plain and field.model is get_user_model()


NARROWER = {
    admin.RelatedFieldListFilter: admin.RelatedOnlyFieldListFilter,
    admin.AllValuesFieldListFilter: ValuesInRows,
}
admin.FieldListFilter.register(
    refers_to_owned, admin.RelatedOnlyFieldListFilter, take_priority=True
)
admin.FieldListFilter.register(is_of_user, ValuesInRows, take_priority=True)
helpers.AdminReadonlyField = ReadonlyField
