"""What the DNS says, asked of the servers that are responsible for the zone.

A resolver's memory may be a day old, so it is asked only for these servers. DOMAIN_RESOLVER names
another resolver than the system's, such as `127.0.0.1:5353`; servers are then asked at its port.
"""

import time
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
from django.conf import settings

from tenancy.domains import names

PATIENCE = 8  # seconds, for all questions about a domain
TIMEOUT = 2  # seconds for a server
MAX_SERVERS = 4
MAX_CNAMES = 4
MAX_RECORDS = 50  # in an answer
PORT = 53
ERRORS = (dns.exception.DNSException, OSError, EOFError)


class LookupFailed(Exception):
    """The DNS gives no answer. That says neither that a record is there nor that it isn't."""


class Lookup:
    """Questions about one domain, which together take at most PATIENCE. All raise LookupFailed."""

    def __init__(self):
        self.end = time.monotonic() + PATIENCE
        self.known: dict[dns.name.Name, list[str]] = {}  # the servers of a zone
        address, _, port = getattr(settings, "DOMAIN_RESOLVER", "").partition(":")
        self.is_private, self.port = bool(address), int(port or PORT)
        try:
            self.resolver = dns.resolver.Resolver(configure=not address)
        except ERRORS as error:
            raise LookupFailed(f"no resolver: {error}") from error
        if address:
            self.resolver.nameservers, self.resolver.port = [address], self.port
        self.resolver.timeout = TIMEOUT

    def texts(self, name: str) -> list[str]:
        """Return the values of the name's TXT records."""
        _, found = self.follow(name, "TXT")
        return [b"".join(each.strings).decode("ascii", "replace").strip() for each in found]

    def leads_here(self, host: str) -> bool:
        """Return whether visitors of the host come to us."""
        target = dns.name.from_text(names.target())
        own = {ip_address(each) for each in names.addresses()}
        for rdtype in ("A", "AAAA"):
            chain, found = self.follow(host, rdtype, until=target)
            if target in chain:
                return True
            found = {ip_address(each.address) for each in found}
            if found & (own or self.addresses_of(target, rdtype)):
                return True
        return False

    def addresses_of(self, name: dns.name.Name, rdtype: str) -> set:
        answer = self.resolve(name, rdtype)
        return {ip_address(each.address) for each in answer or ()}

    def follow(
        self, text: str, rdtype: str, until: dns.name.Name | None = None
    ) -> tuple[list[dns.name.Name], list]:
        """Return the names to which CNAMEs lead, from the first, and the last one's records.

        Stop at the name `until`.
        """
        try:
            chain = [dns.name.from_text(text)]
        except ERRORS as error:
            raise LookupFailed(f"{text}: {error}") from error
        kind = dns.rdatatype.from_text(rdtype)
        while chain[-1] != until:
            answer = self.ask(chain[-1], kind).answer
            records = {each.rdtype: each for each in answer if each.name == chain[-1]}
            if kind in records:
                return chain, [*records[kind]]
            if dns.rdatatype.CNAME not in records:
                return chain, []
            if len(chain) > MAX_CNAMES:
                raise LookupFailed(f"{text}: more than {MAX_CNAMES} CNAMEs")
            chain.append(records[dns.rdatatype.CNAME][0].target)
        return chain, []

    def ask(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.message.Message:
        """Return the answer of the first server of the zone that has one."""
        query = dns.message.make_query(name, rdtype, use_edns=0)
        query.flags &= ~dns.flags.RD
        reason: object = "no server has an address"
        for server in self.servers(name):
            try:
                answer, _ = dns.query.udp_with_fallback(query, server, self.left(), self.port)
            except ERRORS as error:
                reason = error
                continue
            if sum(map(len, answer.answer)) > MAX_RECORDS:
                reason = f"more than {MAX_RECORDS} records"
            elif not answer.flags & dns.flags.AA:
                reason = "not responsible"
            elif answer.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
                reason = dns.rcode.to_text(answer.rcode())
            else:
                return answer
        raise LookupFailed(f"{name}: {reason}")

    def servers(self, name: dns.name.Name) -> list[str]:
        """Return the addresses of the servers that are responsible for the name."""
        try:
            zone = dns.resolver.zone_for_name(
                name, resolver=self.resolver, lifetime=self.left(PATIENCE)
            )
        except ERRORS as error:
            raise LookupFailed(f"{name}: {error}") from error
        if zone not in self.known:
            found = []
            for record in [*(self.resolve(zone, "NS") or ())][:MAX_SERVERS]:
                found += [*(self.resolve(record.target, "A") or ())][:1]
                found += [*(self.resolve(record.target, "AAAA") or ())][:1]
            addresses = [each.address for each in found]
            # A customer's zone must not let us ask what only we can reach.
            self.known[zone] = [
                each for each in addresses if self.is_private or ip_address(each).is_global
            ]
        return self.known[zone]

    def resolve(self, name: dns.name.Name, rdtype: str) -> dns.resolver.Answer | None:
        """Return what the resolver knows; None if there are no such records."""
        try:
            return self.resolver.resolve(name, rdtype, lifetime=self.left(PATIENCE))
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            return None
        except ERRORS as error:
            raise LookupFailed(f"{name}: {error}") from error

    def left(self, most: float = TIMEOUT) -> float:
        """Return how many seconds the next question may take."""
        left = min(most, self.end - time.monotonic())
        if left <= 0:
            raise LookupFailed(f"no answer within {PATIENCE} seconds")
        return left
