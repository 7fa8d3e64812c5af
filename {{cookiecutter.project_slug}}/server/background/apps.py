from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "server.background"

    def ready(self):
        from server.background import checks, receivers  # noqa: F401 (registered by the import)
