import re

from allauth.account.adapter import get_adapter
from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy import roles

MOST = 50  # addresses at once
SEPARATORS = re.compile(r"[\s,;]+")


class InviteForm(forms.Form):
    emails = forms.CharField(
        label=_("E-mail addresses"),
        max_length=MOST * 255,
        widget=forms.Textarea({"rows": 3, "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("One or more, with commas or line breaks between them."),
    )
    role = forms.ChoiceField(label=_("Role"), choices=lambda: [*roles.assignable_roles().items()])

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["role"] = roles.MEMBER

    def clean_emails(self) -> list[str]:
        texts = [*filter(None, SEPARATORS.split(self.cleaned_data["emails"]))]
        if not texts:
            raise ValidationError(self.fields["emails"].error_messages["required"])
        if len(texts) > MOST:
            text = gettext("Write at most %(most)d addresses at once.")
            raise ValidationError(text % {"most": MOST})
        emails, errors = {}, []
        for text in texts:
            try:
                emails[get_adapter().clean_email(text)] = None
            except ValidationError:
                message = gettext("“%(text)s” is not an e-mail address.")
                errors.append(message % {"text": text[:254]})
        if errors:
            raise ValidationError(errors)
        return [*emails]


class OwnerForm(forms.Form):
    """Asks which of the other members becomes the owner."""

    member = forms.ModelChoiceField(None, label=_("New owner"))

    def __init__(self, others, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["member"].queryset = others
        self.fields["member"].label_from_instance = lambda person: (
            f"{person.name or person.username} ({person.email})"
        )
