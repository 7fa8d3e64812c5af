"""Tenants are made, suspended and resumed."""

from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.lifecycle import provision_tenant


def test_a_new_tenant_has_a_site_and_its_owner_an_email(committed_db, client, mailoutbox):
    # Making and purging commit as they go, so this test can't run in a transaction.
    host = provision_tenant("EvilCorp", "evilcorp", "Evil Inc.", "other")
    tenant = Tenant.objects.get(slug="evilcorp")
    try:
        assert host == "evilcorp.localhost"
        assert "Welcome to EvilCorp" in client.get("/", headers={"host": host}).text
        assert mailoutbox[0].to == [tenant.owner.email]
        assert host in mailoutbox[0].body
    finally:
        lifecycle.delete(tenant, by="test")
        lifecycle.purge(tenant, by="test", now=True)
        tenant.organization.delete()


def test_a_suspended_tenant_does_not_answer(tenant, tenant_client):
    lifecycle.suspend(tenant, by="test")
    assert tenant_client.get("/").status_code == 503

    lifecycle.resume(tenant, by="test")
    assert tenant_client.get("/").status_code == 200
