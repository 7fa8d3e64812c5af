"""Pages that every site has: in its style, also when something is wrong."""

from contextlib import contextmanager
from unittest.mock import patch

import pytest
from django.contrib import messages
from django.core.exceptions import BadRequest, PermissionDenied, RequestDataTooBig
from django.db import OperationalError, connection
from django.http import Http404
from django.shortcuts import redirect, render
from django.test import Client
from django.urls import include, path
from server import urls
from server.tenants.models import Tenant
from tenancy.exceptions import RateLimited

Status = Tenant.Status
HOSTS = ["localhost", "first.localhost"]
# By the name of a template.
ERRORS = {
    "400": BadRequest(),
    "403": PermissionDenied(),
    "404": Http404(),
    "413": RequestDataTooBig(),
    "429": RateLimited("tries", 60),
    "500": ZeroDivisionError(),
    "503": OperationalError(),
}


def congratulate(request):
    messages.success(request, "It is <done>.")
    return redirect("/")


def fail(request, name):
    if name in ERRORS:
        raise ERRORS[name]
    return render(request, "tenant_home.html")


urlpatterns = [
    path("congratulate/", congratulate),
    path("fail/<name>/", fail),
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
    "400": "We can't answer this request",
    "403": "You are not allowed to do this",
    "403_csrf": "This form has expired",
    "404": "This page doesn't exist",
    "413": "This is too large",
    "429": "Too many attempts",
    "500": "Something went wrong on our side",
    "503": "We'll be back soon",
}


def is_styled(page: str) -> bool:
    return "/static/site.css" in page and '<html lang="en">' in page


@contextmanager
def without_database():
    """Let the database answer nothing. Which tenant a host has is known from memory."""
    for host in HOSTS:
        Client(SERVER_NAME=host).get("/robots.txt")
    refused = OperationalError("the database is away")
    with (
        patch.object(connection, "create_cursor", side_effect=refused),
        patch.object(connection, "unguarded_cursor", side_effect=refused),
    ):
        yield


WITH_DEBUG = {"403_csrf", "413", "429", "503"}  # of the others Django shows pages of its own


@pytest.mark.usefixtures("with_own_views")
@pytest.mark.parametrize("debug", [True, False])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_about_an_error_is_in_the_sites_style_and_needs_no_database(
    committed_db, settings, name, host, debug
):
    """S9"""
    settings.DEBUG = debug and name in WITH_DEBUG
    visitor = Client(SERVER_NAME=host, raise_request_exception=False, enforce_csrf_checks=True)
    with without_database():
        page = (visitor.post if name == "403_csrf" else visitor.get)(f"/fail/{name}/")

    assert page.status_code == int(name[:3])
    assert PAGES[name] in page.text.replace("&#x27;", "'")
    assert is_styled(page.text)


@pytest.mark.usefixtures("committed_db", "with_own_views")
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("name", [*PAGES, "none"])
def test_people_who_are_signed_in_read_that_the_database_is_away(settings, name, host):
    """Whatever the page is: the session can't be read."""
    person = Client(SERVER_NAME=host, raise_request_exception=False, enforce_csrf_checks=True)
    person.cookies[settings.SESSION_COOKIE_NAME] = "a" * 32
    with without_database():
        page = (person.post if name == "403_csrf" else person.get)(f"/fail/{name}/")

    assert page.status_code == 503
    assert PAGES["503"] in page.text.replace("&#x27;", "'")
    assert is_styled(page.text)


@pytest.mark.parametrize(
    ("tenant_status", "status", "text"),
    [(Status.SUSPENDED, 503, "is suspended"), (Status.DELETED, 410, "was deleted")],
)
def test_a_closed_workspace_needs_no_database_to_say_so(committed_db, tenant_status, status, text):
    rows = Tenant.all_objects.filter(slug="first")
    rows.update(status=tenant_status)
    with without_database():
        page = Client(SERVER_NAME="first.localhost").get("/")
    rows.update(status=Status.ACTIVE)

    assert page.status_code == status
    assert f"This workspace {text}" in page.text
    assert is_styled(page.text)


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
