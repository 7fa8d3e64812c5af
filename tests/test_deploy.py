"""docs/deploy.md, typed: two gunicorns behind Caddy with TLS, as far as a machine alone can."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from projects import UV, Project, environment, wait_for
from test_documents import blocks
from test_production import DEPLOY
from tls import TlsBrowser, sign_in

CADDY = Path(sys.executable).with_name("caddy")
DOMAIN, WORKSPACE, CUSTOMER = "acme.example.com", "initech.acme.example.com", "www.shop.example.org"
HERE = {"local_certs", "skip_install_trust", "admin off", "persist_config off"}
# The blocks of the page that aren't run as they stand, by their beginning, and why.
NOT_TYPED = {
    "docker compose": "needs Docker; `release` runs what `site` runs, and the services are checked",
    "DATABASE_URL=": "variables: `site` sets them",
    "PORT=8000": "`site` runs it with ports that are free",
    "uv run manage.py migrate_schemas --plan": "test_documents.py parses it",
    "uv run --no-dev celery": "the engine's tests run workers",
}


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Site:
    """A deployment: its processes by name, and browsers that go to its proxy."""

    def __init__(self, project, folder, ports):
        self.project, self.folder, self.ports, self.processes = project, folder, ports, {}

    def start(self, name, command, **env):
        log = (self.folder / f"{name}.log").open("a")
        self.processes[name] = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.project.path,
            env=self.project.env | {key: str(value) for key, value in env.items()},
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def browser(self, host):
        root = self.folder / "caddy/pki/authorities/local/root.crt"
        return TlsBrowser(host, self.ports["https"], root)

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def site(acme, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployed")
    acme.run("git", "init", "-q")
    acme.run("git", "add", "-A")
    acme.run("git", "checkout-index", "-a", f"--prefix={folder}/acme/")
    acme.manage("make_env")
    server, _, _ = json.loads(acme.run(*acme.python, "-c", DEPLOY).stdout).rpartition("/")
    create = "from django.db import connection; connection.cursor().execute('CREATE DATABASE app')"
    acme.manage("shell", "-c", create)
    names = ("http", "https", "web", "website", "web_internal", "website_internal")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    made = re.findall(r"^(\w+)=(.+)$", (acme.path / ".env.production").read_text(), re.M)
    variables = {name: value.strip('"') for name, value in made} | {
        "BIND": "127.0.0.1",
        "DATABASE_URL": f"{server}/app",
        "EMAIL_HOST": "127.0.0.1",
        "LOG_FORMAT": "json",
        "MAIN_WEBSITE_URL": f"https://{DOMAIN}:{ports['https']}",
        "MEDIA_ROOT": folder / "media",
        "MFA_REQUIRED": "off",
        "SENDFILE_HEADER": "X-Accel-Redirect",
        "TRUSTED_PROXIES": "1",
        "TRUST_PROXY": "on",
        "WEB_CONCURRENCY": "2",
        "WORKSPACE_PORT": ports["https"],
    }
    path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
    site = Site(Project(folder / "acme", env=environment(**variables, PATH=path)), folder, ports)
    page = (acme.path / "docs/deploy.md").read_text()
    typed = [block for block in blocks(page) if block.startswith("uv sync --no-dev\n")]
    assert len(typed) == 1
    site.project.run("bash", "-e", "-c", typed[0])
    site.project.manage("provision_tenant", "Initech", "initech", "org", "ada")
    site.project.manage("add_domain", "initech", CUSTOMER.removeprefix("www."))
    try:
        start_gunicorns(site, page)
        start_caddy(site)
        yield site
    finally:
        site.stop()


def start_gunicorns(site, page):
    [typed] = [block for block in blocks(page) if block.startswith("PORT=8000")]
    for name, line in zip(("web", "website"), typed.splitlines(), strict=True):
        command = f"exec {line[line.index('uv ') :]}"
        internal = site.ports[f"{name}_internal"]
        env = {"PORT": site.ports[name], "INTERNAL_PORT": internal}
        site.start(name, ["bash", "-c", command], **env)
        wait_for(lambda internal=internal: is_ready(internal))


def is_ready(port):
    with contextlib.suppress(OSError):
        return "200" in ask(port, "/_health/ready").splitlines()[0]


def ask(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as asked:
        asked.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return asked.makefile().read()


def start_caddy(site, name="caddy", tls="on-demand", **ports):
    ports = site.ports | ports
    text = (site.project.path / "deploy/Caddyfile").read_text()
    own = {*HERE, f"http_port {ports['http']}", f"https_port {ports['https']}"}
    own.add(f"storage file_system {site.folder}/caddy")
    text = text.replace("{\n", "{\n\t" + "\n\t".join(sorted(own)) + "\n", 1)
    (site.folder / f"{name}.caddyfile").write_text(text.replace("/certs/", f"{site.folder}/"))
    site.start(
        name,
        [CADDY, "run", "--adapter", "caddyfile", "--config", site.folder / f"{name}.caddyfile"],
        ACME_EMAIL="ada@example.com",
        ASK=f"127.0.0.1:{ports['website_internal']}",
        MEDIA_ROOT=site.folder / "media",
        WEB=f"127.0.0.1:{ports['web']}",
        WEBSITE=f"127.0.0.1:{ports['website']}",
        WORKSPACE_TLS=tls,
    )
    wait_for(lambda: "serving initial configuration" in site.log(name))
    wait_for(lambda: has_certificate(site))


def has_certificate(site):
    """Caddy gets the main website's by itself, soon after its start."""
    with contextlib.suppress(OSError):
        return site.browser(DOMAIN).get("/_health/live").status == 200


def test_each_block_of_the_page_is_typed_or_listed(acme):
    page = (acme.path / "docs/deploy.md").read_text()
    typed = ("uv run manage.py make_env", "uv sync --no-dev\n")  # by `site`
    for block in blocks(page):
        assert block.startswith((*typed, *NOT_TYPED)), block
    for beginning in NOT_TYPED:
        assert beginning in page or "celery" in beginning


def test_every_host_gets_its_page_over_tls(site):
    pages = {
        DOMAIN: "Acme Cloud",
        WORKSPACE: "Welcome to Initech",
        CUSTOMER: "Welcome to Initech",
    }
    for host, text in pages.items():
        page = site.browser(host).get("/")
        assert (page.status, text in page.text) == (200, True), page.text
        assert "max-age" in page.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("host", ["nobody.acme.example.com", "evil.example.net", "10.0.0.1"])
def test_an_unknown_host_gets_no_certificate(site, host):
    with pytest.raises(ssl.SSLError):
        site.browser(host).get("/")


def test_the_proxy_keeps_what_is_for_machines_to_itself(site):
    browser = site.browser(WORKSPACE)

    assert browser.get("/_health/live").status == 200
    for path in ("/_health/ready", "/_metrics", "/_tls/ask?domain=x"):
        assert browser.get(path).status == 404
        # Nor does the process answer, should a proxy pass it on.
        assert " 404 " in ask(site.ports["web"], path).splitlines()[0]


def test_one_certificate_for_all_workspaces(site):
    """WORKSPACE_TLS=files. Nothing asks whether a workspace is there before its certificate."""
    subject = ("-subj", "/CN=test", "-addext", f"subjectAltName=DNS:*.{DOMAIN}")
    key = ("-keyout", site.folder / "wildcard.key", "-out", site.folder / "wildcard.crt")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1")
    site.project.run(*new, *subject, *key)
    http, https = free_ports(2)
    start_caddy(site, "wildcard", "files", http=http, https=https)

    page = TlsBrowser(WORKSPACE, https, site.folder / "wildcard.crt").get("/")
    site.processes["wildcard"].terminate()

    assert "Welcome to Initech" in page.text


def signed_in(site, acme):
    password = site.project.env["ADMIN_PASSWORD"]
    return sign_in(site.browser(DOMAIN), WORKSPACE, "ada", password)


def test_a_member_gets_an_upload_from_the_proxy(site, acme):
    print_schema = (
        "from server.tenants.models import Tenant as T\n"
        "print(T.objects.get(slug='initech').schema_name)"
    )
    schema = site.project.manage("shell", "-v0", "-c", print_schema).stdout.strip()
    folder = site.folder / "media" / schema
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a b.txt").write_text("milk")
    (folder / "page.html").write_text("<script>")
    browser = signed_in(site, acme)

    text, page = browser.get("/media/a%20b.txt"), browser.get("/media/page.html")

    assert (text.status, text.text) == (200, "milk")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert "X-Accel-Redirect" not in text.headers
    assert site.browser(WORKSPACE).get("/media/a%20b.txt").status == 302
    assert site.browser(WORKSPACE).get("/protected-media/x").status == 404


def test_the_access_log_names_tenant_and_request_and_no_query(site):
    page = site.browser(WORKSPACE).get("/missing/?secret=1")

    def lines():
        id_ = page.headers["X-Request-ID"]
        found = (line for line in site.log("web").splitlines() if id_ in line)
        return [json.loads(line) for line in found if '"access"' in line]

    wait_for(lines)
    [line] = lines()

    assert line["message"] == "GET /missing/ 404"
    assert line["tenant"].startswith("initech_")
    assert line["duration"] > 0
    assert "secret" not in str(line)


def test_a_reload_fails_no_request(site, acme):
    """Each write that was acknowledged is there in the end."""
    people = [signed_in(site, acme) for _ in range(4)]
    acknowledged, failed, done = [], [], threading.Event()

    def use(number, browser):
        count = 0
        while not done.is_set():
            count += 1
            text = f"note {number}-{count}"
            try:
                answer = browser.post("/notes/", text=text)
                (acknowledged if answer.status == 302 else failed).append(text)
            except Exception as error:
                failed.append(f"{text}: {error!r}")

    threads = [threading.Thread(target=use, args=each) for each in enumerate(people)]
    for thread in threads:
        thread.start()
    for number in range(1, 4):
        wait_for(lambda number=number: len(acknowledged) + len(failed) >= 40 * number)
        os.kill(site.processes["web"].pid, signal.SIGHUP)
        wait_for(lambda number=number: site.log("web").count("Hang up") >= number)
    wait_for(lambda: len(acknowledged) + len(failed) >= 200)
    done.set()
    for thread in threads:
        thread.join()

    assert failed == []
    read = (
        "from server.tenants.models import Tenant as T; from server.notes.models import Note\n"
        "with T.objects.get(slug='initech'): print(*Note.objects.values_list('text'), sep='\\n')"
    )
    written = site.project.manage("shell", "-v0", "-c", read).stdout
    assert [text for text in acknowledged if f"'{text}'" not in written] == []


def test_make_env_makes_secrets_once(acme):
    made = acme.path / ".env.production"
    if not made.exists():
        acme.manage("make_env")
    again = acme.manage("make_env", check=False)
    values = dict(re.findall(r"^(\w+)=(.*)$", made.read_text(), re.M))

    assert again.stderr == "CommandError: .env.production exists already.\n"
    assert made.stat().st_mode & 0o777 == 0o600
    assert len(values["SECRET_KEY"]) >= 50
    assert len(values["ADMIN_PASSWORD"]) >= 20
    assert len(values["POSTGRES_PASSWORD"]) >= 30
    assert (values["PROJECT_NAME"], values["ADMIN_USERNAME"]) == ('"Acme Cloud"', "ada")
    assert acme.run("git", "check-ignore", made, check=False).returncode == 0


NAMES = re.compile(r"^(?:# )?([A-Z_]+)=", re.M)
COMPOSE_ALONE = {"ACME_EMAIL", "BIND", "POSTGRES_PASSWORD", "WORKSPACE_TLS"}


@pytest.mark.parametrize("use_postgis", [False, True])
@pytest.mark.parametrize("use_celery", [False, True])
def test_compose_runs_what_the_options_need(bake, use_celery, use_postgis):
    project = bake(use_celery=use_celery, use_postgis=use_postgis).path
    compose = yaml.safe_load((project / "deploy/compose.yaml").read_text())
    services = {"proxy", "web", "website", "release", "postgres", "redis"}
    scheme = "postgis" if use_postgis else "postgres"

    assert compose["services"].keys() == services | ({"worker", "beat"} if use_celery else set())
    assert ("postgis" in compose["services"]["postgres"]["image"]) == use_postgis
    for name in ("web", "website", "release"):
        url = compose["services"][name]["environment"]["DATABASE_URL"]
        assert url.startswith(f"{scheme}://app:${{POSTGRES_PASSWORD}}@")
    for name, service in compose["services"].items():
        assert {"restart", "mem_limit"} <= service.keys(), name
    named = {*NAMES.findall((project / ".env.production.example").read_text())}
    named |= compose["x-app"]["environment"].keys()
    assert named <= {*NAMES.findall((project / ".env.example").read_text())} | COMPOSE_ALONE
