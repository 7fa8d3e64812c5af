"""While tenants are cloned, purged, restored and renamed, nobody at another tenant notices.

`pytest --hypothesis-profile=thorough` does it with hundreds of tenants.
"""

import re
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http import HTTPStatus
from itertools import cycle

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django_tenants.utils import tenant_context
from hypothesis import settings as hypothesis_settings
from server.notes.models import Note
from tenancy import copies, lifecycle
from tenancy.health import doctor
from tenancy.lifecycle.schema_names import rename_schema
from tenancy.people import accounts
from tenancy.schemas.ddl import drop_schema

from engine.copies import cleaned_up, get, provision
from engine.people import erase

HOSTS = 4  # tenants that others use meanwhile
MOST = 300 if hypothesis_settings().max_examples > 100 else 12  # tenants that come and go
LONGEST = 3  # seconds that one who is at another tenant may wait
PARTS = (0.5, 0.99, 0.999999)  # of the requests, of which the longest wait is reported
PASSWORD = "a-crowds-password"


@pytest.fixture
def hosts(committed_db):
    """Tenants whose name and whose note tell them apart, and a person who is a member of all."""
    with cleaned_up():
        visitor = accounts.create_user("visitor", "visitor@localhost", PASSWORD)
        tenants = []
        for slug in (f"crowd-{number}" for number in range(HOSTS)):
            lifecycle.provision_tenant(f"of {slug}", slug, "Crowd", "admin")
            tenants.append(tenant := get(slug))
            tenant.add_user(visitor)
            with tenant:
                Note.objects.create(text=f"of {tenant.slug}", author=visitor)
        yield tenants
        accounts.deactivate("visitor", "test")
        erase(get_user_model().objects.filter(pk=visitor.pk))


def anonymous(tenant):
    client = Client(SERVER_NAME=tenant.get_primary_domain().domain)
    return lambda: client.get("/"), 200


def signed_in(tenant):
    client = Client(SERVER_NAME=tenant.get_primary_domain().domain)
    with tenant_context(tenant):
        client.force_login(get_user_model().objects.get(username="visitor"))
    return lambda: client.get("/notes/"), 200


def signing_in(tenant):
    host = tenant.get_primary_domain().domain
    website = Client(SERVER_NAME="localhost")
    website.post("/account/login/", {"login": "visitor", "password": PASSWORD})

    def visit():
        client = Client(SERVER_NAME=host)
        there = client.get("/sign-in/?next=/notes/").url.removeprefix("http://localhost")
        back = website.get(there).url.removeprefix(f"http://{host}")
        return client.get(back)

    return visit, 302


@contextmanager
def crowd(tenants):
    """Threads that send requests to the tenants; yields how long each took, and what was wrong."""
    waits, faults, over = defaultdict(list), [], threading.Event()

    def send(kind):
        try:
            visits = [(tenant, *kind(tenant)) for tenant in tenants]
            for tenant, visit, status in cycle(visits):
                if over.is_set():
                    break
                began = time.monotonic()
                response = visit()
                waits[kind.__name__].append(time.monotonic() - began)
                found = response.status_code, {*re.findall("of (crowd-[0-9])", response.text)}
                if found != (status, {tenant.slug} if status == HTTPStatus.OK else set()):
                    faults.append((kind.__name__, tenant.slug, *found))
        except Exception as error:
            faults.append((kind.__name__, repr(error)))
        finally:
            connection.close()

    threads = [
        threading.Thread(target=send, args=[kind]) for kind in (anonymous, signed_in, signing_in)
    ]
    for thread in threads:
        thread.start()
    try:
        yield waits, faults
    finally:
        over.set()
        for thread in threads:
            thread.join()


def come_and_go(source, number, file):
    """What may become of a tenant in its life, by the way it came about."""
    slug = f"goer-{number}"
    match number % 4:
        case 0:
            provision(slug)
        case 1:
            copies.restore(file, "test", slug=slug)
        case _:
            copies.clone(source, slug, "test")
    tenant = get(slug)
    lifecycle.rename(tenant, "test", slug=f"goner-{number}")
    lifecycle.suspend(tenant, "test")
    former = None
    if number % 3 == 0:
        former = tenant.schema_name
        rename_schema(tenant, "test")
    lifecycle.delete(tenant, "test")
    lifecycle.purge(tenant, "test", now=True)
    if former:
        drop_schema(former)


def test_nobody_at_another_tenant_notices(hosts, tmp_path, settings):
    settings.TENANCY_RATES = {"hand-over": None}
    source = hosts[0]  # which is in use, too
    file = copies.backup(source, tmp_path / "backup.zip", "test")
    began = time.monotonic()
    with crowd(hosts) as (waits, faults):
        for number in range(MOST):
            come_and_go(source, number, file)
            assert not faults
    took = time.monotonic() - began

    print(f"{MOST} tenants came and went in {took:.0f} s.")  # to be seen with `pytest -s`
    for kind, times in waits.items():
        times.sort()
        usual, slow, longest = (round(1000 * times[int(len(times) * part)]) for part in PARTS)
        print(f"{kind}: {len(times)} requests, {usual} ms, 99 % {slow} ms, longest {longest} ms.")
    assert not faults
    assert {*waits} == {"anonymous", "signed_in", "signing_in"}
    assert max(map(max, waits.values())) < LONGEST
    assert [*doctor.examine()] == []
