"""Django REST framework's views: their methods, their bodies, and tokens. Imported if installed."""

import contextlib
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from rest_framework import serializers
from rest_framework.views import APIView

from tenancy.testing.isolation.sides import Side

jwt = (
    import_module("rest_framework_simplejwt.tokens")
    if find_spec("rest_framework_simplejwt")
    else None
)
NUMBERS = (serializers.IntegerField, serializers.FloatField, serializers.DecimalField)


def methods_of(view) -> list[str] | None:
    """Return the methods of a view of this library; None for others."""
    view_class = getattr(view, "cls", None)
    if view_class is None or not issubclass(view_class, APIView):
        return None
    known = getattr(view, "actions", None) or view_class.http_method_names
    return [
        name.upper() for name in known if getattr(view, "actions", 0) or hasattr(view_class, name)
    ]


def body_of(view, method: str, row, side: Side) -> dict | None:
    """Return JSON that the view's serializer accepts, with the values of a row."""
    if methods_of(view) is None or method == "DELETE":
        return None
    with contextlib.suppress(Exception):  # what a view needs besides isn't known here
        instance = view.cls(**getattr(view, "initkwargs", {}))
        instance.request, instance.args, instance.kwargs, instance.format_kwarg = None, (), {}, None
        instance.action = (getattr(view, "actions", None) or {}).get(method.lower())
        serializer_class = instance.get_serializer_class()
        known = dict(serializer_class(instance=row).data) if row else {}
        return {
            name: value_for(field, known.get(name), side)
            for name, field in serializer_class().fields.items()
            if not field.read_only and not isinstance(field, serializers.FileField)
        }
    return None


def value_for(field: serializers.Field, value, side: Side):
    text = side.canary("a value that a request wrote")
    if isinstance(field, serializers.EmailField):
        return f"{text}@example.com"
    if type(field) is serializers.CharField or isinstance(field, serializers.SlugField):
        return text[: field.max_length] if getattr(field, "max_length", None) else text
    if value is None and isinstance(field, NUMBERS):
        return 7
    return value


def authentications() -> dict[str, Callable]:
    """Return a function for each installed kind of token, from a person to headers."""
    found = {}
    if apps.is_installed("rest_framework.authtoken"):
        token = apps.get_model("authtoken", "Token")
        found["Token"] = lambda user: header("Token", token.objects.get_or_create(user=user)[0])
    if apps.is_installed("knox"):
        knox = apps.get_model("knox", "AuthToken")
        found["knox"] = lambda user: header("Token", knox.objects.create(user=user)[1])
    if jwt:
        found["JWT"] = lambda user: header("Bearer", jwt.AccessToken.for_user(user))
    return found


def header(kind: str, token) -> dict[str, str]:
    return {"Authorization": f"{kind} {token}"}
