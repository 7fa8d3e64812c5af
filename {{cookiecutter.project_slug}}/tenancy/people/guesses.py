"""Limits on wrong passwords, wherever a password is checked.

A limit for each person alone would let anybody lock a person out, by failing in the person's name.
So the strict limit is for a person at an address, and the one for an address keeps somebody from
trying one password on many people. The limit for a person at all addresses is against many
computers that guess together. It doesn't hold where the person has signed in before, and a link to
set a new password signs the person in, so even such an attack locks nobody out.

Only wrong passwords count in the end. A use is counted before the password is checked, since
processes would otherwise check some more at the same time, and given back if it is right.
"""

from tenancy import limits
from tenancy.concrete import User
from tenancy.requests.address import client_address

HERE, ADDRESS, PERSON = "sign-in", "sign-in-address", "sign-in-person"
KNOWN = "sign-in-known"
REMEMBERED = 90 * 24 * 60 * 60  # seconds


class Guess:
    """One try of a password."""

    def __init__(self, request, username: str):
        """Raises RateLimited."""
        person, address = person_of(username), request and client_address(request)
        self.here = f"{person} {address}" if address else None
        self.uses = []
        if address:
            self.count(HERE, self.here, "10/15m")
            self.count(ADDRESS, address, "100/15m")
        if not (address and limits.remembers(KNOWN, self.here)):
            self.count(PERSON, person, "100/1h")

    def count(self, *use_and_rate: str) -> None:
        limits.limit(*use_and_rate)
        self.uses.append(use_and_rate[:2])

    def was_right(self) -> None:
        limits.give_back(*self.uses)
        if self.here and not limits.remembers(KNOWN, self.here):
            limits.remember(KNOWN, self.here, REMEMBERED)


def person_of(username: str) -> str:
    """Return one key for a person's user name and e-mail, and for a name that nobody has."""
    found = User.objects.filter(**User.objects.natural_key(username)).values_list("pk", flat=True)
    return str(found.first() or username.lower())
