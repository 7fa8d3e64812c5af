"""What people have set up beside a password, in a project with the app `allauth.mfa`.

The app is optional, and its models can't be imported without it.
"""

from django.apps import apps

from tenancy.concrete import User

APP = "allauth.mfa"
RECOVERY_CODES = "recovery_codes"
FACTORS = ("totp", "webauthn")  # an authenticator app, and passkeys


def set_up_by(user: User) -> list[dict]:
    """Return the kind, the name and the dates of each, in the order in which they were set up."""
    if not apps.is_installed(APP):
        return []
    rows = apps.get_model("mfa", "Authenticator").objects.filter(user_id=user.pk).order_by("pk")
    values = rows.values("type", "created_at", "last_used_at", "data__name")
    return [{"kind": row.pop("type"), "name": row.pop("data__name"), **row} for row in values]


def has_second_factor(user: User) -> bool:
    """Return whether the person has an authenticator app or a passkey."""
    return any(each["kind"] in FACTORS for each in set_up_by(user))
