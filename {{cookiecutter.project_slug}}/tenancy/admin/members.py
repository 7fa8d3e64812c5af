"""The members of a tenant, on the pages of its own admin, for its owner and its admins."""

from allauth.account.adapter import get_adapter
from django import forms
from django.contrib import admin
from django.db import connection
from django.template.defaultfilters import date
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from tenancy import roles
from tenancy.admin.base import LifecycleAdmin
from tenancy.isolation.admin_site import TenantSite
from tenancy.models import Member
from tenancy.people import invitations, members


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
        help_text=_("We send an invitation. Whoever accepts it becomes a member."),
    )

    def clean_email(self):
        return get_adapter().clean_email(self.cleaned_data["email"])


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
            members.change_role(request.tenant, obj.profile.get_username(), role, by=by)
        else:
            invitations.invite(request.tenant, form.cleaned_data["email"], role, request.user)

    def response_add(self, request, obj, post_url_continue=None):
        message = gettext("We have sent an invitation to %(email)s.")
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
