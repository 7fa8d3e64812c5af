from django.conf import settings
from django.db import models


class Note(models.Model):
    """An example of a tenant's model. Each tenant's schema has its own notes."""

    text = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created", "-pk"]

    def __str__(self):
        return self.text[:50]
