"""R19: a garbled request of staff, or of a visitor, is no error of the site."""

import pytest
from django.db import DataError, connection, transaction
from django.http import HttpResponse
from django.test import override_settings
from django.urls import path
from server.notes.models import Note
from server.urls import urlpatterns as urls

from engine.market.models import Plan

HUGE = "9" * 400
LOOKUPS = [
    *("text__regex=(", "text__iregex=[", "text__regex=*", "text=%00", "q=%00", "text__in=a,%00"),
    *(
        f"id__in={HUGE}",
        "id=%00",
        f"id={HUGE}",
        f"id__gt={HUGE}",
        "id__range=1",
        "id=1e9",
        "id__x=1",
    ),
    *("created__year=0", "created__year=99999", f"created__year={HUGE}", "created=x"),
    *("created__gte=0000-00-00", "created__date=9999-99-99", f"created__day={HUGE}"),
    *(f"o={HUGE}", "o=x", "o=-", f"p={HUGE}", "p=-1", "p=x", "all=x", "_facets=x", "_popup=%00"),
    *("author__id=x", f"author__id__exact={HUGE}", "text__isnull=x", "text__search=%00", "e=2"),
]


def answer(client, url, data=None):
    with transaction.atomic():  # the test's own transaction goes on
        response = client.post(url, data) if data is not None else client.get(url)
        transaction.set_rollback(True)
    assert response.status_code < 500, url
    return response


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_a_list_is_shown_without_a_garbled_lookup(tenant_client, lookup):
    """R19: Django's ?e=1, or the list itself where Django passes over the parameter."""
    response = answer(tenant_client, f"/admin/notes/note/?{lookup}")

    if response.status_code == 302:
        assert response.url == "/admin/notes/note/?e=1"
    else:
        assert response.status_code in (200, 400)


@pytest.mark.parametrize("lookup", ["text__regex=(", "text=%00", "created__year=99999"])
def test_what_fails_in_postgresql_leads_back_to_the_list(tenant_client, lookup, caplog):
    assert answer(tenant_client, f"/admin/notes/note/?{lookup}").url == "/admin/notes/note/?e=1"
    assert "/admin/notes/note/" in caplog.records[-1].getMessage()


def test_a_list_that_fails_by_itself_is_an_error(tenant_client, monkeypatch):
    """R19: a fault of the site is reported, not sent around."""

    def fail(self):
        raise ValueError("Ours")

    monkeypatch.setattr(Note, "__str__", fail)
    Note.objects.create(text="Milk", author_id=1)
    for query in ("", "?e=1"):
        with pytest.raises(ValueError, match="Ours"):
            tenant_client.get(f"/admin/notes/note/{query}")


@pytest.mark.parametrize(
    "page",
    [
        *("autocomplete/?term=%00&app_label=auth&model_name=group&field_name=permissions",),
        *("autocomplete/?app_label=%00&model_name=x&field_name=x", "autocomplete/?page=x"),
        *("notes/note/add/?_to_field=%00", "notes/note/?_to_field=x", "notes/note/?_to_field=%00"),
        *("notes/note/%00/change/", f"notes/note/{HUGE}/change/", "notes/note/x/history/"),
        *("r/%00/1/", "r/1/%00/", f"r/{HUGE}/{HUGE}/", f"r/1/{HUGE}/", "%00/", "jsi18n/?%00"),
        *("notes/note/add/?_changelist_filters=%00", "notes/note/add/?text=%00", "login/?next=%00"),
    ],
)
def test_no_other_page_fails(tenant_client, page):
    answer(tenant_client, f"/admin/{page}")


@pytest.mark.parametrize(
    "data",
    [
        {"action": "delete_selected", "_selected_action": "x"},
        {"action": "delete_selected", "_selected_action": ["\0"]},
        {"action": "delete_selected", "_selected_action": HUGE},
        {"action": "\0", "_selected_action": "1"},
        {"action": "delete_selected", "index": "x", "_selected_action": ["1", "x"]},
    ],
)
def test_an_action_on_garbled_rows_is_refused(tenant_client, data):
    Note.objects.create(pk=1, text="Milk", author_id=1)
    answer(tenant_client, "/admin/notes/note/", data)
    assert Note.objects.exists()


def test_a_form_with_nul_is_refused(tenant, tenant_client):
    assert answer(tenant_client, "/admin/notes/note/add/", {"text": "a\0"}).status_code == 200
    plan, owner = Plan.objects.create(name="team"), tenant.owner_id
    data = {"plan": plan.pk, "tenant": tenant.pk, "buyer": owner, "helpers": owner}
    data |= {"Order_helpers-TOTAL_FORMS": 0, "Order_helpers-INITIAL_FORMS": 0}
    data |= {"data": '{"a": "\\u0000"}'}  # jsonb can't have it
    assert answer(tenant_client, "/admin/orders/order/add/", data).status_code == 400


# Pages of the project


def search(request):
    rows = Note.objects.filter(**{request.GET["lookup"]: request.GET["q"]})
    return HttpResponse(", ".join(map(str, rows)))


def divide(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 / 0")


def too_long(request):
    Plan.objects.create(name="x" * 50)


urlpatterns = [
    path("search/", search),
    path("divide/", divide),
    path("too-long/", too_long),
    *urls,
]


@pytest.mark.parametrize("query", ["text__icontains&q=%00", "text__regex&q=("])
def test_a_search_form_that_passes_on_what_it_gets_answers_400(tenant_client, query, settings):
    """R19: the same mechanism serves the project's own pages."""
    settings.ROOT_URLCONF = __name__
    assert answer(tenant_client, f"/search/?lookup={query}").status_code == 400


@pytest.mark.parametrize(("method", "page"), [("get", "divide"), ("post", "too-long")])
def test_a_mistake_of_a_page_is_an_error(tenant_client, method, page):
    with (
        override_settings(ROOT_URLCONF=__name__),
        pytest.raises(DataError, match=r"zero|too long"),
        transaction.atomic(),
    ):
        getattr(tenant_client, method)(f"/{page}/")
