"""A person uses the sites with a real browser: with mouse or keyboard, with and without scripts."""

import pytest
from browser.authenticator import code_of
from browser.visitor import Visitor

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
WAYS = {
    "phone": (PHONE, "light", {}),
    "desk": (DESK, "dark", {}),
    "keyboard": (DESK, "light", {"has_mouse": False}),
    "no-scripts": (PHONE, "dark", {"has_scripts": False}),
}


@pytest.fixture(scope="module")
def port(acme):
    for slug in ("hooli", "initech"):
        acme.manage("provision_tenant", slug.title(), slug, "org", "ada")
    with acme.runserver() as port:
        yield port


@pytest.fixture(params=WAYS)
def visitor(request, chromium, port):
    size, scheme, abilities = WAYS[request.param]
    context = chromium.new_context(
        viewport=size,
        color_scheme=scheme,
        java_script_enabled=abilities.get("has_scripts", True),
    )
    visitor = Visitor(context, port, **abilities)
    visitor.email = f"{request.param}@example.com"
    yield visitor
    context.close()
    assert visitor.faults == []


def test_from_sign_up_to_a_forgotten_password(visitor):
    visitor.open("localhost/")
    visitor.follow("Sign up", "/account/signup/")
    visitor.fill("E-mail address", visitor.email)
    visitor.tick("I accept the terms and the privacy policy.")
    visitor.press("Sign up", "/account/confirm-email/")
    visitor.fill("Code", visitor.read_code(visitor.email))
    visitor.press("Continue", "/workspaces/new/")
    slug = visitor.email.partition("@")[0]
    visitor.fill("Name", slug.title())
    visitor.press("Create workspace", f"{slug}.localhost/")
    visitor.follow("Notes", "/notes/")
    visitor.follow("My workspaces", "localhost/workspaces/")
    visitor.follow("Account", "/account/")
    visitor.fill("Name", "Ada")
    visitor.press("Save", "/account/")
    visitor.follow("Show where you are signed in", "/account/sessions/")
    visitor.follow("Your account", "/account/")
    visitor.follow("Set one", "/account/password/set/")
    visitor.fill("New password", "analytical engine")
    visitor.fill("New password again", "analytical engine")
    visitor.press("Set password", "/account/")
    visitor.press("Sign out", "/")
    visitor.follow("Sign in", "/account/login/")
    visitor.follow("Forgot your password?", "/account/password/reset/")
    visitor.fill("E-mail address", visitor.email)
    visitor.press("Send me a code", "/account/password/reset/confirm/")
    visitor.fill("Code", visitor.read_code(visitor.email))
    visitor.press("Continue", "/account/password/reset/complete/")
    visitor.fill("New password", "difference engine")
    visitor.fill("New password again", "difference engine")
    visitor.press("Set password", "/")


def test_one_sign_in_opens_all_workspaces(visitor, acme):
    visitor.open("hooli.localhost/notes/", end="localhost/account/login/")
    visitor.fill("E-mail or user name", "ada")
    visitor.fill("Password", acme.settings()["ADMIN_PASSWORD"])
    visitor.press("Sign in", "hooli.localhost/notes/")
    visitor.fill("New note", "Milk")
    visitor.press("Add", "/notes/")
    visitor.open("initech.localhost/notes/")  # without a form
    visitor.press("Sign out", "/")
    visitor.open("hooli.localhost/notes/", end="localhost/account/login/")


def sign_up(visitor, email):
    visitor.open("localhost/account/signup/")
    visitor.fill("E-mail address", email)
    visitor.tick("I accept the terms and the privacy policy.")
    visitor.press("Sign up", "/account/confirm-email/")
    visitor.fill("Code", visitor.read_code(email))
    visitor.press("Continue", "/")
    visitor.follow("Account", "/account/")


def sign_in_by_code(visitor, email, end):
    visitor.open("localhost/account/login/code/")
    visitor.fill("E-mail address", email)
    visitor.press("Send me a code", "/account/login/code/confirm/")
    visitor.fill("Code", visitor.read_code(email))
    visitor.press("Continue", end)


def test_an_authenticator_app_is_set_up_and_asked_for(visitor):
    email = f"app-{visitor.email}"
    sign_up(visitor, email)
    visitor.follow("Set it up", "/account/2fa/")
    visitor.follow("Set up an app", "/account/2fa/totp/activate/")
    secret = visitor.page.locator("details code").text_content()
    code = code_of(secret)
    visitor.fill("Code", code)
    visitor.press("Turn on", "/account/2fa/recovery-codes/")
    recovery_code = visitor.page.locator("pre").inner_text().split()[0]
    visitor.press("Sign out", "/")

    sign_in_by_code(visitor, email, "/account/2fa/authenticate/")
    visitor.fill("Code", code)  # which was used to set the app up
    visitor.press("Sign in", "/account/2fa/authenticate/")
    visitor.fill("Code", code_of(secret, steps=1))
    visitor.press("Sign in", "/")
    visitor.press("Sign out", "/")

    sign_in_by_code(visitor, email, "/account/2fa/authenticate/")
    visitor.fill("Code", recovery_code)
    visitor.press("Sign in", "/")
    visitor.open("/account/2fa/totp/deactivate/")
    visitor.press("Turn off", "/account/2fa/")


DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def href(visitor, link):
    return visitor.page.get_by_role("link", name=link).get_attribute("href")


def test_a_passkey_signs_in_where_scripts_run(visitor):
    email = f"passkey-{visitor.email}"
    sign_up(visitor, email)
    visitor.follow("Add a passkey", "/account/2fa/webauthn/")
    visitor.follow("Add a passkey", "/account/2fa/webauthn/add/")
    if not visitor.has_scripts:
        assert visitor.page.get_by_text("Passkeys need a browser").is_visible()
        return
    device = visitor.context.new_cdp_session(visitor.page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    visitor.fill("Name", "Laptop")
    visitor.press("Add", "/account/2fa/recovery-codes/")
    visitor.open("/account/2fa/webauthn/")
    visitor.follow("Rename", href(visitor, "Rename"))
    visitor.press("Save", "/account/2fa/webauthn/")
    visitor.press("Sign out", "/")

    visitor.open("/account/", end="/account/login/")
    visitor.press("Sign in with a passkey", "/account/")
    visitor.press("Sign out", "/")

    sign_in_by_code(visitor, email, "/account/2fa/authenticate/")
    visitor.press("Use a passkey", "/")
    visitor.open("/account/2fa/webauthn/")
    visitor.follow("Remove", href(visitor, "Remove"))
    visitor.press("Remove", "/account/2fa/webauthn/")
