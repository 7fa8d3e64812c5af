"""What a variable may be. Each is called with the value, and raises ValueError."""

import re
from collections.abc import Collection
from dataclasses import dataclass


@dataclass
class Length:
    min: int = 0
    max: int | None = None

    def __call__(self, value: str) -> None:
        if len(value) < self.min:
            raise ValueError(f"It is shorter than {self.min} characters.")
        if self.max is not None and len(value) > self.max:
            raise ValueError(f"It is longer than {self.max} characters.")


@dataclass
class OneOf:
    choices: Collection[str]

    def __call__(self, value: str) -> None:
        if value not in self.choices:
            raise ValueError(f"Write one of: {', '.join(filter(None, self.choices))}.")


@dataclass
class Range:
    min: int | None = None
    max: int | None = None

    def __call__(self, value: int) -> None:
        if self.min is not None and value < self.min:
            raise ValueError(f"It is less than {self.min}.")
        if self.max is not None and value > self.max:
            raise ValueError(f"It is more than {self.max}.")


@dataclass
class Regexp:
    """A regular expression that the value must match from its beginning."""

    regex: str
    error: str = "It doesn't have the form that .env.example shows."

    def __call__(self, value: str) -> None:
        if not re.match(self.regex, value):
            raise ValueError(self.error)
