"""The rules for host names, slugs and schema names.

Python and PostgreSQL read the patterns in the same way. PostgreSQL has them as constraints.
"""

import re
from contextlib import suppress
from pathlib import Path

import idna
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.utils.translation import gettext as _


def gettext_noop(text: str) -> str:
    """Mark the text for `makemessages`. Django's function needs the settings, which import this."""
    return text


LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"

# RFC 1123, in lower case. No top-level domain is a number: what ends in one is an IP address.
# `www.` is removed, see `normalise_host`.
HOST = r"\A(?=.{1,253}\Z)(?!www\.)" rf"(?:{LABEL}\.)*(?![0-9]+\Z){LABEL}\Z"
HOST_RULE = gettext_noop(
    "A host name takes lower-case letters, digits, hyphens and dots, without scheme, “www.”, port"
    " or path, like “acme.example.com”."
)

# A tenant's host is <slug>.<domain> and its schema <slug>_<random>. So a slug is a host's label,
# short enough for a schema's name (63 bytes), and without `--`, which marks encoded labels.
SLUG_LENGTH = 40
WORDS = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
SLUG = rf"\A{WORDS}\Z"
SLUG_RULE = gettext_noop(
    "A slug takes up to 40 lower-case letters, digits and single hyphens, and begins"
    " with a letter, like “acme-labs”."
)
# `pg` would give a schema name that PostgreSQL reserves. Programs ask for `mta-sts`, `wpad` and the
# like by themselves. Scripts ask for `null` and `undefined` by mistake.
RESERVED_SLUGS = frozenset(
    "abuse account accounts admin administrator api app assets auth autoconfig autodiscover beta"
    " billing blog broadcasthost cdn demo dev dns docs domains download downloads email ftp help"
    " host hostmaster imap internal isatap ldap local localhost login logout mail media mta-sts mx"
    " ns ns1 ns2 null openpgpkey pay payment payments pg pop pop3 postmaster proxy public register"
    " root secure security sftp sign-in sign-out sign-up signin signout signup smtp sso staging"
    " static status support system test undefined verify vpn webmail webmaster wpad www".split()
)

# Made from a slug, which the tenant may have changed since.
SCHEMA_NAME = rf"\A(?!pg_){WORDS}_[0-9a-f]" r"{8}\Z"


def validate_host(host: str) -> None:
    """Raise ValidationError if `host` is not a host name."""
    RegexValidator(HOST, _(HOST_RULE))(host)


def validate_slug(slug: str) -> None:
    """Raise ValidationError if `slug` can't name a tenant."""
    if len(slug) > SLUG_LENGTH or not re.match(SLUG, slug):
        raise ValidationError(_(SLUG_RULE))
    if slug in RESERVED_SLUGS:
        message = _("The slug “%(slug)s” is reserved; “%(slug)s-team” would do.")
        raise ValidationError(message % {"slug": slug})


def normalise_host(text: str) -> str | None:
    """Return the spelling under which a host is stored and found, or None for other texts.

    Letter case, a port, a final dot and a leading `www.` make no difference. Other scripts can be
    written as they are, or in the ASCII that browsers send.
    """
    name, colon, port = text.partition(":")
    if colon and not (re.match(r"[0-9]{1,5}\Z", port) and int(port) < 2**16):
        return None
    if not name.isascii():
        try:
            # As browsers do. Python's own codec is from 2003 and turns `straße.de` into
            # `strasse.de`.
            name = idna.encode(name, uts46=True).decode()
        except idna.IDNAError:
            return None
    name = name.lower().removesuffix(".").removeprefix("www.")
    return name if re.match(HOST, name) else None


def is_ours(host: str) -> bool:
    """Return whether the host is DOMAIN or below it. Others are customers' own."""
    return host == settings.DOMAIN or host.endswith(f".{settings.DOMAIN}")


def host_of(slug: str) -> str:
    """Return the host that belongs to the slug."""
    return f"{slug}.{settings.DOMAIN}"


def site_url(host: str, path: str = "/") -> str:
    """Return the absolute URL of `path` at one of the stored domains.

    The scheme and the port come from the settings. A request's Host header may have any port. The
    main website is at MAIN_WEBSITE_URL, if another process or port than the workspaces' serves it.
    """
    website = getattr(settings, "MAIN_WEBSITE_URL", "")
    if website and host == settings.DOMAIN:
        return f"{website}{path}"
    scheme = "https" if settings.SECURE_SSL_REDIRECT else "http"
    port = getattr(settings, "WORKSPACE_PORT", None) or (last_port() if settings.DEBUG else None)
    return f"{scheme}://{host}{f':{port}' if port else ''}{path}"


def main_website_url(path: str = "/") -> str:
    """Return the absolute URL of `path` at the main website."""
    return site_url(settings.DOMAIN, path)


def own_url(request, path: str = "/") -> str:
    """Return the absolute URL of `path` at the site that was asked."""
    return site_url(normalise_host(request.get_host()), path)


def remember_port(port: int) -> None:
    """Let links of other processes lead to the port on which `runserver` listens."""
    with suppress(OSError):
        port_file().write_text(f"{port}\n")


def last_port() -> int:
    """Return the port on which `runserver` listened last; its default if it never ran."""
    try:
        return int(port_file().read_text())
    except (OSError, ValueError):
        return 8000


def port_file() -> Path:
    return Path(settings.BASE_DIR, ".runserver")
