"""Ends the other sessions of a person who takes a second factor away."""

from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_removed
from django.db.models import F
from django.db.models.signals import post_delete
from django.dispatch import receiver

from tenancy.concrete import User
from tenancy.factors import FACTORS
from tenancy.people.account.receivers import keep_session


@receiver(post_delete, sender=Authenticator)
def end_sessions(instance, **kwargs):
    """End the person's sessions, in the transaction of the deletion."""
    if instance.type in FACTORS:
        people = User.objects.filter(pk=instance.user_id)
        people.update(session_epoch=F("session_epoch") + 1)


@receiver(authenticator_removed)
def keep_own_session(request, user, authenticator, **kwargs):
    if authenticator.type in FACTORS and request.user == user:
        user.refresh_from_db(fields=["session_epoch"])
        keep_session(request, user)
