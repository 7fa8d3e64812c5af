"""The address that a request came from."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings


def client_address(request) -> str | None:
    """Return what limits know a client by: the IP address, or the network of an IPv6 address.

    One subscriber has a /64, with 2**64 addresses to come from. None if the address is unknown.
    """
    address = client_ip(request)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), 64), strict=False))
    return address and str(address)


def client_ip(request) -> IPv4Address | IPv6Address | None:
    """Return the client's IP address; None if it is unknown.

    A client can write anything into X-Forwarded-For. Each proxy appends the address that it was
    asked from, so with TRUSTED_PROXIES = n only the n last entries are true, and the first of them
    is the client's.
    """
    text = request.META.get("REMOTE_ADDR", "")
    if proxies := getattr(settings, "TRUSTED_PROXIES", 0):
        header = request.META.get("HTTP_X_FORWARDED_FOR", "")
        text = next(filter(None, map(str.strip, header.split(",")[-proxies:])), text)
    try:
        address = ip_address(without_port(text))
    except ValueError:  # a socket in the file system has no address, for example
        return None
    return getattr(address, "ipv4_mapped", None) or address


def without_port(text: str) -> str:
    """Remove the port, which some proxies write as well: 192.0.2.1:80 or [2001:db8::1]:80."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
