"""docs/deploy.md, typed: two gunicorns behind Caddy with TLS, as far as a machine alone can."""

import json
import os
import re
import shutil
import ssl
import sys
from pathlib import Path

import pytest
from deployment import (
    CUSTOMER,
    DOMAIN,
    PORTS,
    WORKSPACE,
    Site,
    ask,
    free_ports,
    is_ready,
    production,
    serves_on_through_a_migration,
    serves_on_through_reloads,
    start_caddy,
    start_gunicorns,
)
from life import live, make_buckets, outside
from projects import UV, Project, environment, wait_for
from test_documents import blocks
from test_production import DEPLOY
from tls import TlsBrowser

# The blocks of the page that aren't run as they stand, by their beginning, and why.
NOT_TYPED = {
    "docker compose": "needs Docker; `release` runs what `site` runs, and the services are checked",
    "DATABASE_URL=": "variables: `site` sets them",
    "PORT=8000": "`site` runs it with ports that are free",
    "uv run manage.py migrate_schemas --plan": "test_documents.py parses it",
    "uv run --no-dev celery": "the engine's tests run workers",
}


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
    ports = free_ports(*PORTS)
    variables = production(acme, folder, ports, f"{server}/app")
    path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
    site = Site(Project(folder / "acme", env=environment(**variables, PATH=path)), folder, ports)
    page = (acme.path / "docs/deploy.md").read_text()
    typed = [block for block in blocks(page) if block.startswith("uv sync --no-dev\n")]
    assert len(typed) == 1
    site.project.run("bash", "-e", "-c", typed[0])
    site.project.manage("provision_tenant", "Initech", "initech", "org", "ada", "--field=plan=team")
    site.project.manage("add_domain", "initech", CUSTOMER.removeprefix("www."))
    site.project.run(UV, "sync", "--no-dev", "--group", "client", "--group", "s3")
    with outside(folder / "s3") as (site.nameserver, variables):
        site.project.env |= variables
        make_buckets(site.project)
        try:
            start_gunicorns(site, page)
            start_caddy(site)
            with site.mailbox:
                yield site
        finally:
            site.stop()


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
        # A customer's domain gets it once it has answered over TLS.
        page = site.browser(host).get("/") if host == CUSTOMER else page
        assert "max-age" in page.headers["Strict-Transport-Security"]


def test_a_workspace_lives_here(site, trusting_chromium):
    live(site, trusting_chromium, lambda: site.project.manage("check_domains"))


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


SEND = """
async size => {
    const body = new URLSearchParams({login: "a".repeat(size)});
    const answer = await fetch("", {method: "POST", body});
    return [answer.status, await answer.text()];
}
"""


def test_too_large_a_form_gets_a_page_that_says_so(site, trusting_chromium):
    """The project answers before the proxy has passed on all of it."""
    page = trusting_chromium
    page.goto(f"https://{DOMAIN}:{site.ports['https']}/account/login/")  # for the form's cookie
    for size in (3_000_000, 24_000_000):
        status, text = page.evaluate(SEND, size)
        assert (status, "This is too large" in text) == (413, True), text


@pytest.fixture(scope="module")
def other_proxy(site):
    """The port of a Caddy with one certificate for all workspaces, and uploads in a folder."""
    subject = ("-subj", "/CN=test", "-addext", f"subjectAltName=DNS:*.{DOMAIN}")
    key = ("-keyout", site.folder / "wildcard.key", "-out", site.folder / "wildcard.crt")
    new = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1")
    site.project.run(*new, *subject, *key)
    ports = free_ports("http", "https", "web", "internal")
    gunicorn = (*site.project.python, "-m", "gunicorn", "--config", "deploy/gunicorn.conf.py")
    of_web = {"PORT": ports["web"], "INTERNAL_PORT": ports["internal"], "UPLOADS_URL": ""}
    site.start("folder", [*gunicorn, "server.wsgi"], **of_web)
    wait_for(lambda: is_ready(ports["internal"]))
    start_caddy(site, "wildcard", "files", **ports)
    return ports["https"]


def test_one_certificate_for_all_workspaces(site, other_proxy):
    """WORKSPACE_TLS=files. Nothing asks whether a workspace is there before its certificate."""
    page = TlsBrowser(WORKSPACE, other_proxy, site.folder / "wildcard.crt").get("/")

    assert "Welcome to Initech" in page.text


def test_a_member_gets_an_upload_from_the_proxy(site, other_proxy):
    print_schema = (
        "from server.tenants.models import Tenant as T\n"
        "print(T.objects.get(slug='initech').schema_name)"
    )
    schema = site.project.manage("shell", "-v0", "-c", print_schema).stdout.strip()
    folder = site.folder / "media" / schema
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a b.txt").write_text("milk")
    (folder / "page.html").write_text("<script>")
    visitor = TlsBrowser(WORKSPACE, other_proxy, site.folder / "wildcard.crt")
    member = visitor.at(WORKSPACE)
    member.cookies = site.signed_in().cookies

    text, page = member.get("/media/a%20b.txt"), member.get("/media/page.html")

    assert (text.status, text.text) == (200, "milk")
    assert text.headers["Content-Type"].startswith("text/plain")
    assert page.headers["Content-Disposition"].startswith("attachment")
    assert "X-Accel-Redirect" not in text.headers
    assert visitor.get("/media/a%20b.txt").status == 302
    assert visitor.get("/protected-media/x").status == 404


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


def test_a_reload_fails_no_request(site):
    serves_on_through_reloads(site, site.processes["web"].pid)


def test_a_new_version_migrates_while_the_old_one_serves(site):
    serves_on_through_a_migration(site, site.processes["web"].pid)


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
COMPOSE = Path(sys.executable).with_name("docker-compose")
COMPOSE_OPTIONS = ("--env-file", ".env.production", "--file", "deploy/compose.yaml")  # as typed
COMPOSE_ALONE = {"ACME_EMAIL", "BIND", "POSTGRES_PASSWORD", "WORKSPACE_TLS"}


@pytest.mark.parametrize("use_postgis", [False, True])
@pytest.mark.parametrize("use_celery", [False, True])
def test_compose_runs_what_the_options_need(bake, use_celery, use_postgis):
    """Docker Compose reads the file, without an engine, and says nothing against it."""
    project = bake(use_celery=use_celery, use_postgis=use_postgis)
    shutil.copy(project.path / ".env.production.example", project.path / ".env.production")
    config = ("config", "--format", "json")
    said = project.run(COMPOSE, *COMPOSE_OPTIONS, "--profile", "backup", *config)
    assert (said.returncode, said.stderr) == (0, "")
    compose = json.loads(said.stdout)
    services = {"proxy", "web", "website", "release", "backup", "postgres", "redis"}
    scheme = "postgis" if use_postgis else "postgres"

    assert compose["services"].keys() == services | ({"worker", "beat"} if use_celery else set())
    assert ("postgis" in compose["services"]["postgres"]["image"]) == use_postgis
    for name in ("web", "website", "release"):
        url = compose["services"][name]["environment"]["DATABASE_URL"]
        assert url == f"{scheme}://app:@postgres:5432/app"
    for name, service in compose["services"].items():
        assert {"restart", "mem_limit"} <= service.keys(), name
    named = {*NAMES.findall((project.path / ".env.production.example").read_text())}
    named |= compose["services"]["web"]["environment"].keys()
    assert named <= {*NAMES.findall((project.path / ".env.example").read_text())} | COMPOSE_ALONE
