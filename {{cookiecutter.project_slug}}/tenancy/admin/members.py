"""The members of a tenant, on the pages of its own admin, for its owner and its admins."""

from functools import partial

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.template.defaultfilters import date
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy import hosts, roles
from tenancy.admin.base import LifecycleAdmin
from tenancy.emails import send_email
from tenancy.exceptions import InvalidUser, UnknownUser
from tenancy.isolation.admin_site import TenantSite
from tenancy.limits import limit
from tenancy.models import Member
from tenancy.people import accounts, members


class MemberForm(forms.ModelForm):
    role = forms.ChoiceField(label=_("Role"), choices=lambda: [*roles.assignable_roles().items()])

    class Meta:
        model = Member
        fields = []

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.initial["role"] = roles.MEMBER
        if self.instance.pk:
            self.initial["role"] = members.role_of(connection.tenant, self.instance.profile)


class NewMemberForm(MemberForm):
    email = forms.EmailField(
        label=_("E-mail"),
        max_length=254,
        help_text=_("We send a message that says how to sign in."),
    )

    def clean_email(self):
        field = get_user_model()._meta.get_field("email")
        return field.clean(self.cleaned_data["email"], None)


class MemberAdmin(LifecycleAdmin):
    """Every change goes through `tenancy.people.members`, which checks and logs it.

    The owner's row is read-only: the public admin transfers a tenant to another owner.
    """

    only_at = TenantSite
    list_display = ["user_name", "email", "role", "since"]
    list_select_related = ["profile"]
    search_fields = ["profile__username", "profile__email"]
    actions = None

    @admin.display(description=_("user name"), ordering="profile__username")
    def user_name(self, member):
        return member.profile.get_username()

    @admin.display(description=_("e-mail"), ordering="profile__email")
    def email(self, member):
        return member.profile.email

    @admin.display(description=_("role"), ordering="-is_superuser")
    def role(self, member):
        role = members.role_from(connection.tenant, member)
        return roles.all_roles().get(role, {}).get("label", role)

    @admin.display(description=_("since"), ordering="created_at")
    def since(self, member):
        return date(member.created_at)

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(role=roles.role_name())

    def get_form(self, request, obj=None, **options):
        options["form"] = MemberForm if obj else NewMemberForm
        return super().get_form(request, obj, **options)

    def get_fields(self, request, obj=None):
        return ["user_name", "email", "role", "since"] if obj else ["email", "role"]

    def get_readonly_fields(self, request, obj=None):
        return ["user_name", "email", "since"] if obj else []

    # Permissions don't count here: members of a group that has them could become admins.

    def has_add_permission(self, request):
        return request.user.is_superuser

    def has_view_permission(self, request, obj=None):
        return request.user.is_superuser

    has_module_permission = has_add_permission

    def has_change_permission(self, request, obj=None):
        is_owner = obj is not None and obj.profile_id == request.tenant.owner_id
        return request.user.is_superuser and not is_owner

    has_delete_permission = has_change_permission

    def save_model(self, request, obj, form, change):
        role, by = form.cleaned_data["role"], request.user.get_username()
        if change:
            members.add_member(request.tenant, obj.profile.get_username(), role, by=by)
        else:
            invite(request, form.cleaned_data["email"], role, by)

    def response_add(self, request, obj, post_url_continue=None):
        message = gettext("“%(email)s” is a member now. We send them a message.")
        self.message_user(request, message % {"email": request.POST["email"]})
        return self.response_post_save_add(request, obj)

    def delete_model(self, request, obj):
        by = request.user.get_username()
        members.remove_member(request.tenant, obj.profile.get_username(), by=by)

    def response_delete(self, request, obj_display, obj_id):
        message = gettext("“%(name)s” is not a member any more.")
        self.message_user(request, message % {"name": obj_display})
        return self.response_post_save_change(request, None)

    def get_deleted_objects(self, objs, request):
        return [], {}, set(), []  # what the member wrote stays

    # Django's log would keep names in each tenant, where `anonymise` doesn't look for them.

    def log_addition(self, request, obj, message):
        pass

    log_change = log_addition

    def log_deletions(self, request, queryset):
        pass


def invite(request, email: str, role: str, by: str) -> None:
    """Add the person with the e-mail, or a new one. The inviter can't tell which it was."""
    tenant = request.tenant
    limit("invitation", tenant.schema_name, "20/1h")
    limit("invitation-recipient", email, "5/1h")
    try:
        members.add_member(tenant, email, role, by=by)
    except UnknownUser:
        try:
            accounts.create_user(accounts.new_username(email), email)
        except InvalidUser:  # a deactivated person has the e-mail
            message = gettext("“%(email)s” can't be added.")
            raise InvalidUser(message % {"email": email}) from None
        members.add_member(tenant, email, role, by=by)
    context = {
        "tenant": tenant,
        "by": by,
        "site": hosts.own_url(request),
    }
    # Robust: a failed e-mail is logged, and the person is a member all the same.
    transaction.on_commit(partial(send_email, "new_member", email, context), robust=True)
