from datetime import datetime, time

from django import forms
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from tenancy.concrete import User
from tenancy.history import BY_KEY
from tenancy.workspace.history import sentences


class FilterForm(forms.Form):
    """Asks which lines of the history to show."""

    person = forms.CharField(
        label=_("Person"),
        required=False,
        max_length=254,
        widget=forms.TextInput({"autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("A user name or an e-mail address."),
    )
    kind = forms.ChoiceField(
        label=_("Kind"),
        required=False,
        choices=lambda: [("", _("All")), *sentences.kinds()],
    )
    since = forms.DateField(
        label=_("Since"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    until = forms.DateField(
        label=_("Until"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    # The key of the last line of the page before.
    before = forms.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput
    )

    def lines_of(self, tenant) -> Q:
        """Return a filter for what was asked, in the person's time zone; all that for none."""
        values, found = self.cleaned_data, Q()
        if name := values["person"].lower():
            # Only members, so that nobody learns who has an account.
            people = User.objects.filter(tenants=tenant, email=name)
            names = [name, *people.values_list("username", flat=True)]
            of_person = Q(by__in=names) | Q(username__in=names)
            for each in names:
                of_person |= Q(by__startswith=f"{each}{BY_KEY}")
            found &= of_person
        if values["kind"]:
            found &= sentences.of_kind(values["kind"])
        if values["since"]:
            found &= Q(at__gte=moment(values["since"], time.min))
        if values["until"]:
            found &= Q(at__lte=moment(values["until"], time.max))
        if values["before"]:
            found &= Q(pk__lt=values["before"])
        return found


def moment(day, at: time) -> datetime:
    return timezone.make_aware(datetime.combine(day, at))
