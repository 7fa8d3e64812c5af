"""Archives of all tenants, in a folder and in a bucket: made, kept for a time, rehearsed."""

import re
from datetime import UTC, datetime, timedelta
from zipfile import ZipFile

import pytest
from celery.signals import before_task_publish
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import override_settings
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.copies import everything
from tenancy.copies.archive import BEFORE, opened
from tenancy.copies.everything import outdated
from tenancy.copies.places import default_place, name_of, place_of
from tenancy.copies.prefetch import PrefetchedDumps
from tenancy.exceptions import CopyError
from tenancy.health.checks import check_backups
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.locks import advisory_lock
from tenancy.models import TenantEvent
from tenancy.postgres import programs
from tenancy.testing import TenantClient

from engine.copies import cleaned_up, execute, get, provision
from engine.processes import stop_before
from engine.schemas import describe
from engine.seaweedfs import url_of
from engine.signals import connected, heard

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    """BACKUPS_URL; a test that has this runs twice."""
    if request.param == "folder":
        url = str(tmp_path / "archives")
    else:
        url = url_of(request.getfixturevalue("s3_host"), "uploads")
    with override_settings(BACKUPS_URL=url):
        yield default_place()
        for name in default_place().names():
            default_place().delete(name)


@pytest.fixture
def source(committed_db):
    with cleaned_up():
        tenant = provision("source")
        with tenant:
            Note.objects.create(text="Remember\nthis", author=tenant.owner)
            default_storage.save("a/b.txt", ContentFile(b"Ours"))
        connection.set_schema_to_public()
        yield tenant


def slugs_in(place):
    found = []
    for name in place.names():
        with place.fetched(name) as path, opened(path) as archive:
            found.append(archive.header["slug"])
    return sorted(found)


def test_each_tenant_gets_an_archive(source, place, run):
    lifecycle.suspend(source, "test")
    lifecycle.delete(provision("deleted"), "test")

    said = run("backup_all", "--by", "cron")

    assert slugs_in(place) == ["deleted", "first", "other", "source"]
    assert said == f"4 tenants backed up to {place}, 0 failed, 0 old archives removed."
    assert run("archives", "source") in place.names()
    assert TenantEvent.objects.filter(action="back up", by="cron").count() == 4


def test_a_tenant_that_fails_stops_no_other(source, place):
    execute(f"DROP TABLE {source.schema_name}.django_migrations")

    with pytest.raises(CommandError, match=r"2 tenants backed up to .*, 1 failed, 0 ") as failure:
        call_command("backup_all")

    assert re.search(r"^  source: .+", str(failure.value), re.M)
    assert slugs_in(place) == ["first", "other"]
    execute(f"CREATE TABLE {source.schema_name}.django_migrations ()")


def test_one_run_of_pg_dump_is_for_several_tenants(source, tmp_path, monkeypatch):
    runs = count_dumps(monkeypatch)
    provision("next")
    call_command("backup_all", to=str(tmp_path))

    assert len(runs) == 2  # one for each of the two sections
    call_command("restore_drill", place=str(tmp_path))


def test_a_tenant_that_changes_meanwhile_is_dumped_again(source, tmp_path, monkeypatch):
    runs = count_dumps(monkeypatch)

    place = place_of(str(tmp_path))
    dumped = PrefetchedDumps([source.schema_name])
    dumped.prepare(source.schema_name)
    execute(f"ALTER TABLE {source.schema_name}.notes_note ADD late int DEFAULT 5")
    everything.make_archive(place, source, "test", dumped)

    assert len(runs) == 4
    [name] = place.names()
    with place.fetched(name) as path, ZipFile(path) as archive:
        assert '"late" integer' in archive.read(BEFORE).decode()


def count_dumps(monkeypatch):
    """A list that gets an item for each run of pg_dump."""
    runs, run = [], programs.run

    def counted(command, **options):
        if any(str(part).startswith("--section") for part in command):
            runs.append(command)
        return run(command, **options)

    monkeypatch.setattr(programs, "run", counted)
    return runs


def test_two_runs_at_once(place, committed_db):
    with advisory_lock("back up all"), pytest.raises(CommandError, match="Another process backs"):
        call_command("backup_all")
    assert place.names() == []


def test_a_run_that_is_killed_leaves_no_archive_that_looks_whole(source, tmp_path):
    code = f"call_command('backup_all', to={str(tmp_path)!r})"
    process = stop_before(
        "backups.add_files", f"from django.core.management import call_command\n{code}"
    )
    process.kill()
    process.communicate()
    assert [path for path in tmp_path.rglob("*") if path.is_file()]
    assert place_of(str(tmp_path)).names() == []

    with advisory_lock("back up all"):
        pass  # the server has noticed
    call_command("backup_all", to=str(tmp_path))
    assert len(place_of(str(tmp_path)).names()) == 3


def archives(schema_name, *days):
    return [name_of(schema_name, NOW - timedelta(days=day)) for day in days]


@pytest.mark.parametrize(
    ("keep", "days", "stay"),
    [(1, 0, 1), (0, 0, 1), (3, 0, 3), (1, 2, 2), (3, 2, 3), (2, 9, 5), (9, 0, 6)],
)
@pytest.mark.usefixtures("db")
def test_archives_are_kept_by_number_and_by_age(keep, days, stay):
    names = archives("a_00000000", 0, 1, 3, 4, 5, 20)
    other = archives("b_00000000", 40)

    gone = outdated([*names, *other], NOW, keep, days, 30)

    assert sorted(gone, reverse=True) == names[stay:]


@pytest.mark.usefixtures("db")
def test_archives_of_purged_tenants_go_after_the_stated_days():
    names = archives("gone_00000000", 1, 2, 60)
    event = {"slug": "gone", "schema_name": "gone_00000000", "before": "purging"}
    event = TenantEvent.objects.create(action="purge", after="purged", **event)
    TenantEvent.objects.filter(pk=event.pk).update(at=NOW - timedelta(days=10))

    assert outdated(names, NOW, 9, 99, 11) == []
    assert sorted(outdated(names, NOW, 9, 99, 10)) == sorted(names)


def test_old_archives_are_removed(source, place, run):
    for name in (name_of(source.schema_name, NOW), name_of("unknown_00000000", NOW)):
        place.keep(name, lambda path: path.write_bytes(b"old"))

    said = run("backup_all", keep=1, days=1)

    assert said.endswith("0 failed, 1 old archives removed.")
    assert name_of(source.schema_name, NOW) not in place.names()
    assert name_of("unknown_00000000", NOW) in place.names()  # the only one


def test_a_renamed_schema_has_the_archives_of_its_former_name(source, place, run):
    run("backup_all")
    lifecycle.suspend(source, "test")
    rename_schema(source, "test")

    assert "source: 1 rows" not in (said := run("restore_drill", "source"))
    assert said.endswith("1 of 1 tenants can be restored.")


def test_a_place_that_is_away_is_one_line(committed_db, settings):
    settings.BACKUPS_URL = url_of("127.0.0.1:9", "uploads")
    for command in ("backup_all", "archives", "restore_drill"):
        with pytest.raises(CommandError, match=r"s3://uploads/archives/ can't be read: ") as error:
            call_command(command)
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("url", ["", "folder", "s3://x"])
def test_a_garbled_place_is_one_line(committed_db, settings, url):
    settings.BACKUPS_URL = url
    with pytest.raises(CommandError, match="BACKUPS_URL"):
        call_command("backup_all")
    assert [message.id for message in check_backups()] == ["tenancy.E051"] * bool(url)


# The drill


def test_the_drill_restores_and_leaves_nothing(source, place, run):
    run("backup_all")
    schemas = "SELECT nspname FROM pg_namespace ORDER BY 1"
    before, tenants = execute(schemas), Tenant.all_objects.count()
    people = get_user_model().objects.count()
    mail.outbox.clear()
    tasks = []

    def publish(sender, **kwargs):
        tasks.append(sender)

    with connected(publish, before_task_publish), heard() as sent:
        said = run("restore_drill")

    *lines, summary = said.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["first", "other", "source"]
    assert re.match(r"source: \d+ rows in \d+ tables and 1 uploads, as of 20", lines[2])
    assert summary == "3 of 3 tenants can be restored."
    assert (sent, mail.outbox, tasks) == ([], [], [])
    assert execute(schemas) == before
    assert Tenant.all_objects.count() == tenants
    assert get_user_model().objects.count() == people


def forged(path, **entries):
    """Replace entries of an archive."""
    with ZipFile(path) as old:
        given = {name: old.read(name) for name in old.namelist()} | entries
    with ZipFile(path, "w") as new:
        for name, content in given.items():
            new.writestr(name, content)


@pytest.mark.parametrize(
    ("table", "change", "says"),
    [
        ("notes_note", lambda rows: b"garbled\n", "invalid input syntax|missing data"),
        ("notes_note", lambda rows: rows * 2, "could not create unique index"),
        (None, None, "can't be restored: .*not a zip"),
    ],
)
def test_the_drill_names_an_archive_that_cannot_be_restored(
    source, tmp_path, settings, capsys, table, change, says
):
    settings.BACKUPS_URL = str(tmp_path)
    call_command("backup_all")
    [name] = [name for name in default_place().names() if name.startswith("source")]
    if table:
        with opened(tmp_path / name) as archive:
            tables = [name for name, _ in archive.header["tables"]]
            entry = f"rows/{tables.index(table)}"
            rows = archive.archive.read(entry)
        forged(tmp_path / name, **{entry: change(rows)})
    else:
        (tmp_path / name).write_bytes(b"half")

    with pytest.raises(CommandError, match="2 of 3 tenants can be restored"):
        call_command("restore_drill")

    assert re.search(f"^source: FAILED: .*({says})", capsys.readouterr().out, re.M)


def test_the_drill_compares_the_rows(source, tmp_path, settings, capsys, monkeypatch):
    settings.BACKUPS_URL = str(tmp_path)
    call_command("backup_all")

    def lose(backup, schema_name):
        load(backup, schema_name)
        execute(f"DELETE FROM {schema_name}.notes_note")  # noqa: S608

    from tenancy.copies import drill

    load = drill.load_tables
    monkeypatch.setattr(drill, "load_tables", lose)
    with pytest.raises(CommandError, match="2 of 3"):
        call_command("restore_drill")

    assert "source: FAILED: notes_note has 0 rows; the archive has 1." in capsys.readouterr().out


def test_a_tenant_without_an_archive_fails_the_drill(source, tmp_path, settings, capsys):
    settings.BACKUPS_URL = str(tmp_path)

    with pytest.raises(CommandError, match="0 of 1 tenants can be restored"):
        call_command("restore_drill", "source")

    assert f"source: FAILED: there is no archive in {tmp_path}" in capsys.readouterr().out


def test_a_tenant_comes_back_from_an_archive_by_its_name(source, place, run):
    run("backup_all")
    name = run("archives", "source")

    assert run("restore_tenant", name, "--slug", "again").splitlines()[-1] == "again.localhost"
    with get("again"):
        assert Note.objects.get().text == "Remember\nthis"
        assert default_storage.open("a/b.txt").read() == b"Ours"
    with pytest.raises(CommandError, match="can't be"):
        run("restore_tenant", name_of(source.schema_name, NOW))


# Rows of one table


@pytest.fixture
def file(source, tmp_path):
    return copies.backup(source, tmp_path / "source.zip", "ada")


def texts(tenant):
    with tenant:
        return sorted(Note.objects.values_list("text", flat=True))


def test_rows_that_were_deleted_come_back(source, file, run):
    with source:
        Note.objects.all().delete()
        Note.objects.create(text="Later", author=source.owner)

    said = run("restore_rows", "source", str(file), "notes_note", "--by", "ada")

    assert said == "1 rows of notes_note are written."
    assert texts(source) == ["Later", "Remember\nthis"]
    event = TenantEvent.objects.get(action="restore rows")
    assert (event.by, event.slug, event.after) == ("ada", "source", "notes_note: 1")
    assert run("restore_rows", "source", str(file), "notes_note").startswith("0 rows")
    client = TenantClient(source, source.owner)
    assert client.post("/notes/", {"text": "Next"}).status_code == 302


def test_rows_become_what_they_were_if_that_is_wanted(source, file, run):
    with source:
        Note.objects.update(text="nonsense")
        Note.objects.create(text="Later", author=source.owner)

    run("restore_rows", "source", str(file), "notes_note")
    assert texts(source) == ["Later", "nonsense"]
    run("restore_rows", "source", str(file), "notes_note", "--overwrite")
    assert texts(source) == ["Later", "Remember\nthis"]


def test_rows_of_another_tenant_or_no_table_are_refused(source, file):
    other = provision("stranger")
    with pytest.raises(CopyError, match=f"is of {source.schema_name}, not of {other.schema_name}"):
        copies.restore_rows(other, file, "notes_note", "ada")
    for table in ("nothing", "django_session", "users_user"):
        with pytest.raises(CopyError, match=f"no table “{table}”"):
            copies.restore_rows(source, file, table, "ada")
    assert everything.schema_now(source.schema_name) == source.schema_name


def test_describe_is_the_same_after_all_rows_came_back(source, file):
    before = describe(source.schema_name)
    copies.restore_rows(source, file, "notes_note", "ada", overwrite=True)
    assert describe(source.schema_name) == before
