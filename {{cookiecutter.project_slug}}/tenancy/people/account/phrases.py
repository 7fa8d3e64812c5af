"""Sentences of django-allauth that the engine translates anew.

Its German addresses people informally. `makemessages` finds the sentences here, and the engine's
catalog comes before django-allauth's.
"""

from django.utils.translation import gettext_noop as _

PHRASES = [
    _("An account already exists with this email address. Please sign in to that account first,"
      " then connect your %s account."),
    _("Be patient, you are sending too many requests."),
    _("Please type your current password."),
    _("You are about to connect a new third-party account from %(provider)s."),
    _("You are about to deactivate authenticator app based authentication. Are you sure?"),
    _("You are about to generate a new set of recovery codes for your account."),
    _("You are about to sign in using a third-party account from %(provider)s."),
    _("You are already logged in as %(user_display)s."),
    _("You cannot add more than %d email addresses."),
    _("You cannot remove your primary email address (%(email)s)."),
    _("You cannot remove your primary email address."),
    _("You have confirmed %(email)s."),
    _("You must type the same email each time."),
    _("You must type the same password each time."),
    _("Your account has no password set up."),
    _("Your account has no verified email address."),
    _("Your password has been changed."),
    _("Your password is now changed."),
    _("Your primary email address must be verified."),
]  # fmt: skip
