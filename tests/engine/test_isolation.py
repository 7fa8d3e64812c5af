"""No tenant ever sees a row that was not written as that tenant, whatever is done in between.

Hypothesis does random things to several tenants and to a plain Python model of them, and compares.
`pytest --hypothesis-profile=thorough` does more of them.
"""

import contextlib
import threading

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection, transaction
from django_tenants.utils import schema_context, tenant_context
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from server.notes.models import Note
from server.tenants.models import Organization, Tenant
from tenancy.exceptions import WrongTenant
from tenancy.isolation.router import bind_to_current_tenant
from tenancy.lifecycle import provision_tenant
from tenancy.schemas.ddl import drop_schema

texts = st.text("abc", min_size=1, max_size=3)
ways_in = st.sampled_from([tenant_context, lambda tenant: tenant])


class Tenants(RuleBasedStateMachine):
    """`written` is what each tenant's notes must be: from schema name to {primary key: text}."""

    tenants = Bundle("tenants")
    notes = Bundle("notes")

    def __init__(self):
        super().__init__()
        connection.set_schema_to_public()
        self.owner = get_user_model().objects.get(username="admin")
        self.written = {}
        self.made = []

    def write(self, text):
        note = Note.objects.create(text=text, author=self.owner)
        self.written[connection.schema_name][note.pk] = text
        return note, connection.schema_name

    def read(self):
        return dict(Note.objects.values_list("pk", "text"))

    @initialize(target=tenants)
    def begin_with_two(self):
        found = Tenant.objects.filter(slug__in=["first", "other"])
        self.written = {tenant.schema_name: {} for tenant in found}
        return multiple(*found)

    @precondition(lambda self: not self.made)
    @rule(target=tenants)
    def provision(self):
        with tenant_context(connection.tenant):
            provision_tenant("Random", "random", "Random", "admin")
        tenant = Tenant.objects.get(slug="random")
        self.made.append(tenant)
        self.written[tenant.schema_name] = {}
        return tenant

    @rule(tenant=tenants)
    def set_tenant_unchecked(self, tenant):
        connection.set_tenant(tenant)

    @rule(target=notes, tenant=tenants, enter=ways_in, text=texts)
    def write_in(self, tenant, enter, text):
        with enter(tenant):
            return self.write(text)

    @rule(target=notes, outer=tenants, inner=tenants, enter=ways_in, text=texts)
    def write_within(self, outer, inner, enter, text):
        with enter(outer), transaction.atomic():
            with enter(inner):
                self.write(text)
            return self.write(text)

    @rule(outer=tenants, inner=tenants, text=texts, savepoint=st.booleans())
    def roll_back(self, outer, inner, text, savepoint):
        before = {schema: dict(rows) for schema, rows in self.written.items()}
        around = transaction.atomic() if savepoint else contextlib.nullcontext()
        with outer, around:
            with contextlib.suppress(ZeroDivisionError), transaction.atomic():
                self.write(text)
                connection.set_tenant(inner)
                self.write(text)
                self.fail()
            assert connection.tenant == inner
            self.written = before
            assert self.read() == before[inner.schema_name]

    def fail(self):
        raise ZeroDivisionError

    @rule(outer=tenants, inner=tenants, text=texts)
    def swallow_an_error(self, outer, inner, text):
        """PostgreSQL rolls the whole transaction back, and the block ends without an error."""
        before = {schema: dict(rows) for schema, rows in self.written.items()}
        with outer, transaction.atomic():
            self.write(text)
            connection.set_tenant(inner)
            self.write(text)
            with contextlib.suppress(DatabaseError), connection.cursor() as cursor:
                cursor.execute("SELECT 1 / 0")
        self.written = before

    @rule(tenant=tenants, inner=tenants, text=texts)
    def write_after_the_commit(self, tenant, inner, text):
        def work():
            assert connection.schema_name == tenant.schema_name
            self.write(text)

        with tenant, transaction.atomic():
            transaction.on_commit(work)
            connection.set_tenant(inner)

    @rule(tenant=tenants, other=tenants, text=texts)
    def write_in_threads(self, tenant, other, text):
        def work():
            self.write(text)
            connection.close()

        threads = []
        for each in (tenant, other):
            with each:
                threads.append(threading.Thread(target=bind_to_current_tenant(work)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @rule(note=notes, tenant=tenants, text=texts)
    def save_elsewhere(self, note, tenant, text):
        note, origin = note
        rows = self.written[origin]
        if note.pk not in rows:
            return
        note.text = text
        with tenant:
            if tenant.schema_name == origin:
                note.save()
                rows[note.pk] = text
            else:
                with pytest.raises(WrongTenant):
                    note.save()

    @rule(tenant=tenants)
    def delete_all(self, tenant):
        with tenant:
            Note.objects.all().delete()
        self.written[tenant.schema_name] = {}

    @rule()
    def lose_the_connection(self):
        connection.close()

    @invariant()
    def each_sees_what_it_wrote(self):
        for schema_name in self.written:
            with schema_context(schema_name):
                assert self.read() == self.written[schema_name]

    @invariant()
    def the_current_tenants_rows_are_read(self):
        if connection.schema_name in self.written:
            assert self.read() == self.written[connection.schema_name]

    def teardown(self):
        connection.set_schema_to_public()
        for tenant in self.made:
            drop_schema(tenant.schema_name)
            Tenant._base_manager.filter(pk=tenant.pk).delete()
            Organization.objects.filter(name="Random").delete()
        for tenant in Tenant.objects.filter(slug__in=["first", "other"]):
            with tenant:
                Note.objects.all().delete()


@pytest.mark.usefixtures("committed_db")
def test_no_tenant_sees_what_another_wrote():
    run_state_machine_as_test(Tenants)
