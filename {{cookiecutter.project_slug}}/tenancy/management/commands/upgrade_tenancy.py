"""Replace the running engine, which this module is part of.

After the replacement, an import would load the new engine's code into the old one. So everything
is imported and read before it.
"""

import contextlib
import re
import runpy
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from django.utils.version import get_version_tuple

from tenancy.health import manifest
from tenancy.health.manifest import ENGINE

BESIDE = ENGINE.with_name(".tenancy-upgrade")
REPLACED = BESIDE / "replaced"
FILES = (manifest.NAME, "__init__.py", "CHANGELOG.md", "health/requirements.py")
VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
NEXT = """\
Next, install the packages (`uv sync`), and run `manage.py check`, `manage.py makemigrations`,
`manage.py migrate_schemas` and the tests. docs/upgrade.md says more."""


class Command(BaseCommand):
    help = (
        "Replace the engine, the folder `tenancy`, by another version. The command prints what"
        " changed, and what the new version needs of the project."
    )
    requires_system_checks = []  # an upgrade may be what the project needs to pass them

    def add_arguments(self, parser):
        parser.add_argument(
            "source",
            metavar="FOLDER_OR_GIT_URL",
            help="a project, an engine, or the template: a folder, or a git repository with an"
            " optional #branch, #tag or #commit",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="overwrite edited files, and accept an older or an edited engine",
        )

    def handle(self, *, source, force, **options):
        try:
            with fetch(source) as engine:
                self.upgrade(engine, source, force)
        except OSError as error:
            raise CommandError(f"The engine is not replaced: {error}") from error

    def upgrade(self, engine: Path, source: str, force: bool):
        old, new = read_version(ENGINE), read_version(engine)
        if not force:
            refuse_edits()
            if get_version_tuple(new) < get_version_tuple(old):
                raise CommandError(f"{source} has tenancy {new}, older than {old} (--force).")
        shutil.rmtree(BESIDE, ignore_errors=True)
        try:
            copy = BESIDE / "tenancy"
            shutil.copytree(engine, copy, ignore=shutil.ignore_patterns("__pycache__", ".*"))
            if not force and any(manifest.changes(copy)):
                raise CommandError(f"The engine of {source} is edited or incomplete (--force).")
            report = [f"tenancy {old} → {new}", *changelog(copy, old, new), *missing(copy), NEXT]
            # A kill between these two lines leaves the whole old engine, in BESIDE.
            ENGINE.rename(REPLACED)
            copy.rename(ENGINE)
        finally:
            if not ENGINE.exists():
                REPLACED.rename(ENGINE)
            shutil.rmtree(BESIDE, ignore_errors=True)
        self.stdout.write("\n\n".join(report))


@contextlib.contextmanager
def fetch(source: str) -> Iterator[Path]:
    """Yield the folder of the engine in a folder or a git repository. Raises CommandError."""
    folder = Path(source)
    if engine := find_engine(folder):
        yield engine
        return
    url, _, ref = source.partition("#")
    if Path(url).exists():
        url = str(Path(url).resolve())  # git runs in another folder
    elif not re.match(r"[\w+]+://|[^/]+:", url):
        raise CommandError(f"There is no folder {source}.")
    if folder.is_dir() and not any((folder / name).exists() for name in (".git", "HEAD")):
        raise CommandError(f"There is no engine in {source}.")
    with tempfile.TemporaryDirectory() as clone:
        git("init", "--quiet", clone)
        git("-C", clone, "fetch", "--quiet", "--depth=1", "--", url, ref or "HEAD")
        git("-C", clone, "checkout", "--quiet", "FETCH_HEAD")
        engine = find_engine(Path(clone))
        if engine is None:
            raise CommandError(f"There is no engine in {source}.")
        yield engine


def find_engine(folder: Path) -> Path | None:
    """Return the folder of the engine in a project, an engine, or the template's repository."""
    for engine in (folder / "tenancy", folder, *folder.glob("[{]*/tenancy")):
        if all((engine / name).is_file() for name in FILES):
            return engine
    return None


def git(*arguments: str) -> None:
    try:
        subprocess.run(["git", *arguments], check=True, capture_output=True, text=True)  # noqa: S607
    except FileNotFoundError:
        raise CommandError("git is not installed.") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.splitlines()
        reason = next((line for line in lines if line.startswith("fatal: ")), " ".join(lines))
        raise CommandError(f"git failed: {reason.removeprefix('fatal: ')}") from None


def read_version(engine: Path) -> str:
    text = (engine / "__init__.py").read_text(encoding="utf-8")
    found = VERSION.search(text)
    if found is None:
        raise CommandError(f"{engine}/__init__.py has no __version__.")
    return found[1]


def refuse_edits() -> None:
    changes = manifest.changes()
    if changes is None:
        raise CommandError(f"tenancy/{manifest.NAME} is missing: edits can't be found (--force).")
    if lost := sorted(changes.edited + changes.added):
        raise CommandError(
            "An upgrade would overwrite these files, which were edited or added. Move the changes"
            " to server/, or give them up with --force:" + "".join(f"\n  tenancy/{n}" for n in lost)
        )


def changelog(engine: Path, old: str, new: str) -> list[str]:
    """Return what the engine's changelog says for the versions after `old`, up to `new`."""
    text = (engine / "CHANGELOG.md").read_text(encoding="utf-8")
    _, *sections = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    first, last = get_version_tuple(old), get_version_tuple(new)
    return [
        section.strip()
        for section in sections
        if first < get_version_tuple(section.split()[1]) <= last
    ]


def missing(engine: Path) -> list[str]:
    """Return what the engine needs of the project and doesn't find, as one text, if anything."""
    requirements = runpy.run_path(str(engine / "health" / "requirements.py"))
    lines = [f"- {message.msg} {message.hint}" for message in requirements["missing"]()]
    return ["\n".join(["The project lacks:", *lines])] if lines else []
