"""The tenants of the proof, and the canaries by which their rows are recognised anywhere."""

import re
from dataclasses import dataclass, field
from functools import cached_property

from django.core.files.storage import Storage
from django.db import models

FIRST_OF_A_REQUEST = 500  # rows that a request makes have higher keys than those of the filler


@dataclass
class Side:
    """Whose rows: a tenant's, everybody's, or nobody's.

    Texts begin with `mark`, keys and numbers with the six digits of `digits`, so one pattern finds
    all of them in an answer. Every table's first row has the same key, so that a number in a URL
    needs no model.
    """

    name: str
    mark: str
    digits: int
    tenant: models.Model | None = None
    people: list = field(default_factory=list)
    rows: dict[type[models.Model], list] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    uploads: list[tuple[Storage, str]] = field(default_factory=list)
    literals: dict[str, str] = field(default_factory=dict)  # other texts, with what they are
    made: dict[str, str] = field(default_factory=dict)  # canaries, with what they are

    @cached_property
    def host(self) -> str:
        return self.tenant.get_primary_domain().domain

    @property
    def first_key(self) -> int:
        return self.digits * 1000 + 1

    def first_of(self, largest: int) -> int:
        """Return the first key of a sequence that ends at `largest`."""
        return self.first_key if largest >= self.first_key else self.digits // 100 + 1

    def canary(self, what: str) -> str:
        """Return a new text of nine letters and digits."""
        text = f"{self.mark}{len(self.made):03d}"
        self.made[text] = what
        return text

    def number(self) -> int:
        """Return a new number, which is no key."""
        return (self.digits + 1) * 1000 + len(self.made) % 1000

    def pattern(self) -> re.Pattern:
        numbers = (rf"(?<!\d){digits}\d\d\d(?!\d)" for digits in (self.digits, self.digits + 1))
        literals = (re.escape(text) for text in self.literals)
        return re.compile("|".join([rf"{self.mark}\d\d\d", *numbers, *literals]), re.I)

    def describe(self, text: str) -> str:
        """Return which row or value a found text is of."""
        known = self.made.get(text.lower()) or self.literals.get(text)
        return f"“{text}” ({known or 'a key or a number'})"


OWN, OTHER, SHARED, NOBODY = "own", "other", "shared", "none"


def new_sides(own_tenant, other_tenant) -> dict[str, Side]:
    return {
        OWN: Side(OWN, "qxmine", 817263, own_tenant),
        OTHER: Side(OTHER, "qxthem", 918273, other_tenant),
        SHARED: Side(SHARED, "qxeach", 615243),
        NOBODY: Side(NOBODY, "qxnone", 516273),
    }
