"""A deletion of a shared row, to which tenants' rows refer without a constraint in the database."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.db import IntegrityError, models
from django.db.models import ProtectedError
from django.db.models.deletion import get_candidate_relations_to_delete
from server.tenants.models import Domain, Organization, Tenant
from tenancy import lifecycle
from tenancy.exceptions import LifecycleError, ReferencedByTenants
from tenancy.isolation.deletion import ignoring_tenants

from engine.copies import cleaned_up, provision
from engine.market.models import Contract, Discount, Plan
from engine.orders.models import GoldPlan, Order, Remark

PROMISES = {
    "CASCADE": models.CASCADE,
    "PROTECT": models.PROTECT,
    "RESTRICT": models.RESTRICT,
    "SET_NULL": models.SET_NULL,
    "SET_DEFAULT": models.SET_DEFAULT,
    "SET": models.SET(None),
}


@pytest.fixture
def promise(monkeypatch):
    """Let all references of an order have an `on_delete`."""

    def promise(on_delete):
        for field in Order._meta.concrete_fields:
            if field.is_relation:
                monkeypatch.setattr(field.remote_field, "on_delete", on_delete)

    return promise


@pytest.fixture(params=PROMISES)
def on_delete(promise, request):
    promise(PROMISES[request.param])
    return request.param


@pytest.fixture
def plan(db):
    return Plan.objects.create(name="team")


def order(tenant, **references):
    contract = Contract.objects.create(tenant=tenant)
    with tenant:
        Remark.objects.create(about=contract)
        return Order.objects.create(
            plan=Plan.objects.create(name="own"),
            tenant=tenant,
            customer=tenant.organization,
            host=tenant.domains.get(),
            contract=contract,
        )


@pytest.mark.usefixtures("committed_db", "on_delete")
def test_a_tenant_is_purged_whatever_its_rows_refer_to():
    """Itself, its customer, a shared row that goes with it: its own rows are gone by then."""
    with cleaned_up():
        tenant = provision("referring")
        order(tenant)
        organization = tenant.organization
        lifecycle.delete(tenant, "test")
        lifecycle.purge(tenant, "test", now=True)
        assert not Tenant.all_objects.filter(slug="referring").exists()
        assert not Contract.objects.exists()
        organization.delete()
        assert not Organization.objects.filter(pk=organization.pk).exists()
        Plan.objects.filter(name="own")._raw_delete("default")


@pytest.mark.usefixtures("committed_db", "on_delete")
def test_a_tenant_that_could_not_be_made_is_removed(monkeypatch):
    with cleaned_up():
        with monkeypatch.context() as patched:
            patched.setattr(lifecycle.provisioning, "activate", lambda *killed: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                provision("unmade")
        assert not Tenant.all_objects.filter(slug="unmade").exists()

        tenant = lifecycle.provisioning.request_tenant("Half", "half", "Half", "admin")
        lifecycle.abandon(tenant, "test")
        assert not Organization.objects.filter(name="Half").exists()


@pytest.mark.usefixtures("on_delete")
@pytest.mark.parametrize(
    "delete",
    [
        lambda plan: plan.delete(),
        lambda plan: Plan.objects.filter(pk=plan.pk).delete(),
        lambda plan: Plan.objects.all().delete(),
    ],
)
def test_in_public_a_shared_row_is_kept_if_rows_of_tenants_may_refer_to_it(plan, delete):
    with pytest.raises(ReferencedByTenants, match=r"market\.Plan .*orders\.Order\.plan") as caught:
        delete(plan)
    assert isinstance(caught.value, IntegrityError)
    assert "`with ignoring_tenants():`" in str(caught.value)
    assert Plan.objects.get() == plan

    with ignoring_tenants():
        delete(plan)
    assert not Plan.objects.exists()


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (Plan, "orders.Order.plan"),
        (Plan, "orders.GoldPlan.plan_ptr"),
        (Plan, "market.Plan.remarks"),
        (get_user_model(), "orders.Order_helpers.user"),
        (ContentType, "orders.Remark.content_type"),
    ],
)
def test_each_kind_of_reference_keeps_it(tenant, plan, monkeypatch, model, name):
    """A foreign key, the link to an extended model, a generic relation, a table between."""
    tenant.deactivate()
    for related in get_candidate_relations_to_delete(model._meta):
        if str(related.field) != name:
            monkeypatch.setattr(related, "on_delete", models.DO_NOTHING)
    fields = [field for field in model._meta.private_fields if str(field) == name]
    monkeypatch.setattr(model._meta, "private_fields", fields)
    row = model._base_manager.first()

    with pytest.raises(ReferencedByTenants, match=re.escape(name)):
        models.Model.delete(row)


def test_a_reference_that_promises_nothing_keeps_nothing(plan, promise, monkeypatch):
    promise(models.DO_NOTHING)
    link = GoldPlan._meta.get_field("plan_ptr").remote_field
    monkeypatch.setattr(link, "on_delete", models.DO_NOTHING)
    monkeypatch.setattr(Plan._meta, "private_fields", [])

    assert plan.delete() == (1, {"market.Plan": 1})


def test_in_a_tenant_its_rows_do_what_they_promise(tenant, other_tenant, promise):
    """And those of other tenants stay."""
    plan = Plan.objects.create(name="team")
    for each in (tenant, other_tenant):
        with each:
            Order.objects.create(plan=plan)
            Remark.objects.create(about=plan)
    promise(models.PROTECT)
    with pytest.raises(ProtectedError):
        plan.delete()
    promise(models.CASCADE)
    plan.delete()

    assert not Order.objects.exists()
    assert not Remark.objects.exists()
    with other_tenant:
        assert Order.objects.count() == Remark.objects.count() == 1


def test_groups_of_tenants_and_of_public_have_nothing_to_do_with_each_other(outside):
    """A shared row that refers to public's group 77 doesn't mean a tenant's group 77."""
    discount = Discount.objects.create(group=Group.objects.create(pk=77, name="Partners"))
    with outside:
        Group.objects.create(pk=77, name="Editors").delete()
    assert Discount.objects.get() == discount

    Group.objects.get(pk=77).delete()
    assert not Discount.objects.exists()


def test_a_domain_is_removed_as_its_tenants_rows_say(outside, promise, public_client):
    lifecycle.add_domain(outside, "further.example.com", "test")
    domain = Domain.objects.get(domain="further.example.com")
    with outside:
        Order.objects.create(plan=Plan.objects.create(name="team"), host=domain)
    promise(models.PROTECT)
    with pytest.raises(LifecycleError, match=r"in use.*Order\.host"):
        lifecycle.remove_domain(outside, domain.domain, "test")
    page = f"/admin/tenants/domain/{domain.pk}/delete/"
    assert "in use" in public_client.post(page, {"post": "yes"}, follow=True).text

    promise(models.CASCADE)
    public_client.post(page, {"post": "yes"})
    outside.deactivate()
    assert not Domain.objects.filter(pk=domain.pk).exists()
    with outside:
        assert not Order.objects.exists()
