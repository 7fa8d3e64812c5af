import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.db.models import Value
from django.db.models.functions import Concat

User = get_user_model()


@pytest.fixture
def ada(db):
    return User.objects.create_user("Ada@Example.com", "password", username="Ada")


def test_names_and_emails_are_stored_in_lower_case(ada):
    assert (ada.username, ada.email) == ("ada", "ada@example.com")
    ada.refresh_from_db()
    assert (ada.username, ada.email) == ("ada", "ada@example.com")


@pytest.mark.parametrize(
    "twin", [{"username": "ADA", "email": "x@x.org"}, {"username": "x", "email": "ADA@example.COM"}]
)
def test_letter_case_makes_no_second_person(ada, twin):
    with pytest.raises(ValidationError):
        User(password="x", **twin).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(**twin)])


def by_get_or_create():
    names = {"username": "Grace", "email": "Grace@example.com"}
    assert User.objects.get_or_create(username="Grace", defaults=names)[1]
    assert not User.objects.get_or_create(username="GRACE", defaults=names)[1]


def by_update():
    User.objects.filter(username="ADA").update(username="Grace", email="Grace@Example.com")


def by_bulk_update():
    user = User.objects.get(email="ADA@example.com")
    user.username, user.email = "Grace", "Grace@Example.com"
    User.objects.bulk_update([user], ["username", "email"])


def by_createsuperuser():
    environment = {"USERNAME": "Grace", "EMAIL": "Grace@Example.com", "PASSWORD": "password"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(f"DJANGO_SUPERUSER_{name}", value)
        call_command("createsuperuser", interactive=False, verbosity=0)
        with pytest.raises(CommandError, match="already taken"):
            call_command("createsuperuser", interactive=False, username="GRACE", verbosity=0)


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "written", [by_get_or_create, by_update, by_bulk_update, by_createsuperuser]
)
def test_no_way_of_writing_a_person_keeps_capitals(written):
    written()

    grace = User.objects.get(username="grace")
    assert grace.email == "grace@example.com"
    assert User.objects.get(username="GRACE", email__in=["GRACE@example.com"]) == grace


def test_an_expression_is_no_text_to_be_put_in_lower_case(ada):
    ada.username = Concat("username", Value(".lovelace"))
    ada.save()

    assert User.objects.get(pk=ada.pk).username == "ada.lovelace"


@pytest.mark.parametrize("username", ["", "a b", "a@b", "-a", "é", "a" * 65, "a\n", "a'b"])
def test_an_impossible_user_name_is_refused(username):
    with pytest.raises(ValidationError):
        User(username=username).clean_fields(exclude=["email", "password"])


@pytest.mark.parametrize("email", ["", "ada", "é@example.com", "ada@éa.example.com", "ada@[::1]"])
def test_an_email_with_two_spellings_is_refused(email):
    with pytest.raises(ValidationError):
        User(email=email).clean_fields(exclude=["username", "password"])


def test_rights_are_per_tenant(tenant, other_tenant):
    assert tenant.owner.is_superuser
    with other_tenant:
        assert not tenant.owner.is_superuser
        assert not tenant.owner.has_tenant_permissions()
