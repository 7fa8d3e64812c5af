from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy.concrete import Tenant


class CopyForm(forms.Form):
    """Asks for the name of the new workspace."""

    name = forms.CharField(
        label=_("Name of the new workspace"), max_length=Tenant._meta.get_field("name").max_length
    )


class DeleteForm(forms.Form):
    """Asks for the workspace's name, so that nobody deletes another one by mistake."""

    name = forms.CharField(label=_("Name of this workspace"), widget=forms.TextInput)

    def __init__(self, tenant: Tenant, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.fields["name"].widget.attrs["autocomplete"] = "off"

    def clean_name(self) -> str:
        name = self.cleaned_data["name"]
        if " ".join(name.split()) != " ".join(self.tenant.name.split()):
            raise ValidationError(gettext("This is not the name of this workspace."))
        return name
