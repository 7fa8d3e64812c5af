"""Text of which there is one right spelling."""


class Normalised:
    """A mixin for text fields: they store, and compare with, what `normalise` makes of a text.

    It holds by every way through the ORM; what is written past it is for a constraint to refuse.
    """

    def normalise(self, text: str) -> str:
        """The one spelling of `text`. Text that has none is returned as it is."""
        raise NotImplementedError

    def to_python(self, value):
        # Forms and validation come here, and so do Django's values of queries and updates.
        value = super().to_python(value)
        return self.normalise(value) if isinstance(value, str) else value

    def pre_save(self, model_instance, add):
        value = super().pre_save(model_instance, add)
        if isinstance(value, str):  # not an expression such as Lower("name")
            value = self.to_python(value)
            setattr(model_instance, self.attname, value)
        return value
