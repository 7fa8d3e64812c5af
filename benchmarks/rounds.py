"""Measured side by side: machines are faster at one moment than at another."""

from statistics import median


def interleaved(ways, rounds, their_rounds):
    """Call each of the ways once a round, with the round's number; return by name what came.

    "theirs" may have fewer rounds, which are spread among the others.
    """
    measured = {name: [] for name in ways}
    for number in range(rounds):
        for name, way in ways.items():
            if name != "theirs" or number * their_rounds % rounds < their_rounds:
                measured[name].append(way(number))
    return measured


def ratio(one, other):
    """How many times as much one is: the median of the rounds, or of either if one has fewer."""
    if len(one) != len(other):
        return median(one) / median(other)
    return median(a / b for a, b in zip(one, other, strict=True))
