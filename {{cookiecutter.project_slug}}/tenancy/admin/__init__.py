"""Registers the admin of a tenant's host. The project registers the public host's."""

from django.contrib import admin
from django.contrib.auth.models import Group

from tenancy.admin.groups import GroupAdmin
from tenancy.admin.members import MemberAdmin
from tenancy.models import Member

admin.site.register(Member, MemberAdmin)
if admin.site.is_registered(Group):
    admin.site.unregister(Group)
admin.site.register(Group, GroupAdmin)
