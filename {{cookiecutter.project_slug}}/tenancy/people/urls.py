"""The pages of each tenant's host on which a person signs in and out."""

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.db import transaction
from django.urls import path

from tenancy.people.account import pages
from tenancy.people.handover import views

# It identifies nobody but by the session, so it needs no transaction (see `tenancy.requests.net`).
sign_out = transaction.non_atomic_requests(login_not_required(LogoutView.as_view()))

urlpatterns = [
    path("sign-in/", views.begin, name="sign-in"),
    path("sign-in/finish/", views.finish, name="sign-in-finish"),
    path("sign-in/support/", views.begin_as_support, name="support-enter"),
    path("sign-in/support/leave/", views.leave_as_support, name="support-leave"),
    path("sign-out/", sign_out, name="sign-out"),
    path("account/", pages.account_elsewhere, name="account"),
    path("workspaces/", pages.workspaces_elsewhere, name="workspaces"),
    path(".well-known/change-password", pages.change_password),
]
