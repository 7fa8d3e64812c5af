"""Every sentence for people is in the catalogs of each language, and translated there."""

import re
import shutil
import subprocess
import sys

import polib
import pytest
from conftest import PROJECT
from projects import ROOT, need

CATALOGS = sorted((ROOT / PROJECT).glob("*/locale/*/LC_MESSAGES/django.po"))
# What a translation must have as the original does: placeholders and tags.
KEPT = re.compile(r"%\(\w+\)[sd]|%[sd]|<[^>]+>")
# What only developers and programs read.
DEVELOPERS = {"outbox.html", "security.txt"}
PARTS = (
    r"{% if (debug|needs_worker) %}.*?{% endif %}",
    r"{% blocktrans.*?{% endblocktrans(late)? %}",
    r"{% block bodyclass %}.*?{% endblock %}",
    r"{#.*?#}|{%.*?%}|{{.*?}}",
    r"<script.*?</script>|<pre>.*?</pre>|<[^>]*>",
)


def names(path):
    return "-".join(path.relative_to(ROOT / PROJECT).parts[:3:2])


def originals(file):
    return {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in file}


def translations(file):
    return {
        (entry.msgctxt, entry.msgid): entry.msgstr or entry.msgstr_plural
        for entry in file
        if entry.msgid
    }


def test_the_engine_and_the_project_have_the_same_languages():
    assert [names(path) for path in CATALOGS] == ["server-de", "tenancy-de"]


@pytest.mark.parametrize("path", CATALOGS, ids=names)
class TestCatalog:
    def test_has_the_strings_of_the_code_and_no_others(self, path, tmp_path):
        need(shutil.which("xgettext"), "gettext")
        package = path.relative_to(ROOT / PROJECT).parts[0]
        shutil.copytree(ROOT / PROJECT / package, tmp_path / package)
        command = [sys.executable, "-m", "django", "makemessages", "--all", "--no-obsolete"]
        subprocess.run(command, cwd=tmp_path / package, capture_output=True, check=True)

        renewed = polib.pofile(tmp_path / path.relative_to(ROOT / PROJECT))

        assert originals(polib.pofile(path)) == originals(renewed), "run bin/messages"

    def test_is_complete(self, path):
        file = polib.pofile(path)

        assert [entry.msgid for entry in file.fuzzy_entries()] == []
        assert [entry.msgid for entry in file.untranslated_entries()] == []

    def test_keeps_placeholders_and_tags(self, path):
        for entry in polib.pofile(path):
            pairs = [(entry.msgid, entry.msgstr)]
            if entry.msgid_plural:
                # The singular may do without the number.
                one, *others = entry.msgstr_plural.values()
                pairs = [(entry.msgid, one), *((entry.msgid_plural, text) for text in others)]
            for original, text in pairs:
                assert not text or {*KEPT.findall(text)} == {*KEPT.findall(original)}, original

    def test_is_compiled(self, path):
        compiled = polib.mofile(path.with_suffix(".mo"))

        assert translations(compiled) == translations(polib.pofile(path)), "run bin/messages"


def test_no_template_has_words_outside_of_gettext():
    for path in sorted((ROOT / PROJECT).glob("*/**/templates/**/*.*")):
        text = path.read_text() if path.name not in DEVELOPERS else ""
        for part in PARTS:
            text = re.sub(part, " ", text, flags=re.DOTALL)

        assert re.findall(r"(?<![&\w])[A-Za-z]{3,}.*", text) == [], path
