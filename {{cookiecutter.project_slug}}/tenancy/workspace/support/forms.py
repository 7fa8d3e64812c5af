"""The form by which a workspace's owner lets operators in."""

from datetime import timedelta

from django import forms
from django.utils.translation import gettext_lazy as _

TIMES = {"1": _("1 hour"), "24": _("1 day"), "168": _("1 week")}  # by hours


class AllowForm(forms.Form):
    hours = forms.TypedChoiceField(
        label=_("For how long"),
        choices=[*TIMES.items()],
        coerce=lambda text: timedelta(hours=int(text)),
    )
    may_write = forms.TypedChoiceField(
        label=_("Access"),
        choices=[("", _("Read only")), ("yes", _("Read and write"))],
        coerce=bool,
        empty_value=False,
        required=False,
    )
