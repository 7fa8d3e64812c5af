"""Uploads in a bucket, in a real browser: a page shows a picture from there, and nothing else."""

import base64
import sys
from pathlib import Path

import pytest
from engine.seaweedfs import serving, url_of
from projects import UV, Project, signed_in, wait_for

WEED = Path(sys.executable).with_name("weed")
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
MAKE_BUCKET = """
from django.core.files.storage import default_storage
default_storage.connection.create_bucket(Bucket="uploads")
"""
UPLOAD = f"""
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from server.tenants.models import Tenant
with Tenant.objects.get(slug="evilcorp"):
    default_storage.save("pixel.png", ContentFile({PIXEL!r}))
"""
SHOWN = """
source => new Promise(done => {
    const image = new Image();
    image.onload = () => done(image.naturalWidth);
    image.onerror = () => done(0);
    image.src = source;
})
"""


@pytest.fixture(scope="module")
def project(acme, tmp_path_factory):
    """A project whose uploads are in a bucket."""
    folder = tmp_path_factory.mktemp("bucket")
    site = acme.copy(folder / "acme")
    acme.run(UV, "pip", "install", "-q", "django-storages[s3]", "-p", site.python[0])
    (folder / "s3").mkdir()
    with serving(folder / "s3", WEED) as (_, host):
        site = Project(site.path, site.python, site.env | {"UPLOADS_URL": url_of(host, "uploads")})
        wait_for(lambda: site.manage("shell", "-c", MAKE_BUCKET, check=False).returncode == 0)
        site.manage("init_tenant")
        site.manage("provision_tenant", "EvilCorp", "evilcorp", "org", "ada")
        wait_for(lambda: site.manage("shell", "-c", UPLOAD, check=False).returncode == 0)
        yield site, host
        site.postgres("stop")


def test_a_page_shows_a_picture_from_the_bucket(project, chromium):
    site, host = project
    with site.runserver() as port:
        browser = signed_in("evilcorp.localhost", port, site.settings()["ADMIN_PASSWORD"])
        context = chromium.new_context()
        url = f"http://evilcorp.localhost:{port}"
        context.add_cookies(
            [{"name": name, "value": value, "url": url} for name, value in browser.cookies.items()]
        )
        page = context.new_page()
        page.goto(f"{url}/notes/")

        assert page.evaluate(SHOWN, "/media/pixel.png") == 1
        assert page.evaluate(SHOWN, "/media/missing.png") == 0
        # Another host's are refused by the policy, so it is in force.
        assert page.evaluate(SHOWN, f"http://localhost:{port}/static/icon.svg") == 0
        policy = browser.get("/notes/").headers["Content-Security-Policy"]
        assert f"http://{host}" in policy
