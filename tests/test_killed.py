"""Each process of a deployment is killed, and compose's restart rules heal the site.

`.ci/long` does that without Celery, too. It has a reload and a migration under load with Celery,
test_deploy.py those without.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from deployment import (
    CADDY,
    PORTS,
    Crowd,
    Site,
    caddy_variables,
    free_ports,
    has_certificate,
    is_ready,
    production,
    replace,
    serves_on_through_a_migration,
    serves_on_through_reloads,
    write_caddyfile,
)
from life import live, make_buckets, outside
from projects import UV, copy_engine, need, render, wait_for
from supervisor import Service, Supervisor

# A copy, so that no bytecode gets into the template.
_copy = tempfile.TemporaryDirectory()
copy_engine(Path(_copy.name))
sys.path.insert(0, _copy.name)

from tenancy.postgres import programs  # noqa: E402

# What a request leaves to a worker is done once, though it may be run twice. A task that loses the
# database in its middle says that it wants another try.
TASK = """
from django.db import InterfaceError, OperationalError


@shared_task(
    autoretry_for=(InterfaceError, OperationalError), max_retries=None, default_retry_delay=1
)
def copy(pk):
    note = Note.objects.get(pk=pk)
    Note.objects.get_or_create(text=f"copy of {note.text}", author=note.author)
"""
SEND = """        response = super().form_valid(form)
        copy.delay(self.object.pk)
        return response
"""
# A killed worker's tasks come back soon.
VISIBILITY = '"visibility_timeout": 3600,'
SOON = '"visibility_timeout": 15, "unacked_restore_interval": 1, "unacked_restore_throttle": 1,'


@pytest.fixture(
    scope="module",
    params=[True, pytest.param(False, marks=pytest.mark.long)],
    ids=["celery", "no-celery"],
)
def use_celery(request):
    return request.param


@pytest.fixture(scope="module")
def project(template, tmp_path_factory, use_celery):
    need(shutil.which("redis-server"), "redis-server")
    project = render(template, tmp_path_factory.mktemp("killed"), use_celery=use_celery)
    if use_celery:
        leave_copies_to_a_worker(project.path / "server")
    project.run(UV, "sync", "--group", "cache", "--group", "s3")
    project.manage("make_env")
    (project.path / ".env").unlink()  # development's, which no image has
    return project


def leave_copies_to_a_worker(server):
    with (server / "notes/tasks.py").open("a") as tasks:
        tasks.write(TASK)
    views, imported = server / "notes/views.py", "from server.notes.models import Note\n"
    replace(views, "        return super().form_valid(form)\n", SEND)
    replace(views, imported, f"{imported}from server.notes.tasks import copy\n")
    replace(server / "settings.py", VISIBILITY, SOON)


@pytest.fixture(scope="module")
def world(use_celery, tmp_path_factory):
    """Each deployment has a world of its own."""
    with outside(tmp_path_factory.mktemp("world") / "s3") as found:
        yield found


@pytest.fixture(scope="module")
def site(project, world, tmp_path_factory):
    """The services of deploy/compose.yaml, as processes under a supervisor."""
    folder = tmp_path_factory.mktemp("services")
    ports = free_ports(*PORTS, "redis", "postgres")
    compose = yaml.safe_load((project.path / "deploy/compose.yaml").read_text())["services"]
    database = f"postgres://postgres:unused@127.0.0.1:{ports['postgres']}/app"
    redis = f"redis://127.0.0.1:{ports['redis']}"
    variables = production(project, folder, ports, database)
    nameserver, of_world = world
    variables |= {"CACHE_URL": f"{redis}/1"} | of_world
    if "worker" in compose:
        variables["CELERY_BROKER_URL"] = f"{redis}/0"
    project.env |= {name: str(value) for name, value in variables.items()}
    site = Site(project, folder, ports)
    site.nameserver = nameserver
    beat = folder / "beat"
    commands = {
        "postgres": [*postgres(folder, ports["postgres"]), *compose["postgres"]["command"][1:]],
        "redis": ["redis-server", "--port", ports["redis"], *compose["redis"]["command"]],
        "web": ["gunicorn", "--config", "deploy/gunicorn.conf.py", "server.wsgi"],  # the image's
        **{name: compose[name]["command"] for name in ("website", *BACKGROUND & compose.keys())},
        "proxy": [CADDY, "run", "--adapter", "caddyfile", "--config", write_caddyfile(site)],
    }
    if "beat" in commands:
        commands["beat"] = [part.replace("/tmp/beat", str(beat)) for part in commands["beat"]]  # noqa: S108
    assert commands.keys() | {"release", "backup"} == compose.keys()  # which run at times
    path = f"{project.path / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"

    def run(name):
        own = {"PORT": ports.get(name, ""), "INTERNAL_PORT": ports.get(f"{name}_internal", "")}
        env = project.env | {"PATH": path} | (own if own["PORT"] else {})
        if name == "proxy":
            env |= caddy_variables(site)
        service = Service(
            commands[name], compose[name]["restart"], env, project.path, folder / f"{name}.log"
        )
        service.cwd = folder if name in ("postgres", "redis") else project.path
        supervisor.start(name, service)

    with Supervisor() as supervisor, site.mailbox:
        run("postgres")
        run("redis")
        wait_for(lambda: "ready to accept connections" in site.log("postgres"))
        create = ("createdb", "-h", "127.0.0.1", "-p", ports["postgres"], "-U", "postgres", "app")
        project.run(programs._wheel_folders()[0] / create[0], *create[1:])
        project.manage("collectstatic", "--no-input")
        project.manage("init_tenant")
        make_buckets(project)
        project.manage("provision_tenant", "Initech", "initech", "org", "ada", "--field=plan=team")
        for name in commands.keys() - {"postgres", "redis"}:
            run(name)
        site.supervisor = supervisor
        is_well(site)
        wait_for(lambda: has_certificate(site))
        yield site


def postgres(folder, port):
    """Make a cluster; return the command that serves it."""
    folder.chmod(0o777)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    as_user, binaries = programs.without_root(folder), programs._wheel_folders()[0]
    options = ("-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C")
    programs.run([*as_user, binaries / "initdb", "-D", folder / "data", *options])
    server = [*as_user, binaries / "postgres", "-D", folder / "data", "-p", port]
    return [*server, "-c", "unix_socket_directories="]


def is_well(site):
    for name in ("web_internal", "website_internal"):
        wait_for(lambda name=name: is_ready(site.ports[name]))


BACKGROUND = {"worker", "beat"}
WITHOUT_A_BREAK = {"website", *BACKGROUND}  # for people who are signed in


def test_a_workspace_lives_here(site, trusting_chromium, use_celery):
    """With Celery the worker makes it, and looks up its domain."""

    def check_domains():
        send = "from tenancy.background.tasks import check_domains; check_domains.delay()"
        site.project.manage(*(["shell", "-c", send] if use_celery else ["check_domains"]))

    live(site, trusting_chromium, check_domains)


def copies_of(texts):
    return {f"copy of {text}" for text in texts}


with_celery = pytest.mark.parametrize("use_celery", [True], indirect=True, ids=["celery"])


@with_celery
@pytest.mark.long
def test_the_site_serves_on_through_reloads_and_a_migration(site):
    """So does the worker, whose code is the old one. It does all that requests leave to it."""
    gunicorn = site.supervisor.services["web"].process.pid
    serves_on_through_reloads(site, gunicorn)
    serves_on_through_a_migration(site, gunicorn)
    notes = {text for text in site.notes() if not text.startswith("copy of ")}
    wait_for(lambda: copies_of(notes) <= {*site.notes()})


def test_the_site_heals_whatever_is_killed_and_nothing_acknowledged_is_lost(site, use_celery):
    services = [*site.supervisor.services]
    if use_celery:
        services.remove("redis")  # the broker has a test of its own
    with Crowd(site) as crowd:
        crowd.goes_on()
        for name in services:
            failed = len(crowd.failed)
            site.supervisor.kill(name)
            is_well(site)
            crowd.goes_on()
            if name in WITHOUT_A_BREAK:
                assert crowd.failed[failed:] == [], name
        assert site.signed_in().get("/notes/").status == 200  # by the website
    starts = {name: service.starts for name, service in site.supervisor.services.items()}

    assert all(starts[name] >= 2 for name in services), starts
    assert {*crowd.acknowledged} <= {*site.notes()}
    if use_celery:
        # Kombu takes a task out of Redis before it notes that it has: the worker that was killed
        # may have lost that one (docs/background.md).
        wait_for(lambda: len(copies_of(crowd.acknowledged) - {*site.notes()}) <= 1, seconds=240)


@with_celery
def test_the_site_heals_when_the_broker_is_killed(site):
    """Kombu takes a task out of Redis before it notes that it has: that one may be lost."""
    with Crowd(site) as crowd:
        crowd.goes_on()
        site.supervisor.kill("redis")
        is_well(site)
        crowd.goes_on()
        last = len(crowd.acknowledged)
        crowd.goes_on()

    assert {*crowd.acknowledged} <= {*site.notes()}
    wait_for(lambda: copies_of(crowd.acknowledged[last:]) <= {*site.notes()}, seconds=240)


def test_the_supervisor_follows_compose(site):
    compose = yaml.safe_load((site.project.path / "deploy/compose.yaml").read_text())["services"]
    restarts = {name: service["restart"] for name, service in compose.items()}

    assert restarts.pop("release") == restarts.pop("backup") == "no"
    assert restarts == dict.fromkeys(site.supervisor.services, "unless-stopped")
