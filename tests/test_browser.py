"""A person uses the sites with a real browser: with mouse or keyboard, with and without scripts."""

from contextlib import contextmanager

import pytest
from browser.authenticator import code_of
from browser.visitor import Visitor
from projects import ROOT

PHONE, DESK = ({"viewport": {"width": width, "height": 844}} for width in (390, 1280))
LIGHT, DARK = ({"color_scheme": name} for name in ("light", "dark"))
WAYS = {
    "phone": PHONE | LIGHT,
    "desk": DESK | DARK,
    "keyboard": DESK | LIGHT,
    "no-scripts": PHONE | DARK | {"java_script_enabled": False},
}
GERMAN = PHONE | LIGHT | {"locale": "de-DE"}


@pytest.fixture(scope="module")
def port(acme):
    later = {"PYTHONPATH": ROOT / "tests" / "browser", "DJANGO_SETTINGS_MODULE": "later"}
    with acme.runserver(**later) as port:
        yield port


@contextmanager
def visiting(chromium, port, way):
    context = chromium.new_context(**WAYS.get(way, GERMAN))
    visitor = Visitor(context, port, has_mouse=way != "keyboard", has_scripts=way != "no-scripts")
    yield visitor
    context.close()
    assert visitor.faults == []


@pytest.fixture(params=WAYS)
def visitor(request, chromium, port):
    with visiting(chromium, port, request.param) as visitor:
        yield visitor


@pytest.fixture
def guest(request, visitor, chromium, port):
    """Another person, with a browser of their own."""
    with visiting(chromium, port, request.node.callspec.params["visitor"]) as guest:
        yield guest


def sign_up(visitor, email):
    visitor.fill("E-mail address", email)
    visitor.tick("I accept the terms and the privacy policy.")
    visitor.press("Sign up", "/account/confirm-email/")
    visitor.fill("Code", visitor.read_code(email))
    visitor.press("Continue", "/workspaces/new/")


def test_from_the_home_page_to_a_passkey(visitor, request):
    slug = request.node.callspec.id
    email, host = f"{slug}@example.com", f"{slug}.localhost"

    visitor.open("localhost/")
    visitor.follow("Sign up", "/account/signup/")
    sign_up(visitor, email)
    visitor.fill("Name", slug.title())
    visitor.press("Create workspace", f"{host}/")
    visitor.follow("Notes", "/notes/")
    visitor.fill("New note", "Milk")
    visitor.press("Add", "/notes/")
    visitor.follow("Workspace", "/workspace/people/")
    visitor.follow("Domains", "/workspace/domains/")
    visitor.follow("Add a domain of your own", "/workspace/domains/new/")
    visitor.follow("Cancel", "/workspace/domains/")
    visitor.follow("Keys", "/workspace/keys/")
    visitor.follow("Make a key", "/workspace/keys/new/")
    visitor.fill("Name", "Backup server")
    visitor.press("Make the key", "/workspace/keys/new/")
    visitor.follow("Keys", "/workspace/keys/")
    visitor.follow("History", "/workspace/history/")
    visitor.press("Show", "/workspace/history/")

    visitor.follow("Account", "localhost/account/")
    visitor.fill("Name", "Ada")
    visitor.press("Save", "/account/")
    visitor.follow("Show where you are signed in", "/account/sessions/")
    visitor.follow("Your account", "/account/")
    visitor.follow("Set one", "/account/password/set/")
    visitor.fill("New password", "analytical engine")
    visitor.fill("New password again", "analytical engine")
    visitor.press("Set password", "/account/")
    visitor.follow("Set it up", "/account/2fa/")
    visitor.follow("Set up an app", "/account/2fa/totp/activate/")
    key = visitor.page.locator("details code").text_content()
    visitor.fill("Code", code_of(key, steps=-1))
    visitor.press("Turn on", "/account/2fa/recovery-codes/")
    recovery_code = visitor.page.locator("pre").text_content().split()[0]
    visitor.press("Sign out", "/")

    visitor.follow("Sign in", "/account/login/")
    visitor.fill("E-mail or user name", email)
    visitor.fill("Password", "analytical engine")
    visitor.press("Sign in", "/account/2fa/authenticate/")
    visitor.fill("Code", code_of(key))
    visitor.press("Sign in", "/")
    visitor.open(f"{host}/notes/")  # signed out, and in again without a form
    visitor.follow("My workspaces", "localhost/workspaces/")
    visitor.follow("New workspace", "/workspaces/new/")
    visitor.fill("Name", f"{slug.title()} Two")
    visitor.press("Create workspace", f"{slug}-two.localhost/")

    for place in (f"{host}/notes/", "localhost/account/"):
        visitor.open(f"{place}?later")
    fresh = f"{host}/sign-in/?next=/notes/&fresh=10"
    visitor.open(fresh, end="localhost/account/2fa/reauthenticate/")
    visitor.fill("Code", code_of(key, steps=1))
    visitor.press("Continue", f"{host}/notes/")
    visitor.press("Sign out", "/")

    visitor.open("localhost/account/login/")
    visitor.follow("Forgot your password?", "/account/password/reset/")
    visitor.fill("E-mail address", email)
    visitor.press("Send me a code", "/account/password/reset/confirm/")
    visitor.fill("Code", visitor.read_code(email))
    visitor.press("Continue", "/account/password/reset/complete/")
    visitor.fill("New password", "difference engine")
    visitor.fill("New password again", "difference engine")
    visitor.press("Set password", "/account/2fa/authenticate/")
    visitor.fill("Code", recovery_code)
    visitor.press("Sign in", "/")

    if visitor.has_scripts:
        visitor.plug_in_passkeys()
        visitor.open("localhost/account/2fa/webauthn/add/")
        visitor.press("Add", "/account/2fa/")
        visitor.press("Sign out", "/")
        visitor.open("localhost/account/login/")
        visitor.press("Sign in with a passkey", "/")


@pytest.mark.parametrize("visitor", ["phone", "desk", "keyboard"], indirect=True)
def test_a_workspace_is_run_by_its_owner(visitor, guest, request):
    slug = f"{request.node.callspec.id}-run"
    host, their_email = f"{slug}.localhost", f"{slug}.guest@example.com"
    visitor.open("localhost/account/signup/")
    sign_up(visitor, f"{slug}@example.com")
    visitor.fill("Name", slug)
    visitor.press("Create workspace", f"{host}/")
    visitor.follow("Workspace", "/workspace/people/")
    visitor.fill("E-mail addresses", their_email)
    visitor.press("Send invitations", "/workspace/people/")

    guest.open(guest.read_link(their_email))
    guest.tick("I accept the terms and the privacy policy.")
    guest.press("Create an account and join", f"{host}/")
    visitor.open("/workspace/people/")
    assert their_email in visitor.page.locator("#members").inner_text()
    assert "2 of 5 seats are taken." in visitor.page.locator("main").inner_text()

    settings = "/workspace/settings/"
    logo = visitor.page.screenshot(clip={"x": 0, "y": 0, "width": 300, "height": 60})
    visitor.follow("Settings", settings)
    visitor.fill("Name", "Good Corp")
    visitor.press("Save", settings)
    visitor.choose_file("Logo", "logo.png", logo)
    visitor.press("Save the logo", settings)
    visitor.page.get_by_label("Colour").fill("#ffe100")  # too bright for text on a light page
    visitor.press("Save the colour", settings)
    visitor.open("/workspace/people/")
    drawn = visitor.page.get_by_alt_text("Logo of Good Corp")
    assert drawn.evaluate("image => image.naturalWidth") == 256
    guest.open("/notes/")
    assert guest.page.get_by_alt_text("Logo of Good Corp").is_visible()

    visitor.open(settings)
    visitor.follow("Change the address", f"{host}{settings}address/")
    visitor.fill("Address", f"{slug}-new")
    visitor.press("Change the address", f"{host}{settings}address/")
    visitor.follow("Continue to", f"{slug}-new.localhost{settings}")
    visitor.open(f"{host}/notes/", end=f"{slug}-new.localhost/notes/")


@pytest.mark.parametrize("visitor", ["phone"], indirect=True)
def test_passkeys_are_kept_and_removed(visitor):
    email = "passkeys@example.com"
    visitor.open("localhost/account/signup/")
    sign_up(visitor, email)
    visitor.plug_in_passkeys()
    visitor.open("/account/2fa/webauthn/")
    visitor.follow("Add a passkey", "/account/2fa/webauthn/add/")
    visitor.fill("Name", "Laptop")
    visitor.press("Add", "/account/2fa/recovery-codes/")
    visitor.open("/account/2fa/webauthn/")
    visitor.follow("Rename", "/.*/edit/")
    visitor.press("Save", "/account/2fa/webauthn/")
    visitor.press("Sign out", "/")

    visitor.open("/account/login/code/")
    visitor.fill("E-mail address", email)
    visitor.press("Send me a code", "/account/login/code/confirm/")
    visitor.fill("Code", visitor.read_code(email))
    visitor.press("Continue", "/account/2fa/authenticate/")
    visitor.press("Use a passkey", "/workspaces/new/")
    visitor.open("/account/2fa/webauthn/")
    visitor.follow("Remove", "/.*/remove/")
    visitor.press("Remove", "/account/2fa/webauthn/")


@pytest.mark.parametrize("visitor", ["german"], indirect=True)
def test_the_pages_fit_a_phone_in_german(visitor, acme):
    names = ("signup/", "login/code/", "password/reset/")
    for place in (
        "/",
        "/terms/",
        "/privacy/",
        "/workspaces/find/",
        *map("/account/{}".format, names),
    ):
        visitor.open(f"localhost{place}")
    visitor.open("/account/", end="/account/login/")
    visitor.fill("E-Mail-Adresse oder Benutzername", "ada")
    visitor.fill("Passwort", acme.settings()["ADMIN_PASSWORD"])
    visitor.press("Anmelden", "/account/")
    names = ("email/", "password/change/", "sessions/", "delete/", "2fa/", "2fa/totp/activate/")
    for place in ("/workspaces/", "/workspaces/new/", *map("/account/{}".format, names)):
        visitor.open(place)
        assert visitor.page.locator("html").get_attribute("lang") == "de"
