"""Which hosts a workspace may claim, and the DNS records that prove a claim.

Settings, all optional: DOMAIN_CHALLENGE (the label of the record that proves it), DOMAIN_TARGET
(the host of ours that customers' domains lead to), DOMAIN_ADDRESSES (its addresses, for those that
can't have a CNAME).
"""

from functools import cache
from ipaddress import ip_address
from typing import NamedTuple

import idna
from django.conf import settings
from django.http.request import validate_host
from django.utils.translation import gettext as _
from publicsuffixlist import PublicSuffixList

from tenancy import hosts
from tenancy.exceptions import InvalidHost
from tenancy.models import DomainClaim

MAX_LENGTH = 253  # of a name in the DNS


class Record(NamedTuple):
    """A DNS record, as a customer types it."""

    type: str
    name: str
    value: str


def clean_host(text: str) -> str:
    """Return the host that a customer has typed, as it is stored.

    Raises InvalidHost for one that no customer can have.
    """
    text = text.strip()
    if "*" in text:
        raise InvalidHost(_("Write one host name. A wildcard (*) doesn't lead to a workspace."))
    if is_address(text):
        raise InvalidHost(_("“%(host)s” is an IP address. Write a host name.") % {"host": text})
    host = hosts.normalise_host(text)
    if host is None or ":" in text or len(f"{label()}.{host}") > MAX_LENGTH:
        raise InvalidHost(_(hosts.HOST_RULE))
    if "." not in host:
        raise InvalidHost(_("“%(host)s” has no dot. Write a whole host name.") % {"host": text})
    if hosts.is_ours(host):
        message = _("“%(host)s” belongs to %(site)s. Write a host name of your own.")
        raise InvalidHost(message % {"host": text, "site": settings.DOMAIN})
    if public_suffixes().publicsuffix(host) == host:
        message = _("Anybody can register names below “%(host)s”. Write a host name of your own.")
        raise InvalidHost(message % {"host": text})
    if not validate_host(host, settings.ALLOWED_HOSTS):  # of an owner who has kept it
        message = _("“%(host)s” can't be used: %(site)s has to allow it first (ALLOWED_HOSTS).")
        raise InvalidHost(message % {"host": text, "site": settings.DOMAIN})
    return host


def is_address(text: str) -> bool:
    try:
        ip_address(text.strip("[]"))
    except ValueError:
        return False
    return True


@cache
def public_suffixes() -> PublicSuffixList:
    return PublicSuffixList()


def is_apex(host: str) -> bool:
    """Return whether the host is a registered domain, which can't have a CNAME."""
    return public_suffixes().privatesuffix(host) == host


def shown(host: str) -> str:
    """Return the host in its own script."""
    try:
        return idna.decode(host)
    except idna.IDNAError:
        return host


def label() -> str:
    """Return the label, below the host, of the record that proves a new claim."""
    return getattr(settings, "DOMAIN_CHALLENGE", "_workspace-challenge")


def target() -> str:
    """Return the host of ours that customers' domains lead to."""
    return getattr(settings, "DOMAIN_TARGET", f"domains.{settings.DOMAIN}")


def addresses() -> list[str]:
    """Return the addresses of that host, if the owner has named them."""
    return getattr(settings, "DOMAIN_ADDRESSES", [])


def proof(claim: DomainClaim) -> Record:
    """Return the record that proves the claim. It stays as long as the workspace has the domain."""
    return Record("TXT", f"{claim.label}.{claim.host}", claim.token)


def way(host: str) -> list[Record]:
    """Return the records that lead the host to us."""
    if not is_apex(host):
        return [Record("CNAME", host, target())]
    if not addresses():
        return [Record("ALIAS", host, target())]
    return [Record("AAAA" if ":" in each else "A", host, each) for each in addresses()]
