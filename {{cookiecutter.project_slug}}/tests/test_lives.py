"""Whatever is done to tenants in whatever order, each is what the moves have made of it.

Hypothesis moves a few tenants and a plain Python model of them, and compares state, rows, schemas
and what the hosts answer. `pytest --hypothesis-profile=thorough` does more of it.
"""

from dataclasses import dataclass, field, replace

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from server.notes.models import Note
from server.tenants import lifecycle
from server.tenants.lifecycle import HostTaken, IllegalMove, SlugTaken
from server.tenants.models import Organization, Tenant, TenantChange

SLUGS = ["life-a", "life-b", "life-c"]
slugs = st.sampled_from(SLUGS)

# From which states a move is legal, and to which it leads; `undelete` leads to what was before.
MOVES = {
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
    texts: list[str] = field(default_factory=list)
    old_hosts: set[str] = field(default_factory=set)


def host_of(slug):
    return f"{slug}.localhost"


class Lives(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        connection.set_schema_to_public()
        self.lives: dict[str, Life] = {}
        self.admin = get_user_model().objects.get(username="admin")

    def tenant(self, slug):
        return Tenant.everything.get(slug=slug)

    def hosts(self):
        """Every host that is taken, and of which tenant."""
        own = {host_of(slug): slug for slug in self.lives}
        return own | {host: slug for slug, life in self.lives.items() for host in life.old_hosts}

    def is_free(self, slug):
        return slug not in self.lives and host_of(slug) not in self.hosts()

    @rule(slug=slugs)
    def provision(self, slug):
        if not self.is_free(slug):
            with pytest.raises(SlugTaken):
                lifecycle.provision_tenant("Life", slug, "Life", "admin")
            return
        lifecycle.provision_tenant("Life", slug, "Life", "admin")
        self.lives[slug] = Life(self.tenant(slug).schema_name, "admin")

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), text=st.text("abc'\\$\n", min_size=1, max_size=5))
    def write(self, data, text):
        """Code gets into a tenant whatever its state."""
        slug = data.draw(st.sampled_from(sorted(self.lives)))
        with self.tenant(slug):
            Note.objects.create(text=text, author=self.admin)
        self.lives[slug].texts.append(text)

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), move=st.sampled_from(sorted(MOVES)))
    def move(self, data, move):
        slug = data.draw(st.sampled_from(sorted(self.lives)))
        starts, end = MOVES[move]
        life, tenant = self.lives[slug], self.tenant(slug)
        how = {"now": True} if move == "purge" else {}
        if life.state not in starts:
            with pytest.raises(IllegalMove):
                getattr(lifecycle, move)(tenant, "test", **how)
            return
        getattr(lifecycle, move)(tenant, "test", **how)
        if end == "purged":
            del self.lives[slug]
            return
        was = life.state
        life.state = end or life.before
        life.before = was if move == "delete" else ""

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), slug=slugs)
    def rename(self, data, slug):
        old = data.draw(st.sampled_from(sorted(self.lives)))
        life, tenant = self.lives[old], self.tenant(old)
        if life.state == "deleted":
            expected = IllegalMove
        elif slug != old and slug in self.lives:
            expected = SlugTaken
        elif self.hosts().get(host_of(slug), old) != old:
            expected = HostTaken
        else:
            lifecycle.rename(tenant, "test", slug=slug)
            self.lives[slug] = self.lives.pop(old)
            life.old_hosts = (life.old_hosts | {host_of(old)}) - {host_of(slug)}
            return
        with pytest.raises(expected):
            lifecycle.rename(tenant, "test", slug=slug)

    @precondition(lambda self: self.lives)
    @rule(data=st.data(), to=st.sampled_from(["admin", "other"]))
    def transfer(self, data, to):
        slug = data.draw(st.sampled_from(sorted(self.lives)))
        life = self.lives[slug]
        if life.state == "deleted" or life.owner == to:
            with pytest.raises(IllegalMove):
                lifecycle.transfer(self.tenant(slug), to, "test")
            return
        lifecycle.transfer(self.tenant(slug), to, "test")
        life.owner = to

    @invariant()
    def each_is_what_it_was_made(self):
        for slug, life in self.lives.items():
            with self.tenant(slug) as tenant:
                texts = [*Note.objects.order_by("pk").values_list("text", flat=True)]
                found = Life(tenant.schema_name, tenant.owner.username, tenant.status, texts=texts)
                found.before = tenant.status_before
                assert tenant.owner.is_superuser
            assert found == replace(life, old_hosts=set())

    @invariant()
    def no_other_is_there(self):
        assert {*Tenant.everything.filter(slug__in=SLUGS).values_list("slug", flat=True)} == {
            *self.lives
        }
        with connection.cursor() as cursor:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'life-%'")
            assert {name for (name,) in cursor} == {life.schema for life in self.lives.values()}

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
        for tenant in Tenant.everything.filter(slug__in=SLUGS):
            if tenant.status != "deleted":
                lifecycle.delete(tenant, "test")
            lifecycle.purge(tenant, "test", now=True)
        TenantChange.objects.filter(slug__in=SLUGS).delete()
        Organization.objects.filter(name="Life").delete()


@pytest.mark.usefixtures("transactional_db")
def test_tenants_are_what_their_moves_made_of_them():
    run_state_machine_as_test(Lives)
