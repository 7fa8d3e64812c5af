"""Whatever is done to tenants in whatever order, each is what the moves have made of it.

Hypothesis moves a few tenants and a plain Python model of them, and compares state, rows, uploads,
members, schemas and what the hosts answer. `pytest --hypothesis-profile=thorough` does more of it.
"""

import tempfile
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client
from hypothesis import settings as how
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from server.notes.models import Note
from server.tenants.models import Organization, Tenant
from tenancy import copies, lifecycle
from tenancy.exceptions import (
    HostTaken,
    IllegalTransition,
    NotAMember,
    OwnsTenant,
    SlugTaken,
    UnknownUser,
)
from tenancy.health import doctor
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.people import accounts, members
from tenancy.schemas import spares
from tenancy.schemas.ddl import drop_schema
from tenancy.schemas.uploads import uploads_of

from engine.people import GUEST

SLUGS = ["life-a", "life-b", "life-c"]
slugs = st.sampled_from(SLUGS)
PEOPLE = ["admin", "other", GUEST]

# From which states a move is legal, and to which it leads; `undelete` leads to what was before.
TRANSITIONS = {
    "suspend": (["active"], "suspended"),
    "resume": (["suspended"], "active"),
    "delete": (["active", "suspended"], "deleted"),
    "undelete": (["deleted"], None),
    "purge": (["deleted"], "purged"),
}
ANSWERS = {"active": 200, "suspended": 503, "deleted": 410}


@dataclass
class Life:
    """What a tenant must be."""

    schema: str
    owner: str
    state: str = "active"
    before: str = ""
    texts: list[str] = field(default_factory=list)  # of notes and of uploads
    roles: dict[str, str] = field(default_factory=dict)
    old_hosts: set[str] = field(default_factory=set)
    # As it was read at first: a move may be made with what is outdated.
    tenant: Tenant | None = field(default=None, compare=False)


@contextmanager
def refused_if(*expected: type[Exception] | None):
    """The block raises the first of the errors that is one, and nothing where none is."""
    if error := next(filter(None, expected), None):
        with pytest.raises(error):
            yield
    else:
        yield


def host_of(slug):
    return f"{slug}.localhost"


class Lives(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        connection.set_schema_to_public()
        self.lives: dict[str, Life] = {}
        self.former: set[str] = set()  # names that schemas had
        self.others: set[str] = set()  # what tests of spare schemas have purged
        self.others = self.schemas()
        self.backups: list[tuple[Path, Life]] = []
        self.folder = tempfile.TemporaryDirectory()
        self.admin = get_user_model().objects.get(username="admin")
        self.guest_is_active = True

    def tenant(self, slug):
        return Tenant.all_objects.get(slug=slug)

    def hosts(self):
        """Every host that is taken, and of which tenant."""
        own = {host_of(slug): slug for slug in self.lives}
        return own | {host: slug for slug, life in self.lives.items() for host in life.old_hosts}

    def is_free(self, slug):
        return slug not in self.lives and host_of(slug) not in self.hosts()

    def schemas(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(life-|tenant)'")
            return {name for (name,) in cursor} - spares.names() - self.others

    def one_of(self, data):
        slug = data.draw(st.sampled_from(sorted(self.lives)))
        return slug, self.lives[slug]

    def begin(self, slug, life):
        tenant = self.tenant(slug)
        self.lives[slug] = replace(life, schema=tenant.schema_name, tenant=tenant)

    # Tenants come about

    @rule(number=st.integers(0, 2))
    def keep_spares(self, number):
        """From here on tenants are made of these, as long as there are some."""
        settings.SPARE_SCHEMAS = number
        spares.refill()

    @rule(slug=slugs)
    def provision(self, slug):
        is_free = self.is_free(slug)
        with refused_if(None if is_free else SlugTaken):
            lifecycle.provision_tenant("Life", slug, "Life", "admin")
        if is_free:
            self.begin(slug, Life("", "admin", roles={"admin": "owner"}))

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), slug=slugs)
    def clone(self, data, slug):
        _, life = self.one_of(data)
        illegal = None if life.state in ("active", "suspended") else IllegalTransition
        taken = None if self.is_free(slug) else SlugTaken
        with refused_if(illegal, taken):
            copies.clone(life.tenant, slug, "test")
        if not illegal and not taken:
            copy = replace(deepcopy(life), state="active", old_hosts=set())
            self.begin(slug, copy)

    @precondition(lambda self: self.lives)
    @rule(data=st.data())
    def backup(self, data):
        _, life = self.one_of(data)
        path = Path(self.folder.name, f"{len(self.backups)}.zip")
        copies.backup(life.tenant, path, "test")
        self.backups.append((path, deepcopy(life)))

    @precondition(lambda self: self.backups)
    @rule(data=st.data(), slug=slugs)
    def restore(self, data, slug):
        path, life = data.draw(st.sampled_from(self.backups))
        gone = UnknownUser if life.owner == GUEST and not self.guest_is_active else None
        taken = None if self.is_free(slug) else SlugTaken
        with refused_if(gone, taken):
            copies.restore(path, "test", slug=slug)
        if not gone and not taken:
            old_hosts = life.old_hosts - {*self.hosts(), host_of(slug)}
            restored = replace(deepcopy(life), state="active", before="", old_hosts=old_hosts)
            self.begin(slug, restored)

    # They change

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), text=st.text("abc'\\$\n", min_size=1, max_size=5))
    def write(self, data, text):
        """Code gets into a tenant whatever its state."""
        slug, life = self.one_of(data)
        with self.tenant(slug):
            Note.objects.create(text=text, author=self.admin)
            default_storage.save("a/note.txt", ContentFile(text))
        life.texts.append(text)

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), move=st.sampled_from(sorted(TRANSITIONS)))
    def move_refused(self, data, move):
        _, life = self.one_of(data)
        starts, _ = TRANSITIONS[move]
        if life.state not in starts:
            with pytest.raises(IllegalTransition):
                getattr(lifecycle, move)(life.tenant, "test")

    @precondition(lambda self: self.lives)
    @rule(data=st.data())
    def move(self, data):
        slug, life = self.one_of(data)
        legal = [move for move, (starts, _) in TRANSITIONS.items() if life.state in starts]
        move = data.draw(st.sampled_from(legal))
        _, end = TRANSITIONS[move]
        how = {"now": True} if move == "purge" else {}
        getattr(lifecycle, move)(life.tenant, "test", **how)
        if end == "purged":
            self.former.add(life.schema)
            del self.lives[slug]
            return
        was = life.state
        life.state = end or life.before
        life.before = was if move == "delete" else ""

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), slug=slugs)
    def rename(self, data, slug):
        old, life = self.one_of(data)
        if life.state == "deleted":
            expected = IllegalTransition
        elif slug != old and slug in self.lives:
            expected = SlugTaken
        elif self.hosts().get(host_of(slug), old) != old:
            expected = HostTaken
        else:
            expected = None
        with refused_if(expected):
            lifecycle.rename(life.tenant, "test", slug=slug)
        if not expected:
            self.lives[slug] = self.lives.pop(old)
            life.old_hosts = (life.old_hosts | {host_of(old)}) - {host_of(slug)}

    @precondition(lambda self: self.lives)
    @rule(data=st.data())
    def rename_schema(self, data):
        _, life = self.one_of(data)
        illegal = None if life.state == "suspended" else IllegalTransition
        with refused_if(illegal):
            renamed = rename_schema(life.tenant, "test")
        if not illegal:
            self.former.add(life.schema)
            life.schema = renamed.schema_name

    # People come and go

    def unknown(self, username):
        return None if username != GUEST or self.guest_is_active else UnknownUser

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), to=st.sampled_from(PEOPLE))
    def transfer(self, data, to):
        _, life = self.one_of(data)
        illegal = IllegalTransition if life.state == "deleted" else None
        unknown, already = self.unknown(to), IllegalTransition if life.owner == to else None
        with refused_if(illegal, unknown, already):
            lifecycle.transfer(life.tenant, to, "test")
        if not (illegal or unknown or already):
            life.roles |= {life.owner: "member", to: "owner"}
            life.owner = to

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE), role=st.sampled_from(["admin", "member"]))
    def add_member(self, data, who, role):
        _, life = self.one_of(data)
        unknown, owns = self.unknown(who), OwnsTenant if life.owner == who else None
        with refused_if(unknown, owns):
            members.add_member(life.tenant, who, role, by="test")
        if not unknown and not owns:
            life.roles[who] = role

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def remove_member(self, data, who):
        _, life = self.one_of(data)
        owns = OwnsTenant if life.owner == who else None
        with refused_if(owns, None if who in life.roles else NotAMember):
            members.remove_member(life.tenant, who, by="test")
        if not owns:
            life.roles.pop(who, None)

    @rule()
    def deactivate(self):
        owns = any(life.owner == GUEST for life in self.lives.values())
        with refused_if(OwnsTenant if owns else None):
            accounts.deactivate(GUEST, "test")
        if not owns:
            self.guest_is_active = False
            self.guest_leaves()

    @rule()
    def reactivate(self):
        """Who was away is a member nowhere, also of what was restored meanwhile."""
        accounts.reactivate(GUEST, "test")
        if not self.guest_is_active:
            self.guest_is_active = True
            self.guest_leaves()

    def guest_leaves(self):
        for life in self.lives.values():
            life.roles.pop(GUEST, None)

    # What is true after each step

    @invariant()
    def each_is_what_it_was_made(self):
        for slug, life in self.lives.items():
            with self.tenant(slug) as tenant:
                texts = [*Note.objects.order_by("pk").values_list("text", flat=True)]
                found = Life(tenant.schema_name, tenant.owner.username, tenant.status, texts=texts)
                found.before = tenant.status_before
                assert tenant.owner.is_superuser
            found.roles = {
                member.user.username: member.role for member in members.list_members(tenant)
            }
            assert found == replace(life, old_hosts=set())
            uploads = [path for path in uploads_of(life.schema).path.rglob("*") if path.is_file()]
            assert sorted(path.read_text() for path in uploads) == sorted(texts)

    @invariant()
    def no_other_is_there(self):
        assert {*Tenant.all_objects.filter(slug__in=SLUGS).values_list("slug", flat=True)} == {
            *self.lives
        }
        assert self.schemas() == self.former | {life.schema for life in self.lives.values()}

    @invariant()
    def no_spare_was_used(self):
        used = self.former | {life.schema for life in self.lives.values()}
        assert not used & spares.names()
        assert not [name for name in spares.names() if uploads_of(name).exist()]

    @invariant()
    def the_hosts_say_so(self):
        answers, expected = {}, {}
        for host in map(host_of, SLUGS):
            response = Client().get("/", headers={"host": host})
            answers[host] = response.status_code, response.headers.get("Location")
            slug = self.hosts().get(host)
            life = self.lives.get(slug)
            if life and life.state == "active" and host != host_of(slug):
                expected[host] = 307, f"http://{host_of(slug)}/"
            else:
                expected[host] = ANSWERS[life.state] if life else 404, None
        connection.set_schema_to_public()
        assert answers == expected

    def teardown(self):
        connection.set_schema_to_public()
        findings = [*doctor.examine()]
        settings.SPARE_SCHEMAS = 0
        spares.refill()
        for tenant in Tenant.all_objects.filter(slug__in=SLUGS):
            if tenant.status != "deleted":
                lifecycle.delete(tenant, "test")
            lifecycle.purge(tenant, "test", now=True)
        for name in self.schemas():  # former names, and what should not be there
            drop_schema(name)
        Organization.objects.filter(name="Life").delete()
        accounts.reactivate(GUEST, "test")
        self.folder.cleanup()
        assert findings == []


def fewer() -> how:
    """Settings for the same moves through another way to the database."""
    return how(max_examples=how.default.max_examples // 4)


@pytest.mark.usefixtures("guest")
def test_tenants_are_what_their_moves_made_of_them():
    run_state_machine_as_test(Lives)
