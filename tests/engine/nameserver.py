"""A small DNS server, for UDP and TCP, which is both the resolver and the server of all zones."""

import socketserver
import struct
import time
from contextlib import contextmanager
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

NS = "ns.provider.net."


class Nameserver:
    """`records` are `{(name, type): [values]}`. What is no name is answered with NXDOMAIN.

    `silent` are the names to which it says nothing, `broken` those that it answers with SERVFAIL,
    `slow` those whose answer over TCP comes a byte at a time. `asked` are the questions.
    """

    def __init__(self):
        self.records = {}
        self.silent, self.broken, self.slow = set(), set(), set()
        self.asked = []
        self.is_authoritative = True
        self.zone("provider.net")
        self.set("ns.provider.net", "A", "127.0.0.1")

    def zone(self, name):
        self.set(name, "SOA", f"{NS} admin.{name}. 1 3600 600 86400 60")
        self.set(name, "NS", NS)

    def set(self, name, rdtype, *values):
        self.records[name, rdtype] = values

    def prove(self, claim, *, leads_to=None):
        """Set the records that a customer is told to set."""
        self.set(f"{claim.label}.{claim.host}", "TXT", claim.token)
        if leads_to:
            self.set(claim.host, "CNAME", f"{leads_to}.")

    def forget(self, name):
        self.records = {key: value for key, value in self.records.items() if key[0] != name}

    def answer(self, wire, is_tcp):
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        rdtype = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, rdtype))
        if name in self.silent:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if self.is_authoritative:
            response.flags |= dns.flags.AA
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        found = [kind for kind in (rdtype, "CNAME") if (name, kind) in self.records][:1]
        for kind in found:
            values = self.records[name, kind]
            values = [f'"{value}"' if kind == "TXT" else value for value in values]
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
        if not any(known == name or known.endswith(f".{name}") for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if is_tcp:
            return response.to_wire(max_size=65535)
        try:
            return response.to_wire(max_size=1232)
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return response.to_wire()


@contextmanager
def serving():
    nameserver = Nameserver()

    class OverUDP(socketserver.BaseRequestHandler):
        def handle(self):
            wire, socket = self.request
            if (answer := nameserver.answer(wire, is_tcp=False)) is not None:
                socket.sendto(answer, self.client_address)

    class OverTCP(socketserver.BaseRequestHandler):
        def handle(self):
            (size,) = struct.unpack("!H", self.request.recv(2))
            wire = self.request.recv(size)
            answer = nameserver.answer(wire, is_tcp=True)
            if answer is None:
                return
            answer = struct.pack("!H", len(answer)) + answer
            if not any(name in nameserver.slow for name, _ in nameserver.asked[-1:]):
                self.request.sendall(answer)
                return
            try:
                for byte in answer:
                    self.request.sendall(bytes([byte]))
                    time.sleep(0.05)
            except OSError:
                """The client has gone."""

    servers = bind(OverUDP, OverTCP)
    nameserver.port = servers[0].server_address[1]
    for server in servers:
        server.daemon_threads = True
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield nameserver
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


def bind(over_udp, over_tcp) -> tuple[socketserver.BaseServer, ...]:
    """Return servers at one port, which is free for both."""
    while True:
        udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), over_udp)
        try:
            return udp, socketserver.ThreadingTCPServer(udp.server_address, over_tcp)
        except OSError:  # another program has the port for TCP
            udp.server_close()
