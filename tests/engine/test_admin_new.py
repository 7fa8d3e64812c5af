"""“Add tenant” in the public admin: at once, or in the background."""

from contextlib import contextmanager

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django_tenants.signals import schema_needs_to_be_sync
from server.tenants.models import Organization, Tenant
from tenancy import lifecycle
from tenancy.exceptions import InvalidName, InvalidSlug, SlugTaken, UnknownUser
from tenancy.testing import TenantClient
from tenant_users.permissions.models import UserTenantPermissions

URL = "/admin/tenants/tenant/add/"
ACME = {"name": "Acme", "slug": "acme", "organization": "Acme Inc.", "username": "other"}
FORM = ACME | {"plan": "free"}


@pytest.fixture
def background(settings):
    """Who takes over when a tenant is asked for: keeps whom it was asked to make, and by whom."""
    asked = []

    def take_over(tenant, requested_by=None, **kwargs):
        asked.append((tenant.pk, requested_by))

    settings.PROVISION_IN_BACKGROUND = True
    with without_receivers():
        schema_needs_to_be_sync.connect(take_over)
        yield asked


@contextmanager
def without_receivers():
    before = schema_needs_to_be_sync.receivers
    schema_needs_to_be_sync.receivers = []
    schema_needs_to_be_sync.sender_receivers_cache.clear()
    try:
        yield
    finally:
        schema_needs_to_be_sync.receivers = before
        schema_needs_to_be_sync.sender_receivers_cache.clear()


def acme():
    return Tenant.all_objects.get(slug="acme")


def test_without_a_background_it_is_ready_at_once(public_client, settings):
    settings.PROVISION_IN_BACKGROUND = False

    page = public_client.post(URL, FORM, follow=True)

    assert acme().status == Tenant.Status.ACTIVE
    assert acme().owner.username == "other"
    assert page.redirect_chain == [(f"/admin/tenants/tenant/{acme().pk}/state/", 302)]
    assert 'Ready: <a href="http://acme.localhost/">' in page.text
    assert "data-pending" not in page.text


def test_in_the_background_the_page_shows_the_state(public_client, background):
    page = public_client.post(URL, FORM, follow=True)

    assert background == [(acme().pk, "admin")]
    assert "data-pending" in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert "as soon as a worker is running" in page.text
    Tenant.all_objects.filter(slug="acme").update(progress="Applying notes.0001_initial...")
    url = page.redirect_chain[0][0]
    change = f"/admin/tenants/tenant/{acme().pk}/change/"
    for each in (url, change):
        assert "Applying notes.0001_initial..." in public_client.get(each).text

    lifecycle.finish(acme(), "worker")
    assert "http://acme.localhost/" in public_client.get(url).text
    assert "Applying" not in public_client.get(change).text
    lifecycle.suspend(acme(), "ada")
    assert "It is suspended." in public_client.get(url).text


def test_what_a_killed_process_has_left_is_to_be_finished(public_client, background, settings):
    url = public_client.post(URL, FORM)["Location"]
    settings.PROVISION_IN_BACKGROUND = False
    assert "the action “Finish” makes it" in public_client.get(url).text


@pytest.mark.usefixtures("db")
def test_what_is_still_being_made_is_asked_for_again(background):
    for _ in range(2):
        tenant = lifecycle.request_tenant(**ACME, by="ada")
    assert background == [(tenant.pk, "ada")] * 2

    lifecycle.finish(tenant, "worker")
    with pytest.raises(SlugTaken):
        lifecycle.request_tenant(**ACME)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"slug": "www"}, InvalidSlug),
        ({"slug": "first"}, SlugTaken),
        ({"username": "nobody"}, UnknownUser),
        ({"name": " "}, InvalidName),
    ],
)
def test_what_cannot_be_made_is_refused_at_once(background, wrong, error):
    with pytest.raises(error):
        lifecycle.request_tenant(**ACME | wrong)

    assert background == []
    assert not Organization.objects.filter(name="Acme Inc.").exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"slug": "www"}, "is reserved"),
        ({"slug": "first"}, "“first” is taken."),
        ({"slug": "../x"}, "A slug"),
        ({"username": "nobody"}, "There is no active user “nobody”."),
        ({"username": "x\0"}, "Null characters are not allowed."),
        ({"name": ""}, "This field is required."),
        ({"name": "x" * 201}, "at most 200 characters"),
    ],
)
def test_the_page_says_what_is_wrong(public_client, wrong, says):
    page = public_client.post(URL, FORM | wrong)

    assert page.status_code == 200
    assert says in page.text
    assert not Tenant.all_objects.filter(slug="acme").exists()


def test_a_new_address_gets_an_account_if_that_is_wanted(public_client, settings):
    settings.PROVISION_IN_BACKGROUND = False
    grace = FORM | {"username": "Grace@example.com"}
    assert "There is no active user" in public_client.post(URL, grace).text

    public_client.post(URL, grace | {"is_new": "on"})
    owner = acme().owner
    assert (owner.email, owner.is_verified, owner.has_usable_password()) == (
        *("grace@example.com", False, False),
    )
    page = public_client.post(URL, FORM | {"username": "nonsense", "is_new": "on"})
    assert page.context["form"].errors["username"]


def test_it_takes_the_right_to_add(public, public_client):
    person = get_user_model().objects.create_user("p@localhost", "password", username="p")
    UserTenantPermissions.objects.filter(profile=person).update(is_staff=True)
    client = TenantClient(public, person)

    assert client.post(URL, FORM).status_code == 403
    assert client.get(f"/admin/tenants/tenant/{public.pk}/state/").status_code == 403
    assert public_client.get("/admin/tenants/tenant/0/state/").status_code == 404


@pytest.mark.usefixtures("db")
def test_the_command_returns_at_once(background, capsys):
    call_command("provision_tenant", *ACME.values(), background=True)

    assert capsys.readouterr().out == "acme.localhost\n"
    assert acme().status == Tenant.Status.PROVISIONING
    assert background == [(acme().pk, "manage.py")]
