from django.apps import AppConfig


class PostgisConfig(AppConfig):
    """A shared app without models. Its migration creates the extension in public."""

    name = "tenancy.postgis"
    label = "tenancy_postgis"

    def ready(self):
        from tenancy.postgis import checks  # noqa: F401 (the import registers)
