from django.apps import AppConfig


class PostgisConfig(AppConfig):
    """A shared app without models: its migration makes the extension, once, in public."""

    name = "server.postgis"

    def ready(self):
        from server.postgis import checks  # noqa: F401 (registered by the import)
