"""Archives in a bucket. It needs boto3, so `places` imports it by its name, where one is set."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

from tenancy.copies.places import NAME
from tenancy.isolation.objects import Objects, ObjectStorage

PREFIX = "archives"


class BucketPlace:
    """An archive is made in a temporary file, and becomes an object once it is there as a whole."""

    def __init__(self, options: dict[str, str]):
        self.objects = Objects(ObjectStorage(**options), PREFIX)

    def __str__(self):
        return str(self.objects)

    def names(self):
        return [name for name in self.objects.names() if NAME.fullmatch(name)]

    def keep(self, name, make):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, name.replace("/", "-"))
            make(path)
            with path.open("rb") as file:
                self.objects.write(name, file)

    @contextmanager
    def fetched(self, name):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "archive.zip")
            with self.objects.open(name) as source, path.open("wb") as file:
                while chunk := source.read(2**20):
                    file.write(chunk)
            yield path

    def delete(self, name):
        self.objects.delete([name])
