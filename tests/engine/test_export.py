"""An export for people: all that is theirs, at one moment, and nothing that lets somebody in."""

import csv
import io
import stat
import zipfile
from contextlib import closing

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.core.checks import run_checks
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, models
from django.utils import timezone
from server.notes.models import Note
from tenancy.copies import export as module
from tenancy.copies.export import export
from tenancy.copies.omissions import SECRET_MODEL, SECRET_NAME, Omissions
from tenancy.exceptions import CopyError, IllegalTransition
from tenancy.people import members

from engine.copies import cleaned_up, execute, provision

User = get_user_model()


@pytest.fixture
def source(committed_db):
    """Make a tenant with notes, an upload and a former member."""
    with cleaned_up():
        tenant = provision("source")
        other = User.objects.get(username="other")
        tenant.add_user(other)
        with tenant:
            Note.objects.create(text="=1+1", author=tenant.owner)
            Note.objects.create(text='ä, "b"\n-2', author=other)
            default_storage.save("a/ä b.txt", ContentFile(b"Ours"))
            now = timezone.now()
            Session.objects.create(session_key="s" * 32, session_data="x", expire_date=now)
        connection.set_schema_to_public()
        members.remove_member(tenant, "other", by="test")
        yield tenant


def rows_of(file, table):
    with zipfile.ZipFile(file) as archive:
        text = archive.read(f"tables/{table}.csv").decode("utf-8-sig")
    return [*csv.DictReader(io.StringIO(text))]


def texts_of(file):
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_each_table_and_each_upload_is_in_it(source, tmp_path):
    file = tmp_path / "export.zip"
    export(source, file)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    first, second = rows_of(file, "notes_note")
    assert first["text"] == "'=1+1"
    assert second["text"] == 'ä, "b"\n-2'
    texts = texts_of(file)
    assert texts["files/a/ä b.txt"] == b"Ours"
    assert "The data of Copied" in texts["README.txt"].decode()


def test_a_person_has_a_name_and_a_member_an_address(source, tmp_path):
    User.objects.filter(username="other").update(name="@Other")
    try:
        export(source, file := tmp_path / "export.zip")
    finally:
        User.objects.filter(username="other").update(name="")

    first, second = rows_of(file, "notes_note")
    assert first["author_id"] == str(source.owner_id)
    assert (first["author_name"], first["author_email"]) == ("admin", "admin@localhost")
    # A former member may have another address by now.
    assert (second["author_name"], second["author_email"]) == ("'@Other", "")
    [member] = rows_of(file, "permissions_usertenantpermissions")
    assert (member["profile_email"], member["is_superuser"]) == ("admin@localhost", "t")


def test_nothing_that_lets_somebody_in_is_in_it(source, tmp_path):
    own = source.schema_name
    execute(f"""
        CREATE TABLE {own}.machine (id int, name text, api_key text, "passwordHash" text, pin text);
        INSERT INTO {own}.machine VALUES (1, 'Press', 'open-1', 'open-2', 'open-3');
    """)  # noqa: S608
    export(source, file := tmp_path / "export.zip")

    assert rows_of(file, "machine") == [{"id": "1", "name": "Press"}]
    texts = texts_of(file)
    assert not any(b"open-" in text or b"s" * 32 in text for text in texts.values())
    assert not {"tables/django_session.csv", "tables/auth_permission.csv"} & texts.keys()
    readme = texts["README.txt"].decode()
    assert "django_session" in readme
    assert "machine.api_key" in readme


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        *((name, True) for name in ("password", "token", "session_key", "key", "hashed", "otp")),
        *((name, True) for name in ("access_token", "client_secret", "recovery_keys", "pwd")),
        *((name, False) for name in ("monkey", "hashtag", "spinner", "keyboard", "text", "salty")),
    ],
)
def test_columns_are_secret_by_their_name(name, is_secret):
    assert bool(SECRET_NAME.search(name)) == is_secret


def test_models_and_fields_are_secret_by_their_class():
    class TokenField(models.CharField):
        pass

    assert SECRET_MODEL.search("ApiKey")
    assert not SECRET_MODEL.search("Keyboard")
    field = TokenField(max_length=9)
    field.set_attributes_from_name("plain")
    Note._meta.local_fields.append(field)
    field.model = Note
    try:
        Note._meta._expire_cache()
        assert Omissions().has("notes_note", "plain")
    finally:
        Note._meta.local_fields.remove(field)
        Note._meta._expire_cache()
    assert not Omissions().has("notes_note", "author_id")


def test_the_owner_of_the_product_has_the_last_word(settings):
    settings.TENANCY_EXPORT_EXCLUDE = ["notes.Note.text", "admin.LogEntry"]
    settings.TENANCY_EXPORT_INCLUDE = ["sessions.Session"]
    omissions = Omissions()
    assert omissions.has("notes_note", "text")
    assert not omissions.has("notes_note", "created")
    assert omissions.has("django_admin_log")
    assert omissions.has("django_session")  # a credential is never included

    settings.TENANCY_EXPORT_EXCLUDE = ["notes.Note.nonsense"]
    settings.TENANCY_EXPORT_INCLUDE = ["nonsense"]
    found = [each.msg for each in run_checks(tags=["tenants"]) if each.id == "tenancy.E044"]
    assert len(found) == 2


def test_an_export_is_of_one_moment(source, tmp_path, monkeypatch):
    select = module.select

    def change(*args):
        other = connection.copy()
        with closing(other), other.cursor() as cursor:
            cursor.execute(f"DELETE FROM {source.schema_name}.notes_note")  # noqa: S608
        return select(*args)

    monkeypatch.setattr(module, "select", change)
    export(source, file := tmp_path / "export.zip")

    assert len(rows_of(file, "notes_note")) == 2


def test_an_export_that_fails_leaves_no_file(source, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "add_files", fail)
    with pytest.raises(CopyError, match="No space left"):
        export(source, tmp_path / "export.zip")
    assert [*tmp_path.iterdir()] == []


def test_the_main_website_is_not_exported(committed_db, tmp_path):
    public = apps.get_model("tenants.Tenant").objects.get(slug="public")
    with pytest.raises(IllegalTransition):
        export(public, tmp_path / "export.zip")
