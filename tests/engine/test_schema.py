"""What migrations make in a tenant's schema."""

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection, models
from django.test.utils import isolate_apps


def foreign_keys(schema_name):
    """(table, the schema and the table that it refers to)"""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT own.relname, there.nspname, other.relname
            FROM pg_constraint
            JOIN pg_class own ON own.oid = conrelid
            JOIN pg_class other ON other.oid = confrelid
            JOIN pg_namespace there ON there.oid = other.relnamespace
            JOIN pg_namespace here ON here.oid = own.relnamespace
            WHERE contype = 'f' AND here.nspname = %s
            """,
            [schema_name],
        )
        return set(cursor.fetchall())


def test_no_foreign_key_leaves_a_tenant(tenant):
    assert {schema for _, schema, _ in foreign_keys(tenant.schema_name)} == {tenant.schema_name}


def test_foreign_keys_within_a_tenant_stay(tenant):
    own = tenant.schema_name
    assert ("auth_group_permissions", own, "auth_permission") in foreign_keys(own)


def test_foreign_keys_of_the_shared_tables_stay(public):
    keys = foreign_keys("public")
    assert ("tenants_tenant", "public", "users_user") in keys
    assert ("django_admin_log", "public", "users_user") in keys


@pytest.fixture
def tag():
    """A model of a tenant's app, with its table in the current schema."""
    with isolate_apps("server.notes"):

        class Tag(models.Model):
            by = models.ForeignKey(get_user_model(), models.PROTECT)

            class Meta:
                app_label = "notes"

    with connection.schema_editor() as editor:
        editor.create_model(Tag)
    return Tag


def test_a_field_that_is_added_or_altered_makes_none_either(tenant, tag):
    added = models.ForeignKey(get_user_model(), models.PROTECT, null=True, related_name="+")
    added.set_attributes_from_name("checked_by")
    added.model = tag
    number = models.BigIntegerField(null=True)
    number.set_attributes_from_name("checked_by_id")
    number.model = tag
    with connection.schema_editor() as editor:
        editor.add_field(tag, added)
    assert all(table != "notes_tag" for table, *_ in foreign_keys(tenant.schema_name))
    with connection.schema_editor() as editor:
        editor.alter_field(tag, added, number)
        editor.alter_field(tag, number, added)
    assert all(table != "notes_tag" for table, *_ in foreign_keys(tenant.schema_name))
    assert added.db_constraint, "what the model says is kept"


def test_a_key_within_the_tenant_can_be_added(tenant, tag):
    note = apps.get_model("notes", "Note")
    added = models.ForeignKey(note, models.CASCADE, null=True, related_name="+")
    added.set_attributes_from_name("note")
    added.model = tag
    with connection.schema_editor() as editor:
        editor.add_field(tag, added)
    own = tenant.schema_name
    assert ("notes_tag", own, "notes_note") in foreign_keys(own)
