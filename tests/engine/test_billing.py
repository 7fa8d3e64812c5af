"""The webhook of docs/billing.md, as it is printed there."""

import hmac
import json
import re
import sys
import time
from runpy import run_path
from types import ModuleType

import pytest
import server.urls_public
from django.test import Client
from django.urls import path
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.models import TenantEvent

from engine.copies import cleaned_up, get, provision
from engine.test_members_at_once import at_once

SECRET = "a secret of the provider's, for tests"


@pytest.fixture(autouse=True)
def _billing(settings, monkeypatch, tmp_path):
    page = (settings.BASE_DIR / "docs" / "billing.md").read_text()
    code = re.search(r"^```python\n(# server/website/billing.py\n.*?)^```$", page, re.M | re.S)[1]
    (tmp_path / "billing.py").write_text(code)
    webhook = run_path(tmp_path / "billing.py")["webhook"]
    urls = ModuleType("urls_with_billing")
    urls.urlpatterns = [*server.urls_public.urlpatterns, path("billing/", webhook)]
    monkeypatch.setitem(sys.modules, "urls_with_billing", urls)
    settings.PUBLIC_SCHEMA_URLCONF = "urls_with_billing"
    settings.BILLING_SECRET = SECRET


def event(tenant, number=1, **fields):
    usual = {"plan": "team", "trial_ends": None, "is_paid": True}
    return {"id": f"evt_{number}", "workspace": tenant.pk} | usual | fields


def send(event, at=0.0, secret=SECRET, signed=None, **headers):
    """Send it as the provider did at a time, in seconds from now."""
    body, at = json.dumps(event), int(time.time() + at)
    text = f"{at}.{json.dumps(signed or event)}".encode()
    signature = hmac.new(secret.encode(), text, "sha256").hexdigest()
    headers = {"Billing-Signature": f"t={at},v1={signature}"} | headers
    client = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)
    return client.post("/billing/", body, "application/json", headers=headers).status_code


def state_of(tenant):
    tenant = Tenant.objects.get(pk=tenant.pk)
    return tenant.plan, tenant.status


def log_of(number):
    return TenantEvent.objects.filter(by=f"billing evt_{number}").count()


def test_an_event_changes_plan_trial_and_state(outside):
    trial = "2027-01-31T00:00:00Z"
    assert send(event(outside, 1, trial_ends=trial)) == 204
    assert state_of(outside) == ("team", "active")
    assert Tenant.objects.get(pk=outside.pk).trial_ends.isoformat() == "2027-01-31T00:00:00+00:00"

    assert send(event(outside, 2, plan="free", is_paid=False)) == 204
    assert state_of(outside) == ("free", "suspended")
    assert send(event(outside, 3)) == 204
    assert state_of(outside) == ("team", "active")
    assert [log_of(number) for number in (1, 2, 3)] == [2, 3, 3]


def test_a_payment_does_not_undo_what_an_operator_did(outside):
    lifecycle.suspend(outside, "an operator")
    assert send(event(outside)) == 204
    assert state_of(outside) == ("team", "suspended")


def test_an_event_counts_once(outside):
    first = event(outside, is_paid=False)
    assert send(first) == 204
    lifecycle.resume(outside, "test")
    assert send(first) == 204
    assert state_of(outside) == ("team", "active")


def test_what_the_provider_did_not_sign_just_now_changes_nothing(outside):
    own = event(outside)
    assert send(own, secret="a guess") == 400
    assert send(own, signed=event(outside, plan="free")) == 400
    assert send(own, at=-301) == 400  # a replay
    assert send(own, at=301) == 400
    for header in ("", "t=1", f"t={int(time.time())},v1=", "nonsense", "v1=é"):
        assert send(own, **{"Billing-Signature": header}) == 400, header
    assert state_of(outside) == ("free", "active")
    assert send(own, at=-299) == 204


def test_an_event_that_fails_can_come_again(outside):
    lifecycle.delete(outside, "test")
    assert send(event(outside)) == 409
    assert send(event(outside, 2, workspace=0)) == 409
    assert send(event(outside, 3, plan="gold")) == 409
    assert log_of(1) == 0

    lifecycle.undelete(outside, "test")
    assert send(event(outside)) == 204


def test_of_two_deliveries_at_once_one_counts(committed_db):
    with cleaned_up():
        tenant = provision("source")
        own = event(tenant, is_paid=False)
        answers = []
        assert at_once(*[lambda: answers.append(send(own))] * 3) == []
        assert answers == [204, 204, 204]
        assert state_of(get("source")) == ("team", "suspended")
        assert log_of(1) == 3  # the plan, the trial, the state
