"""Each answer tells browsers what its page may do."""

import pytest
from csp.decorators import csp_update
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from server import urls
from tenancy.lifecycle import add_domain, remove_domain


@csp_update({"img-src": ["https://images.example.com"]})
def own(request):
    return HttpResponse(headers={"Permissions-Policy": "camera=(self)"})


def with_nonce(request):
    return HttpResponse(request.csp_nonce)


urlpatterns = [path("own/", own), path("nonce/", with_nonce), path("", include(urls))]


@pytest.mark.parametrize(
    ("host", "page"),
    [
        ("localhost", "/"),
        ("localhost", "/account/login/"),
        ("first.localhost", "/"),
        ("first.localhost", "/admin/"),
        ("first.localhost", "/missing/"),
        ("nobody.localhost", "/"),
        ("first.localhost", "/static/site.css"),
    ],
)
def test_pages_run_nothing_from_elsewhere_and_nothing_inline(db, host, page):
    answer = Client().get(page, headers={"host": host})

    policy = answer["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    for directive in ("form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert directive in policy
    assert "unsafe" not in policy
    assert "camera=()" in answer["Permissions-Policy"]
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer["Cross-Origin-Resource-Policy"] == "same-origin"


HSTS = "Strict-Transport-Security"
OWN = "shop.example.org"


@pytest.fixture
def tls(settings):
    settings.SECURE_HSTS_SECONDS = 31536000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    return lambda host, path="/": Client(SERVER_NAME=host).get(path, secure=True)


@pytest.mark.parametrize("host", ["localhost", "first.localhost"])
def test_our_hosts_are_for_tls_alone_with_all_below_them(tenant, tls, host):
    assert tls(host)[HSTS] == "max-age=31536000; includeSubDomains; preload"
    assert HSTS not in Client(SERVER_NAME=host).get("/")


def test_a_customers_domain_speaks_for_itself_and_once_it_has_worked(outside, tls, settings):
    """Other sites may be below it, and it may lead elsewhere tomorrow."""
    add_domain(outside, OWN, by="test")
    Client(SERVER_NAME=OWN).get("/")  # without TLS
    assert HSTS not in tls(OWN, "/missing/")
    assert HSTS not in tls(OWN)
    assert tls(OWN)[HSTS] == "max-age=86400"
    assert tls(OWN, "/missing/")[HSTS] == "max-age=86400"

    settings.SECURE_HSTS_SECONDS = 60
    assert tls(OWN)[HSTS] == "max-age=60"
    remove_domain(outside, OWN, by="test")
    add_domain(outside, OWN, by="test")
    assert HSTS not in tls(OWN)
    assert HSTS not in tls("nobody.example.org")


def test_a_view_has_headers_of_its_own(db, settings):
    settings.ROOT_URLCONF = __name__
    client = Client(SERVER_NAME="first.localhost")
    own, nonce, usual = (client.get(page) for page in ("/own/", "/nonce/", "/"))

    assert own["Permissions-Policy"] == "camera=(self)"
    assert "img-src 'self' data: https://images.example.com" in own["Content-Security-Policy"]
    assert f"'nonce-{nonce.text}'" in nonce["Content-Security-Policy"]
    assert "nonce" not in usual["Content-Security-Policy"]
    assert "example.com" not in usual["Content-Security-Policy"]
