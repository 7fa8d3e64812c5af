"""A deployment on this machine: processes, Caddy with a CA of its own, browsers that trust it."""

import contextlib
import os
import re
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from pathlib import Path

from projects import wait_for
from test_documents import blocks
from tls import TlsBrowser, sign_in

CADDY = Path(sys.executable).with_name("caddy")
DOMAIN, WORKSPACE, CUSTOMER = "acme.example.com", "initech.acme.example.com", "www.shop.example.org"
HERE = {"local_certs", "skip_install_trust", "admin off", "persist_config off"}


PORTS = ("http", "https", "smtp", "web", "website", "web_internal", "website_internal")
NOTES = """
from server.tenants.models import Tenant
from server.notes.models import Note
with Tenant.objects.get(slug="initech"):
    print(*Note.objects.values_list("text", flat=True), sep="\\n")
"""


def free_ports(*names):
    """Return a port for each name."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return dict(zip(names, ports, strict=True))


def production(project, folder, ports, database):
    """Return the variables of the project's .env.production, and those that this machine needs."""
    made = re.findall(r"^(\w+)=(.+)$", (project.path / ".env.production").read_text(), re.M)
    return {name: value.strip('"') for name, value in made} | {
        "BIND": "127.0.0.1",
        "DATABASE_URL": database,
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": ports["smtp"],
        "EMAIL_USE_TLS": "off",
        "LOG_FORMAT": "json",
        "MAIN_WEBSITE_URL": f"https://{DOMAIN}:{ports['https']}",
        "MEDIA_ROOT": folder / "media",
        "MFA_REQUIRED": "off",
        "SENDFILE_HEADER": "X-Accel-Redirect",
        "TRUSTED_PROXIES": "1",
        "TRUST_PROXY": "on",
        "WEB_CONCURRENCY": "2",
        "WORKSPACE_PORT": ports["https"],
    }


class Site:
    """A deployment: its processes by name, and browsers that go to its proxy."""

    def __init__(self, project, folder, ports):
        self.project, self.folder, self.ports, self.processes = project, folder, ports, {}
        self.root = folder / "caddy/pki/authorities/local/root.crt"  # of Caddy's own authority
        self.mailbox = Mailbox(ports["smtp"])

    def start(self, name, command, **env):
        log = (self.folder / f"{name}.log").open("a")
        self.processes[name] = subprocess.Popen(
            [str(part) for part in command],
            cwd=self.project.path,
            env=self.project.env | {key: str(value) for key, value in env.items()},
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def log(self, name):
        return (self.folder / f"{name}.log").read_text()

    def browser(self, host):
        return TlsBrowser(host, self.ports["https"], self.root)

    def signed_in(self):
        """Return the browser of a member, signed in at the workspace."""
        password = self.project.env["ADMIN_PASSWORD"]
        return sign_in(self.browser(DOMAIN), WORKSPACE, "ada", password)

    def notes(self):
        """Return the texts of the workspace's notes, in the database."""
        return self.project.manage("shell", "-v0", "-c", NOTES).stdout.splitlines()

    def stop(self):
        for process in self.processes.values():
            process.terminate()
        for process in self.processes.values():
            process.wait(timeout=60)


class Mailbox:
    """A mail server, which keeps what it gets."""

    def __init__(self, port):
        self.letters = []
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", port), self.talk)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever).start()

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

    def talk(self, connection, *_):
        stream = connection.makefile("rwb", 0)
        stream.write(b"220 here\r\n")
        for line in iter(stream.readline, b""):
            command = line[:4].upper()
            if command == b"DATA":
                stream.write(b"354 go on\r\n")
                self.letters.append(b"".join(iter(stream.readline, b".\r\n")).decode())
            stream.write(b"221 bye\r\n" if command == b"QUIT" else b"250 well\r\n")

    def code(self, address):
        """Return the code in an e-mail to the address, once there is one."""
        wait_for(lambda: any(address in letter for letter in self.letters))
        letter = next(letter for letter in reversed(self.letters) if address in letter)
        return re.search(r"^[A-Z0-9-]{6,}\r$", letter, re.M)[0].strip()


class Crowd:
    """Signed-in people who open the page of notes and write one, again and again, in the block."""

    def __init__(self, site, people=4):
        self.browsers = [site.signed_in() for _ in range(people)]
        self.acknowledged, self.failed = [], []
        self.done = threading.Event()
        self.threads = [
            threading.Thread(target=self.use, args=each) for each in enumerate(self.browsers)
        ]

    def use(self, number, browser):
        count = 0
        while not self.done.is_set():
            count += 1
            text = f"note {number}-{count}."
            try:
                answer = browser.post("/notes/", text=text)
                is_written = answer.status == 302 and answer.headers["Location"] == "/notes/"
                (self.acknowledged if is_written else self.failed).append(text)
            except Exception as error:
                self.failed.append(f"{text} {error!r}")
            self.done.wait(0.02)

    def goes_on(self, count=40):
        """Wait until so many more notes are acknowledged."""
        enough = len(self.acknowledged) + count
        wait_for(lambda: len(self.acknowledged) >= enough)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.done.set()
        for thread in self.threads:
            thread.join()


def start_gunicorns(site, page):
    [typed] = [block for block in blocks(page) if block.startswith("PORT=8000")]
    for name, line in zip(("web", "website"), typed.splitlines(), strict=True):
        command = f"exec {line[line.index('uv ') :]}"
        internal = site.ports[f"{name}_internal"]
        env = {"PORT": site.ports[name], "INTERNAL_PORT": internal}
        site.start(name, ["bash", "-c", command], **env)
        wait_for(lambda internal=internal: is_ready(internal))


def is_ready(port):
    with contextlib.suppress(OSError):
        return "200" in ask(port, "/_health/ready").splitlines()[0]


def ask(port, path):
    with socket.create_connection(("127.0.0.1", port), timeout=30) as asked:
        asked.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        return asked.makefile().read()


def write_caddyfile(site, name="caddy", **ports):
    """Write the Caddyfile with what this machine needs; return its path."""
    ports = site.ports | ports
    text = (site.project.path / "deploy/Caddyfile").read_text()
    own = {*HERE, f"http_port {ports['http']}", f"https_port {ports['https']}"}
    own.add(f"storage file_system {site.folder}/caddy")
    text = text.replace("{\n", "{\n\t" + "\n\t".join(sorted(own)) + "\n", 1)
    path = site.folder / f"{name}.caddyfile"
    path.write_text(text.replace("/certs/", f"{site.folder}/"))
    return path


def caddy_variables(site, tls="on-demand", **ports):
    ports = site.ports | ports
    return {
        "ACME_EMAIL": "ada@example.com",
        "ASK": f"127.0.0.1:{ports['website_internal']}",
        "MEDIA_ROOT": site.folder / "media",
        "WEB": f"127.0.0.1:{ports['web']}",
        "WEBSITE": f"127.0.0.1:{ports['website']}",
        "WORKSPACE_TLS": tls,
    }


def start_caddy(site, name="caddy", tls="on-demand", **ports):
    file = write_caddyfile(site, name, **ports)
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", file]
    site.start(name, command, **caddy_variables(site, tls, **ports))
    wait_for(lambda: "serving initial configuration" in site.log(name))
    wait_for(lambda: has_certificate(site))


def has_certificate(site, host=DOMAIN):
    """Caddy gets the main website's by itself, soon after its start."""
    with contextlib.suppress(OSError):
        return site.browser(host).get("/_health/live").status == 200


def serves_on_through_reloads(site, gunicorn):
    """`gunicorn` is the process of the workspaces."""
    with Crowd(site) as crowd:
        for _ in range(3):
            crowd.goes_on()
            reload(site, gunicorn)
        crowd.goes_on()

    assert crowd.failed == []
    assert {*crowd.acknowledged} <= {*site.notes()}


def reload(site, gunicorn):
    count = site.log("web").count("Hang up") + 1
    os.kill(gunicorn, signal.SIGHUP)
    wait_for(lambda: site.log("web").count("Hang up") >= count)


COLOR = "models.CharField(max_length=9, null=True, blank=True)"
MIGRATION = f"""
from django.db import migrations, models

class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]
    operations = [migrations.AddField("note", "color", {COLOR})]
"""


def serves_on_through_a_migration(site, gunicorn):
    """A rolling deployment: old code, the migration under it, then both, then new code alone."""
    notes = site.project.path / "server/notes"
    page = notes / "templates/notes/notes.html"
    with Crowd(site) as crowd:
        crowd.goes_on()
        (notes / "migrations/0002_color.py").write_text(MIGRATION)
        replace(notes / "models.py", "    created =", f"    color = {COLOR}\n    created =")
        replace(notes / "views.py", 'fields = ["text"]', 'fields = ["text", "color"]')
        replace(page, "{{ form.text }}", "{{ form.text }}{{ form.color }}")
        said = site.project.manage("migrate_schemas").stdout
        crowd.goes_on()
        assert 'name="color"' not in crowd.browsers[0].get("/notes/").text
        reload(site, gunicorn)
        wait_for(lambda: 'name="color"' in crowd.browsers[0].get("/notes/").text)
        crowd.goes_on()

    assert "notes.0002_color" in said
    assert "Warning" not in said
    assert crowd.failed == []
    assert {*crowd.acknowledged} <= {*site.notes()}


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
