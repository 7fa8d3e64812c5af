"""Text fields with one spelling for each text."""

from django.db import models

from tenancy import hosts


class Normalised:
    """A mixin for text fields, which store and compare the result of `normalise`.

    It holds for every write through the ORM. Constraints refuse what raw SQL writes otherwise.
    """

    def normalise(self, text: str) -> str:
        """Return the one spelling of `text`. A text that has none is returned unchanged."""
        raise NotImplementedError

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


class LowerCase(Normalised):
    def normalise(self, text):
        return text.lower()


class LowerCaseCharField(LowerCase, models.CharField):
    pass


class LowerCaseEmailField(LowerCase, models.EmailField):
    pass
