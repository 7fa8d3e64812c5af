"""A browser's part of HTTPS, which trusts one authority and finds all hosts on this machine."""

import http.client
import socket
import ssl
import urllib.parse

from projects import Browser


class Connection(http.client.HTTPSConnection):
    """Goes to this machine, whatever the host's name is."""

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self._context.wrap_socket(sock, server_hostname=self.host)


class TlsBrowser(Browser):
    def __init__(self, host, port, root):
        super().__init__(host, port)
        self.context = ssl.create_default_context(cafile=root)

    def connect(self):
        return Connection(self.host, self.port, timeout=30, context=self.context)

    def request(self, method, path, body=None, headers=None):
        own = {"Origin": f"https://{self.host}:{self.port}"} if method == "POST" else {}
        return super().request(method, path, body, own | (headers or {}))

    def at(self, host):
        """Return a new browser at another host, with the same trust."""
        browser = TlsBrowser(host, self.port, None)
        browser.context = self.context
        return browser


def sign_in(website, host, name, password):
    """Sign in on the main website, and return the browser of a host that it hands over to."""
    answer = website.post("/account/login/", login=name, password=password)
    assert answer.status == 302, answer.text
    browser, url = website.at(host), "/sign-in/"
    for asked in (browser, website, browser):
        parts = urllib.parse.urlsplit(url)
        url = asked.get(f"{parts.path}?{parts.query}").headers["Location"]
    return browser
