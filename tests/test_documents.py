"""The documents are right: commands, snippets and links, and the README's example as typed."""

import ast
import json
import os
import re
import shlex
from itertools import product
from pathlib import Path

import pytest
from projects import ROOT, UV, Project, cookiecutter, need_postgis

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")

# Prints what doesn't exist. A module may be named as if it were an attribute of its package.
LOOK_UP = """
import json, sys
from importlib import import_module

import django
from django.core.management import CommandError, get_commands, load_command_class

django.setup()
from tenancy.management.refused import INSTEAD

imports, lines = json.loads(sys.argv[1])
for module, name in imports:
    try:
        hasattr(import_module(module), name) or import_module(f"{module}.{name}")
    except ImportError as error:
        print(error)
for name, *arguments in lines:
    app = get_commands().get(name)
    if app is None or name in INSTEAD:
        print(name)
        continue
    try:
        load_command_class(app, name).create_parser("manage.py", name).parse_args(arguments)
    except CommandError as error:
        print(name, *arguments, error)
"""


@pytest.fixture(scope="module")
def project(template, tmp_path_factory):
    """A project with all options, and so with all pages."""
    need_postgis()
    folder = tmp_path_factory.mktemp("documents")
    cookiecutter(template, folder, "set_up_now=no", "use_postgis=yes", "use_celery=yes")
    project = Project(folder / "acme_cloud")
    project.run(UV, "sync")
    yield project
    project.postgres("stop")


def documents(folder: Path) -> list[Path]:
    return [folder / "README.md", *sorted((folder / "docs").glob("*.md"))]


def blocks(text: str, language: str = "") -> list[str]:
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def imports(snippet: str) -> list[tuple[str, str]]:
    """Return the module and the name of each import."""
    nodes = [*ast.walk(ast.parse(snippet))]
    return [
        (node.module, alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def commands(text: str) -> list[list[str]]:
    """Return the command and its arguments of each `manage.py` in a block or in the text."""
    lines = "".join(blocks(text)).splitlines()
    typed = [shlex.split(line, comments=True) for line in lines if "manage.py" in line]
    named = re.findall(r"`manage\.py ([a-z_]+)", text)
    ends = [line[line.index("manage.py") + 1 :] for line in typed]
    return [*(end for end in ends if end), *([name] for name in named)]


def test_what_the_pages_import_and_type_exists(project):
    pages = [page.read_text() for page in documents(project.path)]
    snippets = [
        snippet
        for page in pages[1:]
        for snippet in blocks(page, "python")
        if not snippet.startswith("# ")  # a file, which another test types in
    ]
    found = [pair for snippet in snippets for pair in imports(snippet)]
    typed = [line for page in pages for line in commands(page)]
    assert len(snippets) > 15
    assert len(typed) > 50

    result = project.run(
        *(*project.python, "-c", LOOK_UP, json.dumps([found, typed])),
        DJANGO_SETTINGS_MODULE="server.settings",
    )

    assert result.stdout == ""


def test_the_readme_adds_an_app(project):
    readme = (project.path / "README.md").read_text()
    section = re.search(r"^## Add an app\n(.*?)^## ", readme, re.M | re.S)[1]
    setting = 'Add `"server.invoices",` to `TENANT_APPS` in `server/settings.py`'
    first, last = section.split(setting)
    project.manage("init_tenant")
    project.manage("provision_tenant", "EvilCorp", "evilcorp", "org", "ada")

    type_in(project, first)
    settings = project.path / "server" / "settings.py"
    start = "\nTENANT_APPS = ["
    settings.write_text(settings.read_text().replace(start, f'{start}\n    "server.invoices",'))
    type_in(project, last)

    dumped = project.manage("tenant_command", "dumpdata", "invoices", "--slug=evilcorp").stdout
    assert json.loads(dumped) == []
    project.run(UV, "run", "pytest", "--collect-only")
    # Of a project with all options and a new app, which needs no test of its own.
    assert "1 passed" in project.run(UV, "run", "pytest", "tests/test_isolation.py").stdout


@pytest.mark.parametrize("library", ["Django REST framework", "django-ninja"])
def test_the_page_on_apis_can_be_typed(project, tmp_path, library):
    project = project.copy(tmp_path / "project")
    project.python = (UV, "run", "python")
    page = (project.path / "docs" / "api.md").read_text()
    section = re.search(rf"^## {library}\n(.*?)^## ", page, re.M | re.S)[1]
    files, edits, commands = re.split(
        r"(^In `server/settings.py`.*?)(?=^```)", section, flags=re.M | re.S
    )
    try:
        project.manage("init_tenant")
        project.manage("provision_tenant", "EvilCorp", "evilcorp", "org", "ada")
        type_in(project, files)
        for file, sentence in re.findall(r"`(server/\w+.py)` add (.*?)\.(?=\s)", edits, re.S):
            edit(project.path / file, sentence)
        type_in(project, commands)
        project.manage("check", "--fail-level", "WARNING")
    finally:
        project.postgres("stop")


def edit(path: Path, sentence: str) -> None:
    """Do what it says: “`"an.app",` to `TENANT_APPS`, and `NAME = value`”."""
    text = path.read_text()
    for line, name in re.findall(r"`([^`]+)` to\s`(\w+)`", sentence):
        assert f"\n{name} = [" in text
        text = text.replace(f"\n{name} = [", f"\n{name} = [\n    {line}")
    for line in re.findall(r"`([A-Z_]+ = [^`]+)`", sentence):
        text += f"{line}\n"
    path.write_text(text)


def type_in(project, text):
    """Run the commands, and write the files whose names stand in the first lines."""
    for language, body in BLOCK.findall(text):
        if language == "python":
            (project.path / body.splitlines()[0].removeprefix("# ")).write_text(body)
        else:
            path = f"{Path(UV).parent}{os.pathsep}{os.environ['PATH']}"
            project.run("bash", "-e", "-c", body, PATH=path)


@pytest.mark.parametrize(("use_postgis", "use_celery"), list(product((False, True), repeat=2)))
def test_links_lead_somewhere(bake, use_postgis, use_celery):
    project = bake(use_postgis=use_postgis, use_celery=use_celery).path

    broken = [
        f"{page.name}: {target}#{heading}"
        for page in [*documents(project), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
        for target, heading in LINK.findall(page.read_text())
        if not leads_somewhere(page, target, heading)
    ]

    assert broken == []


def leads_somewhere(page: Path, target: str, heading: str) -> bool:
    file = page.parent / target if target else page
    return file.exists() and (not heading or heading in anchors(file.read_text()))


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_readmes_are_short(project):
    assert len((project.path / "README.md").read_text().split()) <= 420
    assert len((ROOT / "README.md").read_text().splitlines()) < 90
