"""Uploads are for members of the tenant that they belong to."""

from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from django.db import connection
from django.test import Client
from tenancy.isolation.media import TenantStorage
from tenancy.testing import TenantClient


@pytest.fixture(autouse=True)
def root(settings, tmp_path):
    settings.SECURE_CONTENT_TYPE_NOSNIFF = False  # the view sees to that itself
    settings.MEDIA_ROOT = tmp_path / "media"
    return settings.MEDIA_ROOT


def upload(tenant, name, content=b"Our secret"):
    with tenant:
        return default_storage.save(name, ContentFile(content))


def body(response):
    return b"".join(response) if response.streaming else response.content


def test_a_member_gets_a_file(tenant, tenant_client):
    upload(tenant, "notes/plan ä.txt")

    with tenant:
        url = default_storage.url("notes/plan ä.txt")
    answer = tenant_client.get(url)

    assert url == "/media/notes/plan%20%C3%A4.txt"
    assert answer.status_code == 200
    assert body(answer) == b"Our secret"
    assert answer["Content-Type"] == "text/plain"


def test_the_public_site_has_files_of_its_own(public, tenant, public_client):
    upload(public, "here.txt")
    upload(tenant, "there.txt")

    assert public_client.get("/media/here.txt").status_code == 200
    assert public_client.get("/media/there.txt").status_code == 404


def test_another_tenants_file_is_not_there(tenant, other_tenant, other_client, root):
    upload(tenant, "plan.txt")
    upload(other_tenant, "plan.txt", b"theirs")
    upload(tenant, "only.txt")

    assert body(other_client.get("/media/plan.txt")) == b"theirs"
    assert other_client.get("/media/only.txt").status_code == 404
    assert other_client.get(f"/media/{tenant.schema_name}/only.txt").status_code == 404
    assert (root / tenant.schema_name / "only.txt").exists()


def test_a_visitor_is_asked_to_sign_in_whether_or_not_the_file_is_there(tenant):
    upload(tenant, "plan.txt")

    for name in ("plan.txt", "no.txt"):
        answer = Client(SERVER_NAME="first.localhost").get(f"/media/{name}")
        assert answer.url == f"/sign-in/?next=/media/{name}"


def test_who_is_no_member_gets_no_file(tenant):
    upload(tenant, "plan.txt")
    stranger = TenantClient(tenant, get_user_model().objects.get(username="other"))

    assert stranger.get("/media/plan.txt").status_code == 403


def hostile(tenant, other, root):
    """Paths as a client sends them, which lead out of the tenant's folder or nowhere."""
    theirs = f"{other.schema_name}/secret.txt"
    absolute = f"{root}/{theirs}"
    yield from (f"../{theirs}", f"x/../../{theirs}", f"./../{theirs}", f"..//{theirs}")
    yield from (f"%2e%2e/{theirs}", f"%2e%2e%2f{theirs}", f"..%5c{theirs}", f"%252e%252e/{theirs}")
    yield from (absolute, f"/{absolute}", quote(absolute, safe=""), f"%00/../{theirs}")
    yield from (f"../{tenant.schema_name}x/secret.txt", "own.txt%00", "own.txt%00.png", "%00")
    yield from (
        "link.txt",
        "folder/secret.txt",
        "..",
        "../",
        ".",
        "./",
        "",
        "/",
        "own.txt/",
        "deep",
    )
    yield from ("own.txt/x", "a" * 300, "a/" * 3000 + "b", "%ff", "%0d%0aX: y", "~root/.profile")


def test_no_path_leads_out_of_the_tenants_folder(tenant, other_tenant, tenant_client, root):
    upload(other_tenant, "secret.txt")
    upload(tenant, "own.txt", b"own")
    upload(tenant, "deep/own.txt", b"own")
    neighbour = root / f"{tenant.schema_name}x"
    neighbour.mkdir()
    (neighbour / "secret.txt").write_bytes(b"Our secret")
    here = root / tenant.schema_name
    (here / "link.txt").symlink_to(root / other_tenant.schema_name / "secret.txt")
    (here / "folder").symlink_to(root / other_tenant.schema_name)

    assert body(tenant_client.get("/media/own.txt")) == b"own"
    for path in hostile(tenant, other_tenant, root):
        answer = tenant_client.get(f"/media/{path}")
        assert answer.status_code == 404, path
        assert b"Our secret" not in body(answer)


@pytest.mark.parametrize(
    "name",
    [
        *("x.html", "x.HTM", "x.xhtml", "x.svg", "x.xml", "x.js", "x.mjs", "x.pdf", "x.css", "x"),
        *("x.txt.gz", "x.svgz", "x.png.html", "x.unknown", "x.mht", "x.swf", "x.txt.html"),
    ],
)
def test_no_upload_runs_a_script_on_the_tenants_host(tenant, tenant_client, name):
    upload(tenant, name, b"<script>alert(document.cookie)</script>")

    answer = tenant_client.get(f"/media/{name}")

    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in answer


@pytest.mark.parametrize(
    ("name", "kind"), [("x.png", "image/png"), ("x.JPG", "image/jpeg"), ("x.webp", "image/webp")]
)
def test_a_picture_is_shown_and_never_taken_for_anything_else(tenant, tenant_client, name, kind):
    upload(tenant, name, b"<script>alert(document.cookie)</script>")

    answer = tenant_client.get(f"/media/{name}")

    assert answer["Content-Disposition"] == f'inline; filename="{name}"'
    assert answer["Content-Type"] == kind
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_a_files_name_adds_no_header(tenant, tenant_client):
    name = 'a"; filename=b.html'
    with tenant:
        path = TenantStorage().path(name)
    upload(tenant, "x")
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(b"x")

    answer = tenant_client.get(f"/media/{quote(name)}")

    assert answer["Content-Disposition"] == r'attachment; filename="a\"; filename=b.html"'


def test_no_cache_keeps_a_file_for_others(tenant, tenant_client):
    upload(tenant, "plan.txt")

    answer = tenant_client.get("/media/plan.txt")

    assert {"private", "no-cache"} <= set(answer["Cache-Control"].split(", "))
    again = {"if-modified-since": answer["Last-Modified"]}
    assert tenant_client.get("/media/plan.txt", headers=again).status_code == 304
    visitor = Client(SERVER_NAME="first.localhost")
    assert visitor.get("/media/plan.txt", headers=again).status_code == 302


def test_a_file_is_only_read(tenant, tenant_client):
    upload(tenant, "plan.txt")

    assert tenant_client.head("/media/plan.txt").status_code == 200
    for method in (tenant_client.post, tenant_client.put, tenant_client.delete):
        assert method("/media/plan.txt").status_code == 405


@pytest.mark.parametrize("header", ["X-Accel-Redirect", "X-Sendfile"])
def test_the_web_server_sends_only_what_was_allowed(
    tenant, other_tenant, tenant_client, root, settings, header
):
    settings.SENDFILE_HEADER = header
    upload(tenant, "deep/plan 100%ä.html")
    upload(other_tenant, "secret.txt")

    answer = tenant_client.get(f"/media/{quote('deep/plan 100%ä.html')}")

    folder = "/protected-media" if header == "X-Accel-Redirect" else root
    assert answer[header] == quote(f"{folder}/{tenant.schema_name}/deep/plan 100%ä.html")
    assert answer["Content-Disposition"].startswith("attachment")
    assert body(answer) == b""
    for path in ("secret.txt", f"../{other_tenant.schema_name}/secret.txt"):
        assert header not in tenant_client.get(f"/media/{path}")
    assert header not in Client(SERVER_NAME="first.localhost").get("/media/x")


class Bucket(Storage):
    """As an object storage that keeps each tenant's files apart: no folder, only links."""

    def url(self, name):
        return f"https://bucket.example.com/{connection.schema_name}/{quote(name)}?signature=abc"


class SharedBucket(Storage):
    """One that mixes them."""

    def url(self, name):
        return f"https://bucket.example.com/{quote(name)}?signature=abc"


def test_an_object_storage_sends_by_a_link_of_its_own(tenant, tenant_client, settings):
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "engine.test_media.Bucket"}}

    answer = tenant_client.get("/media/deep/plan.txt")

    assert answer.url.split("/", 3)[3] == f"{tenant.schema_name}/deep/plan.txt?signature=abc"
    assert "private" in answer["Cache-Control"]
    assert tenant_client.get("/media/../x").status_code == 404
    visitor = Client(SERVER_NAME="first.localhost")
    assert visitor.get("/media/deep/plan.txt").url.startswith("/sign-in/")


def test_an_object_storage_that_mixes_tenants_is_an_error(tenant_client, settings):
    mixed = {"default": {"BACKEND": "engine.test_media.SharedBucket"}}
    settings.STORAGES = settings.STORAGES | mixed

    with pytest.raises(ImproperlyConfigured, match="name of its schema"):
        tenant_client.get("/media/plan.txt")


def test_a_storage_with_a_place_of_its_own_keeps_tenants_apart(tenant, other_tenant, tmp_path):
    storage = TenantStorage(location=tmp_path / "invoices")
    storage.save("1.txt", ContentFile(b"Our secret"))

    with other_tenant:
        assert not storage.exists("1.txt")
    assert FileSystemStorage(tmp_path / "invoices").exists(f"{tenant.schema_name}/1.txt")
