"""What happens to a project that exists: `cruft update`, and rendering over it."""

import json
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import PROJECT, run
from projects import copy_template

IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Jane"), ("EMAIL", "jane@example.com"))
}
ADDED_LINE = "Added in a new version.\n"


@dataclass
class Developer:
    """An owner with a repository of the template, at a prompt with `cruft` and `git`."""

    folder: Path
    template: Path
    env: dict

    @property
    def project(self):
        return self.folder / "acme_cloud"

    def run(self, *command, cwd=None):
        return run(*map(str, command), cwd=cwd or self.project, env=self.env)

    def git(self, *arguments, cwd=None):
        result = self.run("git", *arguments, cwd=cwd)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def commit(self, folder):
        """Commit all files of the folder, ignored ones only if they were added before."""
        if not (folder / ".git").exists():
            self.git("init", "-q", cwd=folder)
        self.git("add", ".", cwd=folder)
        self.git("commit", "-q", "-m", "A version", cwd=folder)
        return self.git("rev-parse", "HEAD", cwd=folder).strip()

    def cruft(self, command, *arguments, cwd=None):
        result = self.run(sys.executable, "-m", "cruft", command, *arguments, cwd=cwd)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    def create(self, **answers):
        context = json.dumps({"set_up_now": "no"} | answers)
        return self.cruft(
            "create", self.template, "-y", "--extra-context", context, cwd=self.folder
        )

    def publish(self, **files):
        """Commit the next version of the template: a line more in the README, and these files."""
        with (self.template / PROJECT / "README.md").open("a") as readme:
            readme.write(ADDED_LINE)
        for name, text in files.items():
            path = self.template / PROJECT / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            self.git("add", "--force", path, cwd=self.template)
        return self.commit(self.template)


@pytest.fixture
def developer(person, tmp_path):
    (person.bin / "git").symlink_to(shutil.which("git"))
    (tmp_path / "repository").mkdir()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    env = person.env(**IDENTITY, TMPDIR=temporary)
    developer = Developer(person.folder, copy_template(tmp_path / "repository"), env)
    developer.commit(developer.template)
    return developer


def contents(folder):
    """Every file below the folder, with its content and mode, but git's own."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


def changed(before, after):
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_cruft_creates_the_project_that_cookiecutter_creates(developer, stand_in, calls, tmp_path):
    stand_in("uv")
    developer.env["TMPDIR"] = str(tmp_path)  # as a person who tries the template below /tmp
    printed = developer.create(set_up_now="yes")
    assert [call["arguments"] for call in calls()] == [
        ["sync"],
        ["run", "manage.py", "init_tenant"],
    ]
    assert {call["folder"] for call in calls()} == {str(developer.project)}
    assert "\n    cd acme_cloud\n    uv run manage.py runserver\n" in printed
    (tmp_path / "other").mkdir()
    command = (sys.executable, "-m", "cookiecutter", developer.template, "--no-input")
    assert developer.run(*command, cwd=tmp_path / "other").returncode == 0
    other = contents(tmp_path / "other" / "acme_cloud")
    assert changed(contents(developer.project), other) == {".cruft.json", ".env"}


@pytest.mark.parametrize("command", ["create", "link"])
def test_an_update_changes_what_the_template_changed_and_sets_nothing_up(
    developer, stand_in, calls, command
):
    stand_in("uv")
    if command == "create":
        developer.create(set_up_now="yes")
        developer.commit(developer.project)
    else:
        cookiecutter = (sys.executable, "-m", "cookiecutter", developer.template, "--no-input")
        developer.run(*cookiecutter, "set_up_now=no", cwd=developer.folder)
        developer.commit(developer.project)
        developer.cruft("link", developer.template, "-y")
        developer.commit(developer.project)
    before, called = contents(developer.project), len(calls())
    developer.publish()

    printed = developer.cruft("update", "-y")

    assert len(calls()) == called
    assert (
        printed.strip()
        == "Good work! Project's cruft has been updated and is as clean as possible!"
    )
    assert changed(before, contents(developer.project)) == {"README.md", ".cruft.json"}
    assert (developer.project / "README.md").read_text().endswith(ADDED_LINE)
    assert [path for path in Path(developer.env["TMPDIR"]).iterdir() if path.is_dir()] == []


def test_an_update_touches_no_ignored_file(developer):
    """Not even one that two versions of the template render: `[tool.cruft]` skips it."""
    folder = developer.template / PROJECT
    rules = [line for line in (folder / ".gitignore").read_text().split("\n") if line[:1] != "#"]
    patterns = list(filter(None, rules))
    files = [f"{pattern}file" if pattern[-1] == "/" else pattern for pattern in patterns]
    files = [file.replace("*", "x") for file in files]
    files += [f"server/{file}" for file in files]
    developer.publish(**dict.fromkeys(files, "the first version's"))
    developer.create(use_celery="yes")
    for file in files:
        (developer.project / file).chmod(0o600)
    developer.commit(developer.project)
    assert not set(files) & set(developer.git("ls-files").split())
    before = contents(developer.project)
    developer.publish(**dict.fromkeys(files, "the second version's"))

    developer.cruft("update", "-y")

    assert changed(before, contents(developer.project)) == {"README.md", ".cruft.json"}
    settings = tomllib.loads((developer.project / "pyproject.toml").read_text())
    ignored = [f"**/{pattern.rstrip('/')}" for pattern in patterns]
    assert settings["tool"]["cruft"]["skip"] == ["tenancy", *ignored]


def test_an_update_leaves_the_engine_to_upgrade_tenancy(developer):
    developer.create()
    developer.commit(developer.project)
    before = contents(developer.project)
    developer.publish(**{"tenancy/hosts.py": "a newer engine's", "tenancy/new.py": ""})

    developer.cruft("update", "-y")

    assert changed(before, contents(developer.project)) == {"README.md", ".cruft.json"}


def test_a_diff_shows_no_secret(developer):
    developer.create()
    with (developer.project / "README.md").open("a") as readme:
        readme.write("Mine.\n")
    shown = developer.cruft("diff")
    assert "\n-Mine.\n" in shown
    assert shown.count("diff --git") == 1


OWN = {
    "server/celery.py": "the owner's",
    "server/places/models.py": "the owner's",
    "server/places/static/places/maps.js": "the owner's",  # Cookiecutter copies it over any other
    "server/places/own/deeper/file.py": "the owner's",
}


@pytest.fixture
def again(person):
    """Render over the project with the answers of the last time, and further options."""

    def again(*options):
        command = person.command("--replay", "--overwrite-if-exists", *options)
        return run(*command, cwd=person.folder, env=person.env())

    return again


@pytest.fixture
def project(person):
    """A project whose owner has declined all options, and has files of the same names."""
    project = person.folder / "acme_cloud"
    assert person.cookiecutter("set_up_now=no").returncode == 0
    for name, text in OWN.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    (project / "server/celery.py").chmod(0o700)
    (project / "server/places/empty").mkdir()
    (project / "server/notes/tasks.py").symlink_to("../celery.py")
    return project


@pytest.mark.parametrize("options", [[], ["--skip-if-file-exists"]], ids=["over", "skip"])
def test_rendering_again_keeps_the_owners_files_where_others_were_declined(project, again, options):
    before = contents(project)

    made = again(*options)

    assert (made.returncode, made.stderr) == (0, "")
    assert changed(before, contents(project)) == set()
    assert (project / "server/places/empty").is_dir()
    assert (project / "server/notes/tasks.py").readlink() == Path("../celery.py")
    assert not (project / ".set-aside").exists()
    kept = "server/celery.py, server/notes/tasks.py, server/places"
    assert f"\nKept your own files: {kept}\n" in made.stdout


def test_rendering_again_brings_back_no_declined_file(person, again):
    person.cookiecutter("set_up_now=no")
    before = contents(person.folder)
    made = again("--skip-if-file-exists")
    assert "Kept" not in made.stdout
    assert changed(before, contents(person.folder)) == set()


def test_rendering_again_overwrites_pages_and_styles_unless_told_to_skip_them(project, again):
    copied = [next(project.rglob(f"server/**/{name}")) for name in ("*.html", "*.css")]
    rendered = [path.read_text() for path in copied]
    for path in copied:
        path.write_text("the owner's")
    before = contents(project)
    assert again("--skip-if-file-exists").returncode == 0
    assert changed(before, contents(project)) == set()

    (project / "manage.py").unlink()
    (project / ".env.example").unlink()
    assert again("--skip-if-file-exists").returncode == 0
    assert changed(before, contents(project)) == set()

    assert again().returncode == 0
    assert [path.read_text() for path in copied] == rendered


def test_an_option_declined_later_keeps_its_files(person):
    person.cookiecutter("set_up_now=no", "use_celery=yes")
    celery = person.folder / "acme_cloud" / "server" / "celery.py"
    text = celery.read_text()
    made = person.cookiecutter("set_up_now=no", "use_celery=no", "--overwrite-if-exists")
    assert made.returncode == 0
    assert celery.read_text() == text


def test_rendering_again_leaves_a_skipped_env_example_alone(project, again):
    example = project / ".env.example"
    example.write_text("# The owner's\nPROJECT_NAME=Another\n")
    made = again("--skip-if-file-exists")
    assert (made.returncode, made.stderr) == (0, "")
    assert example.read_text() == "# The owner's\nPROJECT_NAME=Another\n"

    again()
    assert '\nPROJECT_NAME="Acme Cloud"\n' in example.read_text()


def test_files_that_an_interrupted_run_left_aside_are_not_lost(project, again):
    aside = project / ".set-aside" / "files" / "server" / "celery.py"
    aside.parent.mkdir(parents=True)
    (project / "server" / "celery.py").rename(aside)
    before = contents(project)
    refused = again()
    assert refused.returncode == 1
    assert refused.stderr.startswith("An earlier run was interrupted. ")
    assert changed(before, contents(project)) == set()

    aside.rename(project / "server" / "celery.py")
    shutil.rmtree(project / ".set-aside")
    assert again().returncode == 0
