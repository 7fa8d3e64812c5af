"""The settings of the engine's tests, with libraries that identify people for APIs."""

from engine.settings import *  # noqa: F403

API_APPS = [
    "engine.apis",
    "knox",
    "oauth2_provider",
    "rest_framework.authtoken",
    "rest_framework_simplejwt.token_blacklist",
]
TENANT_APPS += API_APPS  # noqa: F405
INSTALLED_APPS += API_APPS  # noqa: F405
DATABASES["default"]["TEST"] = {"NAME": "test_apis"}  # noqa: F405
REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]}
TENANCY_CREDENTIALS = ["apis.Key"]
