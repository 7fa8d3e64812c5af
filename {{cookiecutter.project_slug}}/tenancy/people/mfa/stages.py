"""The second factor as a stage of signing in."""

from allauth.account.adapter import get_adapter
from allauth.mfa.stages import AuthenticateStage
from django.contrib import messages
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

HASH = "session_hash"


class SecondFactorStage(AuthenticateStage):
    """Ends a waiting sign-in with what ends sessions, such as a new password set elsewhere."""

    def handle(self):
        response, goes_on = super().handle()
        if response:
            self.state[HASH] = self.login.user.get_session_auth_hash()
        return response, goes_on

    def exit(self):
        present = self.login.user.get_session_auth_hash()
        if constant_time_compare(self.state.get(HASH, ""), present):
            return super().exit()
        text = _("Your account was changed meanwhile. Sign in again.")
        get_adapter().add_message(self.request, messages.ERROR, message=text)
        return self.abort()
