from django.apps import AppConfig

from tenancy.health import lazy


class BackgroundConfig(AppConfig):
    name = "tenancy.background"
    label = "tenancy_background"

    def ready(self):
        from tenancy.background import mail, probes, receivers  # noqa: F401 (to register)

        lazy.install("tenancy.background.checks", "background")
