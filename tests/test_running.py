"""A person renders the template, types what it tells them to, and opens a browser."""

import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from projects import UV, Browser, Project, cookiecutter, environment, signed_in


@pytest.fixture(scope="module")
def port(acme):
    acme.manage("provision_tenant", "EvilCorp", "evilcorp", "org", "ada")
    with acme.runserver() as port:
        yield port


def test_the_set_up_tells_each_step_and_what_to_type_next(acme, printed):
    output = printed[0]
    assert len(re.findall(r"^\S.* \d+\.\d s$", output, re.M)) == 4
    assert "cd acme_cloud" in output
    assert "run manage.py runserver" in output
    assert "provision_tenant EvilCorp evilcorp org ada" in output
    assert output.count(acme.settings()["ADMIN_PASSWORD"]) == 1


def test_the_secrets_are_for_their_owner_and_stay_out_of_git(acme):
    env = acme.path / ".env"
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    acme.run("git", "init", "-q")
    private = [".env", ".postgres/data", ".venv/bin", "media/x", "private/x", "static_root/x"]
    assert acme.run("git", "check-ignore", *private).stdout.split() == private


def test_the_public_site_the_tenants_and_nobodys(port):
    public = Browser("localhost", port).get("/")
    tenant = Browser("evilcorp.localhost", port).get("/")
    nobody = Browser("nobody.localhost", port).get("/")

    assert (public.status, tenant.status, nobody.status) == (200, 200, 404)
    assert "A place of its own for your team" in public.text
    assert "Welcome to EvilCorp" in tenant.text
    assert "There is no site at this address" in nobody.text
    assert f"http://localhost:{port}/" in nobody.text


@pytest.mark.parametrize("host", ["localhost", "evilcorp.localhost"])
def test_the_stylesheet_is_served_and_nothing_comes_from_elsewhere(port, host):
    browser = Browser(host, port)
    page = browser.get("/").text
    links = re.findall(r'<(?:link|script|img)[^>]+(?:href|src)="([^"]+)"', page)

    assert links
    for link in links:
        assert link.startswith("/")
        assert browser.get(link).status == 200


@pytest.mark.parametrize("host", ["localhost", "evilcorp.localhost"])
def test_the_admin_takes_the_password_of_env(acme, port, host):
    browser = signed_in(host, port, acme.settings()["ADMIN_PASSWORD"])

    assert "Site administration" in browser.get("/admin/").text


def test_the_owner_signs_in_at_the_tenants_page(acme, port):
    browser = signed_in("evilcorp.localhost", port, acme.settings()["ADMIN_PASSWORD"])

    assert "You are signed in as <strong>ada</strong>" in browser.get("/").text
    assert browser.post("/notes/", text="It runs").status == 302
    assert "It runs" in browser.get("/notes/").text


def test_provisioning_prints_the_host_last_and_refuses_in_one_line(acme):
    made = acme.manage("provision_tenant", "Umbrella", "umbrella", "org", "ada")
    taken = acme.manage("provision_tenant", "Umbrella", "umbrella", "org", "ada", check=False)

    assert made.stdout.splitlines()[-1] == "umbrella.localhost"
    assert taken.returncode != 0
    assert taken.stderr == "CommandError: “umbrella” is taken.\n"


def test_init_tenant_can_be_repeated_and_resets_no_password(acme, port):
    password = acme.settings()["ADMIN_PASSWORD"]
    acme.manage("init_tenant", ADMIN_PASSWORD="another")  # noqa: S106

    assert signed_in("localhost", port, password).get("/account/").status == 200


def test_a_killed_database_is_started_again(acme, port):
    pid = int((acme.path / ".postgres" / "data" / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)

    assert acme.manage("shell", "-c", "print(2)").returncode == 0
    assert Browser("evilcorp.localhost", port).get("/").status == 200


def test_every_entry_point_finds_the_database_running(acme):
    count = "from server.tenants.models import Tenant; assert Tenant.objects.exists()"
    for command in (
        ("manage.py", "shell", "-c", count),
        ("-c", f"import server.wsgi; {count}"),
        ("-m", "pytest", "-q", "tests/test_notes.py"),
    ):
        acme.postgres("stop")
        acme.run(*acme.python, *command)
    acme.postgres("stop")
    with acme.serving(
        *acme.python, "-m", "gunicorn", "server.wsgi", "-b", "127.0.0.1:{port}"
    ) as at:
        assert Browser("evilcorp.localhost", at).get("/").status == 200


def test_a_command_without_a_query_starts_no_database(acme):
    acme.postgres("stop")
    acme.manage("check")
    acme.manage("collectstatic", "--no-input")

    assert acme.postgres("status", check=False).returncode == 3


def test_a_fresh_clone_runs_after_init_tenant(acme, tmp_path):
    acme.run("git", "init", "-q")
    acme.run("git", "add", "-A")
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    acme.run("git", *identity, "commit", "-qm", "Start")
    acme.run("git", "clone", "-q", ".", tmp_path / "clone")
    clone = Project(tmp_path / "clone")
    without_env = clone.run(UV, "run", "manage.py", "check", check=False)
    try:
        clone.run(UV, "run", "manage.py", "init_tenant")
        with clone.runserver() as port:
            assert "A place of its own for your team" in Browser("localhost", port).get("/").text
    finally:
        clone.postgres("stop")

    assert without_env.returncode == 1
    assert "SECRET_KEY" in without_env.stderr
    assert "Traceback" not in without_env.stderr
    assert clone.settings()["ADMIN_PASSWORD"] != acme.settings()["ADMIN_PASSWORD"]


def test_an_app_in_the_wrong_list_turns_the_isolation_test_red(acme):
    settings = acme.path / "server" / "settings.py"
    text = settings.read_text()
    notes = '    "server.notes",\n'
    shared = text.replace(notes, "").replace("SHARED_APPS = [\n", f"SHARED_APPS = [\n{notes}")
    test = "tests/test_notes.py::test_another_tenant_reads_none_of_them"
    assert shared.count(notes) == text.count(notes) == 1
    try:
        settings.write_text(shared)
        result = acme.run(*acme.python, "-m", "pytest", "-q", test, check=False)
    finally:
        settings.write_text(text)

    assert result.returncode == 1
    assert "1 failed" in result.stdout
    assert acme.run(*acme.python, "-m", "pytest", "-q", test)


def path_without(*programs):
    """PATH less the folders that hold one of these programs."""
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(
        folder for folder in folders if not any(Path(folder, name).exists() for name in programs)
    )


def test_without_uv_the_project_is_the_same(template, tmp_path):
    path = path_without("uv")
    assert shutil.which("uv", path=path) is None

    output = cookiecutter(template, tmp_path, PATH=path, UV=None)

    project = Project(tmp_path / "acme_cloud", python=(".venv/bin/python",))
    try:
        assert ".venv/bin/python manage.py runserver" in output
        host = project.manage("provision_tenant", "EvilCorp", "evilcorp", "org", "ada").stdout
        assert host.splitlines()[-1] == "evilcorp.localhost"
        with project.runserver() as port:
            assert "A place of its own for your team" in Browser("localhost", port).get("/").text
            assert "Welcome to EvilCorp" in Browser("evilcorp.localhost", port).get("/").text
        some = ".venv/bin/python", "-m", "pytest", "-q", "tests/test_notes.py"
        assert " passed" in project.run(*some).stdout
    finally:
        project.postgres("stop")


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_without_a_network_it_says_so_keeps_the_project_and_can_be_finished(
    template, tmp_path, tool
):
    nowhere = "http://127.0.0.1:9"
    without = {
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere),
        **dict.fromkeys(("UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"), nowhere),
        "UV_CACHE_DIR": tmp_path / "cache",
        "UV_HTTP_RETRIES": 0,
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": 1,
    }
    env = {} if tool == "uv" else {"PATH": path_without("uv"), "UV": None}

    output = cookiecutter(template, tmp_path, **without, **env)

    lines = [line for line in output.splitlines() if line.strip()]
    command = lines[-1].strip()
    failure = next(line for line in lines if re.match(r"(Install|Upgrade).*: ", line))
    assert "onnect" in failure or "roxy" in failure
    assert command.startswith("cd acme_cloud && ")
    project = Project(
        tmp_path / "acme_cloud", **({} if tool == "uv" else {"python": (".venv/bin/python",)})
    )
    assert (project.path / ".env").exists()
    try:
        subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            env=environment(**env),
            check=True,
            capture_output=True,
            timeout=300,
        )
        assert (
            "evilcorp.localhost"
            in project.manage("provision_tenant", "E", "evilcorp", "o", "ada").stdout
        )
    finally:
        project.postgres("stop")


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_an_unreadable_env_is_one_line(acme, tmp_path, content):
    """R24: neither a traceback nor a value."""
    project = acme.copy(tmp_path / "project")
    env = project.path / ".env"
    env.unlink(missing_ok=True)
    env.mkdir() if content is None else env.write_bytes(content)

    result = project.manage("check", check=False)

    assert result.returncode == 1
    assert result.stderr.startswith(f"{env} can't be read: ")
    assert len(result.stderr.splitlines()) == 1


def test_an_owners_letter_leads_to_the_port_that_is_served(acme, port):
    """S14: the command runs in another terminal than the server."""
    printed = acme.manage("provision_tenant", "Initrode", "initrode", "org", "ada").stdout

    assert f"\nhttp://initrode.localhost:{port}/\n" in printed
    assert f"http://localhost:{port}/" in Browser("nobody.localhost", port).get("/").text


def test_two_projects_on_localhost_have_cookies_of_their_own(port):
    """S14: browsers send the cookies of all ports."""
    browser = Browser("localhost", port)
    browser.get("/account/login/")

    assert browser.cookies.keys() == {"acme-cloud_csrf"}
