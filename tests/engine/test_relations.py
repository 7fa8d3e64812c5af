"""Models with relations and tables of all kinds, through all that makes a schema."""

import pytest
from django.contrib.contenttypes.models import ContentType
from tenancy import copies
from tenancy.health import doctor
from tenancy.schemas import blueprint, dump
from tenancy.schemas.ddl import drop_schema

from engine.copies import cleaned_up, get, provision
from engine.relations.models import Country, LongLabel, Pair, Visit
from engine.schemas import describe

SCRATCH = "relations-x_00000000"


@pytest.mark.usefixtures("committed_db")
def test_what_is_like_a_field_stays_as_it_is(tmp_path):
    """R10: a ForeignObject has no constraint to a shared table, nor a column."""
    with cleaned_up():
        tenant = provision("relations")
        with tenant:
            label = LongLabel.objects.create(
                kind=ContentType.objects.get_for_model(Country), number=1, text="old"
            )
            Pair.objects.create(one=label, other=label)
            Country.objects.create(code="no", year=1905)
            Visit.objects.create(code="no", year=1905, by="admin")
            assert Visit.objects.get(pk=(7, 1905)).country.labels.get().longlabel == label
        copies.clone(tenant, "cloned", "ada")
        copies.restore(copies.backup(tenant, tmp_path / "file.zip", "ada"), "ada", slug="restored")

        assert [*doctor.examine()] == []
        expected = describe(tenant.schema_name)
        assert describe(get("cloned").schema_name) == expected
        assert describe(get("restored").schema_name) == expected
        with get("restored"):
            assert Visit.objects.get().country.labels.get().longlabel.text == "old"
            assert Visit.objects.get().visitor == tenant.owner


@pytest.mark.usefixtures("committed_db")
def test_migrations_make_it_too():
    """R10: without a blueprint."""
    with blueprint.migrated(SCRATCH):
        pass
    statements = dump.dump_schema(SCRATCH)
    drop_schema(SCRATCH)
    assert any('CREATE TABLE "relations-x_00000000"."Country of a year"' in s for s in statements)
