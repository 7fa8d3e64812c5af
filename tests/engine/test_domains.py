"""A workspace's own domain: claimed, proved by a DNS record, lost with it, and free for others."""

from datetime import timedelta
from functools import partial
from html import unescape

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone
from server.celery import app
from server.tenants.models import Domain, Tenant
from tenancy import lifecycle
from tenancy.background import tasks
from tenancy.domains import claims, names
from tenancy.exceptions import InvalidHost
from tenancy.models import DomainClaim, HandOver, TenantEvent
from tenancy.people.members import add_member
from tenancy.requests import routes, seen
from tenancy.testing import TenantClient

from engine.browser import Browser
from engine.nameserver import serving
from engine.test_routes import heard
from engine.threads import beside

HOST = "shop.customer.org"
URL = "/workspace/domains/"
TARGET = "domains.ours.net"


@pytest.fixture
def nameserver(settings):
    with serving() as nameserver:
        settings.DOMAIN_RESOLVER = f"127.0.0.1:{nameserver.port}"
        settings.DOMAIN_TARGET, settings.DOMAIN_ADDRESSES = TARGET, []
        for zone in ("customer.org", "ours.net"):
            nameserver.zone(zone)
        nameserver.set(TARGET, "A", "192.0.2.1")
        yield nameserver


def status_of(host, path="/"):
    return Client(SERVER_NAME=host).get(path).status_code


def claim(tenant, host=HOST, **options):
    return claims.claim(tenant, host, "admin", **options)


def verified(nameserver, tenant, host=HOST, **options):
    row = claim(tenant, host, **options)
    nameserver.prove(row, leads_to=TARGET)
    return claims.check(row, "admin")


def later(**time):
    """Let the time pass, for all claims."""
    for row in DomainClaim.objects.all():
        for name in ("created", "checked", "lost", "verified"):
            if value := getattr(row, name):
                setattr(row, name, value - timedelta(**time))
        DomainClaim.objects.filter(pk=row.pk).update(
            **{name: getattr(row, name) for name in ("created", "checked", "lost", "verified")}
        )


# Names


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("shop.customer.org", "shop.customer.org"),
        (" Shop.Customer.ORG. ", "shop.customer.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
        ("customer.co.uk", "customer.co.uk"),
        ("me.github.io", "me.github.io"),
        ("notlocalhost.org", "notlocalhost.org"),
    ],
)
def test_a_customer_may_have(text, host):
    assert names.clean_host(text) == host


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("localhost", "no dot"),
        ("shop", "no dot"),
        ("first.localhost", "belongs to localhost"),
        ("A.b.LOCALHOST.", "belongs to localhost"),
        ("*.customer.org", "wildcard"),
        ("192.0.2.1", "IP address"),
        ("[2001:db8::1]", "IP address"),
        ("2001:db8::1", "IP address"),
        ("co.uk", "Anybody can register"),
        ("github.io", "Anybody can register"),
        ("公司.cn", "Anybody can register"),
        ("https://customer.org/", "without scheme"),
        ("customer.org:443", "port"),
        ("", "A host name takes"),
        ("a" * 63 + ".org\n.x", "A host name takes"),
        (".".join(["a" * 60] * 4) + ".org", "A host name takes"),  # no room for the record
    ],
)
def test_no_customer_can_have(text, reason):
    with pytest.raises(InvalidHost, match=reason):
        names.clean_host(text)


def test_a_host_that_would_not_answer_is_not_taken(settings):
    settings.ALLOWED_HOSTS = [".localhost", ".customer.org"]

    assert names.clean_host("shop.customer.org") == "shop.customer.org"
    with pytest.raises(InvalidHost, match="ALLOWED_HOSTS"):
        names.clean_host("shop.example.org")


def test_a_registered_domain_has_an_address_in_the_place_of_a_name(settings):
    settings.DOMAIN_TARGET, settings.DOMAIN_ADDRESSES = TARGET, ["192.0.2.1", "2001:db8::1"]

    assert names.way("shop.customer.co.uk") == [("CNAME", "shop.customer.co.uk", TARGET)]
    assert names.way("customer.co.uk") == [
        ("A", "customer.co.uk", "192.0.2.1"),
        ("AAAA", "customer.co.uk", "2001:db8::1"),
    ]
    settings.DOMAIN_ADDRESSES = []
    assert names.way("customer.co.uk") == [("ALIAS", "customer.co.uk", TARGET)]


# Claims


def test_a_claim_answers_nothing_and_blocks_nobody(nameserver, tenant, other_tenant):
    row, rival = claim(tenant), claim(other_tenant)
    assert row.token != rival.token
    assert status_of(HOST) == 404
    nameserver.set(f"{row.label}.{HOST}", "TXT", rival.token)  # the other's

    assert claims.check(row, "admin").problem == claims.OTHER
    assert status_of(HOST) == 404
    assert claims.check(rival, "other").verified
    assert Domain.objects.get(domain=HOST).tenant == other_tenant
    assert status_of(HOST) == 200


def test_the_first_with_its_record_has_the_domain(nameserver, tenant, other_tenant):
    row, rival = claim(tenant), claim(other_tenant)
    nameserver.set(f"{row.label}.{HOST}", "TXT", rival.token, row.token)

    assert claims.check(row, "admin").verified
    refused = claims.check(rival, "other")
    assert (refused.problem, refused.verified) == (claims.TAKEN, None)
    assert Domain.objects.get(domain=HOST).tenant == tenant


@pytest.mark.parametrize(
    ("spelling", "host"),
    [("bücher.example", "xn--bcher-kva.example"), ("customer.org", "customer.org")],
)
def test_a_domain_becomes_the_address_once_it_leads_here(
    nameserver, tenant, settings, spelling, host
):
    """Also one in its own script, and one that can't have a CNAME."""
    settings.DOMAIN_ADDRESSES = ["192.0.2.7"]
    nameserver.zone("example")
    row = claim(tenant, spelling, as_primary=True)
    nameserver.prove(row)
    row = claims.check(row, "admin")
    assert (row.host, bool(row.verified), row.leads_here) == (host, True, False)
    assert tenant.get_primary_domain().domain == "first.localhost"

    nameserver.set(host, "A", "192.0.2.7")
    assert claims.check(row, "admin").leads_here
    assert tenant.get_primary_domain().domain == host
    assert status_of(host) == 200
    assert Client(SERVER_NAME="first.localhost").get("/a")["Location"] == f"http://{host}/a"


def test_a_parent_of_anothers_domain_is_no_matter(nameserver, tenant, other_tenant):
    verified(nameserver, other_tenant, HOST)
    assert verified(nameserver, tenant, "customer.org").verified


@pytest.mark.parametrize("way", ["silent", "broken"])
def test_servers_that_fail_prove_nothing_and_take_nothing(nameserver, tenant, way):
    row = verified(nameserver, tenant)
    getattr(nameserver, way).add(f"{row.label}.{HOST}")
    row = claims.check(row, "admin")

    assert (row.problem, row.lost) == (claims.UNREACHABLE, None)
    assert status_of(HOST) == 200
    another = claim(tenant, "two.customer.org")
    getattr(nameserver, way).add(f"{another.label}.two.customer.org")
    assert claims.check(another, "admin").verified is None


def test_a_claim_is_made_once_and_not_without_end(tenant, monkeypatch):
    claim(tenant)
    with pytest.raises(InvalidHost, match="in the list already"):
        claim(tenant, "SHOP.customer.org")
    lifecycle.add_domain(tenant, "old.customer.org", by="test")
    with pytest.raises(InvalidHost, match="in the list already"):
        claim(tenant, "old.customer.org")
    monkeypatch.setattr(claims, "MOST", 1)
    with pytest.raises(InvalidHost, match="can have 1"):
        claim(tenant, "two.customer.org")


# In the background


def test_claims_are_checked_when_it_is_time(nameserver, tenant, other_tenant):
    row = claim(tenant)
    assert [*claims.due()] == [row]
    claims.check(row, "test")
    assert not claims.due().exists()
    later(minutes=11)
    assert claims.due().exists()
    claims.check(row, "test")
    later(hours=2)
    claims.check(row, "test")
    later(minutes=11)
    assert not claims.due().exists()
    later(hours=1)
    assert claims.due().exists()
    later(days=7)
    assert not claims.due().exists()

    nameserver.prove(row)
    row = claims.check(row, "test")
    later(days=6)
    assert not claims.due().exists()
    later(days=2)
    assert claims.due().exists()
    claim(tenant, "late.customer.org")
    lifecycle.delete(tenant, by="test")
    assert [*claims.due()] == [row]


def test_a_deleted_workspace_gives_up_a_domain_that_is_proved_to_be_anothers(
    nameserver, tenant, other_tenant
):
    row = verified(nameserver, tenant, as_primary=True)
    lifecycle.delete(tenant, by="test")
    rival = claim(other_tenant)
    nameserver.forget(f"{row.label}.{HOST}")
    nameserver.prove(rival)
    assert claims.check(rival, "test").problem == claims.TAKEN

    claims.check(row, "test")
    later(days=15)
    assert claims.check(row, "test") is None
    assert claims.check(rival, "test").verified
    assert lifecycle.undelete(tenant, "test").get_primary_domain().domain == "first.localhost"


@pytest.fixture
def eager():
    app.conf.task_always_eager = True
    yield
    app.conf.task_always_eager = False


@pytest.mark.parametrize("way", ["command", "task"])
def test_a_program_finds_the_record(nameserver, eager, tenant, capsys, way):
    nameserver.prove(claim(tenant, as_primary=True), leads_to=TARGET)
    claim(tenant, "two.customer.org")
    old = claim(tenant, "old.customer.org")
    DomainClaim.objects.filter(pk=old.pk).update(created=timezone.now() - timedelta(days=31))
    tenant.deactivate()

    if way == "command":
        call_command("check_domains")
        lines = capsys.readouterr().out.splitlines()
        assert lines == [f"{HOST}: verified", "two.customer.org: missing"]
    else:
        tasks.check_domains.delay()

    assert tenant.get_primary_domain().domain == HOST
    assert not DomainClaim.objects.filter(pk=old.pk).exists()


def test_a_lost_domain_is_told_and_given_up_after_a_while(
    nameserver, tenant, mailoutbox, settings, django_capture_on_commit_callbacks
):
    settings.DOMAIN_GRACE_DAYS = 3
    row = verified(nameserver, tenant, as_primary=True)
    nameserver.forget(f"{row.label}.{HOST}")

    def checked():
        with django_capture_on_commit_callbacks(execute=True):
            return claims.check(row, "test")

    assert checked().lost
    assert [mail.subject for mail in mailoutbox] == [f"The DNS record of {HOST} is gone"]
    assert row.token in mailoutbox[0].body
    later(days=2)
    assert checked().lost
    assert len(mailoutbox) == 1
    assert status_of(HOST) == 200

    nameserver.prove(row)
    assert checked().lost is None
    nameserver.set(f"{row.label}.{HOST}", "TXT", "something else")
    assert checked().lost
    later(days=4)
    assert checked() is None

    assert mailoutbox[-1].subject == f"{HOST} doesn't lead to First Tenant any more"
    assert tenant.get_primary_domain().domain == "first.localhost"
    assert status_of(HOST) == 404
    assert not DomainClaim.objects.exists()
    actions = [*TenantEvent.objects.filter(slug="first").values_list("action", flat=True)]
    assert actions[:2] == ["remove domain", "miss domain"]


def test_nothing_of_a_given_up_domain_reaches_who_has_it_next(
    nameserver, tenant, other_tenant, settings
):
    row = verified(nameserver, tenant)
    rival = claim(other_tenant)
    tenant.deactivate()
    browser, another = Browser(), Browser()
    browser.open(code_for(browser))
    assert browser.is_in(HOST)
    session = browser.at(HOST).cookies[settings.SESSION_COOKIE_NAME].value
    unused = code_for(another)

    claims.remove(row, "admin")
    assert not HandOver.objects.filter(host=HOST).exists()
    with tenant:
        assert not browser.at(HOST).session.exists(session)
    assert status_of(HOST) == 404
    nameserver.prove(rival, leads_to=TARGET)
    assert claims.check(rival, "other").verified

    assert another.open(unused).status_code == 400
    assert not browser.is_in(HOST)
    add_member(other_tenant, "admin", by="test")
    asked = browser.open(f"http://{HOST}/sign-in/")  # whether this workspace may know them
    assert "tenancy/handover/confirm.html" in {each.name for each in asked.templates}


# The page


def code_for(browser):
    """Return the address that redeems a code, for a person who lets the domain know them."""
    browser.sign_in()
    asked = browser.open(f"http://{HOST}/sign-in/")
    return browser.at("localhost").post(asked.context["here"]).context["url"]


def text_of(page):
    return " ".join(unescape(page.text).split())


def test_the_owner_adds_a_domain_and_makes_it_the_address(nameserver, tenant, tenant_client):
    page = tenant_client.post(f"{URL}new/", {"host": f" {HOST.upper()}"}, follow=True)
    row = DomainClaim.objects.get()
    for text in (f"{row.label}.{HOST}", row.token, "CNAME", TARGET, "waits for DNS"):
        assert text in page.text
    check, remove = f"{URL}{row.pk}/check/", f"{URL}{row.pk}/remove/"

    assert "We don't find the TXT record yet." in text_of(tenant_client.post(check, follow=True))
    nameserver.prove(row)
    page = tenant_client.post(check, follow=True)
    assert f"{HOST} leads to this workspace." in page.text
    assert "Its visitors don't come here yet." in text_of(page)
    page = tenant_client.post(f"{URL}primary/", {"host": HOST}, follow=True)
    assert f"“{HOST}” doesn't lead here yet" in text_of(page)
    assert tenant.get_primary_domain().domain == "first.localhost"
    nameserver.set(HOST, "CNAME", f"{TARGET}.")
    page = tenant_client.post(f"{URL}primary/", {"host": HOST})
    assert tenant.get_primary_domain().domain == HOST
    assert page.context["url"] == f"http://{HOST}{URL}"  # no redirect: form-action forbids it
    assert f"{HOST} is the address of this workspace now." in page.text

    own = TenantClient(tenant, tenant.owner)
    session = own.session
    del session[seen.KEY]  # so that the request writes to the session, which ends meanwhile
    session.save()
    HandOver.objects.create(
        user=tenant.owner,
        tenant=tenant,
        host=HOST,
        expires=timezone.now(),
        workspace_session=session.session_key,
    )
    page = own.post(remove)
    assert page.status_code == 200
    assert page.context["url"] == f"http://first.localhost{URL}"
    assert f"{HOST} is removed." in page.text
    assert Client(SERVER_NAME="first.localhost").get("/").status_code == 200
    assert status_of(HOST) == 404
    by = TenantEvent.objects.filter(slug="first").values_list("by", flat=True)
    assert {*by[:5]} == {"admin"}


@pytest.mark.parametrize("path", ["new/", "primary/", "{pk}/check/", "{pk}/remove/"])
def test_only_the_owner_opens_it(tenant, other_client, other_tenant, ada, path):
    row = claim(tenant)
    add_member(tenant, "ada", "admin", by="test")
    url = URL + path.format(pk=row.pk)

    answer = TenantClient(tenant, ada).post(url, {"host": "new.customer.org"})
    assert answer.status_code == 403
    assert "This page is for the owner of the workspace." in answer.text
    assert "Domains" not in TenantClient(tenant, ada).get("/workspace/people/").text
    answer = other_client.post(url, {"host": HOST})
    assert answer.status_code == (404 if "{pk}" in path else 302)
    assert DomainClaim.objects.filter(tenant=tenant).get() == row


def test_what_can_not_be_is_said_at_the_field(tenant_client):
    page = tenant_client.post(f"{URL}new/", {"host": "co.uk"})

    assert "Anybody can register names below “co.uk”." in page.text
    assert "co.uk" in page.context["form"]["host"].value()


@pytest.mark.parametrize("path", ["new/", "primary/", "{pk}/remove/"])
def test_what_is_grave_asks_for_a_fresh_confirmation(tenant, path):
    row = claim(tenant)
    client = TenantClient(tenant)
    with tenant:
        client.force_login(tenant.owner)
    page = client.post(URL + path.format(pk=row.pk), {"host": "first.localhost"})

    assert page.status_code == 403
    assert "tenancy/handover/confirm_first.html" in {each.name for each in page.templates}


def test_a_workspace_does_not_ask_the_dns_all_day(nameserver, tenant, tenant_client, settings):
    settings.TENANCY_RATES = {"domain-check": "1/1h"}
    row = claim(tenant)
    check = f"{URL}{row.pk}/check/"
    tenant_client.post(check)
    asked = len(nameserver.asked)

    assert "Try again in" in tenant_client.post(check, follow=True).text
    assert len(nameserver.asked) == asked


# Processes


@pytest.fixture
def two(committed_db):
    """Two workspaces whose changes are committed, and undone in the end."""
    tenants = [Tenant.objects.get(slug=slug) for slug in ("first", "other")]
    last = TenantEvent.objects.first()
    yield tenants
    Domain.objects.filter(domain__endswith=".org").delete()
    Domain.objects.filter(domain__in=["first.localhost", "other.localhost"]).update(
        is_primary=True, redirects=False
    )
    DomainClaim.objects.all().delete()
    TenantEvent.objects.filter(pk__gt=last.pk if last else 0).delete()
    connection.close()


def at_once(one, other):
    with beside(one) as first, beside(other) as second:
        pass
    return [*first, *second]


def test_two_that_verify_at_once_get_one_domain(nameserver, two):
    rows = [claim(tenant) for tenant in two]
    nameserver.set(f"{rows[0].label}.{HOST}", "TXT", *(row.token for row in rows))

    ended = at_once(*(partial(claims.check, row, "test") for row in rows))

    assert sorted(bool(row.verified) for row in ended) == [False, True]
    assert [row.problem for row in ended if not row.verified] == [claims.TAKEN]
    winner = next(row for row in ended if row.verified)
    assert Domain.objects.get(domain=HOST).tenant_id == winner.tenant_id


def test_a_check_twice_at_once_is_one(nameserver, two):
    row = claim(two[0])
    nameserver.prove(row)

    ended = at_once(*[partial(claims.check, row, "test")] * 2)

    assert [bool(row.verified) and not row.problem for row in ended] == [True, True]
    assert Domain.objects.filter(domain=HOST).count() == 1


def test_all_processes_know_a_domain_at_once_and_forget_it_at_once(nameserver, two):
    row = claim(two[0])
    nameserver.prove(row)
    assert routes.find(HOST) is None

    heard(claims.check, row, "test")
    assert routes.find(HOST) == two[0]
    assert status_of(HOST) == 200

    heard(claims.remove, row, "test")
    assert routes.find(HOST) is None
    assert status_of(HOST) == 404
