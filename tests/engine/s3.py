"""SeaweedFS, a server of object storage, with a bucket."""

import json
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from tenancy import s3
from tenancy.isolation.objects import ObjectStorage

KEY, SECRET = "the-key", "the secret"
IDENTITY = {"name": "us", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
CONFIG = {"identities": [IDENTITY | {"actions": ["Admin", "Read", "List", "Tagging", "Write"]}]}
PORTS = ("master.port", "volume.port", "filer.port", "s3.port")


@contextmanager
def seaweedfs(folder):
    """Run the server, and yield its host and port, once it has a bucket."""
    (folder / "s3.json").write_text(json.dumps(CONFIG))
    names = [*PORTS, *(f"{name}.grpc" for name in PORTS)]
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in names]
        ports = [each.getsockname()[1] for each in sockets]
    command = [shutil.which("weed"), "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer"]
    command += ["-s3", f"-s3.config={folder}/s3.json", f"-dir={folder}", "-volume.max=100"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"]
    command += [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    with (folder / "log").open("w") as log:  # it would take DEBUG for its own
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={})
    try:
        host = f"127.0.0.1:{ports[names.index('s3.port')]}"
        make_bucket(host, "uploads", server)
        yield host
    finally:
        server.kill()  # it would say goodbye for half a minute
        server.wait()


def url_of(host, bucket, key=KEY):
    return f"s3://{key}:{SECRET.replace(' ', '%20')}@{host}/{bucket}?tls=off"


def client_of(host):
    return ObjectStorage(**s3.options("URL", url_of(host, "none"))).connection.meta.client


def make_bucket(host, name, server):
    client, end = client_of(host), time.monotonic() + 60
    while True:
        try:
            client.create_bucket(Bucket=name)
            client.put_object(Bucket=name, Key="ready", Body=b"")
            client.delete_object(Bucket=name, Key="ready")
        except (BotoCoreError, ClientError):  # it begins to listen before it can write
            if time.monotonic() > end or server.poll() is not None:
                raise
        else:
            return


def object_storage(url):
    """The setting STORAGES as UPLOADS_URL makes it."""
    backend = {"BACKEND": "tenancy.isolation.objects.ObjectStorage"}
    default = backend | {"OPTIONS": s3.options("UPLOADS_URL", url)}
    return settings.STORAGES | {"default": default}
