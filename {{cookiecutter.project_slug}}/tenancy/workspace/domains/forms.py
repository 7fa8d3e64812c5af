from django import forms
from django.utils.translation import gettext_lazy as _


class DomainForm(forms.Form):
    host = forms.CharField(
        label=_("Domain"),
        max_length=253,
        widget=forms.TextInput(
            {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}
        ),
        help_text=_("Like shop.example.org. You need to be able to change its DNS records."),
    )
    as_primary = forms.BooleanField(
        label=_("Make it this workspace's address. The present one redirects to it then."),
        required=False,
    )
