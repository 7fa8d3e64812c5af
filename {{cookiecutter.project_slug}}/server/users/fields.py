"""Text that is the same whatever its letter case."""

from django.db import models

from server.fields import Normalised


class LowerCase(Normalised):
    def normalise(self, text):
        return text.lower()


class LowerCaseCharField(LowerCase, models.CharField):
    pass


class LowerCaseEmailField(LowerCase, models.EmailField):
    pass
