"""An API of notes for each library that identifies people, and for some that nobody knows."""

import functools

from django.contrib.auth import authenticate, get_user_model
from django.db import connection, transaction
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from knox.auth import TokenAuthentication as KnoxAuthentication
from ninja import NinjaAPI
from ninja.security import HttpBasicAuth, HttpBearer, django_auth
from oauth2_provider.contrib.rest_framework import OAuth2Authentication, TokenHasScope
from oauth2_provider.decorators import protected_resource
from oauth2_provider.views import TokenView
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.authtoken.models import Token
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import (
    JWTAuthentication,
    JWTStatelessUserAuthentication,
)
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView
from server.notes.models import Note
from tenancy.people.keys.ninja import KeyBearer
from tenancy.people.keys.rest import KeyAuthentication


def texts() -> list[str]:
    return [*Note.objects.values_list("text", flat=True)]


def write(author=None) -> None:
    if not isinstance(author, get_user_model()):
        author = get_user_model().objects.first()
    Note.objects.create(text="written", author=author)


def named(request):
    return get_user_model().objects.get(username=request.headers["X-Person"])


class HeaderAuthentication(BaseAuthentication):
    """Of no library: it asks nothing about the person."""

    def authenticate(self, request):
        return named(request), None


class Notes(APIView):
    required_scopes = ()

    def get(self, request):
        return Response(texts())

    def post(self, request):
        write(request.user)
        return Response(texts(), 201)


AUTHENTICATIONS = {
    "basic": BasicAuthentication,
    "header": HeaderAuthentication,
    "jwt": JWTAuthentication,
    "key": KeyAuthentication,
    "knox": KnoxAuthentication,
    "oauth": OAuth2Authentication,
    "session": SessionAuthentication,
    "stateless": JWTStatelessUserAuthentication,
    "token": TokenAuthentication,
}


def pages():
    for name, authentication in AUTHENTICATIONS.items():
        open_to = TokenHasScope if name == "oauth" else AllowAny
        for prefix, permission in (("", IsAuthenticated), ("open/", open_to)):
            options = {
                "authentication_classes": [authentication],
                "permission_classes": [permission],
            }
            yield path(f"{prefix}{name}/", Notes.as_view(**options))


class Bearer(HttpBearer):
    """As the documentation of django-ninja says, with a check of the person."""

    def authenticate(self, request, token):
        row = Token.objects.select_related("user").filter(key=token).first()
        return row.user if row and row.user.is_active else None


class CarelessBearer(HttpBearer):
    def authenticate(self, request, token):
        row = Token.objects.select_related("user").filter(key=token).first()
        return row and row.user


class RowBearer(HttpBearer):
    """Gives the token, not the person."""

    def authenticate(self, request, token):
        return Token.objects.filter(key=token).first()


class Basic(HttpBasicAuth):
    def authenticate(self, request, username, password):
        return authenticate(request, username=username, password=password)


def shared_key(request):
    """Identifies a program, but no person."""
    return request.headers.get("X-Key")


def ninja_api(name, auth):
    api = NinjaAPI(auth=auth, urls_namespace=name, docs_url=None, openapi_url=None)

    @api.get("/")
    def read(request):
        return texts()

    @api.post("/")
    def add(request):
        write()
        return texts()

    return path(f"{name}/", api.urls)


def by_header(view):
    """A decorator of no library."""

    @csrf_exempt
    @functools.wraps(view)
    def wrapped(request):
        if request.method == "POST":
            write()  # before anybody is identified
            transaction.on_commit(write)
        request.user = named(request)
        return view(request)

    return wrapped


@by_header
def decorated(request):
    return JsonResponse(texts(), safe=False)


@by_header
def streamed(request):
    return StreamingHttpResponse(stream())


def stream():
    write()
    yield from texts()


@csrf_exempt
async def asynchronous(request):
    """In an event loop, where nothing can ask for the membership."""
    author = await get_user_model().objects.aget(username=request.headers["X-Person"])
    if request.method == "POST":
        await Note.objects.acreate(text="written", author=author)
    request.user = author
    return JsonResponse([note.text async for note in Note.objects.all()], safe=False)


@csrf_exempt
@protected_resource()
def protected(request):
    if request.method == "POST":
        write()
    return JsonResponse(texts(), safe=False)


@csrf_exempt
def depth(request):
    """How many transactions and savepoints are open."""
    return JsonResponse(len(connection.atomic_blocks), safe=False)


@transaction.non_atomic_requests
@csrf_exempt
def depth_without(request):
    return depth(request)


apis = [
    *pages(),
    ninja_api("ninja", Bearer()),
    ninja_api("careless-ninja", CarelessBearer()),
    ninja_api("row-ninja", RowBearer()),
    ninja_api("basic-ninja", Basic()),
    ninja_api("session-ninja", django_auth),
    ninja_api("own-ninja", KeyBearer()),
    path("both/", Notes.as_view(authentication_classes=[KeyAuthentication, JWTAuthentication])),
    ninja_api("key-ninja", shared_key),
    path("decorated/", decorated),
    path("streamed/", streamed),
    path("asynchronous/", asynchronous),
    path("protected/", protected),
    path("depth/", depth),
    path("depth-without/", depth_without),
    path("obtain/", obtain_auth_token),
    path("jwt-obtain/", TokenObtainPairView.as_view()),
    path("jwt-refresh/", TokenRefreshView.as_view()),
    path("oauth-obtain/", TokenView.as_view()),
]
urlpatterns = [
    path("api/", include(apis)),
    path("", include("server.urls")),
]
