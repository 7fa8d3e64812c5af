"""Two-step sign-in: authenticator apps, recovery codes and passkeys."""

import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, hotp_value
from allauth.usersessions.models import UserSession
from django.contrib.auth import authenticate, get_user_model
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from tenancy.health import requirements
from tenancy.models import TenantEvent
from tenancy.people.accounts import anonymise, deactivate, end_sessions, forget_sign_ins
from tenancy.people.members import add_member
from tenancy.people.mfa import encryption

from engine.passkeys import Passkey
from engine.test_accounts import (
    code_in,
    confirm,
    is_signed_in,
    own,
    sign_in,
    sign_in_by_code,
    sign_up,
)
from engine.test_handover import Browser
from engine.test_limits import expire

User = get_user_model()
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
PASSWORD = "analytical engine"

pytestmark = pytest.mark.usefixtures("db")
__all__ = ["own"]  # the fixture: a browser that ada is signed in with


def browse(address="192.0.2.1"):
    return Client(SERVER_NAME="localhost", REMOTE_ADDR=address)


def code_of(secret=SECRET, steps=0):
    """Return what an authenticator app shows, or showed some half minutes ago."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + steps))


@pytest.fixture
def app(ada):
    """The row of ada's authenticator app."""
    return TOTP.activate(ada, SECRET).instance


@pytest.fixture
def recovery_codes(ada, app):
    return RecoveryCodes.activate(ada).get_unused_codes()


def enter(browser, code):
    """Enter a code for the second factor of a sign-in that waits for it."""
    cache.clear()  # the library has its record of used codes there, for one process
    return browser.post("/account/2fa/authenticate/", {"code": code})


def wait(monkeypatch):
    """Let more than five minutes pass since the person has signed in."""
    clock = SimpleNamespace(time=lambda: time.time() + 301)
    monkeypatch.setattr("tenancy.people.confirmation.time", clock)


def waiting(address="192.0.2.1"):
    browser = browse(address)
    assert sign_in(browser, "ada", PASSWORD).url == "/account/2fa/authenticate/"
    assert not is_signed_in(browser)
    return browser


# An authenticator app


def set_up_app(browser):
    """Set an app up; returns its secret."""
    page = browser.get("/account/2fa/totp/activate/")
    secret = page.context["form"].secret
    data = {"code": code_of(secret)}
    assert browser.post("/account/2fa/totp/activate/", data).url == "/account/2fa/recovery-codes/"
    return secret


def test_a_person_sets_an_app_up(own, ada, mailoutbox, django_capture_on_commit_callbacks):
    elsewhere = browse()
    sign_in(elsewhere, "ada", PASSWORD)
    page = own.get("/account/2fa/totp/activate/").text
    assert "<svg" in page
    assert "issuer=Main%20Site" in page
    with django_capture_on_commit_callbacks(execute=True):
        secret = set_up_app(own)

    [mail] = mailoutbox
    assert mail.subject == "An authenticator app was set up"
    assert "set a new password" in mail.body
    assert "html" in mail.alternatives[0].mimetype
    codes = own.get("/account/2fa/recovery-codes/").context["unused_codes"]
    assert len(codes) == 10
    assert "It is on." in own.get("/account/").text
    assert is_signed_in(elsewhere)
    with connection.cursor() as cursor:
        cursor.execute("SELECT data::text FROM mfa_authenticator")
        stored = str(cursor.fetchall())
    assert not any(each in stored for each in (secret, *codes))


def test_a_second_factor_follows_each_other_way_to_sign_in(app, ada, mailoutbox):
    by_password = waiting()
    assert enter(by_password, code_of()).url == "/workspaces/new/"
    assert is_signed_in(by_password)

    by_code = browse()
    assert sign_in_by_code(by_code, "ada@example.com", mailoutbox).url.endswith("/authenticate/")
    assert not is_signed_in(by_code)

    by_reset = browse()
    by_reset.post("/account/password/reset/", {"email": "ada@example.com"})
    by_reset.post("/account/password/reset/confirm/", {"code": code_in(mailoutbox[-1])})
    new = {"password1": "difference engine", "password2": "difference engine"}
    by_reset.post("/account/password/reset/complete/", new)
    assert not is_signed_in(by_reset)
    assert enter(by_reset, code_of(steps=1)).url == "/workspaces/new/"
    assert is_signed_in(by_reset)


def test_a_person_goes_on_to_where_they_were_going(app, tenant):
    tenant.deactivate()
    add_member(tenant, "ada", by="test")
    browser = Browser()
    page = browser.open("http://first.localhost/sign-in/?next=/notes/")
    browser.sign_in("ada", PASSWORD, page.context["redirect_field_value"])

    answer = enter(browser.at("localhost"), code_of())

    url = browser.open(f"http://localhost{answer.url}").context["url"]
    assert browser.open(url).wsgi_request.path == "/notes/"


@pytest.mark.parametrize("steps", [-1, 1])
def test_a_phones_clock_may_be_half_a_minute_wrong(app, steps):
    assert enter(waiting(), code_of(steps=2 * steps)).status_code == 200
    assert enter(waiting(), code_of(steps=steps)).status_code == 302


def test_a_code_is_good_once(app):
    browsers = [waiting(), waiting(), waiting()]
    code = code_of()
    enter(browsers[0], code)
    enter(browsers[1], code)
    enter(browsers[2], f" {code[:3]} {code[3:]} ")

    assert [is_signed_in(browser) for browser in browsers] == [True, False, False]


def test_the_code_of_the_set_up_is_used_up(own):
    secret = set_up_app(own)
    browser = waiting()

    page = enter(browser, code_of(secret))
    assert page.context["form"].errors["code"] == ["The code is wrong, or it was used before."]
    enter(browser, code_of(secret, steps=1))
    assert is_signed_in(browser)


def test_a_recovery_code_is_good_once(recovery_codes):
    for expected in (True, False):
        browser = waiting()
        enter(browser, recovery_codes[3])
        assert is_signed_in(browser) == expected


def test_the_flag_of_the_sign_in_page_is_worth_nothing_at_a_workspace(tenant, public, rf):
    credentials = {"username": "admin", "password": "password", "is_sign_in": True}
    assert authenticate(rf.get("/"), **credentials) is None
    with public:
        assert authenticate(rf.get("/"), **credentials) == public.owner


# Limits


def test_wrong_codes_are_limited(app):
    browser = waiting()
    assert [enter(browser, "1").status_code for _ in range(6)] == [200] * 5 + [429]
    assert enter(browser, code_of()).status_code == 429
    assert enter(waiting(), code_of()).status_code == 429
    expire()
    enter(browser, code_of())
    assert is_signed_in(browser)
    page = browser.get("/account/")
    assert page.context["failed"].count == 5


def test_many_addresses_guess_no_code_together_nor_lock_the_person_out(app):
    at_home = "198.51.100.7"
    enter(waiting(at_home), code_of())
    answers = [enter(waiting(f"192.0.2.{number}"), "1").status_code for number in range(1, 32)]

    assert answers == [200] * 30 + [429]
    assert enter(waiting("203.0.113.1"), code_of(steps=1)).status_code == 429
    assert enter(waiting(at_home), code_of(steps=1)).status_code == 302


# What ends a waiting sign-in, and sessions


def test_a_waiting_sign_in_ends_with_a_new_password(app, ada):
    browser = waiting()
    ada.set_password("difference engine")
    ada.save()

    assert "changed meanwhile" in enter(browser, code_of()).wsgi_request.session._session.__str__()
    assert not is_signed_in(browser)
    assert browser.get("/account/2fa/authenticate/").url == "/account/login/"


def test_a_waiting_sign_in_ends_with_the_sessions(app):
    browser = waiting()
    end_sessions("ada", by="test")

    assert enter(browser, code_of()).url == "/account/login/"
    assert not is_signed_in(browser)


def test_the_sessions_elsewhere_end_when_an_app_is_turned_off(own, app, ada, mailoutbox):
    elsewhere = waiting()
    enter(elsewhere, code_of())
    assert is_signed_in(elsewhere)

    assert "other sessions end" in own.get("/account/2fa/totp/deactivate/").text
    own.post("/account/2fa/totp/deactivate/")

    assert is_signed_in(own)
    assert not is_signed_in(elsewhere)
    assert "this browser" in own.get("/account/sessions/").text
    assert UserSession.objects.filter(user=ada).count() == 1
    assert mailoutbox[-1].subject == "The authenticator app was turned off"
    assert not Authenticator.objects.exists()
    assert sign_in(browse(), "ada", PASSWORD).url == "/workspaces/new/"


def test_the_sessions_end_in_the_transaction_of_the_change(app, ada):
    with transaction.atomic():
        app.delete()
        ada.refresh_from_db()
        assert ada.session_epoch == 1
        transaction.set_rollback(True)
    ada.refresh_from_db()
    assert ada.session_epoch == 0


def test_new_recovery_codes_end_the_old_ones(own, recovery_codes):
    own.post("/account/2fa/recovery-codes/generate/")

    browser = waiting()
    enter(browser, recovery_codes[0])
    assert not is_signed_in(browser)
    enter(browser, own.get("/account/2fa/recovery-codes/").context["unused_codes"][0])
    assert is_signed_in(browser)


def test_a_person_with_a_second_factor_shows_it_again(own, app, monkeypatch):
    """A password, or a code by e-mail, would be a way around it."""
    wait(monkeypatch)
    pages = ["totp/deactivate", "recovery-codes/generate", "webauthn/add"]
    for path in (*(f"/account/2fa/{page}/" for page in pages), "/account/export/"):
        assert own.get(path).url.startswith("/account/2fa/reauthenticate/"), path
    for path in ("/account/reauthenticate/", "/account/reauthenticate/code/"):
        own.post(path, {"password": PASSWORD, "recipient": "ada@example.com"})
    assert own.get("/account/export/").status_code == 302

    code = code_of()
    own.post("/account/2fa/reauthenticate/", {"code": code})
    assert own.get("/account/export/").status_code == 200
    assert enter(waiting(), code).status_code == 200


# Passkeys


@pytest.fixture
def passkey(own):
    """A passkey of ada's."""
    passkey = Passkey()
    assert add(own, passkey).url == "/account/2fa/recovery-codes/"
    return passkey


def add(browser, passkey):
    options = browser.get("/account/2fa/webauthn/add/").context["js_data"]["creation_options"]
    assert (options["publicKey"]["rp"]["id"], options["publicKey"]["rp"]["name"]) == (
        "localhost",
        "Main Site",
    )
    data = {"name": "Phone", "passwordless": "on", "credential": passkey.register(options)}
    return browser.post("/account/2fa/webauthn/add/", data)


def sign_in_with(browser, passkey, goal="/account/"):
    options = browser.get("/account/2fa/webauthn/login/", headers={"Accept": "application/json"})
    credential = passkey.sign(options.json()["request_options"])
    return browser.post("/account/2fa/webauthn/login/", {"credential": credential, "next": goal})


def test_a_passkey_signs_in_alone(own, passkey, mailoutbox):
    assert [mail.subject for mail in mailoutbox] == ["A passkey was added"]
    assert "Phone" in own.get("/account/2fa/webauthn/").text

    browser = browse()
    assert sign_in_with(browser, passkey).url == "/account/"
    assert is_signed_in(browser)


def test_a_passkey_follows_a_password(passkey):
    browser = waiting()
    options = browser.get("/account/2fa/authenticate/").context["js_data"]["request_options"]
    browser.post("/account/2fa/authenticate/", {"credential": passkey.sign(options)})

    assert is_signed_in(browser)


def test_a_passkey_shows_that_it_is_the_same_person(own, passkey, monkeypatch):
    wait(monkeypatch)
    url = own.get("/account/export/").url
    assert url.startswith("/account/2fa/webauthn/reauthenticate/")
    options = own.get(url).context["js_data"]["request_options"]
    own.post(url, {"credential": passkey.sign(options)})

    assert own.get("/account/export/").status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://first.localhost", "http://localhost:81", "https://localhost", "null"]
)
def test_a_passkey_answers_to_this_host_alone(own, passkey, origin):
    """Browsers let a workspace's page ask for the passkeys of the main website."""
    passkey.origin = origin
    browser = browse()
    assert sign_in_with(browser, passkey).url == "/account/login/"
    assert not is_signed_in(browser)

    browser = waiting()
    options = browser.get("/account/2fa/authenticate/").context["js_data"]["request_options"]
    browser.post("/account/2fa/authenticate/", {"credential": passkey.sign(options)})
    assert not is_signed_in(browser)

    assert add(own, Passkey(origin)).status_code == 200


def test_a_passkey_signs_in_alone_only_if_it_knows_the_person(passkey):
    passkey.flags = Passkey(verifies=False).flags
    browser = browse()
    sign_in_with(browser, passkey)

    assert not is_signed_in(browser)


def garbled(name, value):
    def change(credential):
        credential["response"][name] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        garbled("clientDataJSON", 1),
        garbled("clientDataJSON", "W10"),
        garbled("attestationObject", "oA"),
        garbled("attestationObject", "%"),
        garbled("authenticatorData", "AA"),
        garbled("signature", None),
        garbled("userHandle", "x" * 99),
        garbled("userHandle", None),
        lambda credential: credential.update(response=[]),
        lambda credential: credential.update(rawId=3),
    ],
)
def test_a_garbled_passkey_is_refused(own, passkey, change):
    def garble(text):
        credential = json.loads(text)
        change(credential)
        return json.dumps(credential)

    passkey.sign, passkey.register = (
        lambda options, do=do: garble(do(options)) for do in (passkey.sign, passkey.register)
    )
    browser = browse()
    assert sign_in_with(browser, passkey).status_code == 302
    name = change.__closure__ and change.__closure__[0].cell_contents
    assert is_signed_in(browser) == (name == "attestationObject")
    if name not in ("authenticatorData", "signature", "userHandle"):
        assert add(own, passkey).status_code == 200
    for path in ("login", "add"):
        answer = own.post(f"/account/2fa/webauthn/{path}/", {"credential": "[1]"})
        assert answer.status_code in (200, 302)


def test_the_sessions_elsewhere_end_with_a_passkey(own, passkey, ada, mailoutbox):
    elsewhere = browse()
    sign_in_with(elsewhere, passkey)
    assert is_signed_in(elsewhere)

    key = Authenticator.objects.get(type="webauthn")
    own.post(f"/account/2fa/webauthn/keys/{key.pk}/remove/")

    assert mailoutbox[-1].subject == "A passkey was removed"
    assert is_signed_in(own)
    assert not is_signed_in(elsewhere)
    assert not Authenticator.objects.exists()  # nor recovery codes


# MFA_REQUIRED


def test_staff_see_no_page_until_they_have_a_second_factor(public, settings):
    settings.MFA_REQUIRED = "staff"
    admin = browse()
    sign_in(admin, "admin")
    for path in ("/", "/account/", "/account/export/", "/media/x", "/hand-over/", "/admin/?all="):
        assert admin.get(path).url == "/account/2fa/", path
    assert admin.post("/account/", {"name": "x"}).url == "/account/2fa/"

    admin.get("/admin/?all=")
    admin.get("/favicon.ico", headers={"Sec-Fetch-Mode": "no-cors"})
    assert "asks for two-step sign-in" in admin.get("/account/2fa/").text
    set_up_app(admin)
    page = admin.get("/account/2fa/recovery-codes/").text
    assert 'href="/admin/?all="' in page
    assert admin.get("/admin/?all=").status_code == 200
    assert "/admin/?all=" not in admin.get("/account/2fa/recovery-codes/").text


def test_staff_can_sign_out_without_a_second_factor(settings):
    settings.MFA_REQUIRED = "staff"
    admin = browse()
    sign_in(admin, "admin")
    admin.post("/sign-out/")
    assert admin.get("/account/").url.startswith("/sign-in/")


@pytest.mark.parametrize(("required", "status"), [("off", 200), ("staff", 200), ("all", 302)])
def test_of_whom_a_second_factor_is_required(ada, settings, required, status):
    settings.MFA_REQUIRED = required
    browser = browse()
    sign_in(browser, "ada", PASSWORD)
    assert browser.get("/account/").status_code == status


def test_a_passkey_is_a_second_factor(own, passkey, settings):
    settings.MFA_REQUIRED = "all"
    browser = browse()
    sign_in_with(browser, passkey)
    assert is_signed_in(browser)


@pytest.mark.parametrize(("role", "is_led"), [("member", False), ("admin", True)])
def test_who_administers_a_workspace_needs_one_on_the_way_in(ada, tenant, settings, role, is_led):
    settings.MFA_REQUIRED = "staff"
    tenant.deactivate()
    add_member(tenant, "ada", role, by="test")
    browser = Browser()
    browser.sign_in("ada", PASSWORD)
    page = browser.open("http://first.localhost/sign-in/?next=/notes/")

    assert page.wsgi_request.path == ("/account/2fa/" if is_led else "/notes/")
    if is_led:
        site = browser.at("localhost")
        set_up_app(site)
        goal = site.session["mfa_goal"]
        assert browser.open(f"http://localhost{goal}").wsgi_request.path == "/notes/"


def test_a_person_who_has_just_signed_up_gets_in(tenant, settings, mailoutbox):
    """They would be in their own workspace in seconds, and are asked when they next sign in."""
    settings.MFA_REQUIRED = "staff"
    tenant.deactivate()
    browser = Browser()
    sign_up(browser.at("localhost"), "grace@example.com")
    confirm(browser.at("localhost"), mailoutbox[-1])
    add_member(tenant, "grace@example.com", "admin", by="test")
    assert browser.open("http://first.localhost/sign-in/").wsgi_request.path == "/"

    again = Browser()
    sign_in_by_code(again.at("localhost"), "grace@example.com", mailoutbox)
    page = again.open("http://first.localhost/sign-in/")
    assert page.wsgi_request.path == "/account/2fa/"


def test_a_workspaces_pages_ask_the_database_for_nothing_more(tenant_client, settings):
    counts = []
    for required in ("off", "all"):
        settings.MFA_REQUIRED = required
        client = Client(SERVER_NAME="first.localhost")
        client.cookies = tenant_client.cookies
        client.get("/notes/")
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/notes/").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


# The lives of accounts


def kinds(user):
    rows = Authenticator.objects.filter(user=user).order_by("type")
    return [*rows.values_list("type", flat=True)]


def test_an_operator_takes_second_factors_away(own, recovery_codes, ada, tenant, mailoutbox, run):
    tenant.deactivate()
    printed = run("reset_mfa", "ada@example.com", by="grace")

    assert "signs in without a second factor" in printed
    assert kinds(ada) == []
    assert not is_signed_in(own)
    assert sign_in(browse(), "ada", PASSWORD).url == "/workspaces/new/"
    event = TenantEvent.objects.get(action="reset mfa")
    assert (event.username, event.by) == ("ada", "grace")
    [mail] = mailoutbox
    assert mail.subject == "Your second factors at Main Site were removed"
    assert mail.to == ["ada@example.com"]
    assert "http://localhost/account/" in mail.body


def test_second_factors_stay_with_the_person(recovery_codes, ada, public):
    """Neither the end of all sessions nor that of a membership is a way around them."""
    end_sessions("ada", by="test")
    add_member(public, "ada", "admin", by="test")
    assert kinds(ada) == ["recovery_codes", "totp"]

    deactivate("ada", by="test")
    assert kinds(ada) == []


def test_what_was_set_up_before_the_address_was_confirmed_is_gone(recovery_codes, ada):
    forget_sign_ins(ada)
    assert kinds(ada) == []


def test_nothing_is_left_of_a_person_who_is_anonymised(ada):
    deactivate("ada", by="test")
    TOTP.activate(ada, SECRET)
    anonymise("ada", by="test")
    assert kinds(ada) == []


def test_the_export_names_the_kinds_and_no_secret(own, passkey, recovery_codes):
    text = own.get("/account/export/").text
    factors = json.loads(text)["second_factors"]

    assert [each["kind"] for each in factors] == ["webauthn", "recovery_codes", "totp"]
    assert factors[0]["name"] == "Phone"
    for row in Authenticator.objects.all():
        for secret in ("secret", "seed", "credential"):
            assert str(row.data.get(secret, "{}")) not in text


def test_the_admin_changes_no_second_factor(public_client, app):
    assert public_client.get(f"/admin/mfa/authenticator/{app.pk}/change/").status_code == 404


# Encryption


def test_a_code_encrypts_anew_what_an_earlier_secret_key_has_encrypted(recovery_codes, settings):
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "x" * 50
    enter(waiting(), recovery_codes[0])
    settings.SECRET_KEY_FALLBACKS = []

    for code, is_right in (
        (recovery_codes[0], False),
        (recovery_codes[1], True),
        (code_of(), True),
    ):
        browser = waiting()
        enter(browser, code)
        assert is_signed_in(browser) == is_right


def test_without_the_secret_key_no_code_is_right(own, recovery_codes, settings, caplog):
    browser = waiting()
    row = Authenticator.objects.get(type="totp")
    row.data["secret"] = row.data["secret"][:-3] + "AA="
    row.save()
    for code in (code_of(), code_of(""), code_of("AAAAAAAA")):
        assert enter(browser, code).status_code == 200
    assert "SECRET_KEY_FALLBACKS" in caplog.text
    assert own.get("/account/2fa/").status_code == 200


def test_the_same_text_is_encrypted_differently():
    assert encryption.encrypt("x") != encryption.encrypt("x")
    assert encryption.decrypt(encryption.encrypt("ä")) == "ä"


# The requirements of the engine


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"MFA_FORMS": {}}, "MFA_FORMS lacks “authenticate”."),
        ({"MFA_ADAPTER": "allauth.mfa.adapter.DefaultMFAAdapter"}, "MFA_ADAPTER isn't"),
        ({"MFA_REQUIRED": "all", "MIDDLEWARE": []}, "MFARequiredMiddleware"),
        ({"MFA_REQUIRED": "all", "INSTALLED_APPS": []}, "has no effect"),
    ],
)
def test_check_names_what_second_factors_lack(settings, changed, message):
    assert [*requirements.mfa()] == []
    for name, value in changed.items():
        setattr(settings, name, value)

    assert message in str([*requirements.mfa()])


# Without the app

WITHOUT = """
from engine.settings import *
SHARED_APPS = [app for app in SHARED_APPS if app != "allauth.mfa"]
INSTALLED_APPS = [app for app in INSTALLED_APPS if app != "allauth.mfa"]
DATABASES["default"]["NAME"] = {name!r}
"""
USE = """
import django
django.setup()
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from tenancy.models import Limit
call_command("check")
client = Client(SERVER_NAME="localhost")
with transaction.atomic():
    assert "passkey" not in client.get("/account/login/").text
    client.post("/account/login/", {"login": "admin", "password": "password"})
    page = client.get("/account/")
    assert page.status_code == 200
    assert "Two-step" not in page.text and "Passkeys" not in page.text
    assert client.get("/account/2fa/").status_code == 404
    assert client.get("/account/export/").json()["second_factors"] == []
    assert client.get("/admin/").status_code == 200
    transaction.set_rollback(True)
Limit.objects.all().delete()
print("It works.")
"""


def test_a_project_works_without_second_factors(tmp_path):
    name = connection.settings_dict["NAME"]
    (tmp_path / "without_mfa.py").write_text(WITHOUT.format(name=name))
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "without_mfa", "PYTHONPATH": str(tmp_path)}

    result = subprocess.run([sys.executable, "-c", USE], env=env, capture_output=True, text=True)

    assert "It works." in result.stdout, result.stderr
