from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from tenancy import roles
from tenancy.models import ApiKey
from tenancy.people.keys import DAYS


def ages() -> list[tuple[int, str]]:
    """Return how long a key may be good, in the language of the request."""
    return [(days, ngettext("%d day", "%d days", days) % days) for days in DAYS]


class KeyForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=ApiKey._meta.get_field("name").max_length,
        help_text=_("The program that uses it, such as “backup server”."),
    )
    role = forms.ChoiceField(label=_("Role"), choices=lambda: [*roles.assignable_roles().items()])
    days = forms.TypedChoiceField(label=_("Good for"), choices=ages, coerce=int, initial=DAYS[1])

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["role"] = roles.MEMBER

    def clean_name(self):
        name = self.cleaned_data["name"]
        if not name.isprintable():
            raise ValidationError(_("Write the name in one line."))
        return name
