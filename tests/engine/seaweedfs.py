"""Start SeaweedFS, a server of object storage. It needs no other package."""

import json
import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager

KEY, SECRET = "the-key", "the secret"
IDENTITY = {"name": "us", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
CONFIG = {"identities": [IDENTITY | {"actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@contextmanager
def serving(folder, weed=None):
    """Run the server, and yield its process, and its host with the port. It may not be up yet."""
    (folder / "s3.json").write_text(json.dumps(CONFIG))
    names = [*PORTS, *(f"{name}.grpc" for name in PORTS)]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = [each.getsockname()[1] for each in sockets]
    command = [weed or shutil.which("weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    command += ["-filer", "-s3", f"-s3.config={folder}/s3.json", f"-dir={folder}"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    command += ["-volume.max=100"]
    command += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    with (folder / "log").open("w") as log:  # it would take DEBUG for its own
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={})
    try:
        yield server, f"127.0.0.1:{ports[names.index('s3.port')]}"
    finally:
        server.kill()  # it would say goodbye for half a minute
        server.wait()


def url_of(host, bucket, key=KEY):
    return f"s3://{key}:{SECRET.replace(' ', '%20')}@{host}/{bucket}?tls=off"
