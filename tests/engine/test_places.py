"""Places on a map: right distances, right areas, and an answer for whatever is sent as one."""

import json
import re

import pytest
from django.contrib.gis.geos import Point, Polygon
from django.contrib.gis.measure import D
from django.core.exceptions import ValidationError
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from server.places.forms import SearchForm
from server.places.models import Place

# Latitude, longitude. The metres are those of Karney's method on the WGS 84 ellipsoid, which
# geographiclib 2.1 gives: Geodesic.WGS84.Inverse(*BERLIN, *PARIS)["s12"]. On a sphere of the same
# size it is two kilometres less from Berlin to Paris.
BERLIN, PARIS, LISBON = (52.52, 13.405), (48.8566, 2.3522), (38.7223, -9.1393)
BERLIN_TO_PARIS, BERLIN_TO_LISBON = 879_699.3161, 2_315_306.3223
NEAR_BERLIN = {"near": "52.52, 13.405"}


def make(name, position):
    latitude, longitude = position
    return Place.objects.create(name=name, position=Point(longitude, latitude, srid=4326))


def polygon(*points):
    return json.dumps({"type": "Polygon", "coordinates": [[*points, points[0]]]})


@pytest.fixture
def cities(tenant):
    return [make("Lisbon", LISBON), make("Berlin", BERLIN), make("Paris", PARIS)]


@pytest.fixture
def ask(tenant_client):
    """What the GeoJSON says to a query; a list of features if it can be answered."""

    def ask(status=200, **query):
        response = tenant_client.get("/places/geojson/", query)
        assert response.status_code == status, response.text
        return response.json()["features" if status == 200 else "errors"]

    return ask


def names(features):
    return [feature["properties"]["name"] for feature in features]


def test_a_place_is_added_and_shown(tenant_client):
    form = {"name": "Café <Kranzler>", "position": "52.5033, 13.3316"}
    response = tenant_client.post("/places/", form, follow=True)

    assert "Café &lt;Kranzler&gt;" in response.text
    assert Place.objects.get().position.coords == (13.3316, 52.5033)


def test_distances_are_metres_on_the_ellipsoid(cities, ask):
    features = ask(**NEAR_BERLIN)

    assert names(features) == ["Berlin", "Paris", "Lisbon"]
    distances = [feature["properties"]["distance"] for feature in features]
    assert distances == pytest.approx([0, BERLIN_TO_PARIS, BERLIN_TO_LISBON], abs=0.001)


def test_the_page_shows_them_too(cities, tenant_client):
    text = tenant_client.get("/places/", NEAR_BERLIN).text

    assert text.index("0.0 km") < text.index("879.7 km") < text.index("2,315.3 km")


def test_the_date_line_is_no_border(tenant, ask):
    make("Taveuni", (-16.8, 179.9))
    make("Sydney", (-33.9, 151.2))

    assert names(ask(near="-16.8, -179.9")) == ["Taveuni", "Sydney"]


def test_places_within_an_area(cities, ask):
    around_paris = polygon([0, 45], [5, 45], [5, 50], [0, 50])

    assert names(ask(within=around_paris)) == ["Paris"]
    assert names(ask(within=around_paris, **NEAR_BERLIN)) == ["Paris"]
    assert names(ask()) == ["Berlin", "Lisbon", "Paris"]


def test_the_edges_of_an_area_follow_the_parallels_as_on_the_map(tenant, ask):
    """The shortest way from 0° to 60° E at 50° N leads over 54° N."""
    make("Kharkiv", (49.99, 36.23))
    make("North of it", (50.01, 36.23))

    assert names(ask(within=polygon([0, 40], [60, 40], [60, 50], [0, 50]))) == ["Kharkiv"]


def test_an_edge_belongs_to_the_area(tenant, ask):
    make("Corner", (0, 0))

    assert names(ask(within=polygon([0, 0], [1, 0], [1, 1]))) == ["Corner"]


def test_the_geojson_is_valid(cities, tenant_client):
    """RFC 7946: longitude comes first, and no coordinate system is named."""
    response = tenant_client.get("/places/geojson/")

    assert response.headers["Content-Type"] == "application/geo+json"
    assert response.json() == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": place.pk,
                "geometry": {"type": "Point", "coordinates": [longitude, latitude]},
                "properties": {"name": place.name},
            }
            for place, (latitude, longitude) in zip(
                (cities[1], cities[0], cities[2]), (BERLIN, LISBON, PARIS), strict=True
            )
        ],
    }


def test_another_tenant_sees_none_of_them(cities, ask, other_tenant, other_client):
    with other_tenant:
        assert not Place.objects.exists()
    assert other_client.get("/places/geojson/", NEAR_BERLIN).json()["features"] == []
    assert "Lisbon" not in other_client.get("/places/").text
    assert len(ask(**NEAR_BERLIN)) == 3


@pytest.mark.parametrize("path", ["/places/", "/places/geojson/"])
def test_places_are_for_members(client, tenant, path):
    response = client.get(path, headers={"host": "first.localhost"})

    assert response.url == f"/sign-in/?next={path}"


@pytest.mark.parametrize(
    ("near", "says"),
    [
        ("120, 13.4", "latitude first"),
        ("91, 181", "longitude from -180"),
        ("52.5, 180.001", "longitude from -180"),
        ("1" * 400 + ", 1", "latitude first"),
        ("1, " + "1" * 400, "longitude from -180"),
        ("nan, nan", "like 52.52, 13.405"),
        ("inf, 0", "like 52.52, 13.405"),
        ("52,5, 13,4", "like 52.52, 13.405"),
        ("52.5", "like 52.52, 13.405"),
        ("52.5, 13.4, 34", "like 52.52, 13.405"),
        ("Berlin\0", "like 52.52, 13.405"),
        ("٥٢, ١٣", "like 52.52, 13.405"),
    ],
)
def test_a_position_that_is_none_is_refused(ask, tenant_client, near, says):
    assert says in ask(status=400, near=near)["near"][0]
    assert tenant_client.get("/places/", {"near": near}).status_code == 400
    response = tenant_client.post("/places/", {"name": "Here", "position": near})
    assert says in response.context["form"].errors["position"][0]
    assert not Place.objects.exists()


SQUARE = [[0, 0], [0, 1], [1, 1], [0, 0]]
NO_SHAPES = [
    ("nonsense", "as GeoJSON"),
    ("{", "as GeoJSON"),
    ("{}", "as GeoJSON"),
    ('{"type": "Polygon", "coordinates": ' + "[" * 5000 + "]" * 5000 + "}", "as GeoJSON"),
    ('{"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}', "as GeoJSON"),
    ('{"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [0, 1], ["a", 0]]]}', "as GeoJSON"),
    ('{"type": "Polygon", "coordinates": []}', "as GeoJSON"),
    ("SRID=3857;POLYGON((0 0, 0 1, 1 1, 0 0))", "as GeoJSON"),
    ("0103000000000000", "as GeoJSON"),
    ('{"type": "Point", "coordinates": [NaN, 1]}', "Give coordinates"),
    ('{"type": "GeometryCollection", "geometries": []}', "Give coordinates"),
    ('{"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]], []]}', "a part of it"),
    (polygon([0, 0], [0, 1], [1, 0], [1, 1]), "cross"),
    (polygon([0, 0, 9], [0, 1, 9], [1, 1, 9]), "height"),
    (polygon([0, 0], [0, 91], [1, 1]), "latitude from -90"),
    (polygon([0, 0], [0, 1e300], [1, 1]), "latitude from -90"),
    (polygon([0, 0], [0, 1e400], [1, 1]).replace("Infinity", "1e400"), "latitude from -90"),
    (polygon(*([i / 100, 0] for i in range(1200)), [5, 5]), "at most 1000 points"),
    (
        json.dumps(
            {
                "type": "Polygon",
                "coordinates": [SQUARE],
                "crs": {"type": "name", "properties": {"name": "EPSG:3857"}},
            }
        ),
        "EPSG:4326",
    ),
    (  # GDAL before 3.9 would go and get it
        json.dumps(
            {
                "type": "Polygon",
                "coordinates": [SQUARE],
                "crs": {"type": "link", "properties": {"href": "http://127.0.0.1:1/"}},
            }
        ),
        "as GeoJSON",
    ),
]


@pytest.mark.parametrize(("within", "says"), NO_SHAPES)
def test_an_area_that_is_none_is_refused(ask, tenant_client, within, says):
    assert says in ask(status=400, within=within)["within"][0]
    assert tenant_client.get("/places/", {"within": within}).status_code == 400


def test_a_point_is_no_area(ask):
    point = '{"type": "Point", "coordinates": [1, 2]}'

    assert ask(status=400, within=point) == {"within": ["Give a geometry of type POLYGON."]}


@pytest.mark.parametrize(
    ("shape", "says"), [*NO_SHAPES, (polygon([0, 0], [0, 1], [1, 1]), "of type POINT")]
)
def test_the_admin_refuses_them_too(tenant_client, shape, says):
    """Also when the form is shown again with what was sent."""
    form = {"name": "Here", "position": shape}
    response = tenant_client.post("/admin/places/place/add/", form)

    assert response.status_code == 200
    assert says in response.context["adminform"].form.errors["position"][0]
    assert not Place.objects.exists()


def test_the_admin_takes_what_was_drawn_and_shows_it(cities, tenant_client):
    point = '{"type": "Point", "coordinates": [13.4, 52.5]}'
    tenant_client.post("/admin/places/place/add/", {"name": "Here", "position": point})
    place = Place.objects.get(name="Here")
    assert place.position.coords == (13.4, 52.5)

    assert "[ 13.4, 52.5 ]" in tenant_client.get(f"/admin/places/place/{place.pk}/change/").text
    assert "Longitude" in tenant_client.get("/admin/places/place/").text


@pytest.mark.parametrize("path", ["/places/", "/admin/places/place/add/"])
def test_a_map_asks_no_other_server(tenant_client, path):
    text = tenant_client.get(path).text

    addresses = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="([^"]*)"', text)
    assert "/static/leaflet/leaflet.js" in addresses
    assert "/static/places/maps.js" in addresses
    assert all(re.match(r"/\w", address) for address in addresses)
    assert '"layers": []' in text, "tiles of somebody's"


numbers = some.floats() | some.integers()
coordinates = some.recursive(some.lists(numbers, max_size=4), lambda below: some.lists(below))
shapes = some.fixed_dictionaries(
    {"type": some.sampled_from(["Point", "Polygon", "MultiPolygon"]), "coordinates": coordinates}
)
positions = some.builds("{}, {}".format, numbers, numbers)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(near=some.text() | positions, within=some.text() | shapes.map(json.dumps))
def test_whatever_is_asked_is_answered(cities, near, within):
    search = SearchForm({"near": near, "within": within})

    assert len(search.places() if search.is_valid() else search.errors) in range(4)


def test_a_position_out_of_range_is_refused_by_the_model(tenant):
    """PostGIS would move it into range without a word."""
    place = Place(name="Nowhere", position=Point(13.4, 120, srid=4326))
    with pytest.raises(ValidationError, match="latitude from -90"):
        place.full_clean()


HERE, AREA = Point(2.35, 48.86, srid=4326), Polygon.from_bbox((0, 45, 5, 50))


@pytest.mark.parametrize(
    ("lookup", "index"),
    [
        (lambda: Place.objects.inside(AREA), "places_place_planar"),
        (lambda: Place.objects.filter(position__dwithin=(HERE, D(km=5))), "places_place_position"),
    ],
    ids=["an area", "a distance"],
)
def test_an_index_finds_what_is_within(tenant, lookup, index):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # few rows would be read one by one
    assert f"Index Scan using {index}" in lookup().explain()
