"""Pages to sign in, to sign out and to set a forgotten password, on each host separately."""

from django.contrib.auth import views
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.urls import path

from tenancy.people.forms import ForgottenPasswordForm, SignInForm, TenantTokenGenerator

TOKENS = {"token_generator": TenantTokenGenerator()}


def page(view, template: str, **options):
    view = view.as_view(template_name=f"tenancy/accounts/{template}.html", **options)
    # They identify nobody but by the session, and a transaction would span the hash of a password.
    return transaction.non_atomic_requests(view)


sign_in = page(views.LoginView, "sign_in", authentication_form=SignInForm)
sign_out = transaction.non_atomic_requests(login_not_required(views.LogoutView.as_view()))
form = {"form_class": ForgottenPasswordForm, **TOKENS}
password_reset = page(views.PasswordResetView, "password_reset_form", **form)
done = page(views.PasswordResetDoneView, "password_reset_done")
confirm = page(
    views.PasswordResetConfirmView, "password_reset_confirm", post_reset_login=True, **TOKENS
)
complete = page(views.PasswordResetCompleteView, "password_reset_complete")

# Django's views redirect to each other by these names.
urlpatterns = [
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-out/", sign_out, name="sign-out"),
    path("password/", password_reset, name="password_reset"),
    path("password/sent/", done, name="password_reset_done"),
    path("password/<uidb64>/<token>/", confirm, name="password_reset_confirm"),
    path("password/set/", complete, name="password_reset_complete"),
]
