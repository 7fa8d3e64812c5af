from django.contrib import admin, messages

from tenancy.exceptions import LifecycleError


class LifecycleAdmin(admin.ModelAdmin):
    """A ModelAdmin that shows a refused change as a message."""

    def changeform_view(self, request, *args, **kwargs):
        try:
            return super().changeform_view(request, *args, **kwargs)
        except LifecycleError as error:
            return self.refuse(request, error)

    def delete_view(self, request, *args, **kwargs):
        try:
            return super().delete_view(request, *args, **kwargs)
        except LifecycleError as error:
            return self.refuse(request, error)

    def refuse(self, request, error: LifecycleError):
        self.message_user(request, str(error), messages.ERROR)
        return self.response_post_save_change(request, None)


def never(self, request, obj=None) -> bool:
    """A permission that nobody has."""
    return False
