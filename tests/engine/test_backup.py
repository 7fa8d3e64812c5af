"""A backup is a tenant at one moment; what is restored is that tenant, wherever it is."""

import json
import warnings
import zipfile

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.fields import GenericForeignKey
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django_celery_results.models import TaskResult
from server.notes.models import Note
from server.tenants.models import Domain, Tenant
from tenancy import copies, lifecycle, roles
from tenancy.copies import backup, restore
from tenancy.copies.archive import opened
from tenancy.exceptions import CopyError, IllegalTransition, LifecycleError, SlugTaken
from tenancy.models import TenantEvent
from tenancy.people import accounts, members
from tenancy.schemas.uploads import uploads_of
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

from engine.copies import cleaned_up, execute, get, provision, provision_exotic, remove
from engine.people import erase
from engine.processes import kill, start, stop_before
from engine.roles import roles_of
from engine.schemas import describe
from engine.signals import SIGNALS, heard

Status = Tenant.Status


@pytest.fixture(scope="module")
def kept(django_db_setup, django_db_blocker, tmp_path_factory):
    """A file that tests only read, or forge."""
    with django_db_blocker.unblock(), cleaned_up():
        tenant = provision("kept")
        with tenant:
            Note.objects.create(text="Remember", author=tenant.owner)
            default_storage.save("a/b", ContentFile(b"Ours"))
        connection.set_schema_to_public()
        yield backup(tenant, tmp_path_factory.mktemp("kept") / "kept.zip", "ada")


@pytest.fixture
def source(committed_db):
    """A tenant with notes, a member in a group, an upload and domains."""
    with cleaned_up():
        tenant = provision("source")
        other = get_user_model().objects.get(username="other")
        tenant.add_user(other, is_superuser=True)
        with tenant:
            Note.objects.create(text="Remember", author=tenant.owner)
            Note.objects.create(text="This too", author=other)
            group = Group.objects.create(name="Writers")
            UserTenantPermissions.objects.get(profile=other).groups.add(group)
            default_storage.save("a/ä b.txt", ContentFile(b"Ours"))
        connection.set_schema_to_public()
        Domain.objects.create(
            tenant=tenant, domain="old.example.com", is_primary=False, redirects=True
        )
        lifecycle.rename(tenant, "test", domain="example.com")
        yield tenant


@pytest.fixture
def file(source, tmp_path):
    return backup(source, tmp_path / "source.zip", "ada")


def restored(file, slug="again", **options):
    restore(file, "ada", slug=slug, **options)
    return get(slug)


def notes(tenant):
    with tenant:
        return [*Note.objects.order_by("pk").values_list("text", "author__username")]


def forged(file, changes=None, **entries):
    """A copy of the backup with another header, or other entries; None for one that is missing."""
    copy = file.with_name("forged.zip")
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(copy, "w") as new:
        header = json.loads(old.read("header.json")) | (changes or {})
        given = {name: old.read(name) for name in old.namelist()}
        given |= {"header.json": json.dumps(header)} | entries
        for name, content in given.items():
            if content is not None:
                new.writestr(name, content)
    return copy


# What comes back


@pytest.mark.usefixtures("committed_db", "views_filled")
def test_nothing_differs_for_an_app_with_everything(tmp_path):
    with cleaned_up():
        exotic = provision_exotic("exotic")
        file = backup(exotic, tmp_path / "exotic.zip", "ada")

        expected = describe(exotic.schema_name)
        assert describe(restored(file, "ag-ain").schema_name) == expected
        remove(exotic)
        assert describe(restored(file, "exotic").schema_name) == expected


def test_all_of_a_tenant_comes_back(source, file, settings):
    settings.ALLOWED_HOSTS = ["example.com"]
    client = TenantClient(source, source.owner)
    lifecycle.delete(source, "test")
    event = TenantEvent.objects.get(schema_name=source.schema_name, action="back up")
    assert (event.by, event.before, event.after) == ("ada", "active", "source.zip")
    with pytest.raises(SlugTaken, match="“source” is taken"):
        restore(file, "ada")
    lifecycle.purge(source, "test", now=True)

    with heard() as sent:
        assert restore(file, "ada") == ("source.localhost", [])
    assert sent == [*SIGNALS]

    tenant = get("source")
    assert (tenant.name, tenant.organization.name) == (source.name, source.organization.name)
    assert (tenant.owner, tenant.status) == (source.owner, Status.ACTIVE)
    assert {member.username for member in tenant.user_set.all()} == {"admin", "other"}
    assert {*tenant.domains.values_list("domain", "is_primary", "redirects")} == {
        ("source.localhost", False, True),
        ("old.example.com", False, True),
        ("example.com", True, False),
    }
    assert notes(tenant) == [("Remember", "admin"), ("This too", "other")]
    with tenant:
        rights = UserTenantPermissions.objects.get(profile__username="other")
        assert rights.is_superuser
        names = rights.groups.order_by("name").values_list("name", flat=True)
        assert [*names] == ["Writers", "admin"]
        assert default_storage.open("a/ä b.txt").read() == b"Ours"
    assert client.get("/notes/").status_code == 302
    client = TenantClient(tenant, tenant.owner)
    assert b"Remember" in client.get("/notes/").content
    event = TenantEvent.objects.get(schema_name=tenant.schema_name)
    assert (event.by, event.action, event.after) == ("ada", "restore", "active")


def test_beside_the_old_one_it_has_other_domains(source, file):
    host, notes = restore(
        file, "ada", slug="again", name="Again", owner="other", organization="New"
    )

    assert host == "again.localhost"
    assert [note.split()[2] for note in notes] == ["'old.example.com'", "'example.com'"]
    tenant = get("again")
    assert (tenant.name, tenant.organization.name) == ("Again", "New")
    assert roles_of(tenant) == {"other": "owner", "admin": "member"}
    assert [*tenant.domains.values_list("domain", "is_primary", "redirects")] == [
        ("again.localhost", True, False)
    ]


def test_people_who_were_deactivated_meanwhile_are_not_members_again(source, tmp_path):
    user = accounts.create_user("fired", "fired@example.com")
    members.add_member(source, "fired", roles.ADMIN, by="test")
    try:
        lifecycle.delete(source, "test")
        file = backup(source, tmp_path / "file", "test")
        accounts.deactivate("fired", "test")
        again = restored(file)

        assert again.status == Status.ACTIVE
        assert "fired" not in roles_of(again)
        assert [*user.tenants.all()] == []
        accounts.anonymise("fired", "test")
    finally:
        erase(user._meta.model._base_manager.filter(pk=user.pk))


# Ids of what is shared


ELSEWHERE = """
import json, sys
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.test import Client
from server.init_tenant import create_public_tenant
from server.notes.models import Note
from server.tenants.models import Tenant
connection.settings_dict["NAME"] = {name!r}
call_command("migrate_schemas", shared=True, verbosity=0)
create_public_tenant("localhost", "admin", "password")
User = get_user_model()
User.objects.create_user("somebody@localhost", "password", username="somebody")
User.objects.create_user("else@localhost", "password", username="other")
with connection.cursor() as cursor:
    cursor.execute("BEGIN; UPDATE auth_permission SET content_type_id = content_type_id + 1000;"
        "UPDATE django_content_type SET id = id + 1000; COMMIT")
    cursor.execute("UPDATE users_user SET username = 'boss' WHERE username = 'admin'")
host, notes = copies.restore({file!r}, "ada")
tenant = Tenant.objects.get(slug="source")
other = User.objects.get(email="other@localhost")
with tenant:
    kinds = Permission.objects.exclude(content_type__in=range(1000)).values_list(
        "codename", "content_type__app_label", "content_type__model")
    print(json.dumps(dict(
        host=host, notes=notes, owner=tenant.owner.username, name=other.username,
        authors=[*Note.objects.order_by("pk").values_list("text", "author__email")],
        members=sorted(user.email for user in tenant.user_set.all()),
        staff=other.is_staff, knows=other.has_usable_password(), kinds=[*kinds],
        domains=sorted(str(domain) for domain in tenant.domains.all()),
    )))
connection.close()
"""


def test_elsewhere_people_are_found_by_their_mail(source, file):
    execute("CREATE DATABASE elsewhere")
    try:
        process = start(ELSEWHERE.format(name="elsewhere", file=str(file)))
        out, err = process.communicate(timeout=120)
        assert err == ""
    finally:
        execute("DROP DATABASE elsewhere WITH (FORCE)")

    with source:
        permissions = execute(
            "SELECT codename, app_label, model FROM auth_permission"
            " JOIN django_content_type kind ON kind.id = content_type_id"
        )
    said = json.loads(out.splitlines()[-1])
    assert {tuple(kind) for kind in said.pop("kinds")} == {*permissions}
    assert said == {
        "host": "source.localhost",
        "notes": [],
        "owner": "boss",
        "authors": [["Remember", "admin@localhost"], ["This too", "other@localhost"]],
        "members": ["admin@localhost", "other@localhost"],
        "staff": True,
        "name": "other-2",
        "knows": False,
        "domains": ["example.com", "old.example.com", "source.localhost"],
    }


def test_two_ids_may_change_places(source, file):
    """Every person has another's mail by now: the rights, unique to each, go with the mail."""
    users = get_user_model().objects
    mails = dict(users.filter(username__in=["admin", "other"]).values_list("username", "email"))

    def give(admin, other):
        users.filter(username="admin").update(email="x@x")
        users.filter(username="other").update(email=other)
        users.filter(username="admin").update(email=admin)

    give(mails["other"], mails["admin"])
    try:
        tenant = restored(file)
        assert notes(tenant) == [("Remember", "other"), ("This too", "admin")]
        assert tenant.owner.username == "other"
    finally:
        give(mails["admin"], mails["other"])


def test_an_older_backup_is_migrated(source, tmp_path):
    options = {"tenant": True, "schema_name": source.schema_name, "verbosity": 0}
    call_command("migrate_schemas", "django_celery_results", "zero", **options)

    again = restored(backup(source, tmp_path / "file", "ada"))

    assert notes(again) == notes(source)
    with again:
        TaskResult.objects.create(task_id="1")
    assert [each.user.username for each in members.list_members(again)] == ["admin", "other"]


def test_an_older_backup_that_cant_be_migrated_leaves_nothing(source, tmp_path):
    options = {"tenant": True, "schema_name": source.schema_name, "verbosity": 0}
    call_command("migrate_schemas", "django_celery_results", "zero", **options)
    execute(f"CREATE TABLE {source.schema_name}.django_celery_results_taskresult (id int)")
    file = backup(source, tmp_path / "file", "ada")

    with pytest.raises(CopyError, match="taskresult"):
        restore(file, "ada", slug="again")
    # `source` fails if a schema is left
    assert not Tenant.all_objects.filter(slug="again").exists()


def test_a_reference_to_the_tenant_is_to_the_new_one(source, tmp_path):
    execute(f"CREATE TABLE {source.schema_name}.own (t bigint REFERENCES public.tenants_tenant)")
    execute(f"INSERT INTO {source.schema_name}.own VALUES ({source.pk})")  # noqa: S608

    tenant = restored(backup(source, tmp_path / "file", "ada"))

    assert execute(f"SELECT t FROM {tenant.schema_name}.own") == [(tenant.pk,)]  # noqa: S608


@pytest.mark.parametrize(
    ("refers_to", "says"),
    [
        ("tenants_domain", "refers to <Domain: .*: tenants.Domain needs a natural_key"),
        ("tenants_tenant", "refers to <Tenant: .*: tenants.Tenant needs a natural_key"),
        ("unknown", "refs.ref refers to a table of no model"),
    ],
)
def test_a_row_that_has_no_key_elsewhere_is_not_backed_up(source, tmp_path, refers_to, says):
    execute("CREATE TABLE public.unknown (id bigint PRIMARY KEY); INSERT INTO unknown VALUES (1)")
    try:
        execute(f"""
            CREATE TABLE {source.schema_name}.refs (ref bigint REFERENCES public.{refers_to});
            INSERT INTO {source.schema_name}.refs SELECT min(id) FROM public.{refers_to};
        """)  # noqa: S608
        with pytest.raises(CopyError, match=says):
            backup(source, tmp_path / "file", "ada")
        assert [*tmp_path.iterdir()] == []
        execute(f"DROP TABLE {source.schema_name}.refs")
    finally:
        execute("DROP TABLE public.unknown")


def test_a_generic_relation_to_what_is_shared_is_not_backed_up(source, tmp_path, monkeypatch):
    relation = GenericForeignKey("content_type", "codename")
    relation.name = "relation"
    monkeypatch.setattr(Permission._meta, "private_fields", [relation])

    with pytest.raises(CopyError, match=r"auth\.Permission\.relation refers to a shared "):
        backup(source, tmp_path / "file", "ada")


def test_an_id_of_no_row_never_becomes_one_of_another_row(source, tmp_path):
    execute(f"UPDATE {source.schema_name}.notes_note SET author_id = 999999 WHERE id = 1")  # noqa: S608
    file = backup(source, tmp_path / "file", "ada")
    assert restored(file).slug == "again"

    with opened(file) as whole:
        said = whole.header["references"]
    (people,) = (each for each in said if each["model"] == "users.User")
    del people["keys"][0]  # as if nobody had been that
    with pytest.raises(CopyError, match=r"which was no users\.User where the backup was made"):
        restore(forged(file, {"references": said}), "ada", slug="third")


# Killed


@pytest.mark.usefixtures("source")
def test_a_backup_that_is_killed_has_no_name(tmp_path):
    source = "Tenant.objects.get(slug='source')"
    code = f"copies.backup({source}, {str(tmp_path / 'f')!r}, '')"
    process = stop_before("backups.add_files", code)
    process.kill()
    process.communicate()

    assert [path.name[:3] for path in tmp_path.iterdir()] == [".f."]


def test_a_restore_that_is_killed_is_never_finished_as_another_tenant(source, file):
    code = f"copies.restore({str(file)!r}, 'ada', slug='again')"
    kill(stop_before("provisioning.activate", code), "provision again")
    left = get("again")
    assert left.status == Status.PROVISIONING

    with pytest.raises(IllegalTransition, match=r"half a restore of source as of .*: `provision"):
        lifecycle.finish(left, "ada")
    with pytest.raises(SlugTaken):
        copies.clone(source, "again", "ada")

    assert notes(restored(file)) == notes(source)


# Files


def test_a_file_is_for_nobody_else_and_not_overwritten(source, file):
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_bytes()

    with pytest.raises(CopyError, match="can't be written: it is there already"):
        backup(source, file, "ada")
    assert file.read_bytes() == before
    file.write_bytes(b"")
    assert backup(source, file, "ada", overwrite=True) == file
    with opened(file):
        pass
    assert [*file.parent.iterdir()] == [file]


def test_sessions_are_not_in_it(source, tmp_path):
    client = TenantClient(source, source.owner)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value.encode()
    with zipfile.ZipFile(backup(source, tmp_path / "file", "ada")) as archive:
        for name in archive.namelist():
            assert session not in archive.read(name)


def content(backup):
    return {name: backup.archive.read(name) for name in backup.archive.namelist()}


def test_wherever_a_byte_is_damaged_it_is_noticed_or_of_no_consequence(kept, tmp_path):
    whole, damaged = kept.read_bytes(), tmp_path / "damaged"
    with opened(kept) as before:
        said = content(before)
    noticed = 0
    # The zip's index is at the end.
    places = [*range(0, len(whole), 97), *range(len(whole) - 300, len(whole))]
    changed = [whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :] for at in places]
    for content_of_file in (b"", whole[: len(whole) // 2], whole[:-1], *changed):
        damaged.write_bytes(content_of_file)
        try:
            with opened(damaged) as after:
                found = content(after)
        except CopyError as error:
            assert len(str(error).splitlines()) == 1  # noqa: PT017
            noticed += 1
        else:
            assert found == said
    assert noticed > 30


PEOPLE = {"model": "users.User", "field": "id", "columns": [], "keys": []}


@pytest.mark.parametrize(
    ("changes", "entries", "says"),
    [
        ({}, {"files/../../x": "!"}, "has a file that is none of a tenant's"),
        ({}, {"/etc/x": "!"}, "has a file that is none of a tenant's"),
        ({}, {"files/a/b/x": "!"}, "can't be restored: .*File exists"),
        ({}, {"rows/0": None}, "lacks rows/0"),
        ({}, {"rows/0": "\\N\tx\n"}, "can't be restored: "),
        ({}, {"before.sql": "COMMIT; DROP TABLE users_user;"}, "No backup has .*: 'COMMIT;'"),
        ({}, {"before.sql": "-- x\nDELETE FROM users_user;"}, "No backup has .*: 'DELETE"),
        ({}, {"after.sql": "ALTER TABLE nowhere ADD x int;"}, "can't be restored: .* not exist"),
        ({}, {"after.sql": b"\xff"}, "can't be restored: "),
        ({}, {"header.json": "[" * 100_000}, "can't be restored: "),
        ({"minimum": 2}, {}, "has format 2; this code reads up to 1"),
        ({"name": 1}, {}, "can't be restored: "),
        ({"name": "a\0"}, {}, "must have 1 to 200 characters"),
        ({"schema_name": ""}, {}, "can't be restored: "),
        ({"fields": 1}, {}, "can't be restored: "),
        ({"sequences": [["notes_note_id_seq", 2**80, True]]}, {}, "can't be restored: "),
        ({"sequences": [['x"; DROP TABLE x; --', 1, True]]}, {}, "can't be restored: .* not exist"),
        ({"members": [{"person": ["", "", True], "fields": {}}]}, {}, "can't be restored: "),
        ({"owner": "nobody@nowhere"}, {}, "no active user .*--owner"),
        ({"references": [PEOPLE | {"model": "x.Y"}]}, {}, "can't be restored: LookupError: .*'x'"),
        ({"references": [PEOPLE | {"keys": [["1", []]]}]}, {}, "can't be restored: "),
        ({"migrations": [["notes", "0009_x"]]}, {}, "unknown here: notes.0009_x. Restore it"),
    ],
)
@pytest.mark.usefixtures("committed_db")
def test_a_forged_file_leaves_nothing(kept, changes, entries, says):
    people = get_user_model().objects.count()
    folders = {*uploads_of("any").path.parent.iterdir()}

    with pytest.raises(LifecycleError, match=says) as refusal:
        restore(forged(kept, changes, **entries), "ada", slug="again")

    assert len(str(refusal.value).splitlines()) == 1
    assert not Tenant.all_objects.filter(slug="again").exists()
    assert get_user_model().objects.count() == people
    assert {*uploads_of("any").path.parent.iterdir()} == folders


@pytest.mark.usefixtures("source")
def test_the_commands_say_where_it_is(capsys, tmp_path):
    call_command("backup_tenant", "source", str(tmp_path / "file"))
    call_command("restore_tenant", str(tmp_path / "file"), "--slug", "again")

    said, *about_domains, host = capsys.readouterr().out.splitlines()
    assert said == f"“source” is in {tmp_path / 'file'}."
    assert len(about_domains) == 2
    assert host == "again.localhost"


# Archives that would fill memory or disk


def padded(file, path, *entries, compression=zipfile.ZIP_DEFLATED):
    """A copy of the backup with further entries, each of a name and content."""
    path.write_bytes(file.read_bytes())
    with warnings.catch_warnings(), zipfile.ZipFile(path, "a", compression) as archive:
        warnings.simplefilter("ignore")  # a name that is there already
        for name, content in entries:
            archive.writestr(name, content)
    return path


ZEROS = b"0" * 400_000


@pytest.mark.parametrize(
    ("limits", "entries", "compression", "says"),
    [
        ({"MAX_ENTRIES": 5}, [], zipfile.ZIP_DEFLATED, "more than 5 entries"),
        ({"MAX_IN_MEMORY": 50}, [], zipfile.ZIP_DEFLATED, "'s before.sql has more than 50 bytes"),
        ({"SMALL": 1}, [("files/x", ZEROS * 50)], zipfile.ZIP_DEFLATED, "TENANT_RESTORE_MAX_RATIO"),
        ({}, [("files/x", b"1"), ("files/x", b"2")], zipfile.ZIP_DEFLATED, "two entries of one na"),
        ({}, [("header.json", b"{}")], zipfile.ZIP_DEFLATED, "two entries of one name"),
        ({}, [("files/x", ZEROS)], zipfile.ZIP_LZMA, "compressed in an unknown way: 'files/x'"),
        ({}, [("files/x", ZEROS)], zipfile.ZIP_BZIP2, "compressed in an unknown way: 'files/x'"),
    ],
)
@pytest.mark.usefixtures("committed_db")
def test_an_archive_bomb_is_refused_before_it_is_unpacked(
    kept, tmp_path, monkeypatch, limits, entries, compression, says
):
    """R24: in a line that says why, and nothing is left of it."""
    bomb = padded(kept, tmp_path / "bomb.zip", *entries, compression=compression)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *args, **options: pytest.fail("unpacked"))
    for name, limit in limits.items():
        monkeypatch.setattr(f"tenancy.copies.archive.{name}", limit)

    with pytest.raises(CopyError, match=says) as refusal:
        restore(bomb, "ada", slug="again")

    assert len(str(refusal.value).splitlines()) == 1
    assert not Tenant.all_objects.filter(slug="again").exists()


def test_a_backup_that_is_small_for_its_rows_is_allowed_by_a_setting(
    kept, tmp_path, monkeypatch, settings
):
    monkeypatch.setattr("tenancy.copies.archive.SMALL", 1)
    bomb = padded(kept, tmp_path / "bomb.zip", ("files/x", ZEROS * 50))
    settings.TENANT_RESTORE_MAX_RATIO = 1000

    with opened(bomb) as backup:
        assert backup.files[-1] == "files/x"


def test_what_the_index_says_is_all_that_is_read(kept, tmp_path):
    """R24: an index that lies about a size is damage."""
    bomb = padded(kept, tmp_path / "bomb.zip", ("files/x", ZEROS))
    size = len(ZEROS).to_bytes(4, "little")
    data = bomb.read_bytes()
    bomb.write_bytes(data.replace(size, (10).to_bytes(4, "little")))

    with pytest.raises(CopyError, match=r"damaged|can't be restored"), opened(bomb):
        pass
