from django.apps import AppConfig


class TenantsConfig(AppConfig):
    name = "server.tenants"

    def ready(self):
        from server.tenants import receivers  # noqa: F401 (registered by the import)
