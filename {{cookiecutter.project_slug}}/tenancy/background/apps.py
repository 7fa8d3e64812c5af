from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "tenancy.background"
    label = "tenancy_background"

    def ready(self):
        from tenancy.background import checks, mail, receivers  # noqa: F401 (the import registers)
