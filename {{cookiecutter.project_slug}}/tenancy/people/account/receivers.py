"""Keeps django-allauth's tables and a person's row the same when either is changed."""

from allauth.account.models import EmailAddress
from allauth.account.signals import (
    authentication_step_completed,
    email_changed,
    email_confirmed,
)
from allauth.usersessions.models import UserSession
from django.contrib.auth import update_session_auth_hash
from django.db import transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from tenancy.concrete import User
from tenancy.people.accounts import forget_sign_ins
from tenancy.people.confirmation import keep_confirmation
from tenancy.people.handover.sessions import end_opened_from
from tenancy.people.social.connections import used_in


@receiver(post_save, sender=User)
def follow_email(instance, created, update_fields, raw, **kwargs):
    """Make `User.email` the primary address in django-allauth's table.

    An address that somebody else has written into the person's row isn't confirmed: the person is
    asked for a code when they next sign in. The old one opens the account no more.
    """
    if raw or (update_fields is not None and "email" not in update_fields):
        return
    if getattr(instance, "is_signing_up", False):
        return  # django-allauth makes the row
    addresses = EmailAddress.objects.filter(user=instance)
    addresses.filter(primary=True).exclude(email=instance.email).delete()
    is_verified = created and instance.is_verified
    addresses.update_or_create(
        {"primary": True},
        {"primary": True, "verified": is_verified},
        user=instance,
        email=instance.email,
    )


@receiver(email_confirmed)
def begin_anew(request, email_address, **kwargs):
    """Forget what was set up before the first address was confirmed.

    Anybody can sign up with another person's address. What they have set up must not stay when that
    person confirms it. The browser that confirms it keeps the connection that it has signed up by.
    """
    user = email_address.user
    if user.is_verified:
        return
    with transaction.atomic():
        kept = used_in(request, user)
        forget_sign_ins(user)
        user.is_verified = True
        user.save(update_fields=["is_verified"])
        for connection in kept:
            connection.save(force_insert=True)


@receiver(email_changed)
def end_other_sessions(request, user, **kwargs):
    """End the sessions elsewhere when the person has another primary address."""
    user.session_epoch += 1
    user.save(update_fields=["session_epoch"])
    if request.user == user:
        keep_session(request, user)


def keep_session(request, user) -> None:
    """Keep the person's present session, after a change that ended the others."""
    update_session_auth_hash(request, user)
    UserSession.objects.create_from_request(request)  # it has another key now


@receiver(authentication_step_completed)
def keep_reauthentication(request, method, reauthenticated=False, **kwargs):
    """Keep when a person has shown once more that it is them. `adapter.login` does for sign-ins."""
    if reauthenticated:
        keep_confirmation(request, method)


@receiver(post_delete, sender=UserSession)
def end_opened_sessions(instance, **kwargs):
    """End the sessions in workspaces with the one that is ended in the list of sessions."""
    end_opened_from(instance.session_key)
