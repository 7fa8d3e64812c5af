"""The engine's rooms: which may import which. `importlinter.ini` lists them."""

import ast
from pathlib import Path

import tenancy
from importlinter import cli

ENGINE = Path(tenancy.__file__).parent
# By the file and the function. Everything else is imported at the top of its file.
LATE = {
    # Django's models and settings are ready then.
    ("apps.py", "ready"),
    ("background/apps.py", "ready"),
    ("postgis/apps.py", "ready"),
    # Logging is configured before there are models.
    ("health/error_mails.py", "is_first"),
    # server/__init__.py makes the Celery app, and so imports its class, before Django is set up.
    ("background/app.py", "_get_backend"),
    ("background/app.py", "send_task"),
    ("background/app.py", "signature"),
    ("background/app.py", "start_cleanly"),
    # The package for DNS takes long to import, and only these tasks need it.
    ("background/tasks.py", "check_domains"),
    ("background/tasks.py", "check_domain"),
}


def test_imports_run_one_way(capsys, monkeypatch):
    # It would disable all other loggers, for the tests that come later, too.
    monkeypatch.setattr(cli, "_configure_logging", lambda verbose: None)
    kept = cli.lint_imports(str(Path(__file__).with_name("importlinter.ini")), no_cache=True)

    assert kept == cli.EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_imports_are_at_the_top():
    found = set()
    for path in ENGINE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        found.add((str(path.relative_to(ENGINE)), function.name))

    assert found == LATE
