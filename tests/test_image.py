"""deploy/Dockerfile: the image is built, and its processes run from its root filesystem.

`.ci/long` runs this. No image registry is asked: the base is a Debian that debootstrap makes, and
has the name that the Dockerfile asks for.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deployment import DOMAIN, PORTS, WORKSPACE, free_ports, is_ready, production
from projects import UV, Browser, environment, need, render, wait_for

pytestmark = pytest.mark.long
BASE_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
MEGABYTE = 1_000_000
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
TRUST = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")  # what pip and uv look at


class Images:
    """buildah with a store of its own, which needs no service."""

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
def base(images):
    """Make what stands for the image that the Dockerfile begins with; return its name."""
    root = images.folder / "base"
    made = ["debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "stable", root]
    subprocess.run(list(map(str, made)), check=True, stdout=subprocess.DEVNULL)
    (root / "usr/bin/python").symlink_to("python3")
    for mark in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):  # the image's pip installs
        mark.unlink()
    shutil.copy(AUTHORITIES, root / AUTHORITIES.relative_to("/"))  # a proxy may have one of its own
    return root


@pytest.fixture(scope="module")
def built(images, base, template, tmp_path_factory):
    """Return the project, and its image's name."""
    project = render(template, tmp_path_factory.mktemp("image"), use_celery=True)
    dockerfile = (project.path / "deploy/Dockerfile").read_text()
    container = images.do("from", "scratch")
    images.do("add", container, base, "/")
    images.do("config", *(f"--env={name}={AUTHORITIES}" for name in TRUST), container)
    images.do("commit", container, re.search(r"^FROM (\S+) AS base$", dockerfile, re.M)[1])
    images.do("rm", container)
    project.run(UV, "sync")
    project.manage("init_tenant")
    project.manage("make_env")
    options = ("--pull-never", "--file", "deploy/Dockerfile", "--tag", "acme", ".")
    images.do("bud", *options, cwd=project.path)
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
        assert program in images.do("run", container, "--", inside, "--version")
    assert not [*root.glob("app/.env*[!e]"), *root.glob("app/.postgres"), *root.glob("app/.git")]
    assert len(secrets) >= 3
    for secret in secrets:
        assert secret not in said
        assert subprocess.run(["grep", "-rqF", secret, root / "app"], check=False).returncode == 1
    assert '"User": "app"' in said
    assert [*root.glob("app/static_root/site.*.css")]


def test_its_processes_serve_the_site(images, built, tmp_path):
    project, image = built
    container, _ = images.mounted(image)
    ports = free_ports(*PORTS, "redis")
    address = project.run(*project.python, "-c", ADDRESS).stdout.strip()
    broker = f"redis://127.0.0.1:{ports['redis']}"
    variables = production(project, tmp_path, ports, address) | {
        "CACHE_URL": f"{broker}/1",
        "CELERY_BROKER_URL": f"{broker}/0",
        "MEDIA_ROOT": "/srv/media",
    }
    redis = subprocess.Popen(["redis-server", "--port", str(ports["redis"]), "--save", ""])
    processes = [redis]

    def run(*command, **env):
        given = [f"--env={name}={value}" for name, value in (variables | env).items()]
        return images.command("run", *given, container, "--", *command)

    try:
        release = ["sh", "-ec", "id -un; python manage.py init_tenant; python manage.py tenants"]
        said = subprocess.check_output(run(*release), env=images.env, text=True)
        assert said.startswith("app\n")
        programs = "python manage.py provision_tenant Initech initech org ada"
        subprocess.run(run("sh", "-ec", programs), env=images.env, check=True)
        for name, module in (("web", "server.wsgi"), ("website", "server.wsgi_main_website")):
            command = run(
                *("gunicorn", "--config", "deploy/gunicorn.conf.py", module),
                PORT=ports[name],
                INTERNAL_PORT=ports[f"{name}_internal"],
            )
            processes.append(subprocess.Popen(command, env=images.env, start_new_session=True))
        worker = run("celery", "--app", "server", "worker", "--concurrency", "1")
        processes.append(subprocess.Popen(worker, env=images.env, start_new_session=True))
        for name in ("web", "website"):
            wait_for(lambda name=name: is_ready(ports[f"{name}_internal"]))
        secure = {"X-Forwarded-Proto": "https"}
        home = Browser(DOMAIN, ports["website"]).get("/", **secure)
        workspace = Browser(WORKSPACE, ports["web"]).get("/", **secure)
        ping = run("celery", "--app", "server", "inspect", "ping")
        wait_for(lambda: subprocess.run(ping, env=images.env, check=False).returncode == 0)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(timeout=60)

    assert (home.status, "Acme Cloud" in home.text) == (200, True)
    assert (workspace.status, "Welcome to Initech" in workspace.text) == (200, True)


ADDRESS = """
from tenancy.postgres import embedded
print("postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/server".format(**embedded.start()))
"""
