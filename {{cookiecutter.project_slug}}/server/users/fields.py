"""Text that is the same whatever its letter case."""

from django.db import models


class LowerCase:
    """Makes a text field hold, and compare with, lower case."""

    def to_python(self, value):
        value = super().to_python(value)
        return value.lower() if isinstance(value, str) else value

    def get_prep_value(self, value):
        return self.to_python(super().get_prep_value(value))

    def pre_save(self, model_instance, add):
        value = self.to_python(super().pre_save(model_instance, add))
        setattr(model_instance, self.attname, value)
        return value


class LowerCaseCharField(LowerCase, models.CharField):
    pass


class LowerCaseEmailField(LowerCase, models.EmailField):
    pass
