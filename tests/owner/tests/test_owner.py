"""What an owner overrides holds, in a project whose engine is untouched.

The database is thrown away: nothing that is committed here is undone.
"""

import json
import zipfile
from io import StringIO
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import Group
from django.core import signing
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage, storages
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django_tenants.utils import tenant_context
from server.tenants import wiring
from server.tenants.models import Domain, Organization, Region, Tenant
from server.tenants.receivers import NAMES, Heard, heard
from server.users.models import User
from tenancy import copies, hosts, lifecycle
from tenancy.exceptions import (
    CopyError,
    InvalidField,
    InvalidRole,
    InvalidSlug,
)
from tenancy.lifecycle import provision_tenant
from tenancy.models import TenantEvent
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member, list_members
from tenancy.schemas.ddl import drop_schema
from tenancy.testing import TenantClient

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def born():
    """Provision a tenant with a slug that nobody has yet, and these fields."""

    def born(slug, **fields):
        provision_tenant(slug.title(), slug, f"{slug.title()} Inc.", "admin", **fields)
        return Tenant.objects.get(slug=slug)

    return born


@pytest.fixture
def site():
    """Signed in at the main website as its owner."""
    public = Tenant.objects.get(slug="public")
    return TenantClient(public, public.owner)


def run(*arguments):
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue().strip()


def get(slug):
    return Tenant.all_objects.get(slug=slug)


def log_of(slug):
    """The log of a tenant, the oldest line first."""
    lines = TenantEvent.objects.filter(slug=slug).order_by("pk")
    return [*lines.values_list("by", "action", "before", "after")]


ADD = "/admin/tenants/tenant/add/"
NEW = {"organization": "Org", "username": "admin"}


# Fields


def test_fields_are_given_at_provisioning(born):
    region = Region.objects.create(code="eu")

    tenant = born("fields", plan="enterprise", region=region, customer_number="17")

    assert (tenant.plan, tenant.region, tenant.customer_number) == ("enterprise", region, "17")
    assert born("defaults").plan == "free"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"plan": "golden"}, "plan: Value 'golden' is not a valid choice."),
        ({"plan": ""}, "plan: This field cannot be blank."),
        ({"region": 0}, "region: region instance with id 0"),
        ({"status": "active"}, "A tenant has no field “status” to set; it has: plan, "),
    ],
)
def test_an_invalid_value_makes_no_tenant(born, fields, said):
    with pytest.raises(InvalidField, match=said.replace(".", "[.]")):
        born("nothing", **fields)

    assert not Tenant.all_objects.filter(slug="nothing").exists()
    assert not Organization.objects.filter(name="Nothing Inc.").exists()


def test_a_field_without_a_valid_default_must_be_given(born, monkeypatch):
    monkeypatch.setattr(Tenant._meta.get_field("plan"), "_get_default", str)

    with pytest.raises(InvalidField, match="plan: This field cannot be blank"):
        born("nothing")


def test_the_command_takes_fields():
    region = Region.objects.create(code="us")
    names = "Typed", "typed", "Typed Inc.", "admin"
    run("provision_tenant", *names, "--field", "plan=enterprise", "--field", f"region={region.pk}")

    assert (get("typed").plan, get("typed").region) == ("enterprise", region)
    for field, said in ("plan=golden", "not a valid choice"), ("plan", "takes NAME=VALUE"):
        with pytest.raises(CommandError, match=said):
            run("provision_tenant", "No", "no", "No", "admin", "--field", field)


def test_the_admin_offers_and_changes_fields_and_logs_it(site):
    assert '<option value="free" selected>' in site.get(ADD).text
    assert 'enctype="multipart/form-data"' in site.get(ADD).text
    region = Region.objects.create(code="asia")
    logo = SimpleUploadedFile("logo.txt", b"logo")
    site.post(ADD, NEW | {"name": "Formed", "slug": "formed", "plan": "team", "logo": logo})
    tenant = get("formed")
    assert (tenant.plan, tenant.logo.read()) == ("team", b"logo")

    page = f"/admin/tenants/tenant/{tenant.pk}/change/"
    assert '<option value="team" selected>' in site.get(page).text
    data = {"name": "Formed", "organization": tenant.organization_id, "plan": "enterprise"}
    site.post(page, data | {"region": region.pk, "logo-clear": "on"})

    tenant = get("formed")
    assert (tenant.plan, tenant.region, tenant.logo.name) == ("enterprise", region, "")
    assert log_of("formed")[1:] == [
        ("admin", "change", "plan: team", "plan: enterprise"),
        ("admin", "change", "region: None", "region: asia"),
        ("admin", "change", "logo: logos/logo.txt", "logo: "),
    ]


def test_a_unique_value_is_one_tenants(site, born):
    born("first-of-it", customer_number="42")

    with pytest.raises(InvalidField, match="customer_number: another tenant has this value"):
        born("second-of-it", customer_number="42")
    data = NEW | {"name": "Second", "slug": "second-of-it", "plan": "team", "customer_number": "42"}
    assert "another tenant has this value" in site.post(ADD, data).text


def test_a_clone_keeps_the_fields_or_gets_others(born):
    region = Region.objects.create(code="africa")
    source = born("source", plan="enterprise", region=region, customer_number="1")
    copies.clone(source, "copied", "test")
    run("clone_tenant", "source", "changed", "--field", "plan=team", "--field", "customer_number=2")

    assert (get("copied").plan, get("copied").region) == ("enterprise", region)
    assert get("copied").customer_number is None
    assert (get("changed").plan, get("changed").customer_number) == ("team", "2")
    with pytest.raises(InvalidField):
        copies.clone(source, "no", "test", plan="golden")


def test_a_clone_keeps_a_value_that_is_offered_no_longer(born):
    source = born("old-plan")
    Tenant.objects.filter(pk=source.pk).update(plan="gold")

    copies.clone(source, "old-plan-2", "test")

    assert get("old-plan-2").plan == "gold"


@pytest.fixture
def kept(born, tmp_path):
    """A backup of a tenant whose fields, organization, domains and members have fields too."""
    region, _ = Region.objects.get_or_create(code="kept")
    tenant = born(f"kept-{Tenant.all_objects.count()}", plan="enterprise", region=region)
    member = create_user(f"member-{tenant.slug}", f"{tenant.slug}@example.com")
    add_member(tenant, member.username, "billing", by="test")
    Organization.objects.filter(pk=tenant.organization_id).update(vat_number="DE1")
    tenant.domains.update(purpose="main")
    lifecycle.add_domain(tenant, f"{tenant.slug}.example.com", "test", purpose="further")
    User.objects.filter(pk=member.pk).update(phone="123", name="Bea", preferences={"a": [1]})
    path = tmp_path / "backup.zip"
    run("backup_tenant", tenant.slug, str(path))
    return SimpleNamespace(tenant=tenant, member=member, path=path, region=region)


def leave_nothing(kept):
    """Make of this installation one that doesn't know the tenant, its customer and its member."""
    lifecycle.delete(kept.tenant, "test")
    lifecycle.purge(kept.tenant, "test", now=True)
    Organization.objects.filter(pk=kept.tenant.organization_id).delete()
    was = {"username": f"was-{kept.member.pk}", "email": f"was-{kept.member.pk}@example.com"}
    User.objects.filter(pk=kept.member.pk).update(**was)


def test_a_backup_brings_all_fields_back(kept):
    leave_nothing(kept)

    run("restore_tenant", str(kept.path))

    tenant = get(kept.tenant.slug)
    (member,) = (user for user, role, _ in list_members(tenant) if role == "billing")
    assert (tenant.plan, tenant.region) == ("enterprise", kept.region)
    assert tenant.organization.vat_number == "DE1"
    assert {*Domain.objects.filter(tenant=tenant).values_list("domain", "purpose")} == {
        (f"{tenant.slug}.localhost", "main"),
        (f"{tenant.slug}.example.com", "further"),
    }
    assert (member.email, member.phone, member.name) == (kept.member.email, "123", "Bea")
    assert member.preferences == {"a": [1]}


def test_who_is_here_keeps_what_they_have(kept):
    User.objects.filter(pk=kept.member.pk).update(phone="456")
    Organization.objects.filter(pk=kept.tenant.organization_id).update(vat_number="FR2")
    slug = f"{kept.tenant.slug}-2"

    run("restore_tenant", str(kept.path), "--slug", slug, "--field", "plan=team")

    assert get(slug).plan == "team"
    assert get(slug).organization.vat_number == "FR2"
    assert User.objects.get(pk=kept.member.pk).phone == "456"


# Files of people, customers and tenants


@pytest.fixture
def pictures(born):
    """Files of a tenant, its customer and a member, each written in another tenant."""
    tenant, other = born("pictures"), born("elsewhere")
    people = [create_user(name, f"{name}@example.com") for name in ("bea", "carl")]
    for one, person in zip((tenant, other), people, strict=True):
        add_member(one, person.username, by="test")
    with other:
        for field in (tenant.logo, tenant.organization.logo, people[0].avatar):
            field.save("x.png", ContentFile(b"picture"))
    return SimpleNamespace(tenant=tenant, other=other, bea=people[0], carl=people[1])


def test_shared_files_are_served_where_their_rows_may_be_seen(pictures, site):
    """I11: at every host, and to nobody else."""
    tenant, other, bea, carl = vars(pictures).values()
    public = Tenant.objects.get(slug="public")
    urls = [tenant.logo.url, tenant.organization.logo.url, bea.avatar.url]
    assert urls == [f"/media/_shared/{place}/x.png" for place in ("logos", "customers", "avatars")]

    for url in urls:
        for client in (TenantClient(tenant, bea), TenantClient(public, bea), site):
            assert client.get(url).status_code == 200, url
        for client in (TenantClient(other, carl), TenantClient(public, carl)):
            assert client.get(url).status_code == 404, url
    add_member(tenant, "carl", by="test")
    assert TenantClient(public, carl).get(urls[2]).status_code == 200
    assert TenantClient(other, carl).get(urls[2]).status_code == 404

    lifecycle.delete(tenant, "test")
    lifecycle.purge(tenant, "test", now=True)
    assert User.objects.get(username="bea").avatar.read() == b"picture"


def test_a_file_that_is_elsewhere_is_left_out_of_a_restored_tenant(born, tmp_path):
    """I11: a backup has the name of a shared row's file."""
    tenant = born("drawn")
    tenant.logo.save("x.png", ContentFile(b"picture"))
    path = copies.backup(tenant, tmp_path / "backup.zip", "test")
    copies.restore(path, "test", slug="drawn-2")
    assert get("drawn-2").logo.name == tenant.logo.name

    tenant.logo.delete()
    _, notes = copies.restore(path, "test", slug="drawn-3")
    assert notes == ["The file of Tenant.logo isn't here: it is left out."]

    name = get("drawn-2").logo.name
    assert tenant.logo.storage.save(name, ContentFile(b"of somebody else")) == name
    _, notes = copies.restore(path, "test", slug="drawn-4")
    assert notes == ["The file of Tenant.logo isn't here: it is left out."]
    assert not get("drawn-4").logo


# A backup's format grows.


def rewrite(path, change):
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(entries["header.json"])
    change(header)
    entries["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def test_a_header_with_further_keys_is_read(kept):
    def change(header):
        header["format"], header["further"] = 99, {"x": 1}
        header["fields"]["seats"] = "5"

    rewrite(kept.path, change)
    host, notes = copies.restore(kept.path, "test", slug=f"{kept.tenant.slug}-2")

    assert host == f"{kept.tenant.slug}-2.localhost"
    assert "'Tenant.seats' doesn't exist here: its value is left out." in notes


@pytest.mark.parametrize("key", ["fields", "organization_fields"])
def test_a_header_without_an_optional_key_is_read(kept, key):
    rewrite(kept.path, lambda header: header.pop(key))
    leave_nothing(kept)
    copies.restore(kept.path, "test")

    assert get(kept.tenant.slug).plan == ("free" if key == "fields" else "enterprise")


def test_a_newer_minimum_is_refused(kept):
    rewrite(kept.path, lambda header: header.update(minimum=2))

    with pytest.raises(CopyError, match="has format 2; this code reads up to 1"):
        copies.restore(kept.path, "test", slug="no")


# Roles


@pytest.fixture
def bea(born):
    """A member with a role of the owner's."""
    tenant = born(f"roles-{Tenant.all_objects.count()}")
    person = create_user(f"bea-{tenant.slug}", f"bea@{tenant.slug}.example.com")

    def bea(role):
        run("add_member", tenant.slug, person.username, "--role", role)
        return tenant, User.objects.get(pk=person.pk)

    return bea


def rights(tenant, person):
    with tenant:
        found = User.objects.get(pk=person.pk)
        return found.is_staff, found.is_superuser, found.get_all_permissions()


def test_a_role_gives_what_the_setting_says(bea):
    assert rights(*bea("billing")) == (False, False, {"notes.view_note"})
    assert rights(*bea("support")) == (True, False, set())
    assert rights(*bea("member")) == (False, False, set())


def test_a_role_that_is_taken_from_the_setting_gives_nothing(bea, settings):
    tenant, person = bea("support")
    client = TenantClient(tenant, person)
    assert client.get("/admin/").status_code == 200
    settings.TENANCY_ROLES = {
        name: role for name, role in settings.TENANCY_ROLES.items() if name != "support"
    }

    assert client.get("/admin/").status_code == 403
    assert rights(tenant, person) == (False, False, set())


def test_a_permission_that_is_taken_from_a_role_is_gone(bea, settings):
    tenant, person = bea("billing")
    settings.TENANCY_ROLES = settings.TENANCY_ROLES | {"billing": {"label": "Billing"}}

    assert rights(tenant, person) == (False, False, set())


def test_an_unknown_role_is_refused(bea):
    tenant, person = bea("member")

    for role in ("owner", "chief"):
        with pytest.raises(InvalidRole, match="admin or member or billing or support"):
            add_member(tenant, person.username, role, by="test")
    assert rights(tenant, person) == (False, False, set())


def test_a_clone_keeps_the_roles(bea):
    tenant, person = bea("billing")
    copies.clone(tenant, f"{tenant.slug}-2", "test")

    assert rights(get(f"{tenant.slug}-2"), person) == (False, False, {"notes.view_note"})


def test_the_role_that_was_given_last_counts(bea, settings):
    tenant, person = bea("billing")
    every = settings.TENANCY_ROLES
    settings.TENANCY_ROLES = {name: role for name, role in every.items() if name != "billing"}
    bea("member")
    settings.TENANCY_ROLES = every

    assert rights(tenant, person) == (False, False, set())
    assert {user.pk: role for user, role, _ in list_members(tenant)}[person.pk] == "member"


# Pages and e-mails


def test_a_page_of_the_same_name_replaces_the_engines(born, mailoutbox):
    tenant = born("pages")
    anybody = TenantClient(tenant)
    website = TenantClient(Tenant.objects.get(slug="public"))
    assert "The owner's sign-in" in website.get("/account/login/").text
    assert mailoutbox[-1].subject == "Your workspace Pages is open"
    assert "The owner's text: http://pages.localhost/" in mailoutbox[-1].body

    lifecycle.suspend(tenant, "test")
    answer = anybody.get("/")
    assert answer.status_code == 503
    assert "The owner's page: pages.localhost rests" in answer.text


# Transitions and steps


@pytest.fixture
def signals():
    """What the receivers hear from now on."""
    vars(heard).update(vars(Heard()))
    yield heard
    vars(heard).update(vars(Heard()))


def walk(tmp_path):
    """Make every transition, the fewest that it takes; yield what is to be heard of each."""
    prefix = f"walk-{Tenant.all_objects.count()}"
    provision_tenant("Walk", prefix, "Walk Inc.", "admin")
    tenant = get(prefix)
    yield "provisioned", prefix, "provision"
    lifecycle.suspend(tenant, "test")
    yield "suspended", prefix, "suspend"
    lifecycle.rename_schema(tenant, "test")
    yield "schema_renamed", prefix, "rename schema"
    drop_schema(get(prefix).schema_name)
    lifecycle.recreate_schema(get(prefix), "test")
    yield "schema_recreated", prefix, "create schema"
    lifecycle.resume(tenant, "test")
    yield "resumed", prefix, "resume"
    lifecycle.change(tenant, "test", plan="team")
    yield "changed", prefix, "change"
    lifecycle.rename(tenant, "test", name="Walked")
    yield "changed", prefix, "rename"
    lifecycle.transfer(tenant, "other", "test")
    yield "transferred", prefix, "transfer"
    copies.clone(get(prefix), f"{prefix}-2", "test")
    yield "cloned", f"{prefix}-2", "clone"
    copies.backup(tenant, tmp_path / f"{prefix}.zip", "test")
    yield "backed_up", prefix, "back up"
    copies.restore(tmp_path / f"{prefix}.zip", "test", slug=f"{prefix}-3")
    yield "restored", f"{prefix}-3", "restore"
    lifecycle.delete(tenant, "test")
    yield "deleted", prefix, "delete"
    lifecycle.undelete(tenant, "test")
    yield "undeleted", prefix, "undelete"
    lifecycle.delete(tenant, "test")
    yield "deleted", prefix, "delete"
    lifecycle.purge(tenant, "test", now=True)
    yield "purging", prefix, "purge"
    yield "purged", prefix, "purge"
    half = Tenant.objects.create(
        name="Half",
        slug=f"{prefix}-half",
        schema_name=f"{prefix}-half_01234567",
        organization=get(f"{prefix}-2").organization,
        owner=get("public").owner,
    )
    Domain.objects.create(tenant=half, domain=f"{prefix}-half.localhost")
    lifecycle.abandon(half, "test")
    yield "abandoned", f"{prefix}-half", "abandon"


def test_each_transition_is_heard_once_after_its_commit(signals, tmp_path):
    expected = [(*each, True) for each in walk(tmp_path)]

    assert signals.events == expected
    assert {name for name, *_ in expected} == {*NAMES.values()}


def test_a_receiver_that_raises_changes_nothing(signals, tmp_path, caplog):
    signals.fails = {"transition", "ready"}
    expected = [(*each, True) for each in walk(tmp_path)]

    assert signals.events == expected
    assert signals.after_it == [action for _, _, action, _ in expected]
    assert caplog.text.count("RuntimeError: A receiver fails.") == len(expected)


def test_a_transition_that_is_rolled_back_is_not_heard(signals, born):
    tenant = born("rolled-back")
    signals.events.clear()

    with transaction.atomic():
        lifecycle.suspend(tenant, "test")
        transaction.set_rollback(True)

    assert signals.events == []
    assert get("rolled-back").status == "active"


def test_a_step_of_provisioning_is_part_of_the_birth(signals, born):
    with tenant_context(born("steps")):
        assert Group.objects.filter(name="starters").exists()
    assert signals.born == [("steps", True)]
    assert signals.ready == [("steps", "active", False)]

    signals.fails = {"birth"}
    before = schemas()
    with pytest.raises(RuntimeError, match="A step fails"):
        born("unborn")
    assert not Tenant.all_objects.filter(slug="unborn").exists()
    assert not Organization.objects.filter(name="Unborn Inc.").exists()
    assert schemas() == before
    assert len(signals.ready) == len(signals.events) == 1


def schemas():
    with connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace ORDER BY 1")
        return cursor.fetchall()


def test_a_step_that_fails_after_the_birth_leaves_the_tenant(signals, born):
    signals.fails = {"ready"}

    assert born("born").status == "active"


# Admin


def test_subclassed_admins(site, born):
    tenant = born("subclassed", plan="enterprise")
    User.objects.filter(pk=tenant.owner_id).update(phone="+49 30 1")

    assert "Subclassed" in site.get("/admin/tenants/tenant/?plan__exact=enterprise").text
    assert "Subclassed" not in site.get("/admin/tenants/tenant/?plan__exact=team").text
    assert "+49 30 1" in TenantClient(tenant, tenant.owner).get("/admin/tenancy/member/").text


def test_a_field_of_a_domain_is_given_in_the_admin(site, born):
    tenant = born("hosts")
    data = {"tenant": tenant.pk, "domain": "domains.example.com", "purpose": "shop"}
    site.post("/admin/tenants/domain/add/", data)

    assert Domain.objects.get(domain="domains.example.com").purpose == "shop"


def test_a_field_of_a_person_is_changed_in_the_admin(site):
    person = create_user("admins-person", "admins-person@example.com")
    page = f"/admin/users/user/{person.pk}/change/"
    data = {"username": person.username, "email": person.email, "phone": "789"}
    inline = {"usertenantpermissions-TOTAL_FORMS": 0, "usertenantpermissions-INITIAL_FORMS": 0}
    site.post(page, data | inline)

    assert User.objects.get(pk=person.pk).phone == "789"


def test_a_request_has_the_value_of_a_persons_field(born):
    tenant = born("preferences")
    User.objects.filter(pk=tenant.owner_id).update(preferences={"theme": "dark"})

    request = TenantClient(tenant, tenant.owner).get("/").wsgi_request

    assert request.user.preferences == {"theme": "dark"}


def test_a_deleted_tenant_is_not_changed_in_the_admin(site, born):
    tenant, another = born("deleted"), Organization.objects.create(name="Another")
    lifecycle.delete(tenant, "test")
    before = log_of("deleted")
    data = {"name": "Brought back", "organization": another.pk, "plan": "team"}
    answer = site.post(f"/admin/tenants/tenant/{tenant.pk}/change/", data, follow=True)

    after = get("deleted")
    assert "Can&#x27;t change “deleted”: it is deleted, not active or suspended." in answer.text
    assert (after.name, after.organization, after.plan) == ("Deleted", tenant.organization, "free")
    assert log_of("deleted") == before


def test_each_change_in_the_admin_has_a_line_in_the_log(site, born):
    tenant, another = born("changing"), Organization.objects.create(name="Yet another")
    data = {"name": "Changed", "organization": another.pk, "plan": "team"}
    site.post(f"/admin/tenants/tenant/{tenant.pk}/change/", data)

    assert log_of("changing")[1:] == [
        ("admin", "change", "name: Changing", "name: Changed"),
        ("admin", "change", "organization: Changing Inc.", "organization: Yet another"),
        ("admin", "change", "plan: free", "plan: team"),
    ]


def test_a_word_may_become_reserved_that_a_tenant_has(site, born, monkeypatch):
    tenant = born("future")
    monkeypatch.setattr(hosts, "RESERVED_SLUGS", hosts.RESERVED_SLUGS | {"future", "next"})

    run("makemigrations", "--check")
    run("migrate_schemas")
    data = {"name": "Still here", "organization": tenant.organization_id, "plan": "free"}
    site.post(f"/admin/tenants/tenant/{tenant.pk}/change/", data)
    assert get("future").name == "Still here"
    with pytest.raises(InvalidSlug, match="reserved"):
        born("next")
    with pytest.raises(IntegrityError, match="tenants_tenant_slug"):
        Tenant.objects.filter(pk=tenant.pk).update(slug="Not a slug")


# Wiring


def test_the_projects_own_classes_are_in_use(born):
    tenant = born("wired", plan="team")
    assert TenantClient(tenant).get("/")["X-Plan"] == "team"
    with tenant:
        name = default_storage.save("a.txt", ContentFile(b"a"))
        assert default_storage.path(name).endswith(f"/{tenant.schema_name}/a.txt")
        signed = signing.get_cookie_signer().sign("x")
    with pytest.raises(signing.BadSignature):
        signing.get_cookie_signer().unsign(signed)
    assert isinstance(storages["default"], wiring.Uploads)
    wiring.executors.clear()
    run("migrate_schemas", "--tenant")
    assert wiring.executors == [None]
    assert run_checks() == []


@pytest.mark.parametrize(
    ("name", "value", "id"),
    [
        ("SIGNING_BACKEND", "django.core.signing.TimestampSigner", "tenancy.E021"),
        (
            "STORAGES",
            {"default": {"BACKEND": "django.core.files.storage.FileSystemStorage"}},
            "tenancy.E022",
        ),
        (
            "CACHES",
            {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
            "tenancy.E023",
        ),
    ],
)
def test_wrong_wiring_is_refused(settings, name, value, id):
    setattr(settings, name, value)

    assert [message.id for message in run_checks(tags=["tenants"])] == [id]


def test_a_field_that_the_engine_cannot_fill_is_refused(monkeypatch):
    monkeypatch.setattr(Tenant._meta.get_field("plan"), "_get_default", lambda: None)

    assert [message.id for message in run_checks(tags=["tenants"])] == ["tenancy.E024"]


def test_a_field_that_no_copy_takes_along_is_warned_of(monkeypatch):
    monkeypatch.setattr(Tenant._meta, "many_to_many", [SimpleNamespace(name="features")])

    assert [message.id for message in run_checks(tags=["tenants"])] == ["tenancy.W025"]


def test_a_model_that_loses_the_engines_constraints_is_refused(monkeypatch):
    """A plain `class Meta` replaces that of the abstract model."""
    monkeypatch.setattr(Tenant._meta, "constraints", [])

    assert [message.id for message in run_checks(tags=["tenants"])] == ["tenancy.E026"]


def test_a_model_that_loses_the_engines_manager_is_refused(monkeypatch):
    plain = Organization._meta.managers_map["objects"]
    managers = Tenant._meta.managers_map | {"objects": plain}
    monkeypatch.setitem(vars(Tenant._meta), "managers_map", managers)

    assert [message.id for message in run_checks(tags=["tenants"])] == ["tenancy.E027"]
