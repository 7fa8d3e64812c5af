from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.utils.translation import gettext_lazy as _


class Note(models.Model):
    """An example of a tenant's model. Each tenant's schema has its own notes."""

    text = models.TextField(_("text"))
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, verbose_name=_("author")
    )
    created = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-created", "-pk"]
        verbose_name = _("note")
        verbose_name_plural = _("notes")

    def __str__(self):
        return self.text[:50]

    def clean(self):
        """Refuse a new note if the workspace's plan allows no more of them."""
        most = connection.tenant.limit("notes")
        if self._state.adding and most is not None and Note.objects.count() >= most:
            text = _("A workspace with your plan has up to %(most)d notes.")
            raise ValidationError(text, params={"most": most})
