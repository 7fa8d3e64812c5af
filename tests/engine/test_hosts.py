"""Host names, slugs and schema names: one spelling each, and no other in the database."""

import re
from io import BytesIO
from wsgiref.util import setup_testing_defaults

import pytest
from django.core.exceptions import ValidationError
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from server.tenants.models import Domain, Tenant
from tenancy import hosts
from tenancy.exceptions import InvalidSlug
from tenancy.lifecycle import provision_tenant
from tenancy.people import models as users

SPELLINGS = {
    "acme.example.com": "acme.example.com",
    "ACME.Example.COM": "acme.example.com",
    "acme.example.com.": "acme.example.com",
    "acme.example.com:8000": "acme.example.com",
    "www.acme.example.com": "acme.example.com",
    "WWW.ACME.example.com.:65535": "acme.example.com",
    "bücher.example.com": "xn--bcher-kva.example.com",
    "www.BÜCHER.example.com.:80": "xn--bcher-kva.example.com",
    "XN--BCHER-KVA.example.com": "xn--bcher-kva.example.com",
    "straße.example.com": "xn--strae-oqa.example.com",
    "例え。テスト": "xn--r8jz45g.xn--zckzah",
    "ｗｗｗ.acme.example.com": "acme.example.com",
    "r3---sn-x.example.com": "r3---sn-x.example.com",
    "localhost": "localhost",
    "1.example": "1.example",
}

# What can't stand in a host name, by itself or where it is put.
SIGNS = [
    *(chr(number) for number in range(0x80) if not re.match(r"[A-Za-z0-9.-]", chr(number))),
    *("..", "../", "%00", "%2e", "\r\nX-Forwarded-Host: x", "://", "🦊", "\u2028", "\u202e"),
]
NO_HOSTS = [
    *(f"{sign}first.localhost" for sign in SIGNS),
    *(f"fir{sign}st.localhost" for sign in SIGNS),
    *(f"first.localhost{sign}" for sign in SIGNS),
    *("", ".", "-", "..", ".localhost", "-first.localhost", "first-.localhost", "www.www.x"),
    *(":80", "user:80@localhost"),
    *(f"first.localhost:{port}" for port in ("99999", "x", "-1", "80:80")),
    *("first.localhost:８０", "first.localhost:" + "9" * 5000),
    *("[::1]", "[::1]:8000", "[fe80::1%25eth0]", "[first.localhost]", "::1", "["),
    "[::ffff:1.2.3.4]",
    *["127.0.0.1", "127.0.0.1:8000", "0x7f.1", "2130706433", "first.localhost.1"],
    *("a" * 64 + ".localhost", "a" * 300, "a." * 127 + "a", "a." * 5000, "é" * 300 + ".localhost"),
    *("xn--é.localhost", "' OR 1=1 --", "x'; DROP SCHEMA public CASCADE; --", "${7*7}.localhost"),
]
UNKNOWN_HOSTS = ["nobody.localhost", "xn--.localhost", "xn--a.localhost", "xn--999999.localhost"]

WORDS = [
    *("acme", "a", "acme-labs", "a--b", "9lives", "-a", "a-", "www.acme", "acme.www"),
    *("1", "1.2", "a.1", "1.a", "public", "pg", "pg_1"),
]
LETTERS = [*map(chr, range(1, 0x250)), *"ſK٣１🦊", "\u2028", "..", "--", "__", ""]
WORDS += [f"{letter}acme" for letter in LETTERS]
WORDS += [f"ac{letter}me" for letter in LETTERS]
WORDS += [f"acme{letter}" for letter in LETTERS]
TEXTS = [
    "",
    *SPELLINGS,
    *("a" * length for length in (40, 41, 63, 64, 65, 253, 254)),
    *("a." * 126 + ending for ending in ("a", "aa")),
    *(word + ending for word in WORDS for ending in ("", ".example", "@example.com")),
    *(word + ending for word in WORDS for ending in ("_0a1b2c3d", "_0A1B2C3D", "_0a1b2c3")),
]

IMPOSSIBLE = {
    ("tenants_domain", "domain"): [
        *("ACME.localhost", "acme.localhost.", "www.acme.localhost", "acme:80", "é.localhost", ""),
        *("127.0.0.1", "a..b", "a_b", "a b", "a\n", "a" * 64, "a." * 127),
    ],
    ("tenants_tenant", "slug"): [
        *("", "ACME", "a b", "a--b", "9lives", "../x", "acme.evil", "é", "a\n", "a" * 41),
    ],
    ("tenants_tenant", "schema_name"): [
        *("", "public", "acme", "acme_1", "ACME_0a1b2c3d", "acme_0A1B2C3D", "acme_0a1b2c3d\n"),
        *("pg_0a1b2c3d", "pg_catalog", "information_schema", "é_0a1b2c3d", "é" * 40),
        *("a" * 55 + "_0a1b2c3d", 'a"; DROP SCHEMA public; --_0a1b2c3d'),
    ],
    ("users_user", "username"): [
        *("", "ADA", "ada lovelace", "ada@example.com", "-ada", "é", "É", "ada\n", "a" * 65),
    ],
    ("users_user", "email"): [
        *("", "ADA@example.com", "ada@EXAMPLE.com", "É@example.com", "é@example.com", "ada"),
        *("ada@", "ada @example.com", "ada@example.com\n", "a" * 243 + "@example.com"),
    ],
}


@pytest.mark.parametrize(("spelling", "name"), SPELLINGS.items())
def test_no_spelling_of_a_host_is_another_host(spelling, name):
    assert hosts.normalise_host(spelling) == name
    assert hosts.normalise_host(name) == name


def test_what_is_no_host_name_is_taken_for_none():
    assert [text for text in [*NO_HOSTS, "\ud800.localhost"] if hosts.normalise_host(text)] == []


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "pattern", [hosts.HOST, hosts.SLUG, hosts.SCHEMA_NAME, users.USERNAME, users.EMAIL]
)
def test_no_pattern_means_something_else_to_postgresql(pattern):
    with connection.cursor() as cursor:
        query = "SELECT text FROM unnest(%s::text[]) AS text WHERE text ~ %s"
        cursor.execute(query, [TEXTS, pattern])
        postgresqls = [text for (text,) in cursor]

    assert postgresqls == [text for text in TEXTS if re.search(pattern, text)]
    assert 0 < len(postgresqls) < len(TEXTS)


@pytest.mark.usefixtures("db")
def test_no_constraint_is_another_than_the_rule():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(("table", "column"), IMPOSSIBLE)
def test_no_row_breaks_a_rule_however_it_is_written(tenant, table, column):
    row = {"tenants_domain": tenant.get_primary_domain(), "users_user": tenant.owner}
    for value in IMPOSSIBLE[table, column]:
        with (
            pytest.raises(DatabaseError, match=r"check constraint|value too long"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(
                f"UPDATE {table} SET {column} = %s WHERE id = %s",  # noqa: S608
                [value, row.get(table, tenant).pk],
            )


def test_the_public_slug_and_schema_have_no_other_partner(public):
    for change in ({"slug": "acme"}, {"schema_name": "public_0a1b2c3d"}):
        with pytest.raises(DatabaseError, match="check constraint"), transaction.atomic():
            Tenant.objects.filter(pk=public.pk).update(**change)


def test_a_new_slug_leaves_the_schemas_name_alone(tenant):
    Tenant.objects.filter(pk=tenant.pk).update(slug="renamed")

    tenant.refresh_from_db()
    assert tenant.schema_name.startswith("first_")
    tenant.full_clean()


def by_create(tenant, host):
    return Domain.objects.create(tenant=tenant, domain=host)


def by_bulk_create(tenant, host):
    return Domain.objects.bulk_create([Domain(tenant=tenant, domain=host)])[0]


def by_update(tenant, host):
    tenant.domains.update(domain=host)
    return tenant.domains.get()


def by_bulk_update(tenant, host):
    domain = tenant.domains.get()
    domain.domain = host
    Domain.objects.bulk_update([domain], ["domain"])
    return tenant.domains.get()


def by_get_or_create(tenant, host):
    assert Domain.objects.get_or_create(tenant=tenant, domain=host)[1]
    return Domain.objects.get_or_create(tenant=tenant, domain=host.swapcase())[0]


@pytest.mark.parametrize("host", ["WWW.Bücher.localhost.:8000", "XN--bcher-kva.localhost"])
@pytest.mark.parametrize(
    "written", [by_create, by_bulk_create, by_update, by_bulk_update, by_get_or_create]
)
def test_no_way_of_writing_a_domain_keeps_another_spelling(tenant, written, host):
    domain = written(tenant, host)

    assert domain.domain == "xn--bcher-kva.localhost"
    assert Domain.objects.get(domain=host) == domain
    assert Domain.objects.get(domain__in=["www.BÜCHER.localhost"]) == domain


def test_an_administrator_may_write_a_domain_as_people_do(public_client, tenant):
    page, answers = "/admin/tenants/domain/add/", {"tenant": tenant.pk}

    public_client.post(page, answers | {"domain": " WWW.Bücher.localhost:8000 "})
    twin = public_client.post(page, answers | {"domain": "bücher.localhost"})
    wrong = public_client.post(page, answers | {"domain": "http://bücher.localhost/"})

    assert tenant.domains.get(is_primary=False).domain == "xn--bcher-kva.localhost"
    assert "already exists" in twin.text
    assert hosts.HOST_RULE in wrong.text
    assert "Welcome to First Tenant" in visit("XN--BCHER-KVA.localhost.:8000").text


def visit(host):
    return Client().get("/", headers={"host": host})


@pytest.mark.usefixtures("db")
def test_no_host_breaks_the_site(settings):
    for settings.ALLOWED_HOSTS in ([".localhost"], ["*"]):
        answers = {host: visit(host).status_code for host in [*NO_HOSTS, *UNKNOWN_HOSTS]}

        assert {host: status for host, status in answers.items() if status not in (400, 404)} == {}


@pytest.mark.usefixtures("db")
def test_what_was_allowed_before_says_nothing_about_a_host(settings):
    for settings.ALLOWED_HOSTS, status in ((["other.localhost"], 404), ([".localhost"], 200)):
        assert visit("first.localhost").status_code == status


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("path", ["/", "/account/login", "/notes", "//evil.example.com/"])
def test_nothing_is_made_of_an_unknown_host(settings, path, method, secure):
    """Neither a link nor a redirect, to TLS, to a final slash or to a language's path."""
    settings.SECURE_SSL_REDIRECT = True
    host = "nobody.example.com"
    headers = {"host": host, "origin": f"https://{host}", "referer": f"https://{host}/"}
    page = getattr(Client(), method)(path, headers=headers, secure=secure)

    assert page.status_code == 404
    assert "Location" not in page
    assert not re.search(rf"(href|action|src|content)=[^>]*{re.escape(host)}", page.text)


@pytest.mark.usefixtures("db")
def test_a_known_host_is_led_to_tls(settings):
    settings.SECURE_SSL_REDIRECT = True
    page = visit("first.localhost")

    assert (page.status_code, page["Location"]) == (301, "https://first.localhost/")


@pytest.mark.usefixtures("committed_db")
def test_no_byte_in_a_host_breaks_the_site(settings):
    settings.ALLOWED_HOSTS = ["*"]
    application, answers = WSGIHandler(), {}
    for byte in range(0x100):
        for template in (b"%cfirst.localhost", b"fir%cst.localhost", b"first.localhost%c"):
            host = template % byte
            environ = {"HTTP_HOST": host.decode("latin-1"), "wsgi.input": BytesIO()}
            setup_testing_defaults(environ)
            response = application(environ, lambda status, headers: None)
            answers[host] = response.status_code
            response.close()

    assert {host for host, status in answers.items() if status not in (400, 404)} == {
        b"first.localhost."
    }


@pytest.mark.usefixtures("db")
def test_what_is_no_host_name_costs_no_query(settings, django_assert_num_queries):
    settings.ALLOWED_HOSTS = ["*"]
    with django_assert_num_queries(0):
        for host in NO_HOSTS:
            visit(host)


@pytest.mark.usefixtures("db")
def test_no_slug_breaks_more_than_the_rule(django_assert_num_queries):
    slugs = [
        *(f"a{sign}b" for sign in [*SIGNS, ".", "--", "\ud800"]),
        *(f"{sign}ab" for sign in [*SIGNS, ".", "-", "9", "A"]),
        *(f"ab{sign}" for sign in [*SIGNS, ".", "-", "A"]),
        *NO_HOSTS,
        *("xn--a", "a" * 41, "a" * 100_000),
        *hosts.RESERVED_SLUGS,
    ]
    with django_assert_num_queries(0):
        for slug in slugs:
            with pytest.raises(InvalidSlug, match="slug"):
                provision_tenant("Name", slug, "org", "admin")


@pytest.mark.parametrize("slug", sorted(hosts.RESERVED_SLUGS))
def test_a_reserved_slug_is_one_that_the_rule_would_allow(slug):
    assert re.match(hosts.SLUG, slug)
    with pytest.raises(ValidationError, match=f"“{slug}-team” would do"):
        hosts.validate_slug(slug)
    hosts.validate_slug(f"{slug}-team")
