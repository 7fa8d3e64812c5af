"""A person who signs up, names a workspace, and opens its first page."""

import re
import time
from urllib.parse import urlsplit

from django.core import mail
from django.test import Client, override_settings
from tenancy.models import HandOver

CODE = re.compile(r"^([A-Z0-9]{4,}(?:-[A-Z0-9]+)*)$", re.M)
GOAL = re.compile(r'http-equiv="refresh" content="\d+; url=([^"]+)"')
# One process serves both kinds of hosts, and keeps the e-mail with the code.
SETTINGS = {
    "ROOT_URLCONF": "server.urls",
    "SERVE_PUBLIC": True,
    "PROVISION_IN_BACKGROUND": False,
    "EMAIL_BACKEND": "django.core.mail.backends.locmem.EmailBackend",
    "STORAGES": {
        "default": {"BACKEND": "tenancy.isolation.media.TenantStorage"},
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    },
}


class Browser:
    """Follows redirects from host to host, and adds up the time that answers take."""

    def __init__(self, address):
        self.clients, self.address, self.seconds = {}, address, 0.0

    def open(self, url, data=None):
        parts = urlsplit(url)
        host = parts.netloc
        client = self.clients.setdefault(host, Client(SERVER_NAME=host, REMOTE_ADDR=self.address))
        path = f"{parts.path}?{parts.query}"
        started = time.perf_counter()
        answer = client.get(path) if data is None else client.post(path, data)
        self.seconds += time.perf_counter() - started
        if answer.status_code != 302:
            return answer
        to = answer["Location"]
        return self.open(to if "//" in to else f"http://{host}{to}")


def sign_up(slug, number):
    """Return the seconds that the server took for all requests together."""
    website = "http://localhost"
    with override_settings(**SETTINGS):
        browser = Browser(f"192.0.2.{number + 1}")  # of which each has limits of its own
        browser.open(f"{website}/")
        browser.open(f"{website}/sign-up/")
        data = {"email": f"{slug}.{time.time_ns()}@example.com", "terms": "on"}
        browser.open(f"{website}/account/signup/", data)
        code = {"code": CODE.search(mail.outbox[-1].body)[1]}
        browser.open(f"{website}/account/confirm-email/", code)
        page = browser.open(f"{website}/workspaces/new/", {"name": slug, "address": slug})
        page = browser.open(GOAL.search(page.text)[1])
    if f"Welcome to {slug}" not in page.text:
        raise RuntimeError(page.text)
    HandOver.objects.all().delete()
    return browser.seconds
