"""A PgBouncer in front of the tests' server, or of another one."""

import os
import shutil
import socket
import subprocess
from contextlib import closing, contextmanager

from django.db import connection
from tenancy.database.base import DatabaseWrapper
from tenancy.postgres import programs

CONFIGURATION = """
[databases]
* = host={HOST} port={PORT} user={USER} password={PASSWORD}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = {clients}
query_wait_timeout = {wait}
"""


def own_server():
    """The address of the tests' database."""
    names = ("HOST", "PORT", "USER", "PASSWORD", "NAME")
    return {name: connection.settings_dict[name] for name in names}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wrapper_at(address):
    own = {**connection.settings_dict, "SERVER": None, "CONN_HEALTH_CHECKS": False} | address
    return closing(DatabaseWrapper(own, "default"))


def wait_for(address, process):
    with wrapper_at(address) as wrapper:
        parameters = wrapper.get_connection_params()
        for _ in range(1000):
            assert process.poll() is None
            try:
                wrapper.Database.connect(**parameters).close()
            except wrapper.Database.Error:
                continue
            return
    raise TimeoutError


@contextmanager
def pgbouncer(folder, server, mode, size=20, clients=100, wait=60):
    """Yield the address of a PgBouncer in that mode, in front of the server."""
    program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
    assert program, "bash .ci/install installs it"
    folder.chmod(0o755)
    port = free_port()
    file = folder / "pgbouncer.ini"
    limits = {"size": size, "clients": clients, "wait": wait}
    file.write_text(CONFIGURATION.format(**server, **limits, listen=port, mode=mode))
    process = subprocess.Popen([*programs.without_root(folder), program, "-q", str(file)])
    address = server | {"HOST": "127.0.0.1", "PORT": port}
    try:
        wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait()
