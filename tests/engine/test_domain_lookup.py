"""What the DNS says about a domain, asked of a real server: within limits, and never by a guess."""

import time

import pytest
from tenancy.domains import lookup
from tenancy.domains.lookup import Lookup, LookupFailed

from engine.nameserver import serving

NAME = "_challenge.shop.customer.org"


@pytest.fixture
def nameserver(settings):
    with serving() as nameserver:
        settings.DOMAIN_RESOLVER = f"127.0.0.1:{nameserver.port}"
        settings.DOMAIN_TARGET, settings.DOMAIN_ADDRESSES = "domains.ours.net", []
        nameserver.zone("customer.org")
        nameserver.zone("ours.net")
        nameserver.set("domains.ours.net", "A", "192.0.2.1")
        yield nameserver


def test_a_record_is_read_as_it_is(nameserver):
    nameserver.set(NAME, "TXT", "one", 'two" "parts', " spaces ")

    assert sorted(Lookup().texts(NAME)) == ["one", "spaces", "twoparts"]


def test_a_name_that_is_not_there_has_no_records(nameserver):
    assert Lookup().texts(NAME) == []
    nameserver.zone("org")
    assert Lookup().texts("_challenge.unregistered.org") == []


def test_a_record_may_be_elsewhere(nameserver):
    nameserver.zone("acme-dns.net")
    nameserver.set(NAME, "CNAME", "customer.acme-dns.net.")
    nameserver.set("customer.acme-dns.net", "TXT", "token")

    assert Lookup().texts(NAME) == ["token"]
    assert ("acme-dns.net", "NS") in nameserver.asked  # the other zone's servers


@pytest.mark.parametrize(
    ("records", "leads"),
    [
        ({"CNAME": ["domains.ours.net."]}, True),
        ({"CNAME": ["DOMAINS.ours.net."]}, True),
        ({"CNAME": ["www.customer.org."]}, True),  # and that to ours
        ({"A": ["192.0.2.1"]}, True),
        ({"A": ["198.51.100.1", "192.0.2.1"]}, True),
        ({"A": ["198.51.100.1"]}, False),
        ({"CNAME": ["elsewhere.customer.org."]}, False),
        ({}, False),
    ],
)
def test_a_host_leads_here_by_its_name_or_by_its_address(nameserver, records, leads):
    nameserver.set("www.customer.org", "CNAME", "domains.ours.net.")
    for rdtype, values in records.items():
        nameserver.set("shop.customer.org", rdtype, *values)

    assert Lookup().leads_here("shop.customer.org") is leads


def test_an_apex_leads_here_by_the_addresses_of_the_setting(nameserver, settings):
    settings.DOMAIN_ADDRESSES = ["203.0.113.7", "2001:db8::7"]
    nameserver.set("customer.org", "AAAA", "2001:db8::7")
    assert Lookup().leads_here("customer.org")

    nameserver.set("customer.org", "AAAA", "2001:db8::8")
    nameserver.set("customer.org", "A", "192.0.2.1")
    assert not Lookup().leads_here("customer.org")


def silence(nameserver):
    nameserver.silent.add(NAME)


def break_down(nameserver):
    nameserver.broken.add(NAME)


def loop(nameserver):
    nameserver.set(NAME, "CNAME", "_other.shop.customer.org.")
    nameserver.set("_other.shop.customer.org", "CNAME", f"{NAME}.")


def go_on_and_on(nameserver):
    for number in range(9):
        nameserver.set(f"{number}.customer.org", "CNAME", f"{number + 1}.customer.org.")
    nameserver.set(NAME, "CNAME", "0.customer.org.")
    nameserver.set("9.customer.org", "TXT", "token")


def say_much(nameserver):
    nameserver.set(NAME, "TXT", "token", *(f"{number}" + "x" * 200 for number in range(200)))


def say_much_slowly(nameserver):
    nameserver.set(NAME, "TXT", *("x" * 200 + str(number) for number in range(20)))
    nameserver.slow.add(NAME)


def be_another(nameserver):
    nameserver.set(NAME, "TXT", "token")
    nameserver.is_authoritative = False


def have_no_servers(nameserver):
    nameserver.forget("ns.provider.net")
    nameserver.set(NAME, "TXT", "token")


@pytest.mark.parametrize(
    ("happen", "reason"),
    [
        (silence, "timed out"),
        (break_down, "SERVFAIL|All nameservers failed"),
        (loop, "more than 4 CNAMEs"),
        (go_on_and_on, "more than 4 CNAMEs"),
        (say_much, "more than 50 records"),
        (say_much_slowly, "timed out"),
        (be_another, "not responsible"),
        (have_no_servers, "no server has an address"),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(nameserver, monkeypatch, happen, reason):
    monkeypatch.setattr(lookup, "TIMEOUT", 0.3)
    monkeypatch.setattr(lookup, "PATIENCE", 1)
    happen(nameserver)
    start = time.monotonic()

    with pytest.raises(LookupFailed, match=reason):
        Lookup().texts(NAME)
    assert time.monotonic() - start < 3


def test_all_questions_together_have_an_end(nameserver, monkeypatch):
    monkeypatch.setattr(lookup, "PATIENCE", 0)

    with pytest.raises(LookupFailed, match="within 0 seconds"):
        Lookup().texts(NAME)
    assert nameserver.asked == []


def test_a_zone_does_not_lead_us_to_servers_of_our_own_network(nameserver):
    """Its owner names the servers. Only a resolver that the operator has named is trusted."""
    nameserver.set(NAME, "TXT", "token")
    asked = Lookup()
    asked.is_private = False

    with pytest.raises(LookupFailed, match="no server has an address"):
        asked.texts(NAME)
    assert (NAME, "TXT") not in nameserver.asked
