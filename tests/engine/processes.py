"""Other processes, in the tests' database: to be killed, or to be at the same thing at once."""

import os
import subprocess
import sys

from django.conf import settings
from django.db import connection
from tenancy.locks import advisory_lock


def start(code: str) -> subprocess.Popen:
    """Run the code, after what most such code imports. It may print, and wait for its `input()`."""
    prologue = f"""
import django
django.setup()
from django.db import connection
from django.conf import settings
connection.settings_dict["NAME"] = {connection.settings_dict["NAME"]!r}
settings.MEDIA_ROOT = {str(settings.MEDIA_ROOT)!r}
from server.tenants.models import Tenant
from tenancy import copies, lifecycle
from tenancy.copies import backups, cloning, consistent, restoring
from tenancy.exceptions import NoBlueprint
from tenancy.lifecycle import provision_tenant, provisioning, purging, reservation
from tenancy.schemas import blueprint, dump
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


def stop_before(name: str, code: str) -> subprocess.Popen:
    """Run the code up to the call of the function, such as `provisioning.activate`."""
    wait = f"{name} = lambda *args, **kwargs: input(print('ready', flush=True))"
    process = start(f"{wait}\n{code}")
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(process.communicate()[1])
    return process


def kill(process: subprocess.Popen, lock: str) -> None:
    """Kill -9, and return when the server has noticed: when the process' lock is free."""
    process.kill()
    process.communicate()
    with advisory_lock(lock):
        pass
