"""Rows that are written in one statement are those that Django would write."""

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import Model
from django.db.models.signals import post_save

from server.tenants.models import Domain, Organization, Tenant
from server.tenants.rows import save


def new(tenant, slug):
    customer = Organization(name=f"“{slug}”; %s")
    made = Tenant(
        name="New",
        slug=slug,
        schema_name=f"{slug}_0a1b2c3d",
        organization=customer,
        owner=tenant.owner,
    )
    return customer, made, Domain(tenant=made, domain=f"{slug.upper()}.localhost")


def content(row):
    """What is in the database, but for the key and the times."""
    values = type(row)._base_manager.filter(pk=row.pk).values().get()
    return {name: values[name] for name in values if name not in ("id", "created", "modified")}


def test_new_rows_are_as_django_saves_them(tenant, django_assert_num_queries):
    rows = new(tenant, "same")
    with django_assert_num_queries(1):
        save(*rows)
        assert rows[2].tenant is rows[1]
        assert rows[1].organization_id == rows[0].pk
    ours = [content(row) for row in rows]
    assert ours[2]["domain"] == "same.localhost"
    Domain.objects.filter(pk=rows[2].pk).delete()
    Tenant._base_manager.filter(pk=rows[1].pk).delete()
    rows[0].delete()

    again = new(tenant, "same")
    for row in again:
        Model.save(row)

    theirs = [content(row) for row in again]
    theirs[1]["organization_id"] = ours[1]["organization_id"]
    theirs[2]["tenant_id"] = ours[2]["tenant_id"]
    assert ours == theirs
    assert not any(row._state.adding for row in rows)
    assert {row._state.db for row in rows} == {row._state.db for row in again}


def test_of_a_row_that_is_there_only_the_named_fields_change(tenant):
    tenant.name, tenant.status = "Renamed", Tenant.Status.SUSPENDED
    before = Tenant.objects.get(pk=tenant.pk)

    save(Organization(name="new"), tenant, fields=("status", "modified"))

    after = Tenant.objects.get(pk=tenant.pk)
    assert (after.name, after.status) == (before.name, Tenant.Status.SUSPENDED)
    assert after.modified > before.modified


def test_a_row_that_is_gone_is_an_error(tenant):
    gone = Tenant(pk=0, status=Tenant.Status.ACTIVE)
    gone._state.adding = False

    with pytest.raises(DatabaseError), transaction.atomic():
        save(Organization(name="new"), gone, fields=("status",))

    assert not Organization.objects.filter(name="new").exists()


def test_all_is_written_or_nothing(tenant):
    customer, made, domain = new(tenant, "new")
    domain.domain = tenant.get_primary_domain().domain

    with pytest.raises(IntegrityError), transaction.atomic():
        save(customer, made, domain)

    assert not Organization.objects.filter(name=customer.name).exists()


def test_who_listens_to_django_hears_of_each(tenant):
    heard = []

    def receiver(instance, created, update_fields, **kwargs):
        heard.append((instance, created, update_fields))

    rows = new(tenant, "heard")
    post_save.connect(receiver)
    try:
        save(*rows)
        save(tenant, fields=("status",))
    finally:
        post_save.disconnect(receiver)

    assert heard == [*((row, True, None) for row in rows), (tenant, False, {"status"})]
    assert rows[2].tenant_id == rows[1].pk
