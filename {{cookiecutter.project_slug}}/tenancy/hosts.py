"""What is a host name, what is a slug, what is a schema's name, and which slugs nobody can have.

The patterns mean the same to Python and to PostgreSQL, which has them as constraints.
"""

import re

import idna
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# RFC 1123, in lower case. No top-level domain is a number, so what ends in one is an address.
# `www.` leads where the rest does: see `normalise_host`.
HOST = r"\A(?=.{1,253}\Z)(?!www\.)" rf"(?:{LABEL}\.)*(?![0-9]+\Z){LABEL}\Z"
HOST_RULE = (
    "A host name takes lower-case letters, digits, hyphens and dots, without scheme, “www.”, port"
    " or path, like “acme.example.com”."
)
LAST_PORT = 65535

# A tenant's host is <slug>.<domain> and its schema <slug>_<random>: a slug is a label without the
# `--` of encoded ones, short enough for a schema's name (63 bytes).
SLUG_LENGTH = 40
WORDS = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
SLUG = rf"\A{WORDS}\Z"
SLUG_RULE = (
    f"A slug takes up to {SLUG_LENGTH} lower-case letters, digits and single hyphens, and begins"
    " with a letter, like “acme-labs”."
)
# `pg` would make a schema's name that PostgreSQL keeps for itself; programs look for `mta-sts`,
# `wpad` and the like by themselves; a script's mistake looks for `null` and `undefined`.
RESERVED_SLUGS = frozenset(
    "abuse account accounts admin administrator api app assets auth autoconfig autodiscover beta"
    " billing blog broadcasthost cdn demo dev dns docs download downloads email ftp help host"
    " hostmaster imap internal isatap ldap local localhost login logout mail media mta-sts mx ns"
    " ns1 ns2 null openpgpkey pay payment payments pg pop pop3 postmaster proxy public register"
    " root secure security sftp sign-in sign-out sign-up signin signout signup smtp sso staging"
    " static status support system test undefined verify vpn webmail webmaster wpad www".split()
)

# What reservation.py makes of a slug. The slug may be another one by now.
SCHEMA_NAME = rf"\A(?!pg_){WORDS}_[0-9a-f]" r"{8}\Z"


def validate_host(host: str) -> None:
    """Raises ValidationError, with a sentence for a person, if `host` is no host name."""
    RegexValidator(HOST, HOST_RULE)(host)


def validate_slug(slug: str) -> None:
    """Raises ValidationError, with a sentence for a person, if `slug` can't name a tenant."""
    if len(slug) > SLUG_LENGTH or not re.match(SLUG, slug):
        raise ValidationError(SLUG_RULE)
    if slug in RESERVED_SLUGS:
        raise ValidationError(f"The slug “{slug}” is reserved; “{slug}-team” would do.")


def normalise_host(text: str) -> str | None:
    """The one spelling under which a host is stored and found; None where `text` is no host name.

    Letter case, a port, a final dot and a leading `www.` make no difference, nor does it whether
    other scripts are written as they are or in the ASCII that browsers send.
    """
    name, colon, port = text.partition(":")
    if colon and not (re.match(r"[0-9]{1,5}\Z", port) and int(port) <= LAST_PORT):
        return None
    if not name.isascii():
        try:
            # As browsers do it. Python's codec is of 2003: to it `straße.de` is `strasse.de`.
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            return None
    name = name.lower().removesuffix(".").removeprefix("www.")
    return name if re.match(HOST, name) else None


def host_of(slug: str) -> str:
    """The host that a tenant with the slug has for as long as it has the slug."""
    return f"{slug}.{settings.DOMAIN}"


def site_url(request, host: str) -> str:
    """The address of the site at `host`, with the scheme and the port of `request`."""
    port = re.search(r":[0-9]+\Z", request.META.get("HTTP_HOST", ""))
    return f"{request.scheme}://{host}{port[0] if port else ''}/"
