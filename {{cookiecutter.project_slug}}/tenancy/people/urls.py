"""Pages to sign in, to sign out and to set a forgotten password, on each host separately."""

from django.contrib.auth import views
from django.contrib.auth.decorators import login_not_required
from django.urls import path

from tenancy.people.forms import ForgottenPasswordForm, SignInForm, TenantTokenGenerator

TEMPLATE = "tenancy/accounts/{}.html".format
token_generator = TenantTokenGenerator()

sign_in = views.LoginView.as_view(authentication_form=SignInForm, template_name=TEMPLATE("sign_in"))
password_reset = views.PasswordResetView.as_view(
    form_class=ForgottenPasswordForm,
    token_generator=token_generator,
    template_name=TEMPLATE("password_reset_form"),
)
done = views.PasswordResetDoneView.as_view(template_name=TEMPLATE("password_reset_done"))
confirm = views.PasswordResetConfirmView.as_view(
    token_generator=token_generator, template_name=TEMPLATE("password_reset_confirm")
)
complete = views.PasswordResetCompleteView.as_view(
    template_name=TEMPLATE("password_reset_complete")
)

# Django's views redirect to each other by these names.
urlpatterns = [
    path("sign-in/", sign_in, name="sign-in"),
    path("sign-out/", login_not_required(views.LogoutView.as_view()), name="sign-out"),
    path("password/", password_reset, name="password_reset"),
    path("password/sent/", done, name="password_reset_done"),
    path("password/<uidb64>/<token>/", confirm, name="password_reset_confirm"),
    path("password/set/", complete, name="password_reset_complete"),
]
