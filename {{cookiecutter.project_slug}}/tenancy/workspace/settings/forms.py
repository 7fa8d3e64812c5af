"""The forms of the page of settings. `save` returns the sentence that says what was done."""

from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy import lifecycle
from tenancy.concrete import CHOICES, Tenant
from tenancy.models import COLOUR
from tenancy.workspace.new.addresses import problem_with
from tenancy.workspace.settings import logos

SETTINGS = {"name", *CHOICES}
STANDARD = "#0b6b57"  # what the field for a colour shows where none was chosen


class SettingsForm(forms.Form):
    """A form of settings of one tenant. A change of a field is a line of its history."""

    def __init__(self, tenant: Tenant, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.initial |= {name: getattr(tenant, name) for name in SETTINGS & self.fields.keys()}

    def save(self, by: str) -> str:
        """Raises LifecycleError."""
        found = self.cleaned_data.items()
        changed = {name: value for name, value in found if value != getattr(self.tenant, name)}
        lifecycle.change(self.tenant, by, **changed)
        return gettext("The settings are saved.")


class GeneralForm(SettingsForm):
    name = forms.CharField(
        label=_("Name"), max_length=Tenant._meta.get_field("name").max_length, strip=True
    )
    language = forms.ChoiceField(
        label=_("Language"),
        required=False,
        help_text=_("For visitors, for people who have chosen none, and for e-mails to them."),
    )
    time_zone = forms.ChoiceField(label=_("Time zone"), required=False)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        zones = [(zone, zone.replace("_", " ")) for zone in sorted(available_timezones())]
        self.fields["language"].choices = [("", _("The browser's")), *settings.LANGUAGES]
        self.fields["time_zone"].choices = [("", _("Default")), *zones]
        if len(settings.LANGUAGES) == 1:
            del self.fields["language"]


class LogoForm(SettingsForm):
    """Without a file it takes the logo away."""

    logo = forms.FileField(
        label=_("Logo"),
        required=False,
        widget=forms.FileInput({"accept": "image/png,image/jpeg,image/webp,image/gif"}),
        help_text=_("A PNG, JPEG, WebP or GIF file, up to 2 MB. The header shows it."),
    )

    def clean_logo(self) -> bytes:
        upload = self.cleaned_data["logo"]
        if upload:
            return logos.redraw(upload)
        if "remove" not in self.data:
            raise forms.ValidationError(gettext("Choose a file."))
        return b""

    def save(self, by: str) -> str:
        image = self.cleaned_data["logo"]
        logos.change(self.tenant, by, image)
        return gettext("This is your logo now.") if image else gettext("The logo is removed.")


class ColourForm(SettingsForm):
    accent = forms.RegexField(
        COLOUR,
        label=_("Colour"),
        required=False,
        widget=forms.TextInput({"type": "color"}),
        help_text=_(
            "For links and buttons. Where it would be hard to read, they get a darker or a lighter"
            " shade."
        ),
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["accent"] = self.tenant.accent or STANDARD

    def clean_accent(self) -> str:
        return "" if "remove" in self.data else self.cleaned_data["accent"]


class AddressForm(forms.Form):
    address = forms.CharField(
        label=_("Address"),
        max_length=100,
        widget=forms.TextInput(
            {"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def __init__(self, tenant: Tenant, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.tenant = tenant
        self.initial["address"] = tenant.slug

    def clean_address(self) -> str:
        address = self.cleaned_data["address"].lower().removesuffix(f".{settings.DOMAIN}")
        if address == self.tenant.slug:
            raise forms.ValidationError(gettext("This is the address already."))
        if problem := problem_with(address, self.tenant):
            raise forms.ValidationError(problem)
        return address
