"""Pages that every site has: in its style, also when something is wrong."""

import pytest
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import include, path
from server import urls

HOSTS = ["localhost", "first.localhost"]


def congratulate(request):
    messages.success(request, "It is <done>.")
    return redirect("/")


def refuse(request):
    raise PermissionDenied


def fail(request):
    raise ZeroDivisionError


urlpatterns = [
    *(path(f"{view.__name__}/", view) for view in (congratulate, refuse, fail)),
    path("", include(urls)),
]


@pytest.fixture
def with_own_views(settings):
    settings.ROOT_URLCONF = settings.PUBLIC_SCHEMA_URLCONF = __name__


@pytest.mark.usefixtures("with_own_views")
def test_a_message_is_shown_once_on_the_site(tenant_client):
    """S9: and not left to pop up in the admin."""
    page = tenant_client.get("/congratulate/", follow=True).text

    assert '<p class="success">It is &lt;done&gt;.</p>' in page
    assert "messages" not in tenant_client.cookies
    for later in ("/", "/admin/"):
        assert "It is &lt;done&gt;." not in tenant_client.get(later).text


@pytest.mark.parametrize("page", ["/", "/notes/", "/places/", "/nowhere/"])
def test_the_links_stay_on_each_page(tenant_client, page):
    """S9: for members; others see none."""
    assert '<a href="/notes/">' in tenant_client.get(page).text
    assert '<a href="/notes/">' not in Client(SERVER_NAME="first.localhost").get("/").text


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(("host", "rule"), [("localhost", ""), ("first.localhost", " /")])
def test_browsers_and_search_engines_get_what_they_ask_for(host, rule):
    """S9: tenants' sites are not for search engines."""
    visitor = Client(SERVER_NAME=host)

    assert visitor.get("/robots.txt").text == f"User-agent: *\nDisallow:{rule}\n"
    assert visitor.get("/favicon.ico").url == "/static/icon.svg"


PAGES = {
    400: "We can't answer this request",
    403: "You are not allowed to do this",
    404: "This page doesn't exist",
    429: "Too many attempts",
    500: "Something went wrong on our side",
    503: "We'll be back soon",
}


def is_styled(page: str) -> bool:
    return "/static/site.css" in page and '<html lang="en">' in page


@pytest.mark.usefixtures("db", "with_own_views")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("name", "status"), [("nowhere", 404), ("refuse", 403), ("fail", 500)])
def test_a_page_about_an_error_is_in_the_sites_style(host, name, status):
    """S9"""
    page = Client(SERVER_NAME=host, raise_request_exception=False).get(f"/{name}/")

    assert page.status_code == status
    assert PAGES[status] in page.text.replace("&#x27;", "'")
    assert is_styled(page.text)


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("host", HOSTS)
def test_a_form_without_its_token_is_told_so(host, debug, settings):
    """S9"""
    settings.DEBUG = debug
    page = Client(SERVER_NAME=host, enforce_csrf_checks=True).post("/sign-in/")

    assert page.status_code == 403
    assert "This form has expired" in page.text
    assert is_styled(page.text)


@pytest.mark.parametrize("status", [400, 500, 503])
def test_such_a_page_needs_no_database(db, status):
    """S9: Django renders the first two without a request."""
    with CaptureQueriesContext(connection) as queries:
        page = render_to_string(f"{status}.html")

    assert len(queries) == 0
    assert PAGES[status] in page
    assert is_styled(page)


@pytest.mark.usefixtures("with_own_views")
@pytest.mark.parametrize("name", ["404.html", "tenancy/unknown_host.html"])
def test_the_owners_template_of_that_name_replaces_it(db, settings, tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("Our own page")
    [engine] = settings.TEMPLATES
    settings.TEMPLATES = [engine | {"DIRS": [tmp_path, *engine["DIRS"]]}]
    host = "nobody.localhost" if "host" in name else "first.localhost"

    assert Client(SERVER_NAME=host).get("/nowhere/").text == "Our own page"


def test_a_page_of_no_tenant_has_the_projects_name(db, settings):
    page = Client(SERVER_NAME="nobody.localhost").get("/").text

    assert f"{settings.PROJECT_NAME}</span>" in page
    assert "Sign in" not in page
