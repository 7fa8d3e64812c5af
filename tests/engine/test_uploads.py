"""A tenant's uploads, in a folder and in a bucket: the same view, and they go where it goes."""

import secrets
import time
from urllib.error import HTTPError
from urllib.parse import parse_qs, quote, urlsplit
from urllib.request import urlopen

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.test import Client, override_settings
from tenancy import lifecycle
from tenancy.copies import backup, clone, restore
from tenancy.copies.archive import opened
from tenancy.exceptions import CopyError, LifecycleError, NoTenant, SchemaNameTaken
from tenancy.health.checks import check_object_storage
from tenancy.isolation import objects
from tenancy.lifecycle import schema_names
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.schemas.uploads import remove_files, uploads_of
from tenancy.testing import TenantClient

from engine.copies import cleaned_up, get, provision
from engine.market.models import Contract, Plan
from engine.processes import kill, stop_before
from engine.s3 import client_of, object_storage
from engine.seaweedfs import SECRET, url_of
from engine.test_media import hostile

MANY = {f"{number % 7}/{number}.txt": str(number).encode() for number in range(23)}


@pytest.fixture(params=["folder", "bucket"])
def kind(request, tmp_path):
    """Where uploads are; a test that has this runs twice."""
    if request.param == "folder":
        here = {"MEDIA_ROOT": tmp_path / "media"}
        (tmp_path / "media").mkdir()
    else:
        host = request.getfixturevalue("s3_host")
        here = {"STORAGES": object_storage(url_of(host, "uploads"))}
    with override_settings(**here):
        yield request.param
    if request.param == "bucket":
        empty(host)


@pytest.fixture
def bucket(s3_host):
    with override_settings(STORAGES=object_storage(url_of(s3_host, "uploads"))):
        yield client_of(s3_host)
    empty(s3_host)


def empty(host):
    client = client_of(host)
    for row in client.list_objects_v2(Bucket="uploads").get("Contents", ()):
        client.delete_object(Bucket="uploads", Key=row["Key"])


def upload(tenant, name, content=b"Our secret"):
    with tenant:
        return default_storage.save(name, ContentFile(content))


def fetched(client, path):
    """What a browser has in the end: status, content and headers."""
    answer = client.get(path)
    if answer.status_code != 302 or "://" not in answer.url:
        body = b"".join(answer) if answer.streaming else answer.content
        return answer.status_code, body, answer.headers
    assert answer["Cache-Control"].startswith("no-store")
    with urlopen(answer.url) as response:  # noqa: S310
        return response.status, response.read(), response.headers


def files_of(schema_name):
    uploads = uploads_of(schema_name)
    found = {}
    for name in uploads.names():
        with uploads.open(name) as file:
            found[name] = file.read()
    return found


# The view


@pytest.mark.usefixtures("kind")
def test_a_member_gets_a_file(tenant, tenant_client):
    upload(tenant, "notes/plan ä.txt")
    with tenant:
        url = default_storage.url("notes/plan ä.txt")

    status, content, headers = fetched(tenant_client, url)

    assert url == "/media/notes/plan%20%C3%A4.txt"
    assert (status, content) == (200, b"Our secret")
    assert headers["Content-Type"] == "text/plain"
    assert headers["Content-Disposition"].startswith("inline")
    assert "no-cache" in headers["Cache-Control"]


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("name", ["x.html", "x.svg", "x.txt.gz", "x", 'a"b.pdf'])
def test_only_a_harmless_file_is_shown_as_a_page(tenant, tenant_client, name):
    name = upload(tenant, name, b"<script>")

    _, _, headers = fetched(tenant_client, f"/media/{quote(name)}")

    assert headers["Content-Disposition"].startswith("attachment")


@pytest.mark.usefixtures("kind")
def test_a_file_is_its_tenants_alone(tenant, other_tenant, tenant_client, other_client):
    upload(tenant, "plan.txt")
    upload(other_tenant, "plan.txt", b"theirs")
    upload(tenant, "only.txt")
    stranger = TenantClient(tenant, get_user_model().objects.get(username="other"))
    visitor = Client(SERVER_NAME="first.localhost")

    assert fetched(other_client, "/media/plan.txt")[1] == b"theirs"
    for path in ("only.txt", f"{tenant.schema_name}/only.txt"):
        assert other_client.get(f"/media/{path}").status_code == 404
    assert stranger.get("/media/plan.txt").status_code == 403
    for name in ("plan.txt", "no.txt"):
        assert visitor.get(f"/media/{name}").url == f"/sign-in/?next=/media/{name}"


@pytest.mark.usefixtures("kind")
def test_no_path_leads_to_another_tenants_files(tenant, other_tenant, tenant_client, tmp_path):
    upload(other_tenant, "secret.txt")
    upload(tenant, "own.txt", b"own")
    upload(tenant, "deep/own.txt", b"own")

    for path in hostile(tenant, other_tenant, tmp_path / "media"):
        answer = tenant_client.get(f"/media/{path}")
        assert answer.status_code == 404, path


@pytest.mark.usefixtures("kind")
@pytest.mark.parametrize("name", ["../x.txt", "a/../../x.txt", "/x.txt", "..\\x.txt"])
def test_no_name_leads_out_of_the_tenants_place(tenant, name):
    calls = (
        lambda: default_storage.save(name, ContentFile(b"x")),
        lambda: default_storage.open(name).close(),
        lambda: default_storage.exists(name),
    )
    for call in calls:
        try:
            call()
        except (SuspiciousOperation, FileNotFoundError):
            continue
    assert files_of("x.txt") == {}
    assert {*files_of(tenant.schema_name)} <= {"x.txt", "..\\x.txt", "_x.txt"}


@pytest.mark.usefixtures("kind")
def test_files_of_shared_models_are_the_publics(tenant, other_tenant, tenant_client, other_client):
    plan, contract = Plan(name="team"), Contract(tenant=tenant)
    plan.icon.save("gold.png", ContentFile(b"gold"))
    contract.text.save("1.txt", ContentFile(b"secret"))

    assert plan.icon.url == "/media/_shared/icons/gold.png"
    for client in (tenant_client, other_client):
        assert fetched(client, plan.icon.url)[:2] == (200, b"gold")
    assert fetched(tenant_client, contract.text.url)[1] == b"secret"
    assert other_client.get(contract.text.url).status_code == 404
    assert {*files_of("public")} == {"icons/gold.png", "contracts/1.txt"}
    remove_files(tenant.schema_name)
    assert {*files_of("public")} == {"icons/gold.png", "contracts/1.txt"}


def test_a_link_is_good_for_a_minute_for_one_file(bucket, tenant, tenant_client):
    upload(tenant, "plan.txt")
    url = tenant_client.get("/media/plan.txt").url

    assert parse_qs(urlsplit(url).query)["X-Amz-Expires"] == ["60"]
    for changed in (url.replace("plan.txt?", "plan2.txt?"), url.partition("?")[0]):
        with pytest.raises(HTTPError) as refusal:
            urlopen(changed)  # noqa: S310
        assert refusal.value.code == 403


def test_a_link_ends(bucket, tenant, tenant_client, monkeypatch):
    monkeypatch.setattr(objects, "LINK_SECONDS", 1)
    upload(tenant, "plan.txt")
    url = tenant_client.get("/media/plan.txt").url

    def ask():
        try:
            return urlopen(url).status  # noqa: S310
        except HTTPError as error:
            return error.code

    end = time.monotonic() + 30
    while ask() == 200 and time.monotonic() < end:
        pass
    assert ask() == 403


@pytest.mark.usefixtures("kind")
def test_nothing_is_kept_while_no_tenant_is_current(tenant):
    calls = (
        lambda: default_storage.exists("x.txt"),
        lambda: default_storage.open("x.txt"),
        lambda: default_storage.save("x.txt", ContentFile(b"x")),
    )
    connection.set_tenant(None)
    try:
        for call in calls:
            with pytest.raises(NoTenant):
                call()
    finally:
        connection.set_tenant(tenant)


# They go where the tenant goes


@pytest.fixture
def source(committed_db, kind):
    with cleaned_up():
        tenant = provision("source")
        for name, content in MANY.items():
            upload(tenant, name, content)
        connection.set_schema_to_public()
        yield tenant


def test_a_clone_has_copies(source):
    clone(source, "the-copy", "ada")

    copy = get("the-copy")
    assert files_of(copy.schema_name) == MANY
    with copy:
        default_storage.delete("0/0.txt")
    assert files_of(source.schema_name) == MANY


def test_a_backup_has_them_and_a_restore_brings_them_back(source, tmp_path):
    file = backup(source, tmp_path / "source.zip", "ada")
    with opened(file) as archive:
        assert archive.files == [f"files/{name}" for name in sorted(MANY)]

    restore(file, "ada", slug="again")

    assert files_of(get("again").schema_name) == MANY


@pytest.fixture
def new():
    """A name that no schema has had."""
    return f"source_{secrets.token_hex(4)}"


def test_they_move_with_the_schema(source, new):
    lifecycle.suspend(source, "ada")

    rename_schema(source, "ada", new)

    assert files_of(new) == MANY
    assert files_of(source.schema_name) == {}


@pytest.mark.parametrize("interrupted", ["before", "while copying", "while deleting"])
def test_a_move_that_was_interrupted_is_finished(source, kind, new, interrupted, monkeypatch):
    lifecycle.suspend(source, "ada")
    with monkeypatch.context() as patch:
        if interrupted == "before" or kind == "folder":
            patch.setattr(schema_names, "move_uploads", lambda *_: None)
        elif interrupted == "while deleting":
            patch.setattr(objects.Objects, "delete", lambda *_: None)
        else:
            copy = objects.Objects.copy

            def some(self, names, target):
                copy(self, sorted(names)[:5], target)
                raise OSError("the line is cut")

            patch.setattr(objects.Objects, "copy", some)
        try:
            rename_schema(source, "ada", new)
        except LifecycleError as error:
            assert "the line is cut. Run it again" in str(error)  # noqa: PT017
    assert {**files_of(source.schema_name), **files_of(new)} == MANY

    call_command("rename_schema", rename_from=source.schema_name, rename_to=new)

    assert files_of(new) == MANY
    assert files_of(source.schema_name) == {}


def test_a_purge_removes_them(source, monkeypatch):
    monkeypatch.setattr(objects, "BATCH", 5)  # of objects; there are more
    stays = provision("stays")
    upload(stays, "kept.txt")
    lifecycle.delete(source, "ada")

    lifecycle.purge(source, "ada", now=True)

    assert not uploads_of(source.schema_name).exist()
    assert files_of(stays.schema_name) == {"kept.txt": b"Our secret"}


@pytest.mark.usefixtures("bucket")
def test_a_large_object_is_copied_and_one_that_was_deleted_meanwhile_is_left_out(tenant):
    large = b"0123456789" * 900_000  # more than one part
    upload(tenant, "large.bin", large)
    source, target = uploads_of(tenant.schema_name), uploads_of("other_00000000")

    source.copy(["gone.txt", *source.names()], target)

    assert files_of("other_00000000") == {"large.bin": large}
    with pytest.raises(FileNotFoundError), source.open("gone.txt"):
        pass


@pytest.mark.usefixtures("committed_db", "kind")
def test_the_name_of_uploads_is_in_use():
    with cleaned_up():
        tenant = provision("source")
        uploads_of("left_00000000").write("x", ContentFile(b"x"))
        lifecycle.suspend(tenant, "ada")
        with pytest.raises(SchemaNameTaken):
            rename_schema(tenant, "ada", "left_00000000")


def test_a_killed_clone_is_made_anew(source):
    code = "copies.clone(Tenant.objects.get(slug='source'), 'the-copy', 'ada')"
    kill(stop_before("blueprint.send_schema_signals", code), "provision the-copy")
    left = get("the-copy").schema_name
    assert files_of(left) == MANY

    lifecycle.abandon(get("the-copy"), "ada")

    assert not uploads_of(left).exist()


def test_a_clone_whose_uploads_cannot_be_copied_leaves_nothing(
    bucket, committed_db, monkeypatch, s3_host
):
    def refuse(self, source, bucket, key, **kwargs):
        if key.endswith("/5/5.txt"):
            raise OSError("refused")
        return copy(self, source, bucket, key, **kwargs)

    with cleaned_up():
        tenant = provision("source")
        for name, content in MANY.items():
            upload(tenant, name, content)
        connection.set_schema_to_public()
        client = type(uploads_of("x").client)
        copy = client.copy
        monkeypatch.setattr(client, "copy", refuse)

        with pytest.raises(CopyError, match="Uploads can't be copied: 'refused'"):
            clone(tenant, "the-copy", "ada")

        found = bucket.list_objects_v2(Bucket="uploads")["Contents"]
        assert {row["Key"].split("/")[0] for row in found} == {tenant.schema_name}


# Faults


def test_a_server_that_is_away_is_503(tenant, tenant_client, settings):
    settings.STORAGES = object_storage(url_of("127.0.0.1:9", "uploads"))

    answer = tenant_client.get("/media/x.txt")

    assert (answer.status_code, answer["Retry-After"]) == (503, "10")


@pytest.mark.parametrize(
    ("bucket_name", "key", "says"),
    [("nowhere", "the-key", "404"), ("uploads", "another-key", "403")],
)
def test_the_check_for_deployments_asks_the_bucket(s3_host, settings, bucket_name, key, says):
    settings.STORAGES = object_storage(url_of(s3_host, bucket_name, key))

    [message] = check_object_storage()

    assert message.msg.startswith(f"UPLOADS_URL: the bucket “{bucket_name}” can't be used: ")
    assert says in message.msg
    assert SECRET not in message.msg
    assert len(message.msg.splitlines()) == 1


def test_the_check_is_silent_if_all_is_well(bucket):
    assert [*check_object_storage()] == []
