"""Other processes, in the tests' database: to be killed, or to be at the same thing at once."""

import io
import os
import signal
import subprocess
import sys
import threading
import traceback

from django.conf import settings
from django.db import connection, connections
from tenancy.locks import advisory_lock
from tenancy.schemas import blueprint

IMPORTS = """
from django.db import connection, transaction
from django.conf import settings
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.copies import backups, cloning, consistent, restoring
from tenancy.exceptions import NoBlueprint
from tenancy.lifecycle import provision_tenant, provisioning, purging, reservation
from tenancy.models import SpareSchema
from tenancy.schemas import blueprint, dump, spares
"""


def start(code: str) -> subprocess.Popen:
    """Run the code in a new Python, after what most such code imports."""
    prologue = f"""
import django
django.setup()
{IMPORTS}
connection.settings_dict["NAME"] = {connection.settings_dict["NAME"]!r}
settings.MEDIA_ROOT = {str(settings.MEDIA_ROOT)!r}
"""
    return subprocess.Popen(
        [sys.executable, "-c", prologue + code],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "engine.settings"},
        cwd=settings.BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class Fork:
    """A copy of this process, with connections of its own, which runs the code and ends.

    A new Python would first import Django, for a second or two. It has pipes as a Popen has. No
    exit handler runs at its end.
    """

    def __init__(self, code: str):
        pipes = [os.pipe() for _ in range(3)]
        (child_in, stdin), (stdout, child_out), (stderr, child_err) = pipes
        theirs, ours = (child_in, child_out, child_err), (stdin, stdout, stderr)
        self.pid = os.fork()
        for end in theirs if self.pid else ours:
            os.close(end)
        if self.pid == 0:
            run_and_exit(code, theirs)
        self.stdin = os.fdopen(stdin, "w")
        self.stdout = os.fdopen(stdout)
        self.stderr = os.fdopen(stderr)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def communicate(self, timeout: int = 60) -> tuple[str, str]:
        """Return what it wrote, once it has ended. It may write as much as a pipe holds."""
        alarm = threading.Timer(timeout, self.kill)
        alarm.start()
        with self.stdin, self.stdout, self.stderr:
            said = self.stdout.read(), self.stderr.read()
        os.waitpid(self.pid, 0)
        alarm.cancel()
        return said


def run_and_exit(code: str, streams: tuple[int, ...]) -> None:
    status = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        sys.stdin, sys.stdout, sys.stderr = (
            io.TextIOWrapper(os.fdopen(number, mode, 0), write_through=True)
            for number, mode in enumerate(("rb", "wb", "wb"))
        )
        inherited = connections.all()  # which stay the parent's: closing them would end them there
        for own in inherited:
            del connections[own.alias]
        blueprint.load.cache_clear()  # a new process has to read it
        exec(compile(IMPORTS + code, "<fork>", "exec"), {"__name__": "__main__"})  # noqa: S102
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def stop_before(name: str, code: str) -> Fork:
    """Run the code up to the call of the function, such as `provisioning.activate`."""
    wait = f"{name} = lambda *args, **kwargs: input(print('ready', flush=True))"
    process = Fork(f"{wait}\n{code}")
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(process.communicate()[1])
    return process


def kill(process: Fork, lock: str) -> None:
    """Kill -9, and return when the server has noticed: when the process' lock is free."""
    process.kill()
    process.communicate()
    with advisory_lock(lock):
        pass
