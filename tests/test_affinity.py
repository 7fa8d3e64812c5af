"""Hosts that stay with a process: the proxy's choice, and processes with ports of their own."""

import contextlib
import dataclasses
import http.server
import json
import os
import shutil
import signal
import threading
import urllib.request

import pytest
from deployment import CADDY, DOMAIN, PORTS, Site, caddy_variables, free_ports, write_caddyfile
from projects import free_port, wait_for
from test_deploy import COMPOSE, COMPOSE_OPTIONS

HOSTS = [f"workspace-{n}.{DOMAIN}" for n in range(12)]
APP = """
import os

def application(environ, start_response):
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@contextlib.contextmanager
def answering(port, text):
    """Answer all requests to the port with the text."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *args):
            """Be quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(acme, tmp_path):
    """Caddy, which has two addresses for the workspaces."""
    site = Site(acme, tmp_path, free_ports(*PORTS, "other"))
    site.mailbox.server.server_close()
    both = " ".join(f"127.0.0.1:{site.ports[name]}" for name in ("web", "other"))
    variables = caddy_variables(site) | {"WEB": both, "WEB_ADDRESSES": "several"}
    command = [CADDY, "run", "--adapter", "caddyfile", "--config", write_caddyfile(site)]
    site.start("caddy", command, **variables)
    with answering(site.ports["website_internal"], "yes"):  # a host may have a certificate
        wait_for(lambda: "serving initial configuration" in site.log("caddy"))
        wait_for(site.root.exists)
        yield site
        site.stop()


def answers(site):
    """Return what answers at each host."""
    return {host: site.browser(host).get("/").text for host in HOSTS}


def test_a_host_stays_with_its_address_and_goes_to_another_while_nothing_listens_there(site):
    with answering(site.ports["web"], "web"):
        with answering(site.ports["other"], "other"):
            before = answers(site)
            assert answers(site) == before
        without = answers(site)
        with answering(site.ports["other"], "other"):
            wait_for(lambda: answers(site) == before)

    assert {*before.values()} == {"web", "other"}
    assert {*without.values()} == {"web"}


def test_a_visitors_damaged_requests_take_no_address_from_others(site):
    with answering(site.ports["web"], "web"), answering(site.ports["other"], "other"):
        before = answers(site)
        for host in HOSTS * 2:
            send_damaged_body(site, host)

        assert answers(site) == before


def send_damaged_body(site, host):
    connection = site.browser(host).connect()
    connection.connect()
    head = f"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sock.sendall(f"{head}no length\r\n".encode())
    connection.sock.recv(100)
    connection.close()


@pytest.fixture
def gunicorn(acme, tmp_path):
    """Two processes with a port each; yields the main process' id, and the ports."""
    (tmp_path / "app.py").write_text(APP)
    first = free_port()
    env = {"PORT": first, "WEB_AFFINITY": "on", "WEB_CONCURRENCY": 2, "WEB_THREADS": 1}
    site = Site(acme, tmp_path, free_ports("smtp"))
    site.mailbox.server.server_close()
    config = acme.path / "deploy/gunicorn.conf.py"
    command = [acme.path / ".venv/bin/gunicorn", "--config", config, "--chdir", tmp_path, "app"]
    site.start("gunicorn", command, **env)
    ports = [first, first + 1]
    wait_for(lambda: all(map(process_at, ports)))
    yield site.processes["gunicorn"].pid, ports
    site.stop()


def process_at(port):
    """Return the process that answers at the port; None if nothing does."""
    with contextlib.suppress(OSError):
        return int(urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read())


def processes(ports):
    """Return the process at each port, of which each must have one alone."""
    found = [{process_at(port) for _ in range(10)} for port in ports]
    assert all(len(each) == 1 for each in found), found
    [one], [other] = found
    assert one != other
    return one, other


def test_each_port_has_a_process_of_its_own_which_is_replaced_without_a_failed_request(gunicorn):
    main, ports = gunicorn
    before = processes(ports)
    answered, done = [], threading.Event()

    def ask(port):
        while not done.is_set():
            answered.append(process_at(port))

    threads = [threading.Thread(target=ask, args=[port]) for port in ports]
    for thread in threads:
        thread.start()
    os.kill(main, signal.SIGHUP)
    wait_for(lambda: not {*before} & {*answered[-20:]} and len({*answered}) == 4)
    done.set()
    for thread in threads:
        thread.join()
    reloaded = processes(ports)
    os.kill(reloaded[0], signal.SIGKILL)
    wait_for(lambda: process_at(ports[0]) not in (None, reloaded[0]))

    assert None not in answered
    assert processes(ports)[1] == reloaded[1]


def test_compose_has_as_many_processes_as_addresses(acme, tmp_path):
    """Docker Compose reads both files. The main website stays as it is."""
    shutil.copytree(acme.path / "deploy", tmp_path / "deploy")
    shutil.copy(acme.path / ".env.production.example", tmp_path / ".env.production")
    files = (*COMPOSE_OPTIONS, "--file", "deploy/affinity.yaml")
    said = dataclasses.replace(acme, path=tmp_path).run(
        COMPOSE, *files, "config", "--format", "json"
    )
    proxy, web, website = (
        json.loads(said.stdout)["services"][name]["environment"]
        for name in ("proxy", "web", "website")
    )

    assert proxy["WEB"].split() == [f"web:{8000 + n}" for n in range(int(web["WEB_CONCURRENCY"]))]
    assert (web["WEB_AFFINITY"], proxy["WEB_ADDRESSES"]) == ("on", "several")
    assert web["DATABASE_URL"] == website["DATABASE_URL"]
    assert "WEB_AFFINITY" not in website
