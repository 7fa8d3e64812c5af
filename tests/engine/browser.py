"""A person's browser, which knows many hosts."""

from urllib.parse import urlsplit

from django.test import Client


class Browser:
    """A browser: a cookie jar for each host, and redirects that are followed by hand."""

    def __init__(self):
        self.clients = {}

    def at(self, host):
        return self.clients.setdefault(host, Client(SERVER_NAME=host))

    def open(self, url, until=None):
        """Follow redirects by GET, from host to host. Stop at a URL that contains `until`."""
        for _ in range(10):
            parts = urlsplit(url)
            if until and until in url:
                return url
            answer = self.at(parts.netloc).get(f"{parts.path}?{parts.query}")
            if answer.status_code not in (302, 307, 308):
                return answer
            url = answer.url if "//" in answer.url else f"http://{parts.netloc}{answer.url}"
        raise AssertionError(url)

    def go(self, url):
        """Open the URL, and what the page after a form goes on to."""
        answer = self.open(url)
        if "tenancy/handover/continue.html" in {template.name for template in answer.templates}:
            answer = self.open(answer.context["url"])
        return answer

    def website(self, page, **data):
        """Send a form of an account page."""
        return self.at("localhost").post(f"/account/{page}", data)

    def sign_in(self, name="admin", password="password", goal="/"):
        return self.website("login/", login=name, password=password, next=goal)

    def code(self, host="first.localhost", goal="/"):
        """Return the address that redeems a code, which the browser doesn't open."""
        return self.open(f"http://{host}/sign-in/?next={goal}", until="/sign-in/finish/")

    def is_in(self, host="first.localhost"):
        return self.at(host).get("/notes/").status_code == 200
