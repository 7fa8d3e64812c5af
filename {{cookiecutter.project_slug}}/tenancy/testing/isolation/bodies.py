"""What requests send where no page has a form: autocompletion, and the bodies of APIs."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from urllib.parse import urlencode

from tenancy.testing.isolation.api_keys import by_key
from tenancy.testing.isolation.sides import Side

APIS = []
AUTHENTICATIONS: dict[str, Callable] = {}
if find_spec("rest_framework"):
    from tenancy.testing.isolation import rest

    APIS.append(rest)
    AUTHENTICATIONS |= rest.authentications()
if find_spec("ninja"):
    from tenancy.testing.isolation import ninja_api

    APIS.append(ninja_api)
if APIS:
    AUTHENTICATIONS["key"] = by_key


def body_of(view, method: str, row, side: Side) -> dict | None:
    """Return JSON for the operation, with a row's values; None if no API is known here."""
    found = (api.body_of(view, method, row, side) for api in APIS)
    return next((body for body in found if body is not None), None)


def methods_of(view) -> list[str] | None:
    """Return the methods of an API's view; None for other views."""
    found = (api.methods_of(view) for api in APIS)
    return next((methods for methods in found if methods is not None), None)


def autocomplete(site) -> Iterator[str]:
    """Yield a query for each foreign key whose rows the admin completes."""
    for model in site._registry:
        for field in (*model._meta.fields, *model._meta.many_to_many):
            remote = field.remote_field and site._registry.get(field.related_model)
            if remote and remote.search_fields:
                names = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                yield urlencode({"term": "", **names, "field_name": field.name})
