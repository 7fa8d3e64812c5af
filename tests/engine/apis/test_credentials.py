"""Credentials belong to one tenant and one membership, and no copy has them."""

import zipfile

import pytest
from django.contrib.auth import get_user_model
from django_tenants.utils import schema_context
from knox.models import AuthToken
from oauth2_provider.models import AccessToken, Application
from rest_framework.authtoken.models import Token
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import RefreshToken
from server.notes.models import Note
from tenancy.copies import backup, clone, consistent, references, restore
from tenancy.exceptions import DumpFailed
from tenancy.isolation.credentials import LeftBehind, credential_models
from tenancy.people.members import add_member, remove_member
from tenancy.schemas import blueprint
from tenancy.testing import TenantClient

from engine.apis.models import Hook, Key, Use
from engine.copies import cleaned_up, get, provision

User = get_user_model()
ROWS = (AccessToken, Application, AuthToken, BlacklistedToken, Key, OutstandingToken, Token, Use)


def make_credentials(user):
    """A row of each kind, and one that refers to a credential and can be without."""
    token = Token.objects.create(user=user)
    key = Key.objects.create(secret="s3cret", user=user)
    Use.objects.create(key=key)
    Hook.objects.create(name="build", token=token)
    AuthToken.objects.create(user)
    RefreshToken.for_user(user).blacklist()
    application = Application.objects.create(
        user=user, client_type="confidential", authorization_grant_type="authorization-code"
    )
    AccessToken.objects.create(
        user=user, application=application, token="t", expires="2100-01-01T00:00Z"
    )
    return token


@pytest.fixture
def source(committed_db):
    with cleaned_up():
        tenant = provision("source")
        TenantClient(tenant, tenant.owner)
        with tenant:
            Note.objects.create(text="kept", author=tenant.owner)
            make_credentials(tenant.owner)
            # Nobody here: a backup must not name, nor a restore create, the person.
            Token.objects.create(user=User.objects.get(username="other"))
        yield tenant


def assert_without_credentials(tenant):
    with tenant:
        for model in credential_models():
            assert not model._base_manager.exists(), model
        assert not Use.objects.exists()
        assert Hook.objects.get().token is None
        assert Note.objects.get().text == "kept"


def test_a_clone_has_none(source):
    """I8"""
    clone(source, "the-copy", "test")

    assert_without_credentials(get("the-copy"))
    with source:
        assert all(model.objects.exists() for model in ROWS)
        assert Hook.objects.get().token


def test_a_backup_and_what_is_restored_from_it_have_none(source, tmp_path):
    """I8"""
    with source:
        secrets = [row.key for row in Token.objects.all()] + ["s3cret"]
    path = backup(source, tmp_path / "backup", "test")
    with zipfile.ZipFile(path) as archive:
        content = "".join(
            archive.read(name).decode() for name in archive.namelist() if name[:4] != "file"
        )
    for word in (*secrets, "other@localhost"):
        assert word not in content

    restore(path, "test", slug="restored")
    assert_without_credentials(get("restored"))


def test_a_backup_that_has_them_restores_none(source, tmp_path, monkeypatch):
    """I8: an earlier version left only sessions behind, or the setting named fewer models."""
    with monkeypatch.context() as patch:
        for module in (consistent, references):
            patch.setattr(module, "left_behind", lambda: LeftBehind({"django_session"}, set()))
        path = backup(source, tmp_path / "backup", "test")

    restore(path, "test", slug="restored")
    assert_without_credentials(get("restored"))


@pytest.mark.usefixtures("committed_db")
def test_a_secret_that_a_migration_makes_is_not_of_all_tenants(monkeypatch):
    """I8: a blueprint would copy it."""
    migrate = blueprint.migrate

    def migrate_with_secret(schema_name):
        migrate(schema_name)
        with schema_context(schema_name):
            Token.objects.create(user=User.objects.first())

    monkeypatch.setattr(blueprint, "migrate", migrate_with_secret)
    with pytest.raises(DumpFailed, match=r"authtoken\.Token"):
        blueprint.dump_template()
    blueprint.drop_templates()


def test_they_end_with_the_membership_except_a_programs_registration(tenant, ada):
    """I1"""
    add_member(tenant, "ada", by="test")
    make_credentials(ada)
    Token.objects.create(user=tenant.owner)

    remove_member(tenant, "ada", by="test")

    left = {model for model in ROWS if model.objects.exists()}
    assert left == {Application, Token}
    assert Token.objects.get().user == tenant.owner
    assert Hook.objects.get().token is None
