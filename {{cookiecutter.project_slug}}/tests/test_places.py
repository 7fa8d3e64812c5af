"""The example app with geography."""

import pytest

models = pytest.importorskip("server.places.models", reason="DATABASE_URL isn't postgis://")


def test_the_nearest_place_comes_first(tenant_client):
    for name, position in ("Berlin", "52.52, 13.405"), ("Paris", "48.8566, 2.3522"):
        tenant_client.post("/places/", {"name": name, "position": position})
    assert models.Place.objects.count() == 2

    page = tenant_client.get("/places/", {"near": "48, 2"})
    assert [place.name for place in page.context["places"]] == ["Paris", "Berlin"]
    assert page.context["places"][0].distance.km == pytest.approx(98.6, rel=0.05)
