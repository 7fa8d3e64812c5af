"""What the proof says in the end."""

from collections import Counter


def verdict(proof) -> str:
    """Return why the test fails, or nothing: each problem with the first request that showed it."""
    lines = [f"{problem}\n    {call}" for problem, call in proof.findings.items()]
    lines += [
        f"{each.pattern.label}: {missing}" for each in proof.covered for missing in each.missing
    ]
    lines += [
        f"{label}: give `factories`: {why}" for label, why in proof.world.filler.problems.items()
    ]
    return "\n".join(["The isolation proof found:", *lines]) if lines else ""


def summary(proof) -> str:
    """Return a line for each page that was tried, and the sums."""
    tried = [each for each in proof.covered if each.requests]
    lines = [line_of(each) for each in tried]
    untried = Counter("; ".join(each.excuses) for each in proof.covered if not each.requests)
    lines += [f"{count} not tried: {reason}" for reason, count in untried.items()]
    lines.append(f"{len(tried)} pages, {proof.sender.sent} requests, {proof.seconds:.1f} s")
    return "\n".join(lines)


def line_of(covered) -> str:
    methods = ", ".join(dict.fromkeys(map(str, covered.actions)))
    signed_in = f"by {', '.join(covered.authentications)}" if covered.authentications else ""
    excuses = f"({'; '.join(covered.excuses)})" if covered.excuses else ""
    parts = (covered.pattern.label, f"{covered.requests} requests", methods, signed_in, excuses)
    return "  ".join(filter(None, parts))
