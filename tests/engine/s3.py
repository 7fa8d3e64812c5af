"""A bucket at SeaweedFS, and the setting STORAGES for it."""

import time
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from tenancy import s3
from tenancy.isolation.objects import ObjectStorage

from engine.seaweedfs import serving, url_of


@contextmanager
def seaweedfs(folder):
    """Run the server, and yield its host and port, once it has the bucket `uploads`."""
    with serving(folder) as (server, host):
        make_bucket(host, "uploads", server)
        yield host


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
