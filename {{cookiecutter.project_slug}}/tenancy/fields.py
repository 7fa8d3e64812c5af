"""Text fields that store one spelling of each text, and constraints of abstract models."""

from django.db import models

from tenancy import hosts


def constraint(name: str, condition: models.Q) -> models.CheckConstraint:
    """Return a constraint for an abstract model, with the concrete model's name in its own."""
    return models.CheckConstraint(name=f"%(app_label)s_%(class)s_{name}", condition=condition)


class Normalised:
    """A mixin for text fields that store and compare the result of `normalise`.

    It works for every write through the ORM. Constraints refuse other spellings from raw SQL.
    """

    def to_python(self, value):
        # Django calls this for forms, for validation, and for values of queries and updates.
        value = super().to_python(value)
        return self.normalise(value) if isinstance(value, str) else value

    def pre_save(self, model_instance, add):
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):  # not an expression such as Lower("name")
            value = self.to_python(value)
            setattr(model_instance, self.attname, value)
        return value


class HostField(Normalised, models.CharField):
    def normalise(self, text):
        return hosts.normalise_host(text) or text


class LowerCaseCharField(Normalised, models.CharField):
    normalise = staticmethod(str.lower)


class LowerCaseEmailField(Normalised, models.EmailField):
    normalise = staticmethod(str.lower)
