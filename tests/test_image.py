"""deploy/Dockerfile: the image is built, and its processes run from its root filesystem.

`.ci/long` runs this. No image registry is asked: the base is a Debian that debootstrap makes, and
has the name that the Dockerfile asks for.
"""

import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from deployment import (
    CADDY,
    DOMAIN,
    PORTS,
    WORKSPACE,
    Site,
    caddy_variables,
    free_ports,
    has_certificate,
    is_ready,
    production,
    write_caddyfile,
)
from life import live, make_buckets, outside
from projects import UV, Project, environment, need, render, wait_for

pytestmark = pytest.mark.long
BASE_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
MEGABYTE = 1_000_000
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TRUST = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")  # what pip and uv look at


class Images:
    """buildah with a store of its own, which needs no service.

    On a busy machine its `run` may lose the output of a command, but never the exit status.
    """

    def __init__(self, folder):
        self.folder = folder
        self.env = environment(STORAGE_DRIVER="vfs", BUILDAH_ISOLATION="chroot")

    def command(self, verb, *arguments):
        store = ("--root", self.folder / "images", "--runroot", self.folder / "run")
        return [str(part) for part in ("buildah", *store, verb, *arguments)]

    def do(self, verb, *arguments, cwd=None):
        result = subprocess.run(
            self.command(verb, *arguments),
            cwd=cwd,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout.strip()

    def mounted(self, image):
        """Return a container of the image, and its root filesystem."""
        container = self.do("from", "--pull-never", image)
        return container, Path(self.do("mount", container))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    for program in ("buildah", "debootstrap"):
        need(shutil.which(program), program)
    need(os.getuid() == 0, "root")
    images = Images(tmp_path_factory.mktemp("images"))
    yield images
    images.do("rm", "--all")


@pytest.fixture(scope="module")
def base(images, template):
    """Make what stands for the image that the Dockerfile begins with; return its root."""
    root = images.folder / "base"
    made = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "stable", root]
    subprocess.run(list(map(str, made)), check=True, stdout=subprocess.DEVNULL)
    (root / "usr/bin/python").symlink_to("python3")
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):  # the image's pip installs
        mark.unlink()
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))  # a proxy may have one of its own
    [dockerfile] = template.glob("*/deploy/Dockerfile")
    container = images.do("from", "scratch")
    images.do("add", container, root, "/")
    images.do("config", *(f"--env={name}={AUTHORITIES}" for name in TRUST), container)
    name = re.search(r"^FROM (\S+) AS base$", dockerfile.read_text(), re.M)[1]
    images.do("commit", container, name)
    images.do("rm", container)
    return root


def build(images, project, tag):
    options = ("--pull-never", "--file", "deploy/Dockerfile", "--tag", tag, ".")
    images.do("bud", *options, cwd=project.path)


@pytest.fixture(scope="module", params=[True, False], ids=["celery", "no-celery"])
def built(request, images, base, template, tmp_path_factory):
    """Return the project, and its image's name."""
    project = render(template, tmp_path_factory.mktemp("image"), use_celery=request.param)
    project.run(UV, "sync")
    project.manage("init_tenant")
    project.manage("make_env")
    build(images, project, "acme")
    yield project, "acme"
    project.postgres("stop")


def size(folder):
    return int(subprocess.check_output(["du", "-sb", folder], text=True).split()[0])


def test_the_image_is_small_and_has_no_secret(images, base, built):
    project, image = built
    container, root = images.mounted(image)
    secrets = re.findall(r"=(\S{20,})$", (project.path / ".env.production").read_text(), re.M)
    said = images.do("inspect", "--type", "image", image)

    added = (size(root) - size(base)) / MEGABYTE
    print(f"The image adds {added:.0f} MB.")
    assert added < 200
    for program in ("psql", "pg_dump", "pg_restore"):
        found = [*root.glob(f"app/.venv/lib/python3*/site-packages/*/pginstall/bin/{program}")]
        inside = Path("/", found[0].relative_to(root))
        images.do("run", container, "--", "sh", "-ec", f"{inside} --version | grep {program}")
    assert not [*root.glob("app/.env*[!e]"), *root.glob("app/.postgres"), *root.glob("app/.git")]
    assert len(secrets) >= 3
    for secret in secrets:
        assert secret not in said
        assert (
            subprocess.run(["grep", "-rqF", "-e", secret, root / "app"], check=False).returncode
            == 1
        )
    assert '"User": "app"' in said
    assert [*root.glob("app/static_root/site.*.css")]


@pytest.mark.usefixtures("base")
def test_with_postgis_it_has_the_libraries(images, template, tmp_path):
    build(images, render(template, tmp_path, use_postgis=True), "geography")
    container, _ = images.mounted("geography")
    check = ("python", "manage.py", "shell", "-v0", "-c", VERSIONS)

    images.do("run", *(f"--env={each}" for each in UNUSED), container, "--", *check)


UNUSED = (
    *("DOMAIN=example.com", "EMAIL_HOST=none", "DATABASE_URL=postgis://none/none"),
    f"SECRET_KEY={'-' * 51}",
)
VERSIONS = """
from django.contrib.gis import gdal, geos
assert gdal.gdal_version() and geos.geos_version()
"""


@dataclass
class Inside:
    """What of a project's commands runs in a container of the image, and what beside it."""

    images: Images
    container: str
    root: Path  # of the container's filesystem
    project: Project
    env: dict
    path: Path  # where processes of the site start that aren't the image's

    def command(self, *command, **env):
        given = [f"--env={name}={value}" for name, value in (self.env | env).items()]
        return self.images.command("run", *given, self.container, "--", *command)

    def manage(self, *arguments, check=True):
        """Run a command of the project, and read what it has said from files in the container."""
        name = f"tmp/{uuid.uuid4().hex}"
        into_files = ("sh", "-c", 'exec "$@" >"$0.out" 2>"$0.err"', f"/{name}")
        command = self.command(*into_files, "python", "manage.py", *arguments)
        status = subprocess.run(command, env=self.images.env, check=False).returncode
        said = [(self.root / f"{name}.{end}").read_text() for end in ("out", "err")]
        result = subprocess.CompletedProcess(command, status, *said)
        if check:
            assert status == 0, result
        return result

    def run(self, *command):
        return self.project.run(*command)


@pytest.fixture(scope="module")
def site(images, built, tmp_path_factory):
    """The image's processes behind Caddy. The database and Redis aren't the image's."""
    project, image = built
    container, root = images.mounted(image)
    folder = tmp_path_factory.mktemp("site")
    ports = free_ports(*PORTS, "redis")
    address = project.run(*project.python, "-c", ADDRESS).stdout.strip()
    compose = yaml.safe_load((project.path / "deploy/compose.yaml").read_text())["services"]
    redis = f"redis://127.0.0.1:{ports['redis']}"
    variables = production(project, folder, ports, address)
    variables |= {"CACHE_URL": f"{redis}/1", "MEDIA_ROOT": "/srv/media"}
    if "worker" in compose:
        variables["CELERY_BROKER_URL"] = f"{redis}/0"
    inside = Inside(images, container, root, project, variables, project.path)
    site = Site(inside, folder, ports)
    of_website = {"PORT": ports["website"], "INTERNAL_PORT": ports["website_internal"]}
    of_web = {"PORT": ports["web"], "INTERNAL_PORT": ports["web_internal"]}
    gunicorn = ("gunicorn", "--config", "deploy/gunicorn.conf.py")
    with outside(folder / "s3") as (site.nameserver, of_world), site.mailbox:
        variables |= of_world

        def start(name, *command):
            site.processes[name] = subprocess.Popen(command, env=images.env)

        try:
            start("redis", "redis-server", "--port", str(ports["redis"]), "--save", "")
            inside.manage("init_tenant")
            make_buckets(inside)
            inside.manage("provision_tenant", "Initech", "initech", "org", "ada")
            start("web", *inside.command(*gunicorn, "server.wsgi", **of_web))
            start("website", *inside.command(*compose["website"]["command"], **of_website))
            for name in compose.keys() & {"worker", "beat"}:
                start(name, *inside.command(*compose[name]["command"]))
            for name in ("web", "website"):
                wait_for(lambda name=name: is_ready(ports[f"{name}_internal"]))
            start_proxy(site)
            yield site
        finally:
            site.stop()


def start_proxy(site):
    file = write_caddyfile(site)
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", file]
    env = environment(DOMAIN=DOMAIN, **caddy_variables(site))
    site.processes["caddy"] = subprocess.Popen([str(part) for part in command], env=env)
    wait_for(lambda: has_certificate(site))


def test_its_processes_run_as_a_user_of_their_own(site):
    asked = site.project.command("sh", "-c", "test $(id -un) = app")
    subprocess.run(asked, env=site.project.images.env, check=True)


def test_a_member_sees_each_page_as_it_is_meant(site, trusting_chromium):
    """The image has what a page asks for, and its Content-Security-Policy lets all of it work."""
    page, faults = trusting_chromium, []
    page.on("console", lambda said: said.type == "error" and faults.append(said.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda asked: faults.append(f"{asked.url} {asked.failure}"))
    page.on("response", lambda got: got.status >= 400 and faults.append(f"{got.url} {got.status}"))
    workspace = f"https://{WORKSPACE}:{site.ports['https']}"
    page.goto(f"{workspace}/sign-in/?next=/notes/")
    page.get_by_label("E-mail or user name").fill("ada")
    page.get_by_label("Password").fill(site.project.project.settings()["ADMIN_PASSWORD"])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{workspace}/notes/")
    for path in ("/notes/", "/workspace/people/", "/admin/", "/admin/notes/note/add/"):
        page.goto(f"{workspace}{path}", wait_until="networkidle")
        sheets = page.evaluate("[...document.styleSheets].map(sheet => sheet.cssRules.length)")
        assert page.locator("h1").first.is_visible(), path
        assert min(sheets, default=0) > 0, path

    assert faults == []


def test_a_workspace_lives_in_it(site, trusting_chromium):
    live(site, trusting_chromium, lambda: site.project.manage("check_domains"))


ADDRESS = """
from tenancy.postgres import embedded
print("postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/server".format(**embedded.start()))
"""
