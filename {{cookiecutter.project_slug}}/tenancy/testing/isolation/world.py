"""Two tenants with people and rows, for one test, which is rolled back."""

import time

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from django_tenants.utils import get_public_schema_name
from tenant_users.permissions.models import UserTenantPermissions

from tenancy import roles
from tenancy.concrete import Organization, Tenant
from tenancy.database import citus
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member, grant, revoke
from tenancy.testing.client import sign_in
from tenancy.testing.isolation.filler import Filler
from tenancy.testing.isolation.sides import (
    FIRST_OF_A_REQUEST,
    NOBODY,
    OTHER,
    OWN,
    SHARED,
    Side,
    new_sides,
)

PUBLIC = get_public_schema_name()
PASSWORD = "correct horse battery staple"  # noqa: S105 (of people who live for one test)
SEQUENCES = """
    SELECT format('%%I.%%I', schemaname, sequencename), max_value
    FROM pg_sequences WHERE schemaname = %s
"""
DAY = 24 * 60 * 60  # seconds; a confirmation that holds for as long as the proof takes
ROWS = {OWN: 2, OTHER: 3, SHARED: 2}

ANONYMOUS, STRANGER, OUTSIDER, STAFF = "anonymous", "stranger", "outsider", "staff"
NOT_MEMBERS = {ANONYMOUS, STRANGER, OUTSIDER}


class World:
    """`own` is the tenant at whose host requests are made, `other` the one they mustn't reach.

    `people` has a user for each kind of person, by its name:

    - `anonymous` is None.
    - `stranger` is a member of no tenant, `outsider` of the other one.
    - `member` is a member here, and an admin of the other tenant.
    - `admin`, `owner` and the roles of the project are members here alone.
    - `staff` is the superuser of the main website.
    """

    def __init__(self, factories):
        own, other = (Tenant.objects.get(slug=slug) for slug in ("first", "other"))
        self.public = Tenant.objects.get(schema_name=PUBLIC)
        self.sides = new_sides(own, other)
        self.own, self.other = self.sides[OWN], self.sides[OTHER]
        self.public_host = self.public.get_primary_domain().domain
        self.filler = Filler(self.sides, factories)
        self.people = {ANONYMOUS: None}
        for side in (self.own, self.other):
            self.name_tenant(side)
        self.invite()
        self.fill(SHARED)
        self.fill(OWN)
        self.cookies = {}
        self.hosts = {side.host: side.tenant for side in (self.own, self.other)}
        self.hosts[self.public_host] = self.public
        self.sign_in()

    def name_tenant(self, side: Side) -> None:
        """Give the tenant and its organization names with canaries, and the tenant a logo."""
        tenant = side.tenant
        with tenant:
            content = ContentFile(side.canary("the tenant's logo, a file").encode())
            logo = default_storage.save(side.canary("the tenant's logo"), content)
        side.uploads.append((default_storage, logo))
        names = {"name": side.canary("the tenant's name"), "logo_file": logo}
        Tenant.objects.filter(pk=tenant.pk).update(**names)
        organization = Organization.objects.filter(pk=tenant.organization_id)
        organization.update(name=side.canary("the tenant's organization"))
        side.tenant = Tenant.objects.get(pk=tenant.pk)
        side.literals[tenant.schema_name] = "the schema's name"
        side.literals[side.host] = "the tenant's host"

    def invite(self) -> None:
        other_owner = self.person(self.other, "owner of the other tenant")
        self.people[OUTSIDER] = self.person(self.other, OUTSIDER)
        for role in reversed(roles.all_roles()):  # the first row of a table is a member's
            self.people[role] = self.person(self.own, role)
        for kind in (STRANGER, STAFF):
            self.people[kind] = self.person(self.sides[NOBODY], kind)
        with self.public:
            rights = UserTenantPermissions.objects.filter(profile=self.people[STAFF])
            rights.update(is_staff=True, is_superuser=True)
        for side in (self.own, self.other):
            self.restart(side, side.tenant.schema_name)
        for role in settings.TENANCY_ROLES:
            add_member(self.own.tenant, self.people[role].username, role, by="test")
        add_member(self.other.tenant, self.people[OUTSIDER].username, roles.ADMIN, by="test")
        add_member(self.other.tenant, self.people[roles.MEMBER].username, roles.ADMIN, by="test")
        self.give(self.own, self.people[roles.OWNER])
        self.give(self.other, other_owner)
        for side in (self.own, self.other):
            with side.tenant:  # the owner's can't be changed
                members = UserTenantPermissions.objects.exclude(profile=side.tenant.owner_id)
                side.rows[UserTenantPermissions] = [*members.order_by("pk")]

    def person(self, side: Side, kind: str):
        self.restart(side, PUBLIC, len(side.people))
        name = side.canary(f"the name of a person, {kind}")
        user = create_user(name, f"{name}@example.com", PASSWORD)
        side.people.append(user)
        return user

    def give(self, side: Side, owner) -> None:
        """Make the person the tenant's owner, and its only one."""
        before = side.tenant.owner
        grant(side.tenant, owner, roles.OWNER)
        Tenant.objects.filter(pk=side.tenant.pk).update(owner=owner)
        revoke(side.tenant, before, by="test")
        side.tenant = Tenant.objects.get(pk=side.tenant.pk)

    def fill(self, name: str) -> None:
        side = self.sides[name]
        for schema in (PUBLIC, *([side.tenant.schema_name] if side.tenant else [])):
            self.restart(side, schema, len(side.people) * (schema == PUBLIC))
        if side.tenant:
            self.filler.fill_tenant(side, ROWS[name])
        else:
            self.filler.fill_shared(ROWS[name])

    def remove_uploads(self, *sides: Side) -> None:
        """Do for files what a rollback does for rows."""
        for side in sides:
            with side.tenant or self.public:
                for storage, name in side.uploads:
                    storage.delete(name)
            side.uploads.clear()

    def restart(self, side: Side, schema_name: str, further: int = 0) -> None:
        """Make the keys of new rows in the schema the side's."""
        with connection.cursor() as cursor:
            cursor.execute(SEQUENCES, [schema_name])
            statements = [
                citus.restart(name, side.first_of(largest) + further)
                for name, largest in cursor.fetchall()
            ]
            statements = ["SET CONSTRAINTS ALL IMMEDIATE", *statements]
            for message in citus.messages(statements, "; "):
                cursor.execute(message)

    def begin(self) -> None:
        """Give the rows that requests make keys of their own, the same in each pass."""
        for side in (self.own, self.other):
            self.restart(side, side.tenant.schema_name, FIRST_OF_A_REQUEST)
        self.restart(self.own, PUBLIC, FIRST_OF_A_REQUEST)

    def sign_in(self) -> None:
        """Sign each person in at each host, whether or not they are members there."""
        for host, tenant in self.hosts.items():
            for name, user in self.people.items():
                client = Client(SERVER_NAME=host)
                if user:
                    with tenant:
                        sign_in(client, user, confirmed_at=time.time() + DAY)
                self.cookies[host, name] = client.cookies
