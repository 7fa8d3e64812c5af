"""The password doors of an API have the same limit as the forms."""

from base64 import b64encode

import pytest
from django.test import Client
from django.urls import include, path
from server import urls

pytest.importorskip("rest_framework")

from rest_framework.authentication import BasicAuthentication
from rest_framework.authtoken.views import obtain_auth_token
from rest_framework.response import Response
from rest_framework.views import APIView


class Hello(APIView):
    authentication_classes = (BasicAuthentication,)

    def get(self, request):
        return Response(str(request.user))


urlpatterns = [
    path("hello/", Hello.as_view()),
    path("token/", obtain_auth_token),
    path("", include(urls)),
]


def basic(client, password, username="admin"):
    credentials = b64encode(f"{username}:{password}".encode()).decode()
    headers = {"authorization": f"Basic {credentials}", "accept": "application/json"}
    return client.get("/hello/", headers=headers)


@pytest.mark.parametrize("debug", [True, False])
def test_wrong_passwords_are_counted_at_every_door(db, settings, debug):
    """R3: HTTP Basic and the view that gives tokens."""
    settings.DEBUG, settings.ROOT_URLCONF = debug, __name__
    client = Client(SERVER_NAME="first.localhost")
    for _ in range(12):
        assert basic(client, "password").status_code == 200
    wrong = {"username": "admin", "password": "wrong"}
    assert [client.post("/token/", wrong).status_code for _ in range(5)] == [400] * 5
    assert [basic(client, "wrong").status_code for _ in range(6)] == [401] * 5 + [429]

    refused = basic(client, "password")
    assert refused.json() == {"detail": "Try again in 15 minutes."}
    assert 0 < int(refused["Retry-After"]) <= 900
    assert client.post("/token/", wrong | {"password": "password"}).status_code == 429
    assert basic(client, "x", "a\0b").status_code == 400
