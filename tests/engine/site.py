"""A site as production serves it: gunicorn with one worker that answers one request at a time."""

import http.client
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

from django.db import connection

from engine.workers import Process

SETTINGS = """\
from engine.settings import *
DATABASES["default"]["NAME"] = {name!r}
DEBUG = False
CSRF_COOKIE_NAME = "csrf"
"""
TOKEN = "a" * 32
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": f"csrf={TOKEN}"}


class Site(Process):
    def __init__(self, folder: Path, port: int, settings: str = ""):
        text = SETTINGS.format(name=connection.settings_dict["NAME"])
        (folder / "site_settings.py").write_text(text + settings)
        self.port = port
        super().__init__(
            *(sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()"),
            *("--bind", f"127.0.0.1:{port}", "--workers", "1", "--access-logfile", "-"),
            DJANGO_SETTINGS_MODULE="site_settings",
            PYTHONPATH=str(folder),
        )
        self.said("Booting worker")

    def ask(self, method: str, path: str, body=None, host="first.localhost", **headers):
        """Return the answer, with its `text`. Raises TimeoutError after ten seconds."""
        asked = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        asked.request(method, path, body, {"Host": host, **named})
        answer = asked.getresponse()
        answer.text = answer.read().decode(errors="replace")
        asked.close()
        return answer

    def get(self, path="/", **options):
        return self.ask("GET", path, **options)

    def post(self, path, data, **options):
        body = urlencode(data | {"csrfmiddlewaretoken": TOKEN})
        return self.ask("POST", path, body, **FORM | options)


@contextmanager
def serving(*arguments, **options):
    site = Site(*arguments, **options)
    try:
        yield site
    finally:
        site.kill()
