"""Signing in and out and a forgotten password, at each host on its own."""

from django.contrib.auth import views
from django.contrib.auth.decorators import login_not_required
from django.urls import path

from server.users.forms import ForgottenPasswordForm, SignInForm
from server.users.tokens import token_generator

urlpatterns = [
    path("sign-in/", views.LoginView.as_view(authentication_form=SignInForm), name="sign-in"),
    path("sign-out/", login_not_required(views.LogoutView.as_view()), name="sign-out"),
    # The names are those under which Django's views find each other.
    path(
        "password/",
        views.PasswordResetView.as_view(
            form_class=ForgottenPasswordForm,
            token_generator=token_generator,
            email_template_name="registration/password_reset_email.txt",
        ),
        name="password_reset",
    ),
    path("password/sent/", views.PasswordResetDoneView.as_view(), name="password_reset_done"),
    path(
        "password/<uidb64>/<token>/",
        views.PasswordResetConfirmView.as_view(token_generator=token_generator),
        name="password_reset_confirm",
    ),
    path(
        "password/set/", views.PasswordResetCompleteView.as_view(), name="password_reset_complete"
    ),
]
