"""The life of a workspace on a deployment, from the sign-up to the restore of its backup."""

import base64
import sys
from contextlib import contextmanager
from pathlib import Path

from deployment import DOMAIN, has_certificate
from engine.nameserver import serving as nameserver
from engine.seaweedfs import serving as seaweedfs
from engine.seaweedfs import url_of
from projects import wait_for

WEED = Path(sys.executable).with_name("weed")
CUSTOMERS = "ships.example.org"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
MAKE_BUCKETS = """
from django.core.files.storage import default_storage
for name in ("uploads", "backups"):
    default_storage.connection.create_bucket(Bucket=name)
"""
SHOWN = """
source => new Promise(done => {
    const image = new Image();
    image.onload = () => done(image.naturalWidth);
    image.onerror = () => done(0);
    image.src = source;
})
"""


@contextmanager
def outside(folder):
    """Run a nameserver and an object storage; yield the first, and the variables for both."""
    folder.mkdir()
    with nameserver() as dns, seaweedfs(folder, WEED) as (_, host):
        urls = {"UPLOADS_URL": url_of(host, "uploads"), "BACKUPS_URL": url_of(host, "backups")}
        yield dns, urls | {"DOMAIN_RESOLVER": f"127.0.0.1:{dns.port}"}


def make_buckets(project):
    wait_for(lambda: project.manage("shell", "-c", MAKE_BUCKETS, check=False).returncode == 0)


def upload(project, slug):
    """Put a picture into the workspace's uploads, as `pixel.png`."""
    code = f"""
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from server.tenants.models import Tenant
with Tenant.objects.get(slug="{slug}"):
    default_storage.save("pixel.png", ContentFile({PIXEL!r}))
"""
    wait_for(lambda: project.manage("shell", "-c", code, check=False).returncode == 0)


def live(site, page, check_domains):
    """Live in a browser. `site.nameserver` answers for the world; `check_domains` looks there."""

    def url(host, path="/"):
        return f"https://{host}:{site.ports['https']}{path}"

    def shows_all(host):
        page.goto(url(host, "/notes/"))
        assert "Weigh anchor" in page.locator("main").inner_text()
        assert page.evaluate(SHOWN, "/media/pixel.png") == 1

    page.goto(url(DOMAIN, "/account/signup/"))
    page.get_by_label("E-mail address").fill("grace@example.com")
    page.get_by_label("I accept").check()
    page.get_by_role("button", name="Sign up").click()
    page.get_by_label("Code").fill(site.mailbox.code("grace@example.com"))
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name", exact=True).fill("Navy")
    page.get_by_role("button", name="Create workspace").click()
    page.wait_for_url(url(f"navy.{DOMAIN}"))
    assert "Welcome to Navy" in page.locator("main").inner_text()

    page.goto(url(f"navy.{DOMAIN}", "/notes/"))
    page.get_by_label("New note").fill("Weigh anchor")
    page.get_by_role("button", name="Add").click()
    upload(site.project, "navy")
    shows_all(f"navy.{DOMAIN}")
    assert page.evaluate(SHOWN, "/media/missing.png") == 0
    # The Content-Security-Policy allows the bucket's pictures, and no other host's.
    assert site.browser(DOMAIN).get("/static/icon.svg").status == 200
    assert page.evaluate(SHOWN, url(DOMAIN, "/static/icon.svg")) == 0

    page.goto(url(f"navy.{DOMAIN}", "/workspace/domains/new/"))
    page.get_by_label("Domain").fill(CUSTOMERS)
    page.get_by_role("button", name="Add").click()
    name, token, host, target = page.locator("dl code").all_inner_texts()
    assert host == CUSTOMERS
    site.nameserver.zone("example.org")
    site.nameserver.set(name, "TXT", token)
    site.nameserver.set(host, "CNAME", f"{target}.")
    check_domains()
    wait_for(lambda: has_certificate(site, CUSTOMERS))
    page.goto(url(CUSTOMERS))
    assert "Welcome to Navy" in page.locator("main").inner_text()

    manage = site.project.manage
    assert " 0 failed" in manage("backup_all").stdout
    assert "2 of 2 tenants can be restored." in manage("restore_drill").stdout
    archive = manage("archives", "navy").stdout.splitlines()[-1]
    assert manage("restore_tenant", archive, "--slug=fleet").stdout.endswith(f"fleet.{DOMAIN}\n")
    shows_all(f"fleet.{DOMAIN}")
