"""A person uses the sites with a real browser: with mouse or keyboard, with and without scripts."""

import shutil

import pytest
from browser.visitor import Visitor
from playwright.sync_api import sync_playwright
from projects import ROOT, need

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
WAYS = {
    "phone": (PHONE, "light", {}),
    "desk": (DESK, "dark", {}),
    "keyboard": (DESK, "light", {"has_mouse": False}),
    "no-scripts": (PHONE, "dark", {"has_scripts": False}),
}


@pytest.fixture(scope="module")
def chromium():
    need(CHROMIUM, "chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture(scope="module")
def port(acme):
    for slug in ("hooli", "initech"):
        acme.manage("provision_tenant", slug.title(), slug, "org", "ada")
    strict = {"PYTHONPATH": ROOT / "tests" / "browser", "DJANGO_SETTINGS_MODULE": "strict"}
    with acme.runserver(**strict) as port:
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
    visitor.press("Continue", "/")
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
