"""Where a person was going is where they end, whichever way they sign in or up."""

import re

import pytest
from allauth.mfa.totp.internal.auth import TOTP
from django.contrib.auth import get_user_model

from engine.test_accounts import code_in
from engine.test_mfa import SECRET, code_of

User = get_user_model()

GOAL = "/hand-over/?host=first.localhost"


@pytest.fixture
def page(browser):
    """The sign-in page to which a workspace has sent the visitor."""
    return browser.open("http://first.localhost/sign-in/?next=/notes/")


def link(page, text):
    """Return the address of the page's link with this text."""
    return re.search(rf'<a href="([^"]+)">{text}</a>', page.text)[1].replace("&amp;", "&")


def field(page):
    """Return what the page's first form sends to say where the person is going."""
    form = page.text.partition("<main>")[2].partition("</form>")[0]
    found = re.search(r'<input type="hidden" name="next" value="([^"]+)"', form)
    return {"next": found[1].replace("&amp;", "&")} if found else {}


def follow(browser, page, text):
    return browser.open(f"http://localhost{link(page, text)}")


def send(browser, page, path="", **data):
    """Send the page's form, as a browser does, and open the page that follows."""
    path = path or page.wsgi_request.get_full_path()
    answer = browser.at("localhost").post(path, data | field(page))
    if answer.status_code == 302 and not answer.url.startswith(GOAL):
        return browser.open(f"http://localhost{answer.url}")
    return answer


def sign_in(browser, page):
    return send(browser, page, login="ada", password="analytical engine")


def by_password(browser, page, mailoutbox):
    return sign_in(browser, page)


def by_code(browser, page, mailoutbox):
    page = send(browser, follow(browser, page, "Send me a code instead"), email="ada@example.com")
    return send(browser, page, code=code_in(mailoutbox[-1]))


def by_another_code(browser, page, mailoutbox):
    page = send(browser, follow(browser, page, "Send me a code instead"), email="ada@example.com")
    page = send(browser, page, action="resend")
    return send(browser, page, code=code_in(mailoutbox[-1]))


def by_code_after_wrong_ones(browser, page, mailoutbox):
    page = send(browser, follow(browser, page, "Send me a code instead"), email="ada@example.com")
    for _ in range(3):
        page = send(browser, page, code="WRONG")
    page = send(browser, page, email="ada@example.com")
    return send(browser, page, code=code_in(mailoutbox[-1]))


def by_password_after_all(browser, page, mailoutbox):
    page = send(browser, follow(browser, page, "Send me a code instead"), email="ada@example.com")
    answer = browser.website("logout/", next="/account/login/")  # “Cancel”
    return sign_in(browser, browser.open(f"http://localhost{answer.url}"))


def by_new_password(browser, page, mailoutbox):
    page = browser.open("http://localhost/account/password/reset/")
    page = send(browser, page, email="ada@example.com")
    page = send(browser, page, code=code_in(mailoutbox[-1]))
    return send(browser, page, password1="difference engine", password2="difference engine")


def by_second_factor(browser, page, mailoutbox):
    TOTP.activate(User.objects.get(username="ada"), SECRET)
    return send(browser, sign_in(browser, page), code=code_of())


def by_new_password_and_second_factor(browser, page, mailoutbox):
    TOTP.activate(User.objects.get(username="ada"), SECRET)
    return send(browser, by_new_password(browser, page, mailoutbox), code=code_of())


def by_sign_up(browser, page, mailoutbox):
    page = follow(browser, page, "Create an account")
    page = send(browser, page, email="grace@example.com", terms="on")
    return send(browser, page, code=code_in(mailoutbox[-1]))


def by_sign_up_from_the_mail(browser, page, mailoutbox):
    send(browser, follow(browser, page, "Send me a code instead"), email="grace@example.com")
    url = re.search(r"http://localhost(/account/signup/\S*)", mailoutbox[-1].body)[1]
    page = browser.open(f"http://localhost{url}")
    page = send(browser, page, email="grace@example.com", terms="on")
    return send(browser, page, code=code_in(mailoutbox[-1]))


def by_sign_in_after_all(browser, page, mailoutbox):
    page = follow(browser, page, "Create an account")
    return sign_in(browser, follow(browser, page, "Sign in"))


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "way",
    [
        *(by_password, by_code, by_another_code, by_code_after_wrong_ones, by_password_after_all),
        *(by_new_password, by_second_factor, by_new_password_and_second_factor),
        *(by_sign_up, by_sign_up_from_the_mail, by_sign_in_after_all),
    ],
)
def test_a_person_arrives(browser, page, way, mailoutbox):
    answer = way(browser, page, mailoutbox)

    assert answer.url.startswith(GOAL)


def test_another_goal_comes_first(browser, page):
    assert browser.sign_in(goal="/account/email/").url == "/account/email/"


def test_a_person_who_has_arrived_is_not_sent_there_again(browser, page):
    answer = send(browser, page, login="admin", password="password")
    browser.go(f"http://localhost{answer.url}")
    assert browser.is_in()
    browser.at("localhost").post("/sign-out/")

    assert browser.website("login/", login="admin", password="password").url == "/"


@pytest.mark.parametrize("value", ["", "/admin/", "InN0YXRlIg:1x:y"])
def test_a_goal_that_the_site_has_not_written_is_none(browser, value):
    browser.at("localhost").cookies["accept-next"] = value

    assert browser.website("login/", login="admin", password="password").url == "/"


def test_the_cookie_is_the_hosts_alone(browser, page):
    cookie = browser.at("localhost").cookies["accept-next"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 600

    url = browser.open("http://first.localhost/sign-in/", until="/hand-over/")
    answer = browser.at("localhost").get(url.removeprefix("http://localhost"), secure=True)
    assert answer.cookies["__Host-accept-next"]["secure"]
