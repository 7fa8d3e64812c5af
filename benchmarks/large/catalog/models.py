"""Sixty models, as many as a real application has: fields of mixed kinds, foreign keys among them
and to the user."""

from django.conf import settings
from django.db import models

COUNT = 60


def fields(number):
    """The fields of one model: each has the common ones, and some of the rest."""
    own = {
        "name": models.CharField(max_length=200),
        "text": models.TextField(blank=True),
        "amount": models.DecimalField(max_digits=12, decimal_places=2, default=0),
        "is_open": models.BooleanField(default=True),
        "created": models.DateTimeField(auto_now_add=True),
    }
    if number % 2 == 0:
        own["slug"] = models.SlugField(unique=True)
        own["options"] = models.JSONField(default=dict)
    if number % 3 == 0:
        own["owner"] = to(settings.AUTH_USER_MODEL)
        own["due"] = models.DateField(null=True)
    if number % 4 == 0:
        own["key"] = models.UUIDField(unique=True)
        own["position"] = models.PositiveIntegerField(default=0)
    if number % 8 == 0:
        own["others"] = models.ManyToManyField("self")
    if number:
        own["previous"] = to(f"Model{number - 1:02}")
    if number % 2:
        own["half"] = to(f"Model{number // 2:02}")
    return own


def to(model):
    return models.ForeignKey(model, models.CASCADE, null=True, related_name="+")


for number in range(COUNT):
    name = f"Model{number:02}"
    globals()[name] = type(name, (models.Model,), fields(number) | {"__module__": __name__})
