"""What must hold of each answer, and of two answers that must be the same."""

import json
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.base_session import AbstractBaseSession

from tenancy.concrete import Organization, Tenant, User
from tenancy.models import TenantEvent
from tenancy.people.accounts import gone
from tenancy.testing.isolation.filler import relations
from tenancy.testing.isolation.observed import Answer, Call, table_rows
from tenancy.testing.isolation.world import ANONYMOUS, NOT_MEMBERS, PUBLIC, STAFF, STRANGER, World

# What differs between two answers to one request: tokens, and times.
NOISE = re.compile(
    rb"(?<![A-Za-z0-9])[A-Za-z0-9]{64}(?![A-Za-z0-9])"  # CSRF tokens
    rb"|(?<![\w-])(wsk_)?[\w-]{43}(?![\w-])"  # 256 random bits, such as a challenge or a key
    rb'|nonce="[^"]+"'
    rb"|\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:?\d\d|Z)?"
    rb"|\b\d\d?:\d\d(:\d\d)?( [ap]\.m\.)?"
    rb"|\b1[5-9]\d{8}(\.\d+)?\b"  # seconds since 1970
)
WORDS = re.compile(rb"\w+|\W")


class Judge:
    """Says what is wrong with an answer."""

    def __init__(self, world: World):
        self.world = world
        self.own, self.other = world.own, world.other
        self.own_marks, self.other_marks = self.own.pattern(), self.other.pattern()
        self.before: dict[tuple, frozenset] = {}

    def refresh(self) -> None:
        """Learn the canaries of rows that were made since."""
        self.own_marks, self.other_marks = self.own.pattern(), self.other.pattern()
        self.before = {}

    def problems(self, call: Call, answer: Answer, *, is_open: bool = False) -> Iterator[str]:
        """Yield what is wrong. `is_open`: the page is meant for people who aren't members, too."""
        is_staff = call.person == STAFF and self.is_public(call)
        if answer.status >= 500 or answer.error:
            yield f"status {answer.status}: {answer.error}"
        for place, text in places(answer):
            for found in self.found(self.other_marks, self.other, call, text):
                if not (is_staff and not self.is_of_a_schema(found)):
                    yield f"{place} has {found} of {self.other.tenant.slug}"
        for schema_name, _ in answer.tasks:
            if schema_name not in (self.tenant_of(call).schema_name, PUBLIC):
                yield f"a task was sent in the schema {schema_name}"
        if not is_staff:
            yield from self.wrong_writes(call, answer)
        if call.person in NOT_MEMBERS and not is_open:
            yield from self.told_a_stranger(call, answer)

    def told_a_stranger(self, call: Call, answer: Answer) -> Iterator[str]:
        for place, text in places(answer):
            if place in ("the answer", "a header", "a cookie"):
                for found in self.found(self.own_marks, self.own, call, text):
                    if "the tenant's " not in found:
                        yield f"{place} tells a person without a membership {found}"
        for (schema, table), added, removed in self.changes(answer):
            if schema == self.own.tenant.schema_name and not is_session(table):
                count = len(added) + len(removed)
                yield f"a person without a membership changed {count} rows of {table}"

    def found(self, marks: re.Pattern, side, call: Call, text: str) -> list[str]:
        """Return the canaries in a text that the request didn't bring along."""
        if not (hits := {match.group() for match in marks.finditer(text)}):
            return []
        people = filter(None, [self.world.people[call.person], call.subject])
        known = {text for user in people for text in (user.username, user.email, str(user.pk))}
        sent = f"{call.url} {call.data} {call.headers}"
        return [side.describe(hit) for hit in sorted(hits) if hit not in known and hit not in sent]

    def is_of_a_schema(self, found: str) -> bool:
        """Return whether what was found is of a table in the tenant's schema, not of public."""
        return any(f"({model._meta.label})" in found for model in tenant_models())

    def is_public(self, call: Call) -> bool:
        return self.tenant_of(call).schema_name == PUBLIC

    def tenant_of(self, call: Call):
        return self.world.hosts[call.host]

    # Rows

    def changes(self, answer: Answer) -> list[tuple[tuple, list[dict], list[dict]]]:
        """Return, by table, the rows that are new and those that are gone. A change is both."""
        result = []
        for table, after in answer.written.items():
            before = self.rows_before(table)
            added = [json.loads(row) for row in after if row not in before]
            removed = [json.loads(row) for row in before.difference(after)]
            result.append((table, added, removed))
        return result

    def rows_before(self, table: tuple) -> frozenset:
        # Only after the rollback.
        if table not in self.before:
            self.before[table] = frozenset(table_rows(table))
        return self.before[table]

    def wrong_writes(self, call: Call, answer: Answer) -> Iterator[str]:
        changes = self.changes(answer)
        joining = {  # new people who became members
            row["id"]
            for (_, table), added, _ in changes
            if model_of(table) is User
            for row in added
        } & {
            row[name]
            for (schema, table), added, _ in changes
            if schema == self.own.tenant.schema_name
            for name in user_columns(table)
            for row in added
        }
        for (schema, table), added, removed in changes:
            if schema == self.other.tenant.schema_name and (added or removed):
                count = len(added) + len(removed)
                yield f"{count} rows of {self.other.tenant.slug}'s {table} changed"
            if schema != PUBLIC or is_technical(table):
                continue
            for row in (*added, *removed):
                is_new = row in added and not any(same(table, row, old) for old in removed)
                if not self.may_change(call, table, row, joining if is_new else set()):
                    yield f"a shared row of {table} changed that isn't the tenant's: {brief(row)}"
                    break

    def may_change(self, call: Call, table: str, row: dict, joining) -> bool:
        """Return whether a shared row is the tenant's, or the person's who asks."""
        user = self.acting(call)
        if (model := model_of(table)) is None:
            return False
        if model is User:
            return row["id"] in {user.pk, call.subject and call.subject.pk, *joining}
        if is_session(table):
            return self.is_public(call)
        tenant = self.own.tenant
        if model in (Tenant, Organization):
            return row["id"] == (tenant.pk if model is Tenant else tenant.organization_id)
        if model is TenantEvent:
            mine = {user.username, gone(user), *(person.username for person in self.own.people)}
            return row["schema_name"] == tenant.schema_name or row["username"] in mine
        owners = {
            Tenant: {tenant.pk},
            User: {user.pk, *joining},
            Organization: {tenant.organization_id},
        }
        joined = {user.pk, *joining} if self.is_public(call) else joining
        if any(row[name] in joined for name in user_columns(table)):
            owners[Tenant].add(self.world.public.pk)  # by themselves
        said = [
            (field.related_model, row[field.column] in owners[field.related_model])
            for field in relations(model)
            if field.related_model in owners
        ]
        of_tenants = [is_own for target, is_own in said if target is Tenant]
        return all(of_tenants) if of_tenants else any(is_own for _, is_own in said)

    def acting(self, call: Call):
        """Return the person whose name a form carries, who needn't be signed in."""
        return self.world.people[STRANGER if call.person == ANONYMOUS else call.person]

    def has_effect(self, call: Call, answer: Answer) -> bool:
        """Return whether a request did something: wrote a row, or sent an e-mail or a task."""
        schemas = (self.tenant_of(call).schema_name, PUBLIC)
        wrote = any(schema in schemas for schema, table in answer.written)
        return bool(wrote or answer.mails or answer.tasks or answer.files)

    # Two answers

    def fingerprint(self, call: Call, answer: Answer, arguments=()) -> bytes:
        """Return an answer without tokens, times, keys of new rows, and what the request said."""
        location = answer.headers.get("Location", "")
        kind = answer.headers.get("Content-Type", "")
        head = f"{answer.status} {location} {kind}\n".encode()
        text = NOISE.sub(b"~", head + answer.body)
        said = {urlsplit(call.url).path, *(str(each) for each in arguments if len(str(each)) > 2)}
        for value in sorted(said - {"/"}, key=len, reverse=True):
            text = text.replace(value.encode(), b"#")
        return re.sub(rb"(?<!\d)817263[5-9]\d\d(?!\d)", b"key", text)


def difference(one: bytes, two: bytes, again: list[bytes]) -> str | None:
    """Return where two answers differ, or None if `again` differs from `one` there, too."""
    words, others = WORDS.findall(one), WORDS.findall(two)
    repeated = [WORDS.findall(each) for each in again]
    if any(len(each) != len(words) for each in repeated):
        return None  # it varies by itself
    if len(words) != len(others):
        start = next(
            (i for i, pair in enumerate(zip(words, others, strict=False)) if pair[0] != pair[1]), 0
        )
        return context(words, others, start)
    for index, (word, other) in enumerate(zip(words, others, strict=True)):
        if word != other and all(each[index] == word for each in repeated):
            return context(words, others, index)
    return None


def context(words: list[bytes], others: list[bytes], index: int) -> str:
    start = max(index - 8, 0)
    one, two = (
        b"".join(each[start : index + 8]).decode(errors="replace") for each in (words, others)
    )
    return f"“{' '.join(one.split())}” became “{' '.join(two.split())}”"


def places(answer: Answer) -> Iterator[tuple[str, str]]:
    yield "the answer", answer.text
    yield "a header", " ".join(f"{name}: {value}" for name, value in answer.headers.items())
    yield "a cookie", answer.cookies
    for name, texts in (
        ("an e-mail", answer.mails),
        ("a log line", answer.logs),
        ("a cache key", answer.cache_keys),
        ("a file's path", answer.files),
        ("a task", (content for _, content in answer.tasks)),
    ):
        for text in texts:
            yield name, text


@cache
def model_of(table: str):
    models = apps.get_models(include_auto_created=True)
    found = (m for m in models if m._meta.db_table.strip('"') == table and not m._meta.proxy)
    return next(found, None)


@cache
def tenant_models() -> tuple:
    from_apps = (app.rpartition(".")[2] for app in settings.TENANT_APPS)
    labels = {*from_apps}
    return tuple(model for model in apps.get_models() if model._meta.app_label in labels)


@cache
def user_columns(table: str) -> tuple[str, ...]:
    """Return the columns of a table of tenants' members that refer to people."""
    model = model_of(table)
    if model is None:
        return ()
    return tuple(field.column for field in relations(model) if field.related_model is User)


def is_session(table: str) -> bool:
    model = model_of(table)
    return model is not None and issubclass(model, AbstractBaseSession)


def is_technical(table: str) -> bool:
    """Return whether a table is the engine's own, without people's data."""
    model = model_of(table)
    own = model is not None and model.__module__.startswith("tenancy.")
    return own and model is not TenantEvent


def same(table: str, one: dict, two: dict) -> bool:
    model = model_of(table)
    column = model._meta.pk.column if model else "id"
    return one.get(column) == two.get(column)


def brief(row: dict) -> str:
    text = ", ".join(f"{name}={value}" for name, value in row.items() if value not in (None, ""))
    return text if len(text) < 200 else f"{text[:200]}…"
