"""Limits on wrong passwords and codes, wherever one is checked.

A limit for each person alone would let anybody lock a person out, by failing in the person's name.
So the strict limit is for a person at an address, and the one for an address keeps somebody from
trying one password on many people. The limit for a person at all addresses is against many
computers that guess together. It doesn't hold where the person was right before, and a link to
set a new password signs the person in, so even such an attack locks nobody out.

Only wrong ones count in the end. A use is counted before the password is checked, since
processes would otherwise check some more at the same time, and given back if it is right.
"""

from tenancy import limits
from tenancy.concrete import User
from tenancy.people import failed
from tenancy.requests.address import client_address

PASSWORD, SECOND_FACTOR = "sign-in", "mfa"  # begin the names of the limits
# For a person at an address, for an address, for a person at addresses that aren't known. Whoever
# tries codes for the second factor has the password, and a code has six digits.
RATES = {PASSWORD: ("10/15m", "100/15m", "100/1h"), SECOND_FACTOR: ("5/15m", "100/15m", "30/1d")}
NOBODY = "?"  # begins the key of a name that nobody has
REMEMBERED = 90 * 24 * 60 * 60  # seconds


class Guess:
    """One try of a password or a code for the second factor."""

    def __init__(self, request, name: str, person: str):
        """Raises RateLimited."""
        address = request and client_address(request)
        self.person, self.address = person, address
        self.here = f"{person} {address}" if address else None
        self.known = f"{name}-known"
        self.uses = []
        rate_here, rate_of_address, rate_of_person = RATES[name]
        if address:
            self.count(name, self.here, rate_here)
            self.count(f"{name}-address", address, rate_of_address)
        if not (address and limits.remembers(self.known, self.here)):
            self.count(f"{name}-person", person, rate_of_person)

    def count(self, *use_and_rate: str) -> None:
        limits.limit(*use_and_rate)
        self.uses.append(use_and_rate[:2])

    def was_right(self) -> None:
        limits.give_back(*self.uses)
        if self.here and not limits.remembers(self.known, self.here):
            limits.remember(self.known, self.here, REMEMBERED)

    def was_wrong(self) -> None:
        """Count it for the person, who reads it on their account page."""
        is_somebody = not self.person.startswith(NOBODY)
        failed.note(self.person if is_somebody else "", self.address or "")


def person_of(username: str) -> str:
    """Return one key for a person's user name and e-mail, and for a name that nobody has."""
    found = User.objects.filter(**User.objects.natural_key(username)).values_list("pk", flat=True)
    return str(found.first() or f"{NOBODY}{username.lower()}")
