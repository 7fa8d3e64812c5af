from django.conf import settings
from django.core.management.base import CommandError

from server.notes.models import Note
from server.tenants.models import Tenant
from server.users.models import User
from tenancy import hosts
from tenancy.exceptions import UnknownUser
from tenancy.lifecycle import provision_tenant
from tenancy.management.base import LifecycleCommand, flag
from tenancy.people.accounts import create_user, new_username
from tenancy.people.members import add_member, find_user, role_of

OWNERS = {
    "ada@example.com": ("Ada Lovelace", "Analytical Engines", "analytical"),
    "grace@example.com": ("Grace Hopper", "Harbour Café", "harbour"),
}
MEMBER = "bob@example.com", "Bob Jansen"
NOTES = ("Lunch at noon.", "Ask Bob about the invoice.", "Welcome! This note is an example.")


class Command(LifecycleCommand):
    help = "Make two workspaces with people and notes, to look at. Safe to repeat."
    arguments = {"--force": flag("do it where DEBUG is off, too")}

    def perform(self, force, by):
        if not (settings.DEBUG or force):
            raise CommandError("DEBUG is off: this isn't development. Add --force if you mean it.")
        if not Tenant.objects.filter(schema_name="public").exists():
            raise CommandError("There is no public site yet: run `manage.py init_tenant`.")
        member = find_or_make(*MEMBER)
        for email, (person, name, slug) in OWNERS.items():
            owner = find_or_make(email, person)
            if not Tenant.all_objects.filter(slug=slug).exists():
                provision_tenant(name, slug, None, owner.username, by=by)
            tenant = Tenant.all_objects.get(slug=slug)
            if role_of(tenant, member) is None:
                add_member(tenant, member.username, by=by)
            write_notes(tenant)
            url = hosts.site_url(tenant.get_primary_domain().domain)
            self.stdout.write(f"{url} is {tenant}, with {email} and {member.email}.")
        url = hosts.main_website_url("/account/login/code/")
        mail = f"; {hosts.main_website_url('/_mail/')} shows it" * settings.DEBUG
        self.stdout.write(f"To sign in, ask for a code at {url}{mail}.")


def find_or_make(email: str, name: str) -> User:
    try:
        return find_user(email)
    except UnknownUser:
        user = create_user(new_username(email), email)
        user.name = name
        user.save(update_fields=["name"])
        return user


def write_notes(tenant: Tenant) -> None:
    with tenant:
        if not Note.objects.exists():
            for text in NOTES:
                Note.objects.create(text=text, author=tenant.owner)
