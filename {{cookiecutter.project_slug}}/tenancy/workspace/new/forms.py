from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy.concrete import Tenant
from tenancy.workspace.new.addresses import problem_with, suggest
from tenancy.workspace.new.making import find_same


class NewWorkspaceForm(forms.Form):
    """The name and the address of a new workspace.

    Without an address, the person gets the one that the script would have suggested.
    """

    name = forms.CharField(
        label=_("Name"),
        max_length=Tenant._meta.get_field("name").max_length,
        widget=forms.TextInput({"autocomplete": "organization", "autofocus": True}),
        help_text=_("Of your company, your team or your project."),
    )
    address = forms.CharField(
        label=_("Address"),
        required=False,
        max_length=100,
        widget=forms.TextInput(
            {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, user, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.user = user
        self.existing: Tenant | None = None  # the form was sent twice

    def clean_address(self) -> str:
        text = self.cleaned_data["address"].lower()
        return text.removesuffix(f".{settings.DOMAIN}")

    def clean(self):
        name, address = (self.cleaned_data.get(field) for field in ("name", "address"))
        if name is None or address is None:
            return
        if not address and not (address := suggest(name)):
            self.add_error("address", gettext("Choose an address."))
            return
        self.cleaned_data["address"] = address
        self.existing = find_same(self.user, name, address)
        if not self.existing and (problem := problem_with(address)):
            self.add_error("address", problem)
