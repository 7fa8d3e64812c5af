"""Finds out what a page answers to: its arguments, its methods, and what they take."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from urllib.parse import urlencode, urljoin, urlsplit

from django.conf import settings
from django.test.signals import template_rendered
from django.urls import Resolver404, resolve, set_urlconf
from django.utils.html import strip_tags
from django.views.generic.edit import ProcessFormView

from tenancy import roles
from tenancy.testing.isolation import bodies, forms
from tenancy.testing.isolation.asserts import Judge
from tenancy.testing.isolation.filler import owners_rows
from tenancy.testing.isolation.observed import Answer, Call, Sender
from tenancy.testing.isolation.sides import NOBODY, OTHER, OWN, SHARED
from tenancy.testing.isolation.walk import Pattern
from tenancy.testing.isolation.world import ANONYMOUS, STAFF, STRANGER, World

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
USERNAME, EMAIL = "{username}", "{email}"  # in forms, for the person who sends them
ERRORS = re.compile(r'<ul class="errorlist.*?</ul>|<p class="errornote".*?</p>', re.S)


@dataclass(frozen=True, eq=False)
class Action:
    """A method with what it sends. `follows`: a redirect to the form comes first."""

    method: str
    data: object = None
    query: str = ""
    follows: bool = False
    label: str = ""

    def __str__(self):
        return " ".join(filter(None, [self.method, self.label]))

    def data_of(self, name: str):
        return dict(self.data).get(name)


@dataclass
class Covered:
    """What the proof knows of a pattern in the end."""

    pattern: Pattern
    actions: list[Action] = field(default_factory=list)
    authentications: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    excuses: list[str] = field(default_factory=list)
    requests: int = 0


@dataclass(frozen=True)
class Step:
    """Calls that are sent one after the other, and whose rows they ask for."""

    pattern: int
    calls: tuple[Call, ...]
    kind: str
    arguments: tuple = ()


class Explorer:
    """Tries a page as those who have the most rights there. `record` gets what is sent."""

    def __init__(self, hooks):
        self.hooks = hooks
        self.world = World(hooks.factories)
        self.judge = Judge(self.world)
        self.sender = Sender(self.world, hooks.authentications)
        self.number = 0  # of the page

    def record(self, covered: Covered, step: Step, answers: list[Answer]) -> list[bytes]:
        raise NotImplementedError

    def host_of(self, pattern: Pattern) -> str:
        return self.world.public_host if pattern.is_public else self.world.own.host

    def strong(self, pattern: Pattern) -> list[str]:
        """Return people by their rights, the most powerful first."""
        if pattern.is_public:
            return [STAFF, roles.OWNER, ANONYMOUS]
        return [roles.OWNER, roles.MEMBER, ANONYMOUS]

    def call(self, pattern, action, person, kind=OWN, authentication="session", spelling=0) -> Call:
        arguments = pattern.arguments.get(kind) or pattern.arguments[OWN]
        url = pattern.url(arguments[spelling]) + action.query
        data = self.personal(action.data, person)
        if kind in (OTHER, SHARED, NOBODY):
            data = self.swap(pattern, data, kind)
            if not pattern.parameters and action.method == "GET" and not pattern.admin_site:
                url += ("&" if "?" in url else "?") + self.foreign_query(kind)
        is_own = kind == OWN or kind not in pattern.arguments
        subject = self.world.own.people[0] if pattern.has_hook and is_own else None
        host = self.host_of(pattern)
        return Call(host, action.method, url, person, authentication, data, subject=subject)

    def foreign_query(self, kind: str) -> str:
        """Return parameters by which a view might be told whose rows to show."""
        side = self.world.sides[kind]
        key = side.first_key
        names = {"id": key, "pk": key}
        if side.tenant:
            slug, schema = side.tenant.slug, side.tenant.schema_name
            names |= {"tenant": slug, "slug": slug, "workspace": slug, "schema": schema}
        return urlencode(names)

    def personal(self, data, person: str):
        user = self.world.people[person] or self.world.people[STRANGER]
        return changed(data, {USERNAME: user.username, EMAIL: user.email})

    def swap(self, pattern: Pattern, data, kind: str):
        """Put another side's keys in the place of the own ones in what is sent."""
        own, other = self.world.own, self.world.sides[kind]
        texts = {str(own.first_key): str(other.first_key)}
        if pattern.model:
            rows = zip(
                owners_rows(own, pattern.model), owners_rows(other, pattern.model), strict=False
            )
            texts |= {str(one.pk): str(two.pk) for one, two in rows}
        return changed(data, texts)

    def find_arguments(
        self, pattern: Pattern, covered: Covered, guesses
    ) -> tuple[Call, Answer] | None:
        """Return the page that the first right arguments lead to, and the call that got it; note it
        if none do.
        """
        fallback = None
        for pattern.arguments in guesses:
            for person in self.strong(pattern)[:2]:
                call = self.call(pattern, Action("GET"), person)
                answer = self.render(call)
                is_strongest = person == self.strong(pattern)[0]
                is_answer = answer.status < 300 or answer.status >= 500
                if is_answer or (is_strongest and answer.status in (301, 302, 405)):
                    return call, answer
                if answer.status in (401, 403) or is_catch_all(pattern):
                    fallback = fallback or (pattern.arguments, (call, answer))
        pattern.arguments, found = fallback or ({}, None)
        if found is None and is_view_on_site(pattern):
            covered.excuses.append("No model has a get_absolute_url.")
        elif found is None:
            covered.missing.append("no arguments were found that lead to a page: give `arguments`")
        return found

    def send(self, *calls: Call) -> Answer:
        return self.sender.send(*calls)[-1]

    def find_actions(self, pattern: Pattern, covered: Covered, call: Call, shown: Answer) -> None:
        covered.actions.append(Action("GET"))
        queries = self.queries(pattern, shown)
        covered.actions += [Action("GET", query=f"?{query}") for query in queries]
        as_get = self.judge.fingerprint(call, shown)
        self.record(covered, Step(self.number, (call,), OWN, self.values(pattern)), [shown])
        for method in self.methods_of(pattern):
            if excuse := self.hooks.excuse(f"{method} {name}" for name in pattern.names):
                covered.excuses.append(f"{method}: {excuse}")
                continue
            found, missing = [], ""
            for action in self.variants(pattern, method, shown):
                if excuse := self.hooks.excuse(f"{action} {name}" for name in pattern.names):
                    covered.excuses.append(f"{action}: {excuse}")
                    continue
                call, answer = self.attempt(pattern, action, covered)
                has_effect = self.judge.has_effect(call, answer)
                is_ignored = self.judge.fingerprint(call, answer) == as_get and not has_effect
                if answer.status == 405 or is_ignored:
                    continue
                found.append((action, has_effect))
                if not has_effect:
                    missing = f"{action} changed nothing ({reason(answer)}): give `data`"
            effective = [action for action, has_effect in found if has_effect]
            each_counts = any(action.label for action, _ in found)
            if found and (not effective or (each_counts and len(effective) < len(found))):
                lacking = next(action for action, has_effect in found if not has_effect)
                if not self.is_closed(pattern, lacking):
                    covered.missing.append(missing)
            covered.actions += effective or [action for action, _ in found[:1]]

    def methods_of(self, pattern: Pattern) -> list[str]:
        """Return the unsafe methods that a view may have. A function may have any."""
        if pattern.admin_site:
            return ["POST"]
        view_class = getattr(pattern.view, "view_class", None)
        known = bodies.methods_of(pattern.view)
        if known is None and view_class is None:
            return [*UNSAFE]
        if known is None:
            names = view_class.http_method_names
            known = {name.upper() for name in names if hasattr(view_class, name)}
            if getattr(view_class, "put", None) is ProcessFormView.put:
                known -= {"PUT"}  # it is another name for POST
        return [method for method in UNSAFE if method in known]

    def values(self, pattern: Pattern, kind: str = OWN, spelling: int = 0) -> tuple:
        return (*(pattern.arguments.get(kind) or [{}])[spelling].values(),)

    def attempt(self, pattern, action: Action, covered: Covered) -> tuple[Call, Answer]:
        """Send the action by those who may; return the first answer with an effect."""
        first = None
        for person in self.strong(pattern):
            for kind in (OWN, SHARED):
                if kind == OWN or kind in pattern.arguments or not pattern.parameters:
                    calls = self.sequence(pattern, action, person, kind)
                    answers = self.sender.send(*calls)
                    step = Step(self.number, calls, kind, self.values(pattern, kind))
                    self.record(covered, step, answers)
                    if first is None:
                        first = calls[-1], answers[-1]
                    if self.judge.has_effect(calls[-1], answers[-1]):
                        return calls[-1], answers[-1]
        return first

    def is_closed(self, pattern: Pattern, action: Action) -> bool:
        """Return whether the admin lets nobody do this."""
        if not pattern.admin_site:
            return False
        calls = self.sequence(pattern, action, self.strong(pattern)[0])
        return self.send(*calls).status == 403

    def sequence(self, pattern, action, person, kind=OWN, authentication="session", spelling=0):
        call = self.call(pattern, action, person, kind, authentication, spelling)
        if not action.follows:
            return (call,)
        get = replace(call, method="GET", data=None)
        answer = self.send(get)
        target = urljoin(call.url, answer.headers.get("Location", ""))
        return get, replace(get, url=target), replace(call, url=target)

    def queries(self, pattern: Pattern, shown: Answer) -> list[str]:
        """Return query strings: the admin's autocomplete, and what the page's forms ask for."""
        if getattr(pattern.view, "__name__", "") == "autocomplete_view":
            return [*bodies.autocomplete(pattern.admin_site)]
        return [
            urlencode(pairs)
            for form in (forms.read(shown.text) if shown.is_html else ())
            if form.method == "get" and form.controls and leads_here(form, pattern)
            for pairs in self.fill_in(pattern, form, shown)
        ]

    def fill_in(self, pattern: Pattern, form: forms.Form, answer: Answer) -> list[tuple]:
        """Return what the form may send. Widgets render URLs of the page's host."""
        set_urlconf(settings.PUBLIC_SCHEMA_URLCONF if pattern.is_public else None)
        tenant = self.world.public if pattern.is_public else self.world.own.tenant
        try:
            with tenant:
                filling = forms.Filling(self.world.own, pattern.model, USERNAME, EMAIL)
                return filling.variants(form, answer.contexts)
        finally:
            set_urlconf(None)

    def render(self, *calls: Call) -> Answer:
        """Send the calls, and keep what the last one's templates were given."""
        template_rendered.connect(self.sender.note_contexts)
        try:
            return self.send(*calls)
        finally:
            template_rendered.disconnect(self.sender.note_contexts)

    def variants(self, pattern: Pattern, method: str, shown: Answer) -> list[Action]:
        """Return what is worth sending with an unsafe method."""
        for name in pattern.names:
            if name in self.hooks.data:
                return [Action(method, freeze(each)) for each in self.hooks.data[name]]
        found = []
        if method == "POST":
            found = self.from_page(pattern, shown)
        rows = owners_rows(self.world.own, pattern.model) if pattern.model else []
        with self.world.own.tenant:
            data = bodies.body_of(pattern.view, method, next(iter(rows), None), self.world.own)
        if data is not None:
            found = [Action(method, data), *found]
        return found or [Action(method)]

    def from_page(self, pattern: Pattern, shown: Answer) -> list[Action]:
        """Return what the forms of the page send, the first time that somebody sees any."""
        for number, (person, kind) in enumerate(product(self.strong(pattern), (OWN, SHARED))):
            if kind == SHARED and kind not in pattern.arguments:
                continue
            get = self.call(pattern, Action("GET"), person, kind)
            answer, follows = shown if number == 0 else self.render(get), False
            target = urljoin(get.url, answer.headers.get("Location", ""))
            if answer.status == 302 and same_view(target, pattern):
                answer, follows = self.render(get, replace(get, url=target)), True
            if answer.status != 200 or not answer.is_html:
                continue
            found = []
            for form in forms.read(answer.text):
                if form.method == "post" and leads_here(form, pattern):
                    for pairs in self.fill_in(pattern, form, answer):
                        found += self.confirmed(
                            pattern,
                            Action(
                                "POST", pairs, follows=follows, label=dict(pairs).get("action", "")
                            ),
                        )
            if found:
                return found
        return []

    def confirmed(self, pattern: Pattern, action: Action) -> Iterator[Action]:
        """Yield the action, or what its page of confirmation sends, if it has one."""
        for kind in (OWN, SHARED) if action.label else ():
            answer = self.render(*self.sequence(pattern, action, self.strong(pattern)[0], kind))
            for form in forms.read(answer.text) if answer.is_html else ():
                if form.method == "post" and leads_here(form, pattern) and "action" in form.names:
                    for pairs in self.fill_in(pattern, form, answer):
                        if dict(pairs).get("action") == action.data_of("action"):
                            yield replace(action, data=pairs)
                            return
        yield action

    def find_authentications(self, pattern: Pattern, covered: Covered) -> None:
        """Find out which headers identify a person here."""
        person, action = self.strong(pattern)[0], covered.actions[0]
        unknown = self.send(self.call(pattern, action, ANONYMOUS))
        if unknown.status == 200 and len(covered.actions) > 1:
            action = covered.actions[-1]  # everybody may look
            unknown = self.send(self.call(pattern, action, ANONYMOUS))
        look = self.judge.fingerprint(self.call(pattern, action, ANONYMOUS), unknown)
        for name in self.hooks.authentications:
            call = self.call(pattern, action, person, authentication=name)
            if self.judge.fingerprint(call, self.send(call)) != look:
                covered.authentications.append(name)


def reason(answer: Answer) -> str:
    """Return the status, and what a form complains about."""
    errors = ERRORS.findall(answer.text) if answer.is_html else []
    texts = [strip_tags(error).strip() for error in errors]
    return " ".join([f"status {answer.status}", *dict.fromkeys(filter(None, texts))])


def changed(data, texts: dict[str, str]):
    """Return a copy of what is sent, with values replaced."""
    if isinstance(data, str):
        return texts.get(data, data)
    if isinstance(data, dict):
        return {name: changed(value, texts) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(changed(each, texts) for each in data)
    return int(texts[str(data)]) if isinstance(data, int) and str(data) in texts else data


def freeze(data):
    """Return a form's values as pairs. JSON is written as `json={…}`."""
    if isinstance(data, dict) and set(data) == {"json"}:
        return data["json"]
    return tuple(data.items()) if isinstance(data, dict) else data


def leads_here(form: forms.Form, pattern: Pattern) -> bool:
    path = urlsplit(form.action).path
    return not path or same_view(path, pattern)


def same_view(url: str, pattern: Pattern) -> bool:
    urlconf = settings.PUBLIC_SCHEMA_URLCONF if pattern.is_public else settings.ROOT_URLCONF
    try:
        return resolve(urlsplit(url).path, urlconf).func is pattern.view
    except Resolver404:
        return False


def is_view_on_site(pattern: Pattern) -> bool:
    return getattr(pattern.view, "__name__", "") in ("shortcut", "view_on_site")


def is_catch_all(pattern: Pattern) -> bool:
    return getattr(pattern.view, "__name__", "") == "catch_all_view"
