"""Each process of a deployment with Celery is killed, and compose's restart rules heal the site."""

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


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.fixture(scope="module")
def project(template, tmp_path_factory):
    need(shutil.which("redis-server"), "redis-server")
    project = render(template, tmp_path_factory.mktemp("killed"), use_celery=True)
    notes = project.path / "server/notes"
    with (notes / "tasks.py").open("a") as tasks:
        tasks.write(TASK)
    replace(notes / "views.py", "        return super().form_valid(form)\n", SEND)
    imported = "from server.notes.models import Note\n"
    replace(notes / "views.py", imported, f"{imported}from server.notes.tasks import copy\n")
    replace(project.path / "server/settings.py", VISIBILITY, SOON)
    project.run(UV, "sync", "--group", "cache", "--group", "s3")
    project.manage("make_env")
    (project.path / ".env").unlink()  # development's, which no image has
    return project


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with outside(tmp_path_factory.mktemp("world") / "s3") as found:
        yield found


@pytest.fixture(scope="module")
def site(project, world, tmp_path_factory):
    """The services of deploy/compose.yaml, as processes under a supervisor."""
    folder = tmp_path_factory.mktemp("services")
    ports = free_ports(*PORTS, "redis", "postgres")
    compose = yaml.safe_load((project.path / "deploy/compose.yaml").read_text())["services"]
    database = f"postgres://postgres:unused@127.0.0.1:{ports['postgres']}/app"
    broker = f"redis://127.0.0.1:{ports['redis']}"
    variables = production(project, folder, ports, database)
    nameserver, of_world = world
    variables |= {"CACHE_URL": f"{broker}/1", "CELERY_BROKER_URL": f"{broker}/0"} | of_world
    project.env |= {name: str(value) for name, value in variables.items()}
    site = Site(project, folder, ports)
    site.nameserver = nameserver
    beat = folder / "beat"
    commands = {
        "postgres": [*postgres(folder, ports["postgres"]), *compose["postgres"]["command"][1:]],
        "redis": ["redis-server", "--port", ports["redis"], *compose["redis"]["command"]],
        "web": ["gunicorn", "--config", "deploy/gunicorn.conf.py", "server.wsgi"],  # the image's
        **{name: compose[name]["command"] for name in ("website", "worker", "beat")},
        "proxy": [CADDY, "run", "--adapter", "caddyfile", "--config", write_caddyfile(site)],
    }
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
        for name in ("web", "website", "worker", "beat", "proxy"):
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


SERVICES = ("proxy", "web", "website", "worker", "beat", "postgres")
WITHOUT_A_BREAK = {"website", "worker", "beat"}  # for people who are signed in


def test_a_workspace_lives_here(site, trusting_chromium):
    """The worker makes it, and looks up its domain."""

    def check_domains():
        send = "from tenancy.background.tasks import check_domains; check_domains.delay()"
        site.project.manage("shell", "-c", send)

    live(site, trusting_chromium, check_domains)


def copies_of(texts):
    return {f"copy of {text}" for text in texts}


def test_the_site_heals_whatever_is_killed_and_nothing_acknowledged_is_lost(site):
    with Crowd(site) as crowd:
        crowd.goes_on()
        for name in SERVICES:
            failed = len(crowd.failed)
            site.supervisor.kill(name)
            is_well(site)
            crowd.goes_on()
            if name in WITHOUT_A_BREAK:
                assert crowd.failed[failed:] == [], name
        assert site.signed_in().get("/notes/").status == 200  # by the website
    starts = {name: service.starts for name, service in site.supervisor.services.items()}

    assert all(starts[name] >= 2 for name in SERVICES), starts
    assert {*crowd.acknowledged} <= {*site.notes()}
    # Kombu takes a task out of Redis before it notes that it has: the worker that was killed may
    # have lost that one (docs/background.md).
    wait_for(lambda: len(copies_of(crowd.acknowledged) - {*site.notes()}) <= 1, seconds=240)


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


def test_the_supervisor_follows_compose(project):
    compose = yaml.safe_load((project.path / "deploy/compose.yaml").read_text())["services"]
    restarts = {name: service["restart"] for name, service in compose.items()}

    served = (*SERVICES, "redis")
    assert restarts["release"] == "no"
    assert {name: restarts[name] for name in served} == dict.fromkeys(served, "unless-stopped")
