"""The address of a new workspace: what it may be, whether it is free, what to suggest.

People read “address” where code says “slug”.
"""

import secrets

from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _

from tenancy import hosts
from tenancy.concrete import Domain, Tenant

NUMBERS = range(2, 20)  # appended to an address that is taken


def problem_with(slug: str, tenant: Tenant | None = None) -> str:
    """Return a sentence that says why no workspace can get the address, or "".

    A tenant may get an address back that it had before.
    """
    if slug in hosts.RESERVED_SLUGS:
        text = _("“%(address)s” is reserved for this site. “%(other)s” is free.")
    elif not is_valid(slug):
        return _(
            "An address has up to %(most)d lower-case letters, digits and single hyphens, and"
            " begins with a letter."
        ) % {"most": hosts.SLUG_LENGTH}
    elif taken_among([slug], tenant):
        text = _("“%(address)s” is taken. “%(other)s” is free.")
    else:
        return ""
    return text % {"address": slug, "other": suggest(slug)}


def is_valid(slug: str) -> bool:
    try:
        hosts.validate_slug(slug)
    except ValidationError:
        return False
    return True


def suggest(text: str) -> str:
    """Return a free address that is like the text, or "" if no letter of it can be in one."""
    slug = slugify(text.replace("_", "-"))
    if slug[:1].isdigit():
        slug = f"team-{slug}"
    slug = slug[: hosts.SLUG_LENGTH].rstrip("-")
    if slug in hosts.RESERVED_SLUGS:
        slug = f"{slug}-team"
    if not is_valid(slug):
        return ""
    numbered = (f"{slug[: hosts.SLUG_LENGTH - 3].rstrip('-')}-{number}" for number in NUMBERS)
    candidates = [slug, *numbered]
    taken = taken_among(candidates)
    free = (each for each in candidates if each not in taken)
    return next(free, None) or f"{slug[: hosts.SLUG_LENGTH - 9]}-{secrets.token_hex(4)}"


def taken_among(slugs: list[str], besides: Tenant | None = None) -> set[str]:
    """Return those that another workspace has, or had: its former host leads there."""
    slug_of = {hosts.host_of(slug): slug for slug in slugs}
    domains, tenants = Domain.objects.all(), Tenant.all_objects.all()
    if besides:
        domains, tenants = domains.exclude(tenant=besides.pk), tenants.exclude(pk=besides.pk)
    found = domains.filter(domain__in=slug_of).values_list("domain", flat=True)
    slugs = tenants.filter(slug__in=slugs).values_list("slug", flat=True)
    return {*slugs, *(slug_of[domain] for domain in found)}
