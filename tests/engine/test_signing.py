"""A signature of one tenant is none in another."""

import pytest
from django.contrib.messages import get_messages, success
from django.contrib.messages.storage.cookie import CookieStorage
from django.core import signing as tenant_blind
from django.core.signing import BadSignature
from django.http import HttpResponse
from django.test import RequestFactory
from tenancy.isolation import signing


@pytest.fixture(params=["other", "public"])
def stranger(request, tenant):
    return type(tenant).objects.get(slug=request.param)


@pytest.mark.parametrize("options", [{}, {"salt": "mine"}, {"key": "k" * 50}])
def test_what_one_tenant_signs_no_other_accepts(tenant, stranger, options):
    signed = signing.dumps({"invite": "ada"}, **options)

    assert signing.loads(signed, max_age=60, **options) == {"invite": "ada"}
    with stranger, pytest.raises(BadSignature):
        signing.loads(signed, **options)


def test_a_signature_of_nobody_is_none_of_a_tenant(tenant):
    for signed in (
        tenant_blind.dumps("x", salt=signing.SALT),
        tenant_blind.TimestampSigner(salt="x").sign(f"{tenant.schema_name}:x"),
    ):
        with pytest.raises(BadSignature):
            signing.loads(signed)


def test_a_signer_made_in_one_tenant_signs_for_the_tenant_where_it_is_used(tenant, stranger):
    """A middleware or module makes it once, long before the request."""
    signer = signing.TenantSigner(salt="mine")

    with stranger:
        assert signer.unsign(signer.sign("x")) == "x"
        signed = signer.sign("x")
    with pytest.raises(BadSignature):
        signer.unsign(signed)


def test_compressed_and_old_signatures_are_read_as_django_reads_them(tenant):
    long = ["the same again"] * 50

    assert signing.loads(signing.dumps(long, compress=True)) == long
    with pytest.raises(tenant_blind.SignatureExpired):
        signing.loads(signing.dumps(long), max_age=-1)


def test_a_signed_cookie_of_one_host_is_refused_on_another(tenant, stranger):
    request = RequestFactory().get("/")
    response = HttpResponse()
    response.set_signed_cookie("plan", "gold")
    request.COOKIES["plan"] = response.cookies["plan"].value

    assert request.get_signed_cookie("plan") == "gold"
    with stranger:
        assert request.get_signed_cookie("plan", default=None) is None


def test_a_message_for_one_host_is_not_shown_on_another(tenant, stranger):
    request = RequestFactory().get("/")
    request._messages = CookieStorage(request)
    success(request, "Our secret is saved.")
    response = HttpResponse()
    request._messages.update(response)
    cookie = response.cookies["messages"].value

    def shown():
        request.COOKIES["messages"] = cookie
        request._messages = CookieStorage(request)
        return [str(message) for message in get_messages(request)]

    assert shown() == ["Our secret is saved."]
    with stranger:
        assert shown() == []
