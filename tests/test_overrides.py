"""An owner overrides what DESIGN's table names, and the engine stays as it is.

`tests/owner/` has the owner's files, and the tests that run in the project with them.
"""

import hashlib
import shutil
from pathlib import Path

import pytest
from projects import ROOT

OWNER = ROOT / "tests" / "owner"


@pytest.fixture(scope="module")
def owned(acme, tmp_path_factory):
    """A copy of `acme` whose owner has changed what is theirs, with the migrations for it."""
    project = acme.copy(tmp_path_factory.mktemp("owned") / "owned")
    apply_edits(project.path)
    project.manage("makemigrations", "--no-input")
    yield project
    project.postgres("stop")


def apply_edits(project: Path) -> None:
    """Append settings, receivers and admin to the project's own, and copy the other files."""
    for source in (path for path in OWNER.rglob("*") if path.is_file()):
        target = project / source.relative_to(OWNER)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and source.name != "models.py":
            target.write_text(target.read_text() + source.read_text())
        else:
            shutil.copy(source, target)


def engine(project):
    files = sorted((project.path / "tenancy").rglob("*.*"))
    return [(path.name, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_what_an_owner_overrides_holds(owned, acme):
    owned.pytest()
    owned.manage("makemigrations", "--check")
    owned.manage("check")

    assert engine(owned) == engine(acme)
