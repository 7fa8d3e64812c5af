import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

User = get_user_model()


@pytest.fixture
def ada(db):
    return User.objects.create_user("Ada@Example.com", "password", username="Ada")


def test_names_and_emails_are_stored_in_lower_case(ada):
    assert (ada.username, ada.email) == ("ada", "ada@example.com")
    ada.refresh_from_db()
    assert (ada.username, ada.email) == ("ada", "ada@example.com")


@pytest.mark.parametrize("name", ["ada", "ADA", "ada@example.com", "ADA@EXAMPLE.COM"])
def test_people_sign_in_with_either(ada, name):
    assert authenticate(username=name, password="password") == ada
    assert authenticate(username=name, password="Password") is None


@pytest.mark.parametrize(
    "twin", [{"username": "ADA", "email": "x@x.org"}, {"username": "x", "email": "ADA@example.COM"}]
)
def test_letter_case_makes_no_second_person(ada, twin):
    with pytest.raises(ValidationError):
        User(password="x", **twin).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.bulk_create([User(**twin)])


@pytest.mark.parametrize("field", ["username", "email"])
def test_the_database_refuses_upper_case_however_it_comes(ada, field):
    from django.db import connection

    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE users_user SET {field} = 'A@X'")  # noqa: S608


@pytest.mark.parametrize("username", ["", "a b", "a@b", "-a", "é", "a" * 65, "a\n", "a'b"])
def test_an_impossible_user_name_is_refused(username):
    with pytest.raises(ValidationError):
        User(username=username).clean_fields(exclude=["email", "password"])


def test_rights_are_per_tenant(tenant, other_tenant):
    assert tenant.owner.is_superuser
    with other_tenant:
        assert not tenant.owner.is_superuser
        assert not tenant.owner.has_tenant_permissions()
