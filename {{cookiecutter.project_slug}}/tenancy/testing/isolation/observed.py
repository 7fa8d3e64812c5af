"""Sends a request, notes everything that leaves the process, and undoes what it wrote."""

import base64
import contextlib
import json
import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from unittest import mock
from urllib.parse import urlencode

from allauth.core.context import request_context
from django.core import mail, signals
from django.core.cache.backends.base import BaseCache
from django.core.files.storage import Storage, storages
from django.db import connection, models, transaction
from django.test.client import (
    BOUNDARY,
    MULTIPART_CONTENT,
    ClientHandler,
    RequestFactory,
    encode_multipart,
)
from django.test.utils import override_settings

from tenancy.database import citus
from tenancy.requests import routes
from tenancy.testing.isolation.world import PASSWORD

celery = import_module("celery") if find_spec("celery") else None

FORM = "application/x-www-form-urlencoded"

# How many rows the current transaction has inserted, changed and deleted, by table. PostgreSQL
# counts those of raw SQL too, and a rollback doesn't take them back.
WRITTEN = """
    SELECT relnamespace::regnamespace::text AS schema, relname AS name,
        pg_stat_get_xact_tuples_inserted(oid) + pg_stat_get_xact_tuples_updated(oid)
        + pg_stat_get_xact_tuples_deleted(oid) AS count
    FROM pg_class
    WHERE relkind = 'r' AND relnamespace = ANY(%s::regnamespace[])
"""


@dataclass(frozen=True)
class Call:
    """A request, as it will be sent. `person` is a name in World.people."""

    host: str
    method: str
    url: str
    person: str
    authentication: str = "session"
    data: tuple | dict | str | None = None
    headers: tuple = ()
    subject: models.Model | None = None  # the person of whom a link in the URL is

    def __str__(self):
        by = self.person if self.authentication == "session" else self.authentication
        with_data = f" with {shortened(self.data)}" if self.data else ""
        how = f"{self.person} ({by})" if by != self.person else self.person
        return f"{self.method} {self.url} at {self.host} by {how}{with_data}"


def shortened(data) -> str:
    text = str(dict(data) if isinstance(data, tuple) else data)
    return text if len(text) < 160 else f"{text[:160]}…"


@dataclass
class Answer:
    """What came of a request."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    cookies: str = ""
    body: bytes = b""
    error: str = ""  # the exception's last lines, of a 500
    mails: list[str] = field(default_factory=list)
    tasks: list[tuple] = field(default_factory=list)  # schema name, and the message as text
    logs: list[str] = field(default_factory=list)
    cache_keys: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    contexts: list = field(default_factory=list)
    written: dict[tuple, list] = field(default_factory=dict)  # by schema and table: rows after

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    @property
    def is_html(self) -> bool:
        return self.headers.get("Content-Type", "").startswith("text/html")


class Sender(RequestFactory):
    """Sends calls in savepoints. `answer` is the one that is being noted."""

    def __init__(self, world, authentications):
        super().__init__()
        self.world, self.authentications = world, authentications
        self.handler = ClientHandler(enforce_csrf_checks=False)
        self.answer = Answer()
        self.schemas = ["public", *(s.tenant.schema_name for s in (world.own, world.other))]
        self.sent = 0
        self.saved: list[tuple[Storage, str]] = []
        self.counted: dict[tuple, int] = {}

    def request(self, **environ):
        return self.handler(self._base_environ(**environ))

    def send(self, *calls: Call) -> list[Answer]:
        """Send the calls one after the other, as from one browser, and undo what they did."""
        savepoint = connection.savepoint()
        first = calls[0]
        self.cookies.clear()
        if first.authentication == "session":
            self.cookies.update(self.world.cookies[first.host, first.person])
        try:
            # A rollback would not bring a file back.
            with mock.patch.object(type(storages["default"]), "delete", keep):
                return [self.send_one(call) for call in calls]
        finally:
            connection.set_schema_to_public()
            connection.savepoint_rollback(savepoint)
            # It would stay, and PostgreSQL looks through all savepoints for each row that it reads.
            connection.savepoint_commit(savepoint)
            connection.needs_rollback = False
            connection.run_on_commit = []
            for storage, name in self.saved:
                storage.delete(name)
            self.saved.clear()

    def send_one(self, call: Call) -> Answer:
        self.sent += 1
        self.answer = answer = Answer()
        del mail.outbox[:]
        headers = {**dict(call.headers), **self.credentials(call)}
        connection.set_schema_to_public()
        response = self.generic(
            call.method,
            call.url,
            *self.body_of(call),
            headers=headers,
            SERVER_NAME=call.host,
        )
        answer.status = response.status_code
        answer.body = (
            b"".join(response.streaming_content) if response.streaming else response.content
        )
        answer.headers = dict(response.items())
        answer.cookies = response.cookies.output(header="")
        self.cookies.update(response.cookies)
        with request_context(response.wsgi_request):  # django-allauth's e-mails ask for it
            self.commit()
        answer.mails = [readable(message) for message in mail.outbox]
        answer.written = self.rows_of_written_tables()
        return answer

    def commit(self) -> None:
        """Run what waits for the commit, as that never comes."""
        waiting, connection.run_on_commit = connection.run_on_commit, []
        for _savepoints, function, _robust in waiting:
            try:
                function()
            except Exception:
                self.note_error()

    def credentials(self, call: Call) -> dict[str, str]:
        """Return headers that identify the person; none if the library refuses to make them."""
        if call.authentication == "session":
            return {}
        user, headers = self.world.people[call.person], {}
        with self.world.hosts[call.host], contextlib.suppress(Exception), transaction.atomic():
            headers = self.authentications[call.authentication](user)
        self.counted = self.counts()  # a token is a row
        return headers

    def body_of(self, call: Call) -> tuple[bytes, str]:
        if call.data is None:
            return b"", "application/octet-stream"
        if isinstance(call.data, tuple):
            data = {}
            for name, value in call.data:
                data.setdefault(name, []).append(value)
            if any(hasattr(value, "read") for _, value in call.data):
                for _, value in call.data:
                    if hasattr(value, "seek"):
                        value.seek(0)
                return encode_multipart(BOUNDARY, data), MULTIPART_CONTENT
            return urlencode(data, doseq=True).encode(), FORM
        if isinstance(call.data, str):
            return call.data.encode(), FORM
        return json.dumps(call.data, default=str).encode(), "application/json"

    # What is noted

    def counts(self) -> dict[tuple, int]:
        if connection.connection.info.transaction_status == 3:  # an error: nothing can be asked
            return self.counted
        return citus.count(WRITTEN, self.schemas)

    def rows_of_written_tables(self) -> dict[tuple, list]:
        connection.set_schema_to_public()
        before, self.counted = self.counted, self.counts()
        return {
            table: table_rows(table)
            for table, count in self.counted.items()
            if before.get(table, 0) != count
        }

    def begin(self) -> None:
        """Begin to count what is written."""
        self.counted = self.counts()
        self.saved.clear()

    def note_error(self, **kwargs) -> None:
        kind, error, trace = sys.exc_info()
        where = traceback.extract_tb(trace)[-1]
        self.answer.error = f"{kind.__name__}: {error} ({where.filename}:{where.lineno})"

    def note_contexts(self, context, **kwargs) -> None:
        self.answer.contexts.append(context)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note e-mails, tasks, log lines, cache keys and files while the block runs."""
        make_key, save, sender = BaseCache.make_and_validate_key, Storage.save, self

        def note_key(self, key, version=None):
            made = make_key(self, key, version)
            sender.answer.cache_keys.append(made)
            return made

        def note_file(self, name, *args, **kwargs):
            saved = save(self, name, *args, **kwargs)
            sender.saved.append((self, saved))
            sender.answer.files.append(f"{connection.schema_name}/{saved}")
            return saved

        def note_record(self, record):
            with contextlib.suppress(Exception):  # the arguments may not fit the message
                sender.answer.logs.append(record.getMessage())

        signals.got_request_exception.connect(self.note_error)
        try:
            with (
                mock.patch.object(BaseCache, "make_and_validate_key", note_key),
                mock.patch.object(Storage, "save", note_file),
                mock.patch.object(logging.Logger, "callHandlers", note_record),
                # Inside a transaction each request would look its host up.
                mock.patch.object(routes, "look_up", remembered(routes.look_up)),
                override_settings(TENANCY_RATES=NoLimits()),
                noted_tasks(self),
            ):
                yield
        finally:
            signals.got_request_exception.disconnect(self.note_error)


def keep(storage: Storage, name: str) -> None:
    """A `delete` that leaves the file."""


class NoLimits(dict):
    """A value of TENANCY_RATES that switches off every limit on how often something is done."""

    def get(self, name, default=None):
        return None


def remembered(look_up: Callable) -> Callable:
    found = {}

    def remember(host: str):
        if host not in found:
            found[host] = look_up(host)
        return found[host] and routes.copy_of(found[host])

    return remember


@contextlib.contextmanager
def noted_tasks(sender: Sender) -> Iterator[None]:
    """Note the messages of tasks in place of sending them."""
    if celery is None:
        yield
        return

    def note(producer, name, message, **options):
        headers = {**message.headers, **(options.get("headers") or {})}
        schema_name = headers.get("_schema_name")
        content = f"{name} {message.body} {headers} {message.properties}"
        sender.answer.tasks.append((schema_name, content))

    with mock.patch.object(celery.current_app.amqp, "send_task_message", note):
        yield


def table_rows(table: tuple[str, str]) -> list[str]:
    """Return the rows of a table as JSON."""
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(t)::text FROM {'.'.join(map(quote, table))} t")  # noqa: S608
        return [row for (row,) in cursor.fetchall()]


def readable(message) -> str:
    """Return an e-mail's addresses, subject, bodies and attachments."""
    parts = [message.from_email, *message.recipients(), message.subject, message.body]
    parts += [str(alternative[0]) for alternative in getattr(message, "alternatives", [])]
    parts += [str(attachment) for attachment in message.attachments]
    parts += [f"{name}: {value}" for name, value in message.extra_headers.items()]
    return "\n".join(map(str, parts))


def basic(user) -> dict[str, str]:
    """The header of HTTP's own sign-in with a password."""
    text = base64.b64encode(f"{user.get_username()}:{PASSWORD}".encode()).decode()
    return {"Authorization": f"Basic {text}"}
