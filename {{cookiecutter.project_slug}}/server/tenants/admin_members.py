"""Who belongs to a tenant, on the pages of its own admin, for its owner and its admins."""

import re
import secrets
from functools import partial

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.mail import send_mail
from django.db import connection, transaction
from django.template.defaultfilters import date
from django.template.loader import render_to_string
from django.urls import reverse

from server.roles.models import Member, Role
from server.tenants import members, people
from server.tenants.moves import LifecycleError
from server.tenants.reservation import UnknownUser


class MemberForm(forms.ModelForm):
    role = forms.ChoiceField(
        choices=[(role, role.label) for role in reversed(members.TO_GIVE)],
        help_text="An admin may do everything here but to the owner.",
    )

    class Meta:
        model = Member
        fields = []

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["role"] = Role.ADMIN if self.instance.is_superuser else Role.MEMBER


class NewMemberForm(MemberForm):
    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        help_text="It gets a message that says how to sign in.",
    )

    def clean_email(self):
        field = get_user_model()._meta.get_field("email")
        return field.clean(self.cleaned_data["email"], None)


class MemberAdmin(admin.ModelAdmin):
    """What is done goes through `server.tenants.members`, which refuses and logs.

    Another owner is made in the public admin; here the owner's row is there to read.
    """

    list_display = ["user_name", "email", "role", "since"]
    list_select_related = ["profile"]
    search_fields = ["profile__username", "profile__email"]
    actions = None

    @admin.display(description="user name", ordering="profile__username")
    def user_name(self, member):
        return member.profile.get_username()

    @admin.display(description="e-mail", ordering="profile__email")
    def email(self, member):
        return member.profile.email

    @admin.display(ordering="-is_superuser")
    def role(self, member):
        return members.role_by(connection.tenant, member)

    @admin.display(ordering="created_at")
    def since(self, member):
        return date(member.created_at)

    def get_form(self, request, obj=None, **options):
        options["form"] = MemberForm if obj else NewMemberForm
        return super().get_form(request, obj, **options)

    def get_fields(self, request, obj=None):
        return ["user_name", "email", "role", "since"] if obj else ["email", "role"]

    def get_readonly_fields(self, request, obj=None):
        return ["user_name", "email", "since"] if obj else []

    # Not by permissions, which a group may have: with these a member could become an admin.

    def has_view_permission(self, request, obj=None):
        return request.user.is_superuser

    def has_module_permission(self, request):
        return request.user.is_superuser

    def has_add_permission(self, request):
        return request.user.is_superuser

    def has_change_permission(self, request, obj=None):
        is_owner = obj is not None and obj.profile_id == request.tenant.owner_id
        return request.user.is_superuser and not is_owner

    has_delete_permission = has_change_permission

    def changeform_view(self, request, *args, **kwargs):
        try:
            return super().changeform_view(request, *args, **kwargs)
        except LifecycleError as error:
            return self.refuse(request, error)

    def delete_view(self, request, *args, **kwargs):
        try:
            return super().delete_view(request, *args, **kwargs)
        except LifecycleError as error:
            return self.refuse(request, error)

    def refuse(self, request, error: LifecycleError):
        self.message_user(request, str(error), messages.ERROR)
        return self.response_post_save_change(request, None)

    def save_model(self, request, obj, form, change):
        role, by = form.cleaned_data["role"], request.user.get_username()
        if change:
            members.add_member(request.tenant, obj.profile.get_username(), role, by=by)
        else:
            invite(request, form.cleaned_data["email"], role, by)

    def response_add(self, request, obj, post_url_continue=None):
        email = request.POST["email"]
        self.message_user(request, f"“{email}” is a member, and gets a message that says so.")
        return self.response_post_save_add(request, obj)

    def delete_model(self, request, obj):
        by = request.user.get_username()
        members.remove_member(request.tenant, obj.profile.get_username(), by=by)

    def response_delete(self, request, obj_display, obj_id):
        self.message_user(request, f"“{obj_display}” is no member any more.")
        return self.response_post_save_change(request, None)

    def get_deleted_objects(self, objs, request):
        return [], {}, set(), []  # what they wrote stays

    # Django's log would keep names in each tenant, where anonymising had to look for them.

    def log_addition(self, request, obj, message):
        pass

    log_change = log_addition

    def log_deletions(self, request, queryset):
        pass


def invite(request, email: str, role: str, by: str) -> None:
    """Add the person who has the e-mail, or a new one: whoever asks sees the same."""
    tenant = request.tenant
    try:
        members.add_member(tenant, email, role, by=by)
    except UnknownUser:
        try:
            people.create_user(new_name(email), email)
        except people.InvalidUser:  # who has it was deactivated
            raise people.InvalidUser(f"“{email}” can't be added.") from None
        members.add_member(tenant, email, role, by=by)
    site = request.build_absolute_uri("/")
    text = render_to_string(
        "new_member_email.txt",
        {
            "tenant": tenant,
            "by": by,
            "site": site,
            "password_url": request.build_absolute_uri(reverse("password_reset")),
        },
    )
    subject = f"You are a member of {' '.join(tenant.name.split())}"
    # Whoever can't be reached is a member all the same: that is logged, and the link is no secret.
    transaction.on_commit(partial(send_mail, subject, text, None, [email]), robust=True)


def new_name(email: str) -> str:
    """A user name. Without the random part it would tell who has the name elsewhere."""
    local = re.sub("[^a-z0-9]+", ".", email.partition("@")[0].lower()).strip(".")
    return f"{local[:40] or 'member'}-{secrets.token_hex(2)}"
