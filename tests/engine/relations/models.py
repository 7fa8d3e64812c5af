"""Models with what is like a field but has no column, or more than one, and odd names of tables."""

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F


class Country(models.Model):
    code, year = models.CharField(max_length=2), models.IntegerField()
    double = models.GeneratedField(
        expression=F("year") * 2, output_field=models.IntegerField(), db_persist=True
    )
    labels = GenericRelation("Label", content_type_field="kind", object_id_field="number")

    class Meta:
        unique_together = ("code", "year")
        db_table = '"Country of a year"'

    def __str__(self):
        return self.code


class Visit(models.Model):
    number = models.IntegerField(db_default=7)
    pk = models.CompositePrimaryKey("number", "year")
    code, year = models.CharField(max_length=2), models.IntegerField()
    country = models.ForeignObject(
        Country, models.CASCADE, from_fields=["code", "year"], to_fields=["code", "year"]
    )
    by = models.CharField(max_length=150)
    visitor = models.ForeignObject(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        from_fields=["by"],
        to_fields=["username"],
        related_name="+",
    )

    def __str__(self):
        return self.code


class Label(models.Model):
    kind = models.ForeignKey(ContentType, models.CASCADE)
    number = models.BigIntegerField()
    thing = GenericForeignKey("kind", "number")
    others = models.ManyToManyField("self", through="Pair")

    def __str__(self):
        return str(self.pk)


class Pair(models.Model):
    one = models.ForeignKey(Label, models.CASCADE, related_name="+")
    other = models.ForeignKey(Label, models.CASCADE, related_name="+", db_constraint=False)

    def __str__(self):
        return str(self.pk)


class LongLabel(Label):
    text = models.TextField(db_comment="what's on it")


class SameLabel(Label):
    class Meta:
        proxy = True


class NoTable(models.Model):
    kind = models.ForeignKey(ContentType, models.DO_NOTHING)
    number = models.BigIntegerField()
    thing = GenericForeignKey("kind", "number")

    class Meta:
        managed = False

    def __str__(self):
        return str(self.pk)
