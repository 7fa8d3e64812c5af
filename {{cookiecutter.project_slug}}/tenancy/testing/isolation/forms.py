"""Reads the forms of a page, and fills them in as a person would."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO

from django.forms import BaseForm, BaseModelForm

from tenancy.testing.isolation.filler import PIXEL, owners_rows
from tenancy.testing.isolation.sides import Side
from tenancy.testing.isolation.world import PASSWORD

NEW_PASSWORD = "a new battery, a staple horse"  # noqa: S105
BY_TYPE = {
    "color": "#112233",
    "date": "2026-01-02",
    "datetime-local": "2026-01-02T03:04",
    "month": "2026-01",
    "number": "7",
    "range": "7",
    "tel": "+49 30 1234567",
    "time": "03:04",
    "week": "2026-W01",
}
OF_A_FORMSET = re.compile(r"(?P<prefix>.+)-(?P<number>\d+)-.+")
BY_CLASS = {"vDateField": "2026-01-02", "vTimeField": "03:04:05"}


@dataclass
class Control:
    name: str
    kind: str
    value: str = ""
    classes: str = ""
    is_on: bool = False  # a checked box
    is_required: bool = False
    options: list[tuple[str, bool]] = field(default_factory=list)  # values, and whether selected


@dataclass
class Form:
    method: str
    action: str
    controls: list[Control] = field(default_factory=list)

    @property
    def names(self) -> set[str]:
        return {control.name for control in self.controls}

    def is_extra(self, control: Control) -> bool:
        """Return whether the control is of an empty row of a formset, which may stay empty."""
        if not (found := OF_A_FORMSET.fullmatch(control.name)):
            return False
        needed = (f"{found['prefix']}-INITIAL_FORMS", f"{found['prefix']}-MIN_NUM_FORMS")
        counts = [int(each.value) for each in self.controls if each.name in needed]
        return bool(counts) and int(found["number"]) >= max(counts)


class Reader(HTMLParser):
    """Collects the forms of a page. Controls outside a form, which a script may send, are one."""

    def __init__(self, html: str):
        super().__init__()
        self.forms, self.form, self.select, self.textarea = [], None, None, None
        self.loose = Form("post", "")
        self.by_id = {}
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.form = Form(given.get("method", "get").lower(), given.get("action", ""))
            self.forms.append(self.form)
            if "id" in given:
                self.by_id[given["id"]] = self.form
            return
        form = self.by_id.get(given.get("form"), self.form or self.loose)
        if tag == "option" and self.select:
            self.select.options.append((given.get("value", ""), "selected" in given))
        if not given.get("name") or tag not in ("input", "select", "textarea", "button"):
            return
        control = Control(
            given["name"],
            given.get("type", "submit" if tag == "button" else "text")
            if tag in ("input", "button")
            else tag,
            given.get("value", "on" if given.get("type") == "checkbox" else ""),
            given.get("class", ""),
            "checked" in given,
            "required" in given,
        )
        form.controls.append(control)
        if tag == "select":
            self.select = control
        if tag == "textarea":
            self.textarea = control

    def handle_endtag(self, tag):
        if tag == "form":
            self.form = None
        elif tag == "select":
            self.select = None
        elif tag == "textarea":
            if self.textarea:
                self.textarea.value = self.textarea.value.removeprefix("\r\n").removeprefix("\n")
            self.textarea = None

    def handle_data(self, data):
        if self.textarea:
            self.textarea.value += data


def read(html: str) -> list[Form]:
    reader = Reader(html)
    return [*reader.forms, *[reader.loose] * bool(reader.loose.controls)]


class Filling:
    """Fills forms in with the values of a side's rows, and with new ones where they are unique."""

    def __init__(self, side: Side, model, username: str, email: str):
        self.side, self.username, self.email = side, username, email
        rows = owners_rows(side, model)[:1] if model else []
        self.keys = {str(side.first_key), *(str(row.pk) for row in rows)}

    def variants(self, form: Form, contexts: list) -> list[tuple]:
        """Return what the form sends, once for each of the admin's actions.

        An e-mail address is a new one at first, and then that of the person who sends the form.
        """
        samples, unique = self.samples(contexts)
        pairs, actions = [], []
        buttons = [control for control in form.controls if control.kind in ("submit", "image")]
        radios = set()
        for control in form.controls:
            if control.kind in ("submit", "image", "button", "reset"):
                continue
            if control.kind == "radio":
                if control.name in radios or not self.is_first_choice(control, form):
                    continue
                radios.add(control.name)
            if control.kind == "select" and control.name == "action":
                actions = [value for value, _ in control.options if value]
                continue
            if form.is_extra(control):
                pairs += [(control.name, value) for value in current_values(control) or [""]]
            else:
                pairs += self.values(control, samples, unique, form)
        if actions:
            return [(*pairs, ("action", action)) for action in actions]
        save = [button for button in buttons if button.name == "_save"] or buttons[:1]
        pairs += [(button.name, button.value) for button in save]
        new = {each.name for each in form.controls if each.kind == "email" and not each.value}
        by_sender = [(name, self.email if name in new else value) for name, value in pairs]
        return [tuple(pairs), *([tuple(by_sender)] if by_sender != pairs else [])]

    def is_first_choice(self, control: Control, form: Form) -> bool:
        chosen = [c for c in form.controls if c.name == control.name and c.is_on]
        return control.is_on if chosen else True

    def values(self, control: Control, samples: dict, unique: set, form: Form) -> list[tuple]:
        name, kind = control.name, control.kind
        if kind == "checkbox":
            is_row = name == "_selected_action" and control.value in self.keys
            is_on = control.is_on or control.is_required or is_row
            return [(name, control.value)] if is_on else []
        if kind == "select":
            return self.choices(control, samples)
        if kind == "file":
            return [(name, self.upload(control))]
        if kind == "password":
            return [(name, PASSWORD if name in ("password", "old_password") else NEW_PASSWORD)]
        if name == "username" and name not in unique and not control.value:
            return [(name, self.username)]
        if kind in ("text", "email", "url") and name in unique:
            return [(name, self.new_text(kind))]
        if control.value:
            return [(name, control.value)]
        if samples.get(name):
            return [(name, value) for value in samples[name]]
        if kind == "hidden":
            return [(name, "")]
        return [(name, self.new_value(control))]

    def choices(self, control: Control, samples: dict) -> list[tuple]:
        values = [value for value, _ in control.options]
        chosen = [value for value, is_selected in control.options if is_selected and value]
        wanted = chosen or [
            value for value in samples.get(control.name, []) if value in values or not any(values)
        ]
        wanted = (
            wanted
            or [v for v in values if v in self.keys]
            or [value for value in values if value][:1]
        )
        return [(control.name, value) for value in wanted]

    def new_value(self, control: Control) -> str:
        for name, value in BY_CLASS.items():
            if name in control.classes:
                return value
        return BY_TYPE.get(control.kind) or self.new_text(control.kind)

    def new_text(self, kind: str) -> str:
        text = self.side.canary("a value that a request wrote")
        texts = {"email": f"{text}@example.com", "url": f"https://{text}.example.com/"}
        return texts.get(kind, text)

    def upload(self, control: Control) -> BytesIO:
        text = self.side.canary("a file that a request wrote")
        file = BytesIO(PIXEL + text.encode())
        file.name = f"{text}.gif"
        return file

    def samples(self, contexts: list) -> tuple[dict[str, list[str]], set[str]]:
        """Return, by the name of the control, the values of a row, and the names of unique ones."""
        values, unique = {}, set()
        for form in forms_in(contexts):
            model = getattr(getattr(form, "_meta", None), "model", None)
            filled = self.with_row(form, model) if model else None
            for name in form.fields:
                html_name = form.add_prefix(name)
                if model and is_unique(model, name):
                    unique.add(html_name)
                if filled is None or name not in filled.fields:
                    continue
                for control in read(f"<form>{filled[name]}</form>")[0].controls:
                    values.setdefault(control.name, []).extend(current_values(control))
        return values, unique

    def with_row(self, form: BaseModelForm, model):
        """Return a form like this one for the side's row, or None if it takes other arguments."""
        rows = owners_rows(self.side, model)
        try:
            return type(form)(instance=rows[0], prefix=form.prefix) if rows else None
        except Exception:
            return None


def current_values(control: Control) -> list[str]:
    if control.kind == "select":
        return [value for value, is_selected in control.options if is_selected and value]
    if control.kind in ("checkbox", "radio"):
        return [control.value] if control.is_on else []
    return [control.value] if control.value else []


def is_unique(model, name: str) -> bool:
    try:
        return model._meta.get_field(name).unique
    except Exception:
        return False


def forms_in(contexts: list) -> list[BaseForm]:
    """Return the forms that a page's templates were given."""
    found = []
    for context in contexts:
        for layer in context.dicts if hasattr(context, "dicts") else [context]:
            for value in layer.values():
                inner = getattr(value, "form", value)
                if isinstance(inner, BaseForm) and not any(inner is each for each in found):
                    found.append(inner)
    return found
