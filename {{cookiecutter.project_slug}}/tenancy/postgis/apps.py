from django.apps import AppConfig


class PostgisConfig(AppConfig):
    """A shared app without models: its migration makes the extension, once, in public."""

    name = "tenancy.postgis"
    label = "tenancy_postgis"

    def ready(self):
        from tenancy.postgis import checks  # noqa: F401 (registered by the import)
