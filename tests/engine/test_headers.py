"""Each answer tells browsers what its page may do."""

import pytest
from csp.decorators import csp_update
from django.http import HttpResponse
from django.test import Client
from django.urls import include, path
from server import urls


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


def test_a_view_has_headers_of_its_own(db, settings):
    settings.ROOT_URLCONF = __name__
    client = Client(SERVER_NAME="first.localhost")
    own, nonce, usual = (client.get(page) for page in ("/own/", "/nonce/", "/"))

    assert own["Permissions-Policy"] == "camera=(self)"
    assert "img-src 'self' data: https://images.example.com" in own["Content-Security-Policy"]
    assert f"'nonce-{nonce.text}'" in nonce["Content-Security-Policy"]
    assert "nonce" not in usual["Content-Security-Policy"]
    assert "example.com" not in usual["Content-Security-Policy"]
