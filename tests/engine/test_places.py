"""The example with geography: right distances, and a clear answer to any position."""

import re

import pytest
from django.contrib.gis.geos import Point
from django.contrib.gis.measure import D
from django.core.exceptions import ValidationError
from django.db import connection
from server.places.models import Place

# Latitude, longitude. The metres are those of Karney's method on the WGS 84 ellipsoid, which
# geographiclib 2.1 gives: Geodesic.WGS84.Inverse(*BERLIN, *PARIS)["s12"]. On a sphere of the same
# size it is two kilometres less from Berlin to Paris.
BERLIN, PARIS, LISBON = (52.52, 13.405), (48.8566, 2.3522), (38.7223, -9.1393)
BERLIN_TO_PARIS, BERLIN_TO_LISBON = 879_699.3161, 2_315_306.3223


def make(name, position):
    latitude, longitude = position
    return Place.objects.create(name=name, position=Point(longitude, latitude, srid=4326))


@pytest.fixture
def cities(tenant):
    return [make("Lisbon", LISBON), make("Berlin", BERLIN), make("Paris", PARIS)]


def test_a_place_is_added_and_shown(tenant_client):
    form = {"name": "Café </script>", "position": "52.5033, 13.3316"}
    response = tenant_client.post("/places/", form, follow=True)

    assert "Café &lt;/script&gt;" in response.text
    assert response.text.count("</script>") == response.text.count("<script")
    assert Place.objects.get().position.coords == (13.3316, 52.5033)


def test_the_nearest_come_first_with_distances_on_the_ellipsoid(cities, tenant_client):
    lisbon, berlin, paris = cities
    found = [*Place.objects.nearest_to(berlin.position)]
    assert found == [berlin, paris, lisbon]
    distances = [place.distance.m for place in found]
    assert distances == pytest.approx([0, BERLIN_TO_PARIS, BERLIN_TO_LISBON], abs=0.001)

    text = tenant_client.get("/places/", {"near": "52.52, 13.405"}).text
    assert text.index("0.0 km") < text.index("879.7 km") < text.index("2,315.3 km")


def test_the_date_line_is_no_border(tenant):
    taveuni, sydney = make("Taveuni", (-16.8, 179.9)), make("Sydney", (-33.9, 151.2))

    near = Point(-179.9, -16.8, srid=4326)
    assert [*Place.objects.nearest_to(near)] == [taveuni, sydney]


def test_an_index_finds_what_is_within_a_distance(tenant):
    near = Place.objects.filter(position__dwithin=(Point(2.35, 48.86, srid=4326), D(km=5)))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # few rows would be read one by one
    assert "Index Scan using places_place_position" in near.explain()


def test_another_tenant_sees_none_of_them(cities, other_tenant, other_client, tenant_client):
    with other_tenant:
        assert not Place.objects.exists()
    assert "Lisbon" not in other_client.get("/places/").text
    assert "Lisbon" in tenant_client.get("/places/").text


def test_places_are_for_members(client, tenant):
    response = client.get("/places/", headers={"host": "first.localhost"})

    assert response.url == "/sign-in/?next=/places/"


@pytest.mark.parametrize(
    ("near", "says"),
    [
        ("120, 13.4", "A latitude is from -90"),
        ("52.5, 180.001", "a longitude from -180"),
        ("1" * 400 + ", 1", "A latitude is from -90"),
        ("nan, nan", "like 52.52, 13.405"),
        ("inf, 0", "like 52.52, 13.405"),
        ("52,5, 13,4", "like 52.52, 13.405"),
        ("52.5", "like 52.52, 13.405"),
        ("52.5, 13.4, 34", "like 52.52, 13.405"),
        ("Berlin\0", "like 52.52, 13.405"),
        ("٥٢, ١٣", "like 52.52, 13.405"),
    ],
)
def test_what_is_no_position_is_refused(tenant_client, near, says):
    page = tenant_client.get("/places/", {"near": near})
    assert says in page.context["near"].errors["near"][0]
    for path in ("/places/", "/admin/places/place/add/"):
        response = tenant_client.post(path, {"name": "Here", "position": near})
        form = response.context.get("form") or response.context["adminform"].form
        assert says in form.errors["position"][0]
    assert not Place.objects.exists()


def test_the_model_refuses_a_position_that_postgis_would_move(tenant):
    with pytest.raises(ValidationError, match="A latitude is from -90"):
        Place(name="Nowhere", position=Point(0, 120, srid=4326)).full_clean()


def test_the_admin_shows_a_position_as_it_is_written(cities, tenant_client):
    text = tenant_client.get(f"/admin/places/place/{cities[1].pk}/change/").text
    assert 'value="52.52, 13.405"' in text
    assert "Longitude" in tenant_client.get("/admin/places/place/").text


def test_the_map_asks_no_other_server(tenant_client):
    text = tenant_client.get("/places/").text

    addresses = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]*)"', text)
    assert {"/static/leaflet/leaflet.js", "/static/places/maps.js"} <= {*addresses}
    assert all(re.match(r"/\w", address) for address in addresses)
    assert '"layers": []' in text, "tiles of somebody's"
