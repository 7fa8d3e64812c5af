from django.contrib import admin
from tenancy.admin.members import MemberAdmin
from tenancy.models import Member

admin.site.unregister(Member)


@admin.register(Member)
class OwnMemberAdmin(MemberAdmin):
    list_display = [*MemberAdmin.list_display, "phone"]

    def phone(self, member):
        return member.profile.phone
