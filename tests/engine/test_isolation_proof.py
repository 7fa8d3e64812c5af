"""The isolation proof finds leaks, each of which is the only one in its project."""

import re
from pathlib import Path
from types import ModuleType

import pytest
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.test import override_settings
from django.urls import include, path
from django.views.decorators.http import require_safe
from ninja import NinjaAPI, Schema
from ninja.security import django_auth
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import DefaultRouter
from rest_framework.serializers import ModelSerializer
from rest_framework.viewsets import ModelViewSet
from server import urls
from server.notes.models import Note
from server.tenants.models import Tenant
from tenancy.testing.isolation import filler

from engine.leaks import CACHES, LEAKS


@pytest.fixture
def prove(isolation):
    """Prove a project with one more page at the tenants' hosts; return what was found."""

    def prove(pattern, **hooks) -> str:
        urlconf = ModuleType("leaky")
        urlconf.urlpatterns = [pattern, *urls.urlpatterns]
        with override_settings(ROOT_URLCONF=urlconf, CACHES=CACHES):
            try:
                isolation.prove(**hooks)
            except AssertionError as error:
                return str(error)
        return ""

    return prove


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_found(prove, name):
    """I1 and I2 are among them."""
    pattern, hooks, finding = LEAKS[name]

    assert finding in prove(pattern, **hooks)


class NoteSerializer(ModelSerializer):
    class Meta:
        model = Note
        fields = ["id", "text"]  # noqa: RUF012


class NoteViewSet(ModelViewSet):
    queryset = Note.objects.all()
    serializer_class = NoteSerializer
    authentication_classes = [BasicAuthentication, SessionAuthentication]  # noqa: RUF012
    permission_classes = [IsAuthenticated]  # noqa: RUF012

    def perform_create(self, serializer):
        serializer.save(author=self.request.user)


class NotesOfAll(NoteViewSet):
    def get_queryset(self):
        return Note.objects.using("default").raw(
            " UNION ALL ".join(
                f'SELECT * FROM "{tenant.schema_name}".notes_note'  # noqa: S608
                for tenant in Tenant.objects.exclude(schema_name="public")
            )
        )


def api_of(viewset):
    router = DefaultRouter()
    router.register("notes", viewset)
    return path("api/", include(router.urls))


class NoteIn(Schema):
    text: str


def ninja_of(rows):
    api = NinjaAPI(auth=django_auth, urls_namespace=f"ninja-{id(rows)}")

    @api.get("/notes")
    def read(request):
        return [note.text for note in rows()]

    @api.post("/notes")
    def write(request, note: NoteIn):
        Note.objects.create(text=note.text, author=request.user)
        return note.dict()

    @api.delete("/notes/{note_id}")
    def remove(request, note_id: int):
        get_object_or_404(Note, pk=note_id).delete()
        return {}

    return path("ninja/", api.urls)


REST = ["api/notes/", "api/notes/(?P<pk>[^/.]+)/"]
NINJA = ["ninja/notes", "ninja/notes/<note_id>"]


def test_apis_that_are_right_pass(prove, isolation):
    """And each operation has written, or its pattern wouldn't count as covered."""
    assert prove(api_of(NoteViewSet), only=REST) == ""
    assert "Basic" in isolation.report

    assert prove(ninja_of(Note.objects.all), only=NINJA) == ""
    for method in ("POST", "DELETE"):
        assert method in isolation.report


def test_apis_that_leak_are_found(prove):
    assert "of other" in prove(api_of(NotesOfAll), only=REST)
    assert "of other" in prove(ninja_of(lambda: NotesOfAll().get_queryset()), only=NINJA)


def test_what_is_not_covered_is_named(prove, isolation):
    def webhook(request, signature):
        return HttpResponse(status=400 if request.method == "POST" else 200)

    page = path("hook/<signature>/", webhook)
    assert "hook/<signature>/: no arguments were found" in prove(page, only=["hook/<signature>/"])

    arguments = {"hook/<signature>/": lambda user: [{"signature": "secret"}]}
    hooks = {"only": ["hook/<signature>/"], "arguments": arguments}
    assert "POST changed nothing (status 400" in prove(page, **hooks)

    reason = "Signed by the payment provider."
    assert prove(page, **hooks, except_for={"POST hook/<signature>/": reason}) == ""
    assert reason in isolation.report


def test_a_page_for_everybody_says_so(prove):
    def blog(request):
        return HttpResponse(" ".join(Note.objects.values_list("text", flat=True)))

    page = path("blog/", blog, name="blog")
    assert "a person without a membership" in prove(page, only=["blog"])
    assert prove(page, only=["blog"], open_to_all={"blog": "Everybody may read."}) == ""


def test_models_that_need_a_factory_are_named(prove, monkeypatch):
    monkeypatch.setattr(filler, "VALUES", {})
    found = prove(path("page/", lambda request: HttpResponse()), only=["page/"])

    assert "give `factories`" in found


def test_all_combinations_are_more_than_the_pairs(prove, isolation):
    counts = []
    for isolation.requests in ("pairs", "full"):
        assert prove(path("page/", lambda request: HttpResponse()), only=["notes"]) == ""
        counts.append(int(re.search(r"(\d+) requests, ", isolation.report)[1]))

    assert counts[0] < counts[1]


def test_nothing_is_left(prove):
    before = [*files(settings.MEDIA_ROOT)]
    prove(path("page/", lambda request: HttpResponse()), only=["notes"])

    assert [*files(settings.MEDIA_ROOT)] == before


def files(folder):
    return [file for file in Path(folder).rglob("*") if file.is_file()]


@require_safe
def refuse(request, pk):
    """Refuse the owner in another way than the members."""
    if request.user == request.tenant.owner:
        raise Http404
    raise PermissionDenied


def test_an_answer_is_compared_with_one_to_the_same_person(prove):
    route = "refused/<int:pk>/"

    assert prove(path(route, refuse), only=[route]) == ""
