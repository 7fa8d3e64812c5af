"""The example app with geography."""

import pytest

pytest.importorskip("server.places.models", reason="DATABASE_URL isn't postgis://")


def test_places_are_found_by_their_distance(tenant_client):
    from server.places.models import Place

    for name, position in ("Berlin", "52.52, 13.405"), ("Paris", "48.8566, 2.3522"):
        tenant_client.post("/places/", {"name": name, "position": position})
    assert Place.objects.count() == 2

    found = tenant_client.get("/places/geojson/?near=48,2").json()["features"]
    assert [place["properties"]["name"] for place in found] == ["Paris", "Berlin"]
    assert found[0]["properties"]["distance"] == pytest.approx(98_600, rel=0.05)
