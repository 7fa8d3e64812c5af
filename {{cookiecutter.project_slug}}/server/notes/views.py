from django.contrib.auth.mixins import LoginRequiredMixin
from django.urls import reverse_lazy
from django.views.generic import CreateView

from server.notes.models import Note


class Notes(LoginRequiredMixin, CreateView):
    """All notes, and a form to add one."""

    model = Note
    fields = ["text"]
    template_name = "notes/notes.html"
    success_url = reverse_lazy("notes")

    def get_context_data(self, **kwargs):
        notes = Note.objects.select_related("author")
        return super().get_context_data(notes=notes, **kwargs)

    def form_valid(self, form):
        form.instance.author = self.request.user
        return super().form_valid(form)
