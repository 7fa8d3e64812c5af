"""Runs the libraries' own tests with the engine's database backend; `bin/test-django` calls it.

A test may only fail with the engine's backend if it does with the original one, or if it is listed
below, with the reason.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

PROJECT = Path.cwd()  # .cache/acme_cloud
SOURCES = PROJECT.parent / "sources"
sys.path.insert(0, str(PROJECT))

from tenancy.postgres import programs  # noqa: E402 (the project's)

DJANGO = [
    "backends",
    "transactions",
    "transaction_hooks",
    "queries",
    "schema",
    "migrations",
    "introspection",
    "postgres_tests",
    "async",
]
SETTINGS = """
import os
{imports}

def database(name):
    return {{
        "ENGINE": os.environ["SUITE_ENGINE"],
        "HOST": "127.0.0.1",
        "PORT": os.environ["SUITE_PORT"],
        "USER": "postgres",
        "NAME": name,
    }}

{settings}
"""
FOR_DJANGO = """
DATABASES = {"default": database("one"), "other": database("two")}
SECRET_KEY = "secret"
USE_TZ = False
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
SHARED_APPS = TENANT_APPS = []
"""
FOR_DJANGO_TENANTS = """
DATABASES = {"default": database("one")}
"""
FAILED = re.compile(r"^(?:FAIL|ERROR): \w+ \((?P<test>[\w.]+)\)", re.M)

# Beginnings of the names of tests that fail with the engine's backend only: see docs/decisions.md.
TENANTS = "django_tenants.tests.test_tenants."
MEANT = (
    "django_tenants.tests.test_multi_types.",
    TENANTS + "SchemaNameInjectionTest.test_search_path_rejects_injected_schema",
    TENANTS + "SharedAuthTest.test_cross_schema_constraint_gets_created",
    TENANTS + "TenantDataAndSettingsTest.test_switching_search_path",
)


def source(name: str) -> Path:
    """Download and unpack the source of the installed version of a distribution."""
    folder = SOURCES / f"{name}-{version(name)}"
    if not folder.exists():
        SOURCES.mkdir(exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        wanted = f"{name}=={version(name)}"
        run([*pip, "--no-binary", ":all:", "--dest", SOURCES, wanted], check=True)
        archive = next(SOURCES.glob(f"{name.replace('-', '[-_]')}-{version(name)}.tar.gz"))
        folder.mkdir()
        run(["tar", "xzf", archive, "--strip-components", "1", "-C", folder], check=True)
    return folder


def run(command: list, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], **options)


@contextlib.contextmanager
def server(folder: Path):
    """Yield the port of a new server, of the distribution's PostgreSQL: it has all extensions."""
    folder.chmod(0o777)
    binaries = max(programs._usable(programs._system_folders(), postgis=False)).folder
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    prefix = programs.without_root(folder)
    options = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    programs.run([*prefix, binaries / "initdb", "-D", folder / "data", *options])
    command = [*prefix, binaries / "postgres", "-D", folder / "data", "-p", port]
    command += ["-c", "fsync=off", "-c", f"unix_socket_directories={folder}"]
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
    address = ["-h", "127.0.0.1", "-p", port, "-U", "postgres"]
    try:
        while run([binaries / "pg_isready", "-q", *address]).returncode:
            time.sleep(0.1)
        for name in ("one", "two"):
            run([binaries / "createdb", *address, name], check=True)
        yield port
    finally:
        process.terminate()
        process.wait()


def failures(name: str, engine: str, port: int, command: list, cwd: Path, paths: list) -> set[str]:
    """Run a suite; return the tests that failed. The output is kept beside the sources."""
    output = SOURCES / f"{name}-{engine}.log"
    with output.open("w") as file:
        result = run(
            [sys.executable, *command],
            cwd=cwd,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {
                "SUITE_ENGINE": engine,
                "SUITE_PORT": str(port),
                "PYTHONPATH": os.pathsep.join(map(str, [*paths, PROJECT])),
            },
        )
    text = output.read_text()
    if not (ran := re.search(r"^Ran (\d+) tests", text, re.M)):
        sys.exit(f"{name} with {engine} ended with {result.returncode}: see {output}")
    failed = {match["test"] for match in FAILED.finditer(text)}
    print(f"{name} with {engine}: {ran[1]} tests, {len(failed)} failed", flush=True)
    return failed


def main(labels: list[str]) -> int:
    django, tenants = source("django"), source("django-tenants")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, imports, settings in (
            ("suite_django", "", FOR_DJANGO),
            ("suite_tenants", "from dts_test_project.settings import *", FOR_DJANGO_TENANTS),
        ):
            text = SETTINGS.format(imports=imports, settings=settings)
            (folder / f"{name}.py").write_text(text)
        of_django = ["runtests.py", "--settings=suite_django", "--parallel=1", "--noinput", "-v1"]
        of_tenants = ["manage.py", "test", "--settings=suite_tenants", "--noinput", "-v1"]
        suites = [
            (
                *("django", "django.db.backends.postgresql"),
                *([*of_django, *(labels or DJANGO)], django / "tests", [folder]),
            )
        ]
        if not labels:
            project = tenants / "dts_test_project"
            suites.append(
                (
                    *("django-tenants", "django_tenants.postgresql_backend"),
                    *([*of_tenants, "django_tenants"], project, [folder, tenants, project]),
                )
            )
        unexpected = set()
        (folder / "server").mkdir()
        folder.chmod(0o755)
        with server(folder / "server") as port:
            for name, original, *rest in suites:
                as_ever = failures(name, original, port, *rest)
                unexpected |= failures(name, "tenancy.database", port, *rest) - as_ever
    unexpected = {test for test in unexpected if not test.startswith(MEANT)}
    for test in sorted(unexpected):
        print(f"only with the engine's backend: {test}")
    return bool(unexpected)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
