"""A project with PostGIS among databases, roles and machines that lack something of it."""

import json
import re

import psycopg2
import pytest
from browser.visitor import Visitor
from projects import UV, Browser, Project, cookiecutter, need_postgis, signed_in

ONE = ("provision_tenant", "One", "one", "org", "ada")
WHERE = """
    SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace
    WHERE extname = 'postgis'
"""


@pytest.fixture(scope="module")
def project(template, tmp_path_factory):
    """One that was set up, with its PostgreSQL running."""
    need_postgis()
    folder = tmp_path_factory.mktemp("geography")
    cookiecutter(template, folder, "set_up_now=no", "use_postgis=yes")
    project = Project(folder / "acme_cloud")
    project.run(UV, "sync")
    project.manage("init_tenant")
    yield project
    project.postgres("stop")


class Database:
    """One of the project's server, made by its superuser, as yet without PostGIS."""

    def __init__(self, project, name):
        project.postgres("start")
        passwords = json.loads((project.path / ".postgres/data/passwords.json").read_text())
        self.name, self.port = name, (project.path / ".postgres/port").read_text()
        self.url = f"postgis://server:{passwords['server']}@127.0.0.1:{self.port}/{name}"
        self.password = passwords["postgres"]
        self.superusers_url = f"postgis://postgres:{self.password}@127.0.0.1:{self.port}/{name}"
        self.query(f"CREATE DATABASE {name} OWNER server TEMPLATE template0", "postgres")

    def query(self, statement, name=None):
        """Run a statement as the superuser; returns the first column."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=name or self.name,
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        connection.close()
        return [row[0] for row in rows]


@pytest.fixture
def database(project, request):
    return Database(project, request.function.__name__[5:60])


def test_who_is_no_superuser_is_told_what_one_has_to_run(project, database):
    refused = project.manage("init_tenant", DATABASE_URL=database.url, check=False)

    assert refused.returncode == 1
    assert len(refused.stderr.splitlines()) == 1
    assert f"`CREATE EXTENSION postgis;` in the database {database.name}" in refused.stderr

    database.query("CREATE EXTENSION postgis")
    project.manage("init_tenant", DATABASE_URL=database.url)
    project.manage(*ONE, DATABASE_URL=database.url)
    project.manage("check", "--database", "default", DATABASE_URL=database.url)
    assert database.query("SELECT rolsuper FROM pg_roles WHERE rolname = 'server'") == [False]
    assert database.query(WHERE) == ["public"]


def test_no_tenants_migration_makes_the_extension(project, database):
    """Even where there is none, and the role may."""
    project.manage("init_tenant", DATABASE_URL=database.superusers_url)
    assert database.query(WHERE) == ["public"]
    database.query("DROP EXTENSION postgis CASCADE")

    made = project.manage(*ONE, DATABASE_URL=database.superusers_url, check=False)

    assert made.returncode
    assert database.query(WHERE) == []
    found = project.manage("check", "--database", "default", DATABASE_URL=database.url, check=False)
    assert "the database has no PostGIS" in found.stderr


def test_an_extension_that_no_search_path_finds_is_reported(project, database):
    database.query("CREATE SCHEMA elsewhere")
    database.query("CREATE EXTENSION postgis SCHEMA elsewhere")
    project.manage("init_tenant", DATABASE_URL=database.url)

    found = project.manage("check", "--database", "default", DATABASE_URL=database.url, check=False)

    assert "elsewhere: (postgis.E003)" in found.stderr
    assert "PG_EXTRA_SEARCH_PATHS" in found.stderr


@pytest.fixture
def without_libraries(tmp_path):
    """A PYTHONPATH with which Python finds no libraries of the system."""
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes.util\nctypes.util.find_library = lambda name: None\n"
    )
    return tmp_path


def test_on_postgres_the_rest_runs_without_any_of_it(project, database, without_libraries):
    elsewhere = {
        "DATABASE_URL": database.url.replace("postgis", "postgres", 1),
        "PYTHONPATH": without_libraries,
    }
    project.manage("init_tenant", **elsewhere)
    project.manage(*ONE, **elsewhere)
    project.manage("check", "--database", "default", **elsewhere)
    with project.runserver(**elsewhere) as port:
        tenant = Browser("one.localhost", port)
        assert tenant.get("/").status == 200
        assert tenant.get("/places/").status == 404

    assert database.query(WHERE) == []


@pytest.mark.parametrize(
    "command",
    [
        ("manage.py", "check"),
        ("manage.py", "runserver", "--noreload"),
        ("-m", "pytest"),
        ("-m", "gunicorn", "server.wsgi", "--check-config"),
    ],
    ids=["check", "runserver", "pytest", "gunicorn"],
)
def test_without_gdal_the_last_line_says_what_to_install(project, without_libraries, command):
    result = project.run(*project.python, *command, PYTHONPATH=without_libraries, check=False)

    assert result.returncode
    last = (result.stdout + result.stderr).strip().splitlines()[-1]
    for words in ("no GDAL; no GEOS", "apt install", "dnf install", "brew install"):
        assert words in last


def test_check_says_that_postgis_is_missing_before_anything_is_made(project, tmp_path):
    project.postgres("stop")

    result = project.manage("check", LOCAL_POSTGRES_BIN=tmp_path, check=False)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "There is no PostgreSQL with PostGIS" in result.stderr
    assert "apt install" in result.stderr


def test_check_says_that_proj_has_no_coordinate_systems(project, tmp_path):
    result = project.manage("check", PROJ_DATA=tmp_path, PROJ_LIB=tmp_path, check=False)

    assert "postgis.E001" in result.stderr
    assert "proj-data" in result.stderr


def test_maps_work_with_the_static_files_of_production(project, database):
    """Their names have a hash there."""
    database.query("CREATE EXTENSION postgis")
    production = {"DEBUG": "off", "HTTPS": "off", "EMAIL_HOST": "localhost"}
    production |= {"DATABASE_URL": database.url, "SERVE_PUBLIC": "on", "MFA_REQUIRED": "off"}
    for command in (["collectstatic", "--no-input"], ["init_tenant"], ONE):
        project.manage(*command, **production)
    gunicorn = (*project.python, "-m", "gunicorn", "server.wsgi", "-b", "127.0.0.1:{port}")

    with project.serving(*gunicorn, **production) as port:
        tenant = signed_in("one.localhost", port, project.settings()["ADMIN_PASSWORD"])
        text = tenant.get("/places/").text
        files = re.findall(r'<(?:script|link)[^>]* (?:src|href)="(/static/[^"]+)"', text)
        assert any(re.search(r"/leaflet\.\w{12}\.js$", file) for file in files)
        assert {tenant.get(file).status for file in files} == {200}


def test_the_map_and_the_admins_keep_to_the_policy(project, chromium):
    """No browser finds a script, a style or a request that the Content-Security-Policy forbids."""
    project.manage("provision_tenant", "Two", "two", "org", "ada")
    with project.runserver() as port:
        context = chromium.new_context()
        visitor = Visitor(
            context, port, has_scripts=False
        )  # which would run axe in pages of others
        visitor.open("two.localhost/places/", end="localhost/account/login/")
        visitor.fill("E-mail or user name", "ada")
        visitor.fill("Password", project.settings()["ADMIN_PASSWORD"])
        visitor.press("Sign in", "two.localhost/places/")
        visitor.page.wait_for_selector("#map .graticule-line", state="attached")
        for page in ("two.localhost/admin/", "localhost/admin/"):
            visitor.open(page)
            links = visitor.page.locator("#content-main a").evaluate_all(
                "all => all.map(a => a.href)"
            )
            for link in dict.fromkeys(links):
                visitor.page.goto(link)
        context.close()

    assert visitor.faults == []


def test_a_map_gets_tiles_only_from_who_is_named(project):
    say = "from server.settings import LEAFLET_CONFIG; print(LEAFLET_CONFIG['TILES'])"
    tiles = "https://tiles.example.com/{z}/{x}/{y}.png"

    def shown(check=True, **env):
        return project.run(*project.python, "-c", say, check=check, **env)

    assert shown().stdout == "[]\n"
    assert "MAP_ATTRIBUTION" in shown(MAP_TILES=tiles, check=False).stderr
    assert "in braces, as in .env.example" in shown(MAP_TILES="tiles", check=False).stderr
    assert tiles in shown(MAP_TILES=tiles, MAP_ATTRIBUTION="Us").stdout


SILENCED = """
import sys
sys.argv[1:] = [{!r}]
from server import settings
print(getattr(settings, "SILENCED_SYSTEM_CHECKS", None))
"""


@pytest.mark.parametrize(
    ("command", "debug", "silenced"),
    [
        ("check", "off", None),
        *(("migrate_schemas", "off", "['gis.W001']"), ("check", "on", "['gis.W001']")),
    ],
)
def test_the_warning_of_an_old_gdal_is_printed_by_check_alone(project, command, debug, silenced):
    """R23: each command repeated it in production. Only an old GDAL gives it."""
    code = SILENCED.format(command)
    production = {"DEBUG": debug, "EMAIL_HOST": "localhost", "DATABASE_URL": "postgis://u:p@h/d"}

    assert project.run(*project.python, "-c", code, **production).stdout == f"{silenced}\n"
