"""A project with the engine's tests, in the folder `engine`. `bin/test-engine` keeps one."""

import shutil
import sys
import tempfile
from pathlib import Path

from projects import ROOT, Project, copy_template, render

# What a project gathers beside the files that the template renders.
KEPT = {".env", ".hypothesis", ".postgres", ".pytest_cache", ".venv", "uv.lock"}


def render_with_engine(template: Path, folder: Path, **options: bool) -> Project:
    project = render(template, folder, **options)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests" / "engine", project.path / "engine", ignore=ignored)
    return project


def refresh(project: Path) -> None:
    """Render the project anew, with all options. Keep its database and its installed packages."""
    with tempfile.TemporaryDirectory() as temporary:
        template = copy_template(Path(temporary, "template"))
        rendered = render_with_engine(template, Path(temporary), use_celery=True, use_postgis=True)
        project.mkdir(parents=True, exist_ok=True)
        for path in project.iterdir():
            if path.name not in KEPT:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in rendered.path.iterdir():
            if not (project / path.name).exists():
                shutil.move(path, project)


if __name__ == "__main__":
    refresh(Path(sys.argv[1], "acme_cloud"))
