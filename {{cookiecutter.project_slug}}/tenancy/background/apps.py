from django.apps import AppConfig


class BackgroundConfig(AppConfig):
    name = "tenancy.background"
    label = "tenancy_background"

    def ready(self):
        from tenancy.background import checks, mail, probes, receivers  # noqa: F401 (to register)
