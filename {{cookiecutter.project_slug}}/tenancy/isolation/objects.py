"""Uploads as objects in a bucket (S3): each tenant's below its schema's name.

It needs django-storages and boto3, so nothing imports it: the setting STORAGES names the class.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import BinaryIO
from urllib.parse import urljoin

from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.utils.encoding import filepath_to_uri
from storages.backends.s3 import S3Storage

from tenancy.isolation.storage import TenantFiles

LINK_SECONDS = 60
IN_MEMORY = 2**20  # bytes of an object that is read
AT_ONCE = 8  # copies that the server makes
BATCH = 1000  # objects in a request to delete them
ONE_THREAD = TransferConfig(use_threads=False)


class ObjectStorage(TenantFiles, S3Storage):
    """Keeps files as private objects `<schema of the current tenant>/<name>`.

    `url` is an address of the site, whose view checks the membership and then sends on to `link`.
    """

    def get_default_settings(self):
        defaults = super().get_default_settings()
        del defaults["location"]  # it is the tenant's
        return defaults | {"client_config": client_config(), "file_overwrite": False}

    @property
    def location(self):
        return self.schema_name

    def exists(self, name):
        try:
            return super().exists(name)
        except ClientError as error:
            if status_of(error) == 400:  # no object can have such a name
                return False
            raise

    def url(self, name):
        return urljoin(settings.MEDIA_URL, filepath_to_uri(name).lstrip("/"))

    def link(self, name: str, content_type: str, disposition: str) -> str:
        """Return a link to the object, good for a minute, which answers with these headers."""
        headers = {
            "ResponseCacheControl": "private, no-cache",
            "ResponseContentDisposition": disposition,
            "ResponseContentType": content_type,
        }
        return super().url(name, headers, expire=LINK_SECONDS)

    def uploads(self) -> "Objects":
        return Objects(self, self.location)

    def fault(self) -> str:
        """Return why the bucket can't be used, or nothing."""
        try:
            self.connection.meta.client.head_bucket(Bucket=self.bucket_name)
        except (BotoCoreError, ClientError) as error:
            return f"the bucket “{self.bucket_name}” can't be used: {error}"
        return ""


class Objects:
    """The uploads of one tenant. An OSError says that the server refuses, or is away."""

    def __init__(self, storage: S3Storage, schema_name: str):
        self.client, self.bucket = storage.connection.meta.client, storage.bucket_name
        self.prefix = f"{schema_name}/"

    def __str__(self):
        return f"s3://{self.bucket}/{self.prefix}"

    def exist(self) -> bool:
        with os_errors():
            return "Contents" in self.client.list_objects_v2(
                Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1
            )

    def names(self) -> list[str]:
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int]:
        pages = self.client.get_paginator("list_objects_v2")
        with os_errors():
            return {
                row["Key"].removeprefix(self.prefix): row["Size"]
                for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix)
                for row in page.get("Contents", ())
            }

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        with SpooledTemporaryFile(IN_MEMORY) as file:
            with os_errors():
                self.client.download_fileobj(self.bucket, self.prefix + name, file)
            file.seek(0)
            yield file

    def write(self, name: str, file: BinaryIO) -> None:
        with os_errors():
            self.client.upload_fileobj(file, self.bucket, self.prefix + name)

    def copy_to(self, target: "Objects") -> None:
        self.copy(self.sizes(), target)

    def copy(self, names: Iterable[str], target: "Objects") -> None:
        def copy(name: str) -> None:
            source = {"Bucket": self.bucket, "Key": self.prefix + name}
            try:
                self.client.copy(source, target.bucket, target.prefix + name, Config=ONE_THREAD)
            except ClientError as error:
                if status_of(error) != 404:  # a tenant in use has deleted it meanwhile
                    raise

        with os_errors(), ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(copy, names):
                pass  # a copy that failed raises here

    def move_to(self, target: "Objects") -> None:
        ours, there = self.sizes(), target.sizes()  # after an interrupted move some are in both
        if any(ours[name] != there[name] for name in ours.keys() & there.keys()):
            raise FileExistsError
        self.copy(ours.keys() - there.keys(), target)
        self.delete(ours)

    def remove(self) -> None:
        self.delete(self.sizes())

    def delete(self, names: Iterable[str]) -> None:
        keys = [{"Key": self.prefix + name} for name in names]
        for start in range(0, len(keys), BATCH):
            with os_errors():
                answer = self.client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": keys[start : start + BATCH], "Quiet": True},
                )
            for error in answer.get("Errors", ()):
                raise OSError(f"{error['Key']}: {error.get('Message') or error.get('Code')}")


def client_config() -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        connect_timeout=5,  # seconds
        read_timeout=20,
        retries={"mode": "standard", "total_max_attempts": 3},
        # Amazon's newer checksums, which other servers don't all know.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def status_of(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)


@contextmanager
def os_errors() -> Iterator[None]:
    """Raise the errors of botocore as those that a folder has."""
    try:
        yield
    except ClientError as error:
        raise (FileNotFoundError if status_of(error) == 404 else OSError)(str(error)) from error
    except BotoCoreError as error:
        raise OSError(str(error)) from error
