"""The main website's pages for accounts: django-allauth's, and the engine's own."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

from tenancy.people import joining
from tenancy.people.account import outbox, pages
from tenancy.people.handover import views
from tenancy.requests.views import security


def forward(name: str):
    view = RedirectView.as_view(pattern_name=name, query_string=True)
    return login_not_required(view)


urlpatterns = [
    path("sign-in/", forward("account_login"), name="sign-in"),
    path("sign-out/", login_not_required(LogoutView.as_view()), name="sign-out"),
    path("hand-over/", views.issue, name="hand-over"),
    path("account/", pages.account, name="account"),
    path("account/sessions/", pages.sessions, name="account-sessions"),
    path("account/leave/", pages.leave, name="account-leave"),
    path("account/export/", pages.export, name="account-export"),
    path("account/delete/", pages.delete, name="account-delete"),
    path("account/", include("allauth.urls")),
    path("invitations/<str:token>/", joining.invitation, name="invitation"),
    path("terms/", pages.terms, name="terms"),
    path("privacy/", pages.privacy, name="privacy"),
    path("_mail/", outbox.outbox, name="outbox"),
    path(".well-known/change-password", pages.change_password),
    path(".well-known/security.txt", security),
]
if settings.SIGN_UP:
    urlpatterns += [path("sign-up/", forward("account_signup"), name="sign-up")]
