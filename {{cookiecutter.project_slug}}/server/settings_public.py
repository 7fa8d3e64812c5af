"""Settings of `server.wsgi_main_website`, which serves the main website and no tenant."""

from server.settings import *  # noqa: F403

ALLOWED_HOSTS = [DOMAIN, f"www.{DOMAIN}"]  # noqa: F405

ROOT_URLCONF = "server.urls_public"
WSGI_APPLICATION = "server.wsgi_main_website.application"

SERVE_TENANTS = False
SERVE_PUBLIC = True
