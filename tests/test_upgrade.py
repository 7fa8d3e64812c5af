"""A project with an older engine and its owner's work takes over the present engine."""

import json
import re
import runpy
import shutil
import subprocess
from itertools import chain

import pytest
from conftest import PROJECT
from projects import ROOT, UV, Project, cookiecutter

MANIFEST = f"{PROJECT}/tenancy/health/manifest.py"
# One line, the hash of the landed commit whose engine is the older one.
OLDER_ENGINE = ROOT / "tests" / "older_engine"
manifest = runpy.run_path(str(ROOT / MANIFEST))


def replace(path, *pairs):
    """Replace texts in a file, each of which must be there."""
    text = path.read_text()
    for old, new in pairs:
        assert old in text, f"{path}: {old}"
        text = text.replace(old, new)
    path.write_text(text)


def older_template(folder):
    """Fill the folder with the template of that commit."""
    command = ["git", "archive", OLDER_ENGINE.read_text().strip()]
    archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert archive.returncode == 0, f"Is this a whole clone? {archive.stderr.decode()}"
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


# The owner's work: an app of their own, and a page instead of the engine's.
OWN = {
    "server/invoices/__init__.py": "",
    "server/invoices/migrations/__init__.py": "",
    "server/invoices/models.py": """\
from django.db import models


class Invoice(models.Model):
    number = models.CharField(max_length=20)
""",
    "server/invoices/tests.py": """\
from server.invoices.models import Invoice
from tenancy.people.members import add_member


def test_a_tenant_has_a_plan(tenant):
    assert tenant.plan == "free"


def test_an_accountant_sees_invoices_and_changes_none(tenant, ada):
    add_member(tenant, "ada", "accountant", by="test")
    assert ada.has_perm("invoices.view_invoice")
    assert not ada.has_perm("invoices.add_invoice")


def test_the_page_for_signing_in_is_ours(tenant, client):
    assert "Our own page" in client.get("/sign-in/", headers={"host": "first.localhost"}).text


def test_a_tenant_has_invoices_of_its_own(tenant, other_tenant):
    Invoice.objects.create(number="1")
    with other_tenant:
        assert not Invoice.objects.exists()
""",
    "server/templates/tenancy/accounts/sign_in.html": "Our own page",
}


def write_own(path):
    for name, text in OWN.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(text)
    replace(
        path / "server/tenants/models.py",
        ("from tenancy.models", "from django.db import models\n\nfrom tenancy.models"),
        (
            "class Tenant(AbstractTenant):\n    pass",
            "class Tenant(AbstractTenant):\n"
            '    plan = models.CharField(max_length=20, default="free")',
        ),
    )
    role = '    "accountant": {"label": "Accountant", "permissions": ["invoices.view_invoice"]},\n'
    replace(
        path / "server/settings.py",
        ("TENANT_APPS = [\n", 'TENANT_APPS = [\n    "server.invoices",\n'),
        ("TENANCY_ROLES = {\n", f"TENANCY_ROLES = {{\n{role}"),
    )


WRITE = """
from django.core.management import call_command
from server.invoices.models import Invoice
from server.notes.models import Note
from server.tenants.models import Tenant
call_command("init_tenant")
call_command("create_user", "bob", "bob@example.com")
for slug, plan in (("evilcorp", "gold"), ("umbrella", "free")):
    call_command("provision_tenant", slug, slug, "org", "ada", f"--field=plan={plan}")
    with Tenant.objects.get(slug=slug) as tenant:
        Invoice.objects.create(number=f"{slug}-1")
        Note.objects.create(text=f"A note of {slug}", author=tenant.owner)
call_command("add_member", "evilcorp", "bob", role="accountant")
"""
READ = """
import json
from server.invoices.models import Invoice
from server.notes.models import Note
from server.tenants.models import Tenant
from server.users.models import User
from tenancy.people.members import list_members
found = {"people": [*User.objects.order_by("pk").values_list("username", "email", "password")]}
for tenant in Tenant.objects.order_by("slug"):
    rows = found[tenant.slug] = [tenant.plan, tenant.name, tenant.schema_name, tenant.status]
    if tenant.slug != "public":
        rows += [[member.user.username, member.role] for member in list_members(tenant)]
        with tenant:
            rows += [*Invoice.objects.values_list("number", flat=True)]
            rows += [*Note.objects.values_list("text", flat=True)]
print(json.dumps(found))
"""


# Fails if anything is left to do. Changes a tenant's state, which the older engine can't undo.
PROVE = """
from django.core.management import call_command
call_command("check", databases=["default"], fail_level="WARNING", stdout=open(os.devnull, "w"))
call_command("makemigrations", check_changes=True, verbosity=0)
call_command("migrate_schemas", check_unapplied=True, verbosity=0)
call_command("delete_tenant", "umbrella", stdout=open(os.devnull, "w"))
call_command("undelete_tenant", "umbrella", stdout=open(os.devnull, "w"))
"""


def read(project, before=""):
    code = f"import os\n{before}{READ}"
    return json.loads(project.manage("shell", "-v0", "-c", code).stdout)


def files(project):
    """The owner's files with their content."""
    return {
        path.relative_to(project.path): path.read_bytes()
        for folder in ("server", "tests", "docs", ".")
        for path in (project.path / folder).glob("*" if folder == "." else "**/*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def version(folder):
    return re.search(r'__version__ = "(.+)"', (folder / "tenancy/__init__.py").read_text())[1]


PRESENT, NEXT = version(ROOT / PROJECT), "99.1.0"


@pytest.fixture(scope="module")
def older(tmp_path_factory):
    """A project in use: with the owner's work, an older engine, and data in two tenants."""
    folder = tmp_path_factory.mktemp("older")
    (folder / "template").mkdir()
    cookiecutter(older_template(folder / "template"), folder, "set_up_now=no")
    project = Project(folder / "acme_cloud")
    write_own(project.path)
    project.run(UV, "sync")
    project.python = (".venv/bin/python",)
    project.manage("makemigrations")
    project.manage("shell", "-c", WRITE)
    yield project
    project.postgres("stop")


ALLAUTH = ("allauth", "allauth.account", "allauth.usersessions", "django.contrib.humanize")
MIDDLEWARE = (
    "tenancy.requests.middleware.MembershipMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "tenancy.requests.preferences.PreferencesMiddleware",
)


ROOMS = ("", "people"), ("workspace/", "workspace")  # of the tenants' hosts


def lines(*names):
    return "".join(f'    "{name}",\n' for name in names)


def follow_changelog(project, template):
    """Do what `tenancy/CHANGELOG.md` tells a project to do for each version, and nothing else."""
    # 1.1.0
    settings = (template / PROJECT / "server/settings.py").read_text()
    accounts = settings[settings.index("# Accounts.") : settings.index("SIGNING_BACKEND")]
    replace(
        project.path / "server/settings.py",
        (lines("django.contrib.messages"), lines(*ALLAUTH, "django.contrib.messages")),
        (lines(MIDDLEWARE[0]), lines(*MIDDLEWARE)),
        ("SIGNING_BACKEND", f"{accounts}SIGNING_BACKEND"),
    )
    replace(
        project.path / "pyproject.toml",
        ('  "django>=', '  "django-allauth>=65.22,<66",\n  "django>='),
    )
    replace(
        project.path / "server/urls_public.py",
        ("tenancy.people.urls", "tenancy.people.urls_public"),
    )
    templates = project.path / "server/templates"
    (templates / "account").mkdir()
    (templates / "tenancy/accounts/sign_in.html").rename(templates / "account/login.html")
    replace(
        project.path / "server/invoices/tests.py",
        ('"/sign-in/", headers={"host": "first.', '"/account/login/", headers={"host": "'),
    )
    shutil.copy(template / PROJECT / "tests/test_people.py", project.path / "tests")
    replace(
        project.path / "server/website/views.py",
        ("hosts.site_url(request, domain.domain)", "hosts.site_url(domain.domain)"),
    )
    replace(
        project.path / "server/website/admin.py",
        ("django.contrib.admin import AdminSite", "tenancy.isolation.admin_site import PublicSite"),
        ("= AdminSite()", "= PublicSite()"),
    )
    # 1.2.0
    languages = re.search(r"^LANGUAGES = .*\nLOCALE_PATHS = .*\n", settings, re.M)[0]
    above = '    "tenancy.requests.middleware.TenantMiddleware",'
    replace(
        project.path / "server/settings.py",
        (above, f'    "django.middleware.locale.LocaleMiddleware",\n{above}'),
        ("TIME_ZONE =", f"{languages}TIME_ZONE ="),
    )

    required = "tenancy.people.mfa.required.MFARequiredMiddleware"
    replace(
        project.path / "server/settings.py",
        (lines(ALLAUTH[1]), lines(ALLAUTH[1], "allauth.mfa")),
        (lines(MIDDLEWARE[1]), lines(MIDDLEWARE[1], required)),
    )
    start, end = "# Providers with whom", "# Transport."
    section = settings[settings.index(start) : settings.index(end)]
    replace(
        project.path / "pyproject.toml", ("django-allauth>", "django-allauth[mfa,socialaccount]>")
    )
    replace(
        project.path / "server/settings.py",
        (
            "from tenancy import hosts\n",
            "from tenancy import hosts\nfrom tenancy.people.social import providers\n",
        ),
        (end, f"{section}{end}"),
    )
    reporters = settings[settings.index("DEFAULT_EXCEPTION_REPORTER") : settings.index("# Tests")]
    replace(project.path / "server/settings.py", ("# Tests\n", f"{reporters}# Tests\n"))

    people, workspaces = (
        f'    path("{prefix}", include("tenancy.{room}.urls_public")),\n'
        for prefix, room in (("", "people"), ("workspaces/", "workspace"))
    )
    replace(project.path / "server/urls_public.py", (people, people + workspaces))
    rooms = [f'    path("{prefix}", include("tenancy.{room}.urls")),\n' for prefix, room in ROOMS]
    replace(project.path / "server/urls.py", (rooms[0], "".join(rooms)))
    home = "website/templates/website/home.html"
    for name in ("templates/base.html", "website/views.py", home, "static/site.css"):
        shutil.copy(template / PROJECT / "server" / name, project.path / "server" / name)
    # 1.3.0
    replace(
        project.path / "pyproject.toml",
        ('  "django>=', '  "dnspython>=2.7,<3",\n  "publicsuffixlist>=1.0,<2",\n  "django>='),
        ('  "django>=', '  "pillow>=11,<13",\n  "django>='),
    )
    tenant, *moved = (
        f'    "{name}",\n'
        for name in (
            "tenancy.requests.middleware.TenantMiddleware",
            "django.middleware.security.SecurityMiddleware",
            "django.middleware.locale.LocaleMiddleware",
        )
    )
    before_any_query = tenant.replace("\n", "  # before any query\n")
    replace(
        project.path / "server/settings.py",
        *((line, "") for line in moved),
        (before_any_query, before_any_query + "".join(moved)),
    )

    # 1.3.0
    replace(project.path / ".gitignore", ("media/\n", "media/\nprivate/\n"))
    for name in ("server/settings.py", "manage.py"):
        replace(project.path / name, ("from environs import", "from tenancy.environment import"))
    replace(project.path / "pyproject.toml", ('"environs>=14,<16"', '"python-dotenv>=1.1,<2"'))


def test_a_project_takes_over_the_present_engine(older, template):
    data, own, old = read(older), files(older), version(older.path)
    older_manifest, present_manifest = (
        (folder / "tenancy/MANIFEST").read_bytes() for folder in (older.path, template / PROJECT)
    )
    assert older_manifest != present_manifest
    assert data["evilcorp"][0] == "gold"
    assert data["evilcorp"][4:] == [
        *(["ada", "owner"], ["bob", "accountant"], "evilcorp-1", "A note of evilcorp"),
    ]

    printed = older.manage("upgrade_tenancy", template).stdout
    assert files(older) == own
    follow_changelog(older, template)
    older.run(UV, "sync")
    own = files(older)
    commands = "check", "makemigrations", "migrate_schemas"
    assert [f"`manage.py {command}`" in printed for command in commands] == [True] * 3
    for command in commands:
        older.manage(command)

    new = version(template / PROJECT)
    assert printed.startswith(f"tenancy {old} → {new}\n")
    assert (f"\n## {new}\n" in printed) == (old != new)
    assert manifest["changes"](older.path / "tenancy") == ([], [], [])
    assert read(older, before=PROVE) == data
    kept = files(older)
    assert {path: kept.get(path) for path in own} == own
    assert {path.parent.name for path in kept.keys() - own} <= {"migrations"}
    result = older.run(*older.python, "-m", "pytest", "-q")
    assert re.search(r"^\d+ passed", result.stdout, re.M), result.stdout


@pytest.fixture
def fresh(older, template, tmp_path):
    """A project with the present engine, which nobody has set up."""
    cookiecutter(template, tmp_path, "set_up_now=no")
    project = Project(tmp_path / "acme_cloud", python=(older.path / ".venv/bin/python",))
    install = UV, "pip", "install", "--quiet", "--requirement", "pyproject.toml"
    project.run(*install, "--python", *project.python)
    return project


@pytest.fixture
def newer(template, tmp_path):
    """The engine of a next version."""
    engine = tmp_path / "newer" / "tenancy"
    shutil.copytree(template / PROJECT / "tenancy", engine)
    replace(engine / "__init__.py", (PRESENT, NEXT))
    manifest["write"](engine)
    return engine


def changes(project):
    return [*manifest["changes"](project.path / "tenancy")]


def errors(project, *arguments, **options):
    """Return the lines that a failing command prints."""
    result = project.manage(*arguments, check=False, **options)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stderr.splitlines()


def test_an_edit_of_the_engine_is_named_and_not_overwritten(fresh, newer):
    engine = fresh.path / "tenancy"
    with (engine / "hosts.py").open("a") as file:
        file.write("# Ours\n")
    (engine / "ours.py").touch()
    (engine / "templates/tenancy/suspended_host.html").unlink()
    edited = [["hosts.py"], ["ours.py"], ["templates/tenancy/suspended_host.html"]]

    warned = re.findall(r"\(tenancy.W015\) tenancy/(.+)\.$", fresh.manage("check").stderr, re.M)
    refused = errors(fresh, "upgrade_tenancy", newer)

    assert warned == [
        *("hosts.py is edited", "ours.py is added"),
        "templates/tenancy/suspended_host.html is missing",
    ]
    assert refused[1:] == ["  tenancy/hosts.py", "  tenancy/ours.py"]
    assert changes(fresh) == edited
    fresh.manage("upgrade_tenancy", newer, "--force")
    assert changes(fresh) == [[], [], []]
    assert version(fresh.path) == NEXT
    (engine / "MANIFEST").unlink()
    assert "tenancy.W016" in fresh.manage("check").stderr
    assert "MANIFEST is missing" in errors(fresh, "upgrade_tenancy", newer)[0]


NEEDS_AT_START = """\
    yield from setting("TENANCY_SEATS", "5")
    yield from package("no-such-package", "2.0", "3")
    yield from package("django", "7", "8")
    yield from package("tenant-schemas-celery", "9", "10", app="tenancy.background")
"""
NEEDS = """\
    yield from app("tenancy.seats", "TENANT_APPS")
    yield from middleware("tenancy.seats.SeatsMiddleware", "at the end")
    yield from include("tenancy.seats.urls", "seats/", ["ROOT_URLCONF"])
"""
DEPENDENCIES = "in the dependencies in pyproject.toml, and install it (`uv sync`)."
LACKS_AT_START = [
    "The setting TENANCY_SEATS is missing. Add `TENANCY_SEATS = 5` to the settings.",
    f'The package no-such-package is not installed. Write "no-such-package>=2.0,<3" {DEPENDENCIES}',
]
LACKS = [
    f'django is installed, not django>=7,<8. Write "django>=7,<8" {DEPENDENCIES}',
    'TENANT_APPS lacks tenancy.seats. Add `"tenancy.seats",` to TENANT_APPS.',
    "MIDDLEWARE lacks tenancy.seats.SeatsMiddleware."
    ' Add `"tenancy.seats.SeatsMiddleware",` to MIDDLEWARE, at the end.',
    "server.urls doesn't include tenancy.seats.urls."
    ' Add `path("seats/", include("tenancy.seats.urls")),` to its urlpatterns.',
]


def test_a_newer_engine_says_what_changed_and_what_the_project_lacks(fresh, newer):
    sections = f"## {NEXT}\n\nSeats.\n\n## 99.0.1\n\nA fix.\n\n## {PRESENT}"
    replace(newer / "CHANGELOG.md", (f"## {PRESENT}", sections))
    replace(
        newer / "health" / "requirements.py",
        (
            '    yield from setting("TENANCY_ROLES"',
            f'{NEEDS_AT_START}    yield from setting("TENANCY_ROLES"',
        ),
        ('    yield from app("tenancy"', f'{NEEDS}    yield from app("tenancy"'),
    )
    manifest["write"](newer)

    printed = fresh.manage("upgrade_tenancy", newer).stdout.split("\n\n")

    assert printed[:5] == [
        f"tenancy {PRESENT} → {NEXT}",
        *(f"## {NEXT}", "Seats.", "## 99.0.1", "A fix."),
    ]
    title, *lacks = re.sub(r"django [\d.]+ is", "django is", printed[5]).split("\n- ")
    assert title == "The project lacks:"
    assert lacks == LACKS_AT_START + LACKS
    # What no module can be imported without, every command says at once.
    assert errors(fresh, "check") == LACKS_AT_START


def test_check_names_the_line_to_add_for_what_is_missing(fresh):
    missing = {
        "server/settings.py": [
            '    "tenancy.requests.middleware.TenantMiddleware",',
            '    "tenancy.requests.middleware.MembershipMiddleware",',
        ],
        "server/urls.py": [
            '    path("", include("tenancy.people.urls")),',
            '    path("workspace/", include("tenancy.workspace.urls")),',
        ],
        "server/urls_public.py": [
            '    path("", include("tenancy.people.urls_public")),',
            '    path("workspaces/", include("tenancy.workspace.urls_public")),',
        ],
    }
    for name, lines in missing.items():
        replace(fresh.path / name, *((f"\n{line}", "\n") for line in lines))
    first, moved = '    "tenancy",', '    "django_tenants",'
    replace(fresh.path / "server/settings.py", (first, ""), (moved, f"{moved}\n{first}"))

    hints = re.findall(r"^\tHINT: \w+ `(.+)` to (.+)\.", "\n".join(errors(fresh, "check")), re.M)

    assert sorted(f"    {line}" for line, _ in hints) == sorted([*chain(*missing.values()), first])


REFUSED = """
import json, os, sys
from django.core.management import CommandError, call_command
for source in json.loads(os.environ["SOURCES"]):
    try:
        call_command("upgrade_tenancy", source)
    except CommandError as error:
        print(error)
"""


def test_a_bad_source_is_refused_in_one_line(fresh, newer, tmp_path):
    repository, empty, incomplete, older = (
        tmp_path / name for name in ("git", "empty", "incomplete", "older")
    )
    commit(fresh, repository)
    empty.mkdir()
    for engine in (incomplete, older):
        shutil.copytree(newer, engine)
    (incomplete / "hosts.py").unlink()
    replace(older / "__init__.py", (NEXT, "0.9.9"))
    manifest["write"](older)
    reasons = {
        tmp_path / "nowhere": f"There is no folder {tmp_path}/nowhere.",
        empty: f"There is no engine in {empty}.",
        repository: f"There is no engine in {repository}.",
        f"{repository}#nowhere": "git failed: couldn't find remote ref nowhere",
        "file:///nowhere": "git failed: '/nowhere' does not appear to be a git repository",
        incomplete: f"The engine of {incomplete} is edited or incomplete (--force).",
        older: f"{older} has tenancy 0.9.9, older than {PRESENT} (--force).",
    }

    def refused(*sources, **env):
        texts = json.dumps([str(source) for source in sources])
        command = ("shell", "-v0", "-c", REFUSED)
        return fresh.manage(*command, SOURCES=texts, **env).stdout.splitlines()

    assert refused(*reasons) == [*reasons.values()]
    assert refused(repository, PATH=empty) == ["git is not installed."]
    assert (changes(fresh), version(fresh.path)) == ([[], [], []], PRESENT)
    assert errors(fresh, "upgrade_tenancy", older) == [f"CommandError: {reasons[older]}"]
    fresh.manage("upgrade_tenancy", older, "--force")
    assert version(fresh.path) == "0.9.9"


def commit(project, repository, *, tag="empty"):
    """Commit the files of the folder, to a repository that may be new."""
    repository.mkdir(exist_ok=True)
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for command in (
        ("init", "-q", "-b", "main"),
        ("add", "--all"),
        (*identity, "commit", "-q", "--allow-empty", "-m", tag),
        ("tag", tag),
    ):
        project.run("git", "-C", repository, *command)


def test_an_engine_comes_from_a_branch_or_tag_of_the_templates_repository(
    fresh, newer, template, tmp_path
):
    repository = tmp_path / "repository"
    shutil.copytree(template, repository)
    commit(fresh, repository, tag="first")
    shutil.copytree(newer, repository / PROJECT / "tenancy", dirs_exist_ok=True)
    commit(fresh, repository, tag="second")
    hash_of_first = fresh.run("git", "-C", repository, "rev-parse", "first").stdout.strip()
    shutil.rmtree(repository / PROJECT)  # the folder differs from the commits

    for source, expected in (
        (repository, NEXT),
        (f"{repository}#first", PRESENT),
        (f"file://{repository}#main", NEXT),
        (f"file://{repository}#{hash_of_first}", PRESENT),
    ):
        fresh.manage("upgrade_tenancy", source, "--force")
        assert version(fresh.path) == expected
        assert changes(fresh) == [[], [], []]


# Interrupts the upgrade before the file number COPIES is copied, or the rename number RENAMES.
INTERRUPT = """
import os, pathlib, shutil
def interrupt(owner, name, count):
    original, calls = getattr(owner, name), []
    def interrupted(*arguments, **options):
        calls.append(None)
        if len(calls) == count:
            if "KILL" in os.environ:
                os._exit(1)
            raise KeyboardInterrupt
        return original(*arguments, **options)
    setattr(owner, name, interrupted)
interrupt(shutil, "copystat", int(os.environ["COPIES"]))
interrupt(pathlib.Path, "rename", int(os.environ["RENAMES"]))
"""


def test_an_interrupted_upgrade_leaves_a_whole_engine(fresh, newer, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(INTERRUPT)

    def interrupt(copies=0, renames=0, **kill):
        env = {"PYTHONPATH": tmp_path / "site", "COPIES": copies, "RENAMES": renames} | kill
        assert fresh.manage("upgrade_tenancy", newer, check=False, **env).returncode

    beside, engine = fresh.path / ".tenancy-upgrade", fresh.path / "tenancy"
    interrupt(renames=2)
    assert not beside.exists()
    assert (changes(fresh), version(fresh.path)) == ([[], [], []], PRESENT)
    interrupt(copies=50, KILL="yes")
    assert beside.exists()
    assert (changes(fresh), version(fresh.path)) == ([[], [], []], PRESENT)
    interrupt(renames=2, KILL="yes")
    assert not engine.exists()
    (beside / "replaced").rename(engine)  # as docs/upgrade.md says
    assert (changes(fresh), version(fresh.path)) == ([[], [], []], PRESENT)

    fresh.manage("upgrade_tenancy", newer)
    assert not beside.exists()
    assert (changes(fresh), version(fresh.path)) == ([[], [], []], NEXT)


def test_the_manifest_lists_the_engine_as_it_is():
    changes = manifest["changes"](ROOT / PROJECT / "tenancy")
    assert changes == ([], [], []), f"Type: uv run python '{MANIFEST}'"
