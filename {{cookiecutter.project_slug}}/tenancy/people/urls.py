"""Signing in and out and a forgotten password, at each host on its own."""

from django.contrib.auth import views
from django.contrib.auth.decorators import login_not_required
from django.urls import path

from tenancy.people.forms import ForgottenPasswordForm, SignInForm
from tenancy.people.tokens import token_generator

TEMPLATES = "tenancy/accounts/"

sign_in = views.LoginView.as_view(
    authentication_form=SignInForm, template_name=f"{TEMPLATES}sign_in.html"
)
password_reset = views.PasswordResetView.as_view(
    form_class=ForgottenPasswordForm,
    token_generator=token_generator,
    template_name=f"{TEMPLATES}password_reset_form.html",
)
password_reset_done = views.PasswordResetDoneView.as_view(
    template_name=f"{TEMPLATES}password_reset_done.html"
)
password_reset_confirm = views.PasswordResetConfirmView.as_view(
    token_generator=token_generator, template_name=f"{TEMPLATES}password_reset_confirm.html"
)
password_reset_complete = views.PasswordResetCompleteView.as_view(
    template_name=f"{TEMPLATES}password_reset_complete.html"
)

# Django's views redirect to each other by these names.
urlpatterns = [
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-out/", login_not_required(views.LogoutView.as_view()), name="sign-out"),
    path("password/", password_reset, name="password_reset"),
    path("password/sent/", password_reset_done, name="password_reset_done"),
    path("password/<uidb64>/<token>/", password_reset_confirm, name="password_reset_confirm"),
    path("password/set/", password_reset_complete, name="password_reset_complete"),
]
