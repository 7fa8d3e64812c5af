from django.apps import AppConfig


class RolesConfig(AppConfig):
    """A tenant's app: its migration makes a group for each role."""

    name = "server.roles"
    verbose_name = "People"
