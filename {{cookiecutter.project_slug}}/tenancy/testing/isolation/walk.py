"""Every URL pattern, and the arguments that lead to somebody's rows."""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from django.contrib.admin import AdminSite
from django.contrib.contenttypes.models import ContentType
from django.db.models import FileField
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils.regex_helper import normalize
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy.testing.isolation.filler import owners_rows
from tenancy.testing.isolation.sides import NOBODY, OTHER, OWN, SHARED, Side

FILES = {"file", "filename", "name", "path"}


@dataclass
class Pattern:
    """A URL pattern. `route` is its name for people: `notes/<int:pk>/`."""

    route: str
    template: str  # with `%(pk)s` for an argument
    converters: dict
    view: Callable
    is_public: bool
    names: tuple[str, ...] = ()
    arguments: dict[str, list[dict]] = field(default_factory=dict)
    has_hook: bool = False  # for the arguments

    @property
    def label(self) -> str:
        return self.route or "the page /"

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"%\((\w+)\)s", self.template)

    @property
    def admin(self):
        """The ModelAdmin whose page this is."""
        return getattr(self.view, "model_admin", None)

    @property
    def admin_site(self):
        holder = getattr(self.view, "__self__", None)  # of a method of the site
        if isinstance(holder, AdminSite):
            return holder
        return getattr(self.view, "admin_site", None) or getattr(self.admin, "admin_site", None)

    @property
    def model(self):
        """The model of a class-based view, a viewset or an admin's page, if it has one."""
        owner = self.admin or getattr(self.view, "view_class", None) or getattr(self.view, "cls", 0)
        initial = getattr(self.view, "view_initkwargs", None) or getattr(
            self.view, "initkwargs", {}
        )
        for source in (initial.get, lambda name: getattr(owner, name, None)):
            if model := source("model"):
                return model
            if (queryset := source("queryset")) is not None:
                return queryset.model
            if meta := getattr(source("serializer_class"), "Meta", None):
                return getattr(meta, "model", None)
        return None

    def url(self, arguments: dict) -> str:
        texts = {name: self.text_of(name, value) for name, value in arguments.items()}
        return "/" + self.template % texts

    def text_of(self, name: str, value) -> str:
        converter = self.converters.get(name)
        text = converter.to_url(value) if converter else str(value)
        return quote(str(text), safe="/~:@!$&'()*+,;=")


def patterns(urlconf: str, is_public: bool) -> list[Pattern]:
    return [*walk(get_resolver(urlconf).url_patterns, is_public, "", "", {}, ())]


def walk(entries, is_public, route, regex, converters, namespaces) -> Iterator[Pattern]:
    for entry in entries:
        of_entry = entry.pattern.regex.pattern.removeprefix("^")
        if not isinstance(entry.pattern.regex.pattern, str):
            continue
        parts = (
            route + str(entry.pattern).removeprefix("^").removesuffix("$"),
            regex + of_entry,
            converters | entry.pattern.converters,
        )
        if isinstance(entry, URLResolver):
            inner = (*namespaces, entry.namespace) if entry.namespace else namespaces
            yield from walk(entry.url_patterns, is_public, *parts, inner)
        elif isinstance(entry, URLPattern):
            template, _ = max(normalize(parts[1]), key=lambda each: len(each[1]))
            name = ":".join([*namespaces, entry.name]) if entry.name else None
            label = f"public:{parts[0]}" if is_public else parts[0]
            names = (label, *([f"public:{name}" if is_public else name] if name else ()))
            yield Pattern(label, template, parts[2], entry.callback, is_public, names)


class Guess:
    """Finds arguments for patterns, by the rows of each side."""

    def __init__(self, sides: dict[str, Side], hooks: dict):
        self.sides, self.hooks = sides, hooks

    def candidates(self, pattern: Pattern) -> Iterator[dict[str, list[dict]]]:
        """Yield arguments by the side's name: a list, since there may be several spellings."""
        if not {*pattern.parameters} - {"format"}:
            yield {OWN: [dict.fromkeys(pattern.parameters, "json")]}
            return
        if hook := next((self.hooks[name] for name in pattern.names if name in self.hooks), None):
            yield self.from_hook(pattern, hook)
            return
        seen = []
        for guess in (*self.by_rows(pattern), *self.by_files(pattern)):
            if guess[OWN] not in seen:
                seen.append(guess[OWN])
                yield guess

    def from_hook(self, pattern: Pattern, hook: Callable) -> dict[str, list[dict]]:
        pattern.has_hook = True
        own, other = self.sides[OWN], self.sides[OTHER]
        if pattern.is_public:
            with schema_context(get_public_schema_name()):
                return {OWN: hook(own.people[0])}
        found = {}
        for side in (own, other):
            with side.tenant:
                found[side.name] = hook(side.people[0])
        if found[OTHER] == found[OWN]:
            return {OWN: found[OWN]}  # not of a tenant, such as a year
        found[NOBODY] = [
            {name: self.nobodys(value) for name, value in each.items()} for each in found[OTHER]
        ]
        return found

    def by_rows(self, pattern: Pattern) -> Iterator[dict[str, list[dict]]]:
        models = [*self.sides[OWN].rows, *self.sides[SHARED].rows]
        sides = (self.sides[OWN], self.sides[SHARED])
        if pattern.model and any(owners_rows(side, pattern.model) for side in sides):
            models = [pattern.model]
        for model in models:
            guess = {}
            for name, side in self.sides.items():
                rows = owners_rows(side, model)
                if rows and (values := self.of_row(pattern, rows[0])):
                    guess[name] = [values]
            if not guess or not {OWN, SHARED} & guess.keys():
                continue
            for base in (OWN, SHARED):
                if base in guess:
                    guess[NOBODY] = [
                        {k: self.nobodys(v) for k, v in guess.get(OTHER, guess[base])[0].items()}
                    ]
                    found = {OWN: guess[base]} | {k: v for k, v in guess.items() if k != OWN}
                    if found.get(OTHER) == found[OWN]:
                        del found[OTHER], found[NOBODY]
                    yield found

    def of_row(self, pattern: Pattern, row) -> dict | None:
        values = {}
        for name in pattern.parameters:
            value = self.special(pattern, name, row)
            if value is None:
                value = self.of_field(pattern, name, row)
            if value in (None, False):
                return None
            values[name] = value
        return values

    def of_field(self, pattern: Pattern, name: str, row):
        """Return what a row says about an argument, or None."""
        kind = type(pattern.converters.get(name)).__name__
        if name in {"pk", "id", "object_id"} or name.endswith(("_id", "_pk")):
            return None if isinstance(row.pk, tuple) else row.pk
        found = getattr(row, name, None) if name in field_names(row) else None
        if found in (None, "") and kind == "SlugConverter":
            found = getattr(row, "slug", None)
        if found in (None, "") and kind in ("IntConverter", "UUIDConverter"):
            found = row.pk
        if kind == "UUIDConverter" and not isinstance(found, uuid.UUID):
            return None
        if kind == "IntConverter" and not isinstance(found, int):
            return None
        return found or None

    def special(self, pattern: Pattern, name: str, row):
        site = pattern.admin_site
        if name == "content_type_id":
            return hasattr(row, "get_absolute_url") and ContentType.objects.get_for_model(row).pk
        if name == "format":  # of REST framework's suffixes
            return "json"
        if site and name == "app_label":
            return next((model._meta.app_label for model in site._registry), None)
        if site and name == "url":  # the admin's page for all other addresses
            return "nothing"
        return None

    def by_files(self, pattern: Pattern) -> Iterator[dict[str, list[dict]]]:
        if len(pattern.parameters) != 1 or not FILES & set(pattern.parameters):
            return
        (name,) = pattern.parameters
        own, other = self.sides[SHARED if pattern.is_public else OWN], self.sides[OTHER]
        folder = own.tenant.schema_name if own.tenant else "public"
        for file, foreign in zip(own.files, other.files, strict=False):
            schema = other.tenant.schema_name
            spellings = (foreign, f"{schema}/{foreign}", f"../{schema}/{foreign}")
            own_spellings = (file, f"{folder}/{file}")
            for each in own_spellings:
                yield {
                    OWN: [{name: each}],
                    OTHER: [{name: spelling} for spelling in spellings],
                    NOBODY: [{name: self.nobodys(spelling)} for spelling in spellings],
                }

    def nobodys(self, value):
        """Return a value of the same form that leads to nothing."""
        other, nobody = self.sides[OTHER], self.sides[NOBODY]
        if isinstance(value, int):
            return nobody.first_key
        if isinstance(value, uuid.UUID):
            return uuid.UUID(int=value.int ^ 1)
        text = str(value).replace(other.mark, nobody.mark)
        if text == str(value):
            text = text[:-1] + ("A" if text[-1:] != "A" else "B")
        return text


def field_names(row) -> set[str]:
    fields = row._meta.concrete_fields
    return {
        each.name for each in fields if not isinstance(each, FileField) and not each.is_relation
    }
