"""What is a host name, what is a slug, and which slugs nobody can have."""

import re

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# RFC 1123, in lower case. No top-level domain is a number, so what ends in one is an address.
HOST = re.compile(r"\A(?=.{1,253}\Z)" rf"(?:{LABEL}\.)*(?!\d+\Z){LABEL}\Z")
HOST_RULE = (
    "A host name takes lower-case letters, digits, hyphens and dots, without scheme, port or path,"
    " like “acme.example.com”."
)

# A tenant's host is <slug>.<domain> and its schema <slug>_<random>: a slug is a label without the
# `--` of encoded ones, short enough for a schema's name (63 bytes).
SLUG_LENGTH = 40
SLUG = re.compile(r"\A[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")
SLUG_RULE = (
    f"A slug takes up to {SLUG_LENGTH} lower-case letters, digits and single hyphens, and begins"
    " with a letter, like “acme-labs”."
)
RESERVED_SLUGS = frozenset(
    "account accounts admin api app assets auth autoconfig autodiscover billing blog cdn dev docs"
    " download email ftp help host imap internal local localhost login mail media ns ns1 ns2 pop"
    " postmaster public root secure security sign-in sign-up signup smtp sso staging static status"
    " support system test webmail webmaster wpad www".split()
)


def validate_host(host: str) -> None:
    """Raises ValidationError, with a sentence for a person, if `host` is no host name."""
    RegexValidator(HOST, HOST_RULE)(host)


def validate_slug(slug: str) -> None:
    """Raises ValidationError, with a sentence for a person, if `slug` can't name a tenant."""
    if len(slug) > SLUG_LENGTH or not SLUG.match(slug):
        raise ValidationError(SLUG_RULE)
    if slug in RESERVED_SLUGS:
        raise ValidationError(f"The slug “{slug}” is reserved; “{slug}-team” would do.")


def normalise_host(host: str) -> str:
    """The name under which a request's `Host:` is stored: letter case, port, a final dot and a
    leading `www.` make no difference."""
    name = re.sub(r":\d+\Z", "", host).lower().removesuffix(".")
    return name.removeprefix("www.")


def site_url(request, host: str) -> str:
    """The address of the site at `host`, with the scheme and the port of `request`."""
    port = re.search(r":\d+\Z", request.META.get("HTTP_HOST", ""))
    return f"{request.scheme}://{host}{port[0] if port else ''}/"
