"""The proof: which requests are sent, and what they have to show."""

import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product

from django.conf import settings
from django.core.cache import caches
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection

from tenancy import roles
from tenancy.isolation.admin_site import not_here
from tenancy.testing.isolation.asserts import difference
from tenancy.testing.isolation.explore import Action, Covered, Explorer, Step
from tenancy.testing.isolation.observed import Answer, Call
from tenancy.testing.isolation.sides import NOBODY, OTHER, OWN, SHARED
from tenancy.testing.isolation.walk import Guess, Pattern, patterns
from tenancy.testing.isolation.world import ANONYMOUS, NOT_MEMBERS, OUTSIDER, STAFF, STRANGER

# Who tries every action on which rows. Of all others, each pair is tried.
EVERYTHING_OF = {
    OWN: {ANONYMOUS, OUTSIDER, roles.MEMBER, roles.OWNER},
    OTHER: {roles.MEMBER, roles.OWNER},
    SHARED: {roles.OWNER},
}
TWICE = {ANONYMOUS, roles.MEMBER}  # they ask for everything a second time


class Proof(Explorer):
    def __init__(self, hooks, *, full: bool):
        super().__init__(hooks)
        self.full = full
        self.guess = Guess(self.world.sides, hooks.arguments)
        self.findings: dict[str, str] = {}
        self.covered: list[Covered] = []
        self.steps: list[tuple[Step, list[bytes]]] = []
        self.seconds = 0.0
        self.last: tuple[Step, list[bytes]] | None = None

    def run(self) -> None:
        began = time.monotonic()
        walked = [
            *patterns(settings.ROOT_URLCONF, False),
            *patterns(settings.PUBLIC_SCHEMA_URLCONF, True),
        ]
        self.hooks.check(name for pattern in walked for name in pattern.names)
        with self.sender.watching():
            with self.other_filled():
                self.begin()
                for pattern in walked:
                    self.walk(pattern)
            self.world.remove_uploads(self.world.other)
            self.begin()
            self.compare()
            self.world.remove_uploads(*self.world.sides.values())
        self.seconds = time.monotonic() - began

    @contextmanager
    def other_filled(self) -> Iterator[None]:
        """Let the other tenant have rows in the block."""
        before = connection.savepoint()
        self.world.fill(OTHER)
        yield
        connection.savepoint_rollback(before)

    def begin(self) -> None:
        self.world.begin()
        self.judge.refresh()
        self.sender.begin()
        for alias in settings.CACHES:
            if isinstance(caches[alias], LocMemCache):
                caches[alias].clear()

    # The first pass: the other tenant has rows

    def walk(self, pattern: Pattern) -> None:
        covered = Covered(pattern)
        self.covered.append(covered)
        if excuse := self.hooks.excuse(pattern.names):
            covered.excuses.append(excuse)
            return
        if self.hooks.only and not {*self.hooks.only} & {*pattern.names}:
            covered.excuses.append("not asked for")
            return
        if inspect.unwrap(pattern.view) is not_here:
            covered.excuses.append("The admin has the model at other hosts; here is no page.")
            return
        self.number = number = len(self.covered) - 1
        sent = self.sender.sent
        self.sent_before = set()
        guesses = [*self.guess.candidates(pattern)]
        self.warm(number, pattern, [Action("GET")], guesses)
        if found := self.find_arguments(pattern, covered, guesses):
            self.find_actions(pattern, covered, *found)
            queries = [action for action in covered.actions if action.query]
            self.warm(number, pattern, queries, [pattern.arguments])
            self.find_authentications(pattern, covered)
            for step in self.plan(number, covered):
                self.take(step, covered)
        covered.requests = self.sender.sent - sent

    # The plan

    def visitors(self, covered: Covered) -> list[tuple[str, str]]:
        if covered.pattern.is_public:
            # What staff may see is theirs. What they mustn't was seen when the actions were tried.
            people = [ANONYMOUS, STRANGER, roles.OWNER, *[STAFF] * self.full]
        else:
            people = [ANONYMOUS, STRANGER, OUTSIDER, *reversed(roles.all_roles())]
        return [
            (person, authentication)
            for person in people
            for authentication in ("session", *covered.authentications)
            if person != ANONYMOUS or authentication == "session"
        ]

    def plan(self, number: int, covered: Covered) -> Iterator[Step]:
        pattern = covered.pattern
        kinds = [kind for kind in (OWN, OTHER, SHARED) if kind in pattern.arguments]
        if not pattern.parameters:
            kinds = [OWN, OTHER]  # in what is sent
        for (person, authentication), action, kind in self.combinations(covered, kinds):
            for spelling in range(len(pattern.arguments.get(kind) or [0])):
                calls = self.sequence(pattern, action, person, kind, authentication, spelling)
                if kind == OWN and (self.full or person in TWICE):
                    calls = (*calls, calls[-1])
                yield Step(number, calls, kind, self.values(pattern, kind, spelling))
                if kind == OTHER and NOBODY in pattern.arguments:
                    calls = self.sequence(pattern, action, person, NOBODY, authentication, spelling)
                    yield Step(number, calls, NOBODY, self.values(pattern, NOBODY, spelling))

    def combinations(self, covered: Covered, kinds: list[str]) -> list[tuple]:
        """Return which person does what with whose rows.

        All of them, or each pair at least once, with two kinds of triples that show most leaks:
        own rows for people who aren't members, others' rows for people who are.
        """
        everything = [*product(self.visitors(covered), covered.actions, kinds)]
        if self.full:
            return everything
        chosen, pairs = [], set()
        for each in everything:
            (person, authentication), _, kind = each
            if person in EVERYTHING_OF[kind] or (kind == OWN and authentication != "session"):
                chosen.append(each)
                pairs |= pairs_of(each)
        for each in everything:
            if not pairs_of(each) <= pairs:
                chosen.append(each)
                pairs |= pairs_of(each)
        return chosen

    def warm(self, number: int, pattern: Pattern, actions, guesses) -> None:
        """Let the other tenant's people look first, so that what is remembered is theirs."""
        if pattern.is_public:
            return
        host = self.world.other.host
        for pattern.arguments, action in product(guesses[:3], actions):
            for person in (roles.MEMBER, ANONYMOUS):
                call = self.call(pattern, action, person, OTHER)
                step = Step(number, (replace(call, host=host),), "warm")
                self.sender.send(*step.calls)
                self.steps.append((step, []))

    def take(self, step: Step, covered: Covered) -> None:
        """Send a step's request, unless it was sent before, and check the answers."""
        if repr(step.calls) in self.sent_before:
            return
        answers = self.sender.send(*step.calls)
        looks = self.record(covered, step, answers)
        if step.kind == NOBODY:
            self.foreign_is_unknown(step, covered, answers[-1])
        self.last = step, looks

    def record(self, covered: Covered, step: Step, answers: list[Answer]) -> list[bytes]:
        """Check the answers, and remember how they look."""
        self.sent_before.add(repr(step.calls))
        looks = []
        for call, answer in zip(step.calls, answers, strict=True):
            self.check(covered, call, answer)
            looks.append(self.judge.fingerprint(call, answer, step.arguments))
        if self.is_compared(step, answers[-1]):
            self.steps.append((step, looks))
        return looks

    def check(self, covered: Covered, call: Call, answer: Answer) -> None:
        is_open = self.hooks.is_open(covered.pattern.names)
        for problem in self.judge.problems(call, answer, is_open=is_open):
            self.findings.setdefault(f"{covered.pattern.label}: {problem}", str(call))

    def is_compared(self, step: Step, answer: Answer) -> bool:
        """Return whether the second pass shall send the request again."""
        person = step.calls[0].person
        is_refused = person in NOT_MEMBERS and answer.status in (302, 401, 403, 405)
        return self.full or (not is_refused and person in (ANONYMOUS, roles.MEMBER, roles.OWNER))

    def foreign_is_unknown(self, step: Step, covered: Covered, answer: Answer) -> None:
        """What is another tenant's must look like what isn't there."""
        foreign, looks = self.last
        call = foreign.calls[0]
        if call.person == STAFF:
            return
        unknown = self.judge.fingerprint(step.calls[-1], answer, step.arguments)
        known = looks[len(step.calls) - 1]
        if unknown != known:
            again = [self.look(step)[-1] for _ in range(2)]
            if where := difference(unknown, known, again):
                problem = "another tenant's row is answered otherwise than one that doesn't exist"
                self.findings.setdefault(f"{covered.pattern.label}: {problem}", f"{call}: {where}")

    # The second pass: the other tenant is empty

    def look(self, step: Step) -> list[bytes]:
        answers = self.sender.send(*step.calls)
        pairs = zip(step.calls, answers, strict=True)
        return [self.judge.fingerprint(call, answer, step.arguments) for call, answer in pairs]

    def compare(self) -> None:
        """The same requests get the same answers if the other tenant has no rows."""
        for step, beside in self.steps:
            alone = self.look(step)
            if step.kind == "warm" or alone == beside or step.calls[0].person == STAFF:
                continue
            again = [self.look(step) for _ in range(2)]
            for index, (one, two) in enumerate(zip(alone, beside, strict=True)):
                if one != two and (where := difference(one, two, [each[index] for each in again])):
                    route = self.covered[step.pattern].pattern.label
                    key = f"{route}: the answer depends on the other tenant's rows"
                    self.findings.setdefault(key, f"{step.calls[index]}: {where}")


def pairs_of(combination: tuple) -> set:
    one, two, three = combination
    return {(one, two), (one, three), (two, three)}
