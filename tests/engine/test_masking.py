"""What is good once reaches no log, no page about an error, and no e-mail to ADMINS."""

import io
import logging
import logging.config
from itertools import count

import pytest
from allauth.account.internal.flows.email_verification_by_code import (
    EMAIL_VERIFICATION_CODE_SESSION_KEY,
)
from django.conf import settings as django_settings
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from django.utils.log import AdminEmailHandler
from tenancy.health.error_mails import make_message
from tenancy.masking import MASK, masked
from tenancy.outbox import log_loss

from engine.site import serving

SECRET = "s3cret-Value_0123456789"
CODE = "BCDF-GHJK"
LINKS = {
    "hand-over": f"/sign-in/finish/?code={SECRET}&state={SECRET}",
    "state": f"/hand-over/?host=first.localhost&state={SECRET}",
    "state, inside": f"/account/login/?next=%2Fhand-over%2F%3Fhost%3Dx%26state%3D{SECRET}%26a%3Db",
    "new password": f"/account/password/reset/key/1-{SECRET}/",
    "Django's new password": f"/reset/MQ/{SECRET}/",
    "address": f"/account/confirm-email/MQ:{SECRET}:{SECRET}/",
    "invitation": f"/invitations/{SECRET}/",
    "invitation, inside": f"/account/signup/?next=/invitations/{SECRET}/accept/",
    "provider": f"/account/google/login/callback/?state={SECRET}&code={SECRET}&scope=email",
}


def fail(request, **kwargs):
    code = request.session.get(EMAIL_VERIFICATION_CODE_SESSION_KEY, {}).get("code")
    kept, posted = request.session.get("mfa.totp.secret"), request.POST.get("code")
    raise RuntimeError(f"This fails: {code}, {kept}, {posted}, {kwargs}, {request.GET}")


def remember(request):
    request.session[EMAIL_VERIFICATION_CODE_SESSION_KEY] = {"code": CODE}
    request.session["mfa.totp.secret"] = SECRET
    return HttpResponse()


urlpatterns = [
    path("remember/", remember),
    path("sign-in/finish/", fail),
    path("hand-over/", fail),
    path("account/<path:rest>", fail),
    path("reset/MQ/<key>/", fail),
    path("invitations/<token>/", fail),
    path("mfa/", fail),
    path("", include("server.urls")),
]


@pytest.fixture
def log():
    """What the project's logging writes, with a stream in place of stderr."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    to_stream = django_settings.LOGGING["handlers"]["stderr"] | {"stream": stream}
    logging.config.dictConfig(django_settings.LOGGING | {"handlers": {"stderr": to_stream}})
    yield stream
    root.handlers, root.level = handlers, level


@pytest.fixture
def mails(settings, mailoutbox):
    """The e-mails to ADMINS about errors."""
    settings.ADMINS = [("Admin", "admin@example.com")]
    handler = AdminEmailHandler(include_html=True)
    logger = logging.getLogger("django.request")
    logger.addHandler(handler)
    yield mailoutbox
    logger.removeHandler(handler)


@pytest.fixture
def client(outside, settings):
    settings.ROOT_URLCONF = __name__
    return Client(SERVER_NAME="first.localhost", raise_request_exception=False)


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_no_log_has_the_secret_of_a_link(log, link):
    logging.getLogger("django.server").info('"GET %s HTTP/1.1" %s %s', link, 302, 0)
    logging.getLogger("other").warning(f"From http://first.localhost{link} to {link!r}")
    logging.getLogger("other").error("It failed", exc_info=RuntimeError(link))

    assert SECRET not in log.getvalue()
    assert log.getvalue().count(MASK) >= 4


@pytest.mark.parametrize(
    "text",
    [
        *("/notes/?page=2&country_code=DE", "/account/password/reset/confirm/", "code=200"),
        *("/account/confirm-email/", "/sign-in/finish/", "/invitations/", "first-team"),
    ],
)
def test_other_lines_stay_as_they_are(text):
    assert masked(text) == text


def test_a_line_that_cannot_be_formatted_is_for_its_handler():
    record = logging.getLogger().makeRecord("other", logging.INFO, "", 1, "%d", ("x",), None)

    assert (record.msg, record.args) == ("%d", ("x",))


def test_an_e_mail_that_is_lost_keeps_its_code(db, log, mailoutbox):
    client = Client(SERVER_NAME="localhost")
    client.post("/account/signup/", {"email": "grace@example.com", "terms": "on"})
    log_loss(mailoutbox[0], "there is no mail server")

    assert f"The e-mail “Your code for Main Site: {MASK}” was not sent" in log.getvalue()


@pytest.mark.parametrize("accept", ["text/html", "text/plain"])
@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_no_page_about_an_error_has_it(client, settings, log, link, accept):
    settings.DEBUG = True
    page = client.get(link, headers={"accept": accept, "referer": f"http://localhost{link}"})

    assert "This fails" in page.text
    assert SECRET not in page.text
    assert SECRET not in log.getvalue()


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_no_e_mail_about_an_error_has_it(client, mails, link):
    client.get(link, headers={"referer": f"http://localhost{link}"})

    [mail] = mails
    assert "This fails" in mail.body
    assert SECRET not in str(mail.message())


@pytest.mark.parametrize("link", LINKS.values(), ids=LINKS.keys())
def test_no_e_mail_of_the_projects_handler_has_it(link):
    details = logging.ERROR, "", 1, "%s: %s", ("It failed", link), (None, RuntimeError(link), None)
    message = make_message(logging.getLogger().makeRecord("django.request", *details))

    assert MASK in message.subject
    assert SECRET not in str(message.message())


@pytest.mark.parametrize("debug", [True, False])
def test_codes_in_forms_and_sessions_are_masked_too(log, client, mails, settings, debug):
    client.get("/remember/")
    settings.DEBUG = debug
    form = {"code": "493817", "password": "analytical engine", "token": "t0k", "a": "shown"}
    page = client.post("/mfa/", form)

    reports = page.text if debug else mails[0].body + mails[0].alternatives[0][0]
    assert "This fails" in reports
    assert "shown" in reports
    for secret in (SECRET, CODE, "493817", "analytical engine", "t0k"):
        assert secret not in reports
    assert CODE not in log.getvalue()


@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("codes.is_signed_in", "/sign-in/finish/"),  # after the code was redeemed
        ("codes.HandOver", "/hand-over/"),  # before it is stored
        ("views.forget_next", "/hand-over/"),  # before it is sent
        ("views.signing", "/sign-in/?"),  # before the state is sent
    ],
)
def test_a_hand_over_that_fails_gives_nothing_away(browser, monkeypatch, settings, function, path):
    """Neither of what the request has, nor of what the views have made."""
    numbers = count()
    monkeypatch.setattr("secrets.token_urlsafe", lambda length: f"{SECRET}-{next(numbers)}")
    browser.sign_in()
    url = browser.open("http://first.localhost/sign-in/?next=/", until=path)
    monkeypatch.setattr(f"tenancy.people.handover.{function}", None)
    settings.DEBUG = True
    for host in ("localhost", "first.localhost"):
        browser.at(host).raise_request_exception = False
    page = browser.open(url)

    assert "NoneType" in page.text
    assert SECRET not in page.text
    for cookie in browser.at("first.localhost").cookies.values():
        assert cookie.value not in page.text


def test_the_access_log_of_gunicorn_has_none(committed_db, tmp_path, free_port):
    with serving(tmp_path, free_port) as site:
        for link in LINKS.values():
            site.get(link, Referer=f"http://localhost{link}")
        site.get("/robots.txt")
        site.said("/robots.txt")

    said = "\n".join(site.lines)
    assert SECRET not in said
    assert "GET /invitations/********/ HTTP/1.1" in said
