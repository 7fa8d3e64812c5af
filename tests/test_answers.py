"""Which answers are refused, and how; which strange ones work."""

import json
import os
import pty
import runpy
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from dotenv import dotenv_values
from projects import ROOT

PROMPTS = json.loads((ROOT / "cookiecutter.json").read_text())["__prompts__"]
PRE_GEN = runpy.run_path(str(ROOT / "hooks" / "pre_gen_project.py"))

REFUSED = [
    ("project_name", "", "is blank"),
    ("project_name", " \t\n", "is blank"),
    ("project_name", "a\0b", "is not valid text"),
    ("project_name", "a\udcff", "is not valid text"),
    ("project_slug", "Acme", "begin with a letter"),
    ("project_slug", "3d", "begin with a letter"),
    ("project_slug", "_acme", "begin with a letter"),
    ("project_slug", "-acme", "begin with a letter"),
    ("project_slug", "acme cloud", "may contain a-z"),
    ("project_slug", "acme.cloud", "may contain a-z"),
    ("project_slug", "acmé", "may contain a-z"),
    ("project_slug", "acme\n", "may contain a-z"),
    ("project_slug", "a/b/c", "may contain a-z"),
    ("project_slug", "../above/b", "may contain a-z"),
    ("domain", "", "has no dot"),
    ("domain", "https://example.com", "has a scheme"),
    ("domain", "example.com:8000", "has a port"),
    ("domain", "example.com/app", "has a path"),
    ("domain", "exam ple.com", "has a space"),
    ("domain", "example.com\n", "has a space"),
    ("domain", "my_app.example.com", "has an underscore"),
    ("domain", "Example.com", "has upper-case letters"),
    ("domain", "bücher.example", "xn--"),
    ("domain", "a." * 125 + "test", "longer than 253"),
    ("domain", "a" * 64 + ".com", "1 to 63"),
    ("domain", "-a.example.com", "1 to 63"),
    ("domain", "a-.example.com", "1 to 63"),
    ("domain", "a..example.com", "1 to 63"),
    ("domain", ".example.com", "1 to 63"),
    ("domain", "example.com.", "1 to 63"),
    ("domain", "exam*ple.com", "1 to 63"),
    ("domain", "localhost", "has no dot"),
    ("domain", "www.example.com", "begins with www."),
    ("project_name", "x" * 201, "longer than 200"),
    ("domain", "192.168.0.1", "is an IP address"),
    ("domain", "127.1", "is an IP address"),
    ("domain", "::1", "is an IP address"),
    ("domain", "[2001:db8::1]", "is an IP address"),
    ("admin_username", "", "must have 1 to 64"),
    ("admin_username", "Admin", "must have 1 to 64"),
    ("admin_username", "_admin", "must have 1 to 64"),
    ("admin_username", "ad min", "must have 1 to 64"),
    ("admin_username", "admin@x", "must have 1 to 64"),
    ("admin_username", "a" * 65, "must have 1 to 64"),
    ("admin_email", "", "is not an e-mail"),
    ("admin_email", "admin", "is not an e-mail"),
    ("admin_email", "admin@", "is not an e-mail"),
    ("admin_email", "@example.com", "is not an e-mail"),
    ("admin_email", "admin@localhost", "is not an e-mail"),
    ("admin_email", "a b@example.com", "is not an e-mail"),
    ("admin_email", "a@b@example.com", "is not an e-mail"),
    ("admin_email", "a..b@example.com", "is not an e-mail"),
    ("admin_email", "Admin <admin@example.com>", "is not an e-mail"),
    ("admin_email", "a" * 250 + "@example.com", "longer than 254"),
]

ACCEPTED = [
    ("project_slug", "a"),
    ("project_slug", "acme-cloud_2"),
    ("domain", "a.b"),
    ("domain", "xn--bcher-kva.example"),
    ("domain", "1-2.3com.example"),
    ("domain", "a" * 63 + ".example.com"),
    ("domain", ".".join(["a" * 61] * 4 + ["abcde"])),  # 253 characters
    ("admin_username", "0"),
    ("admin_username", "jane.doe-2_x"),
    ("admin_username", "a" * 64),
    ("admin_email", "Jane.O'Neil+test@Example.COM"),
]

HOSTILE_NAMES = [
    "Say \"hi\", 'you' & <b>me</b>",
    "\"\"\" + ''' + ```",
    "back\\slash\\n\\",
    "first\nSECRET_KEY=\nADMIN_PASSWORD=\n",
    "$HOME ${HOME} ${HOME:-x} $${X} ${",
    "# hash #",
    "'",
    '"',
    "\\",
    "  =%s {0}\t",
    "株式会社 アクメ",
    "مرحبا עולם",
    "🚀👩‍👩‍👧",
    "line\u2028separator\x0b\x85",
]
TYPED_NAMES = ["{{ 7*7 }}", "{{", "{% raw %} {#", "# template: if x", "\"🚀\" \\ ${X} '{{'"]


def walk(folder):
    """The paths below the folder; unlike Path.rglob it lets a folder go meanwhile."""
    for above, folders, files in os.walk(folder):
        for name in folders + files:
            yield str((Path(above) / name).relative_to(folder))


def holds_only(folder, *names):
    """Whether a folder holds these and nothing else, within half a minute: the folders above a
    refused a/b/c go a moment after Cookiecutter has ended."""
    deadline = time.monotonic() + 30
    while set(walk(folder)) != set(names):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def assert_named(project, name):
    """The name arrived byte for byte, and no line of the file was lost to it or won by it."""
    for file in (".env", ".env.example"):
        values = dotenv_values(project / file)
        assert values["PROJECT_NAME"] == name
        assert values["ADMIN_USERNAME"] == "admin"
        assert len(values) == 7


@pytest.mark.parametrize(("key", "answer", "problem"), REFUSED)
def test_a_refused_answer_is_one_line_and_leaves_nothing(
    bake, tmp_path, capfd, key, answer, problem
):
    assert bake(**{key: answer}).exit_code != 0
    printed, errors = capfd.readouterr()
    line, rest = errors.split("\n", 1)
    assert printed == ""
    assert line.startswith(f"{PROMPTS[key]} ({key}): ")
    assert problem in line
    assert "For example: " in line
    assert len(line) < 300
    assert "For example: " not in rest
    assert holds_only(tmp_path, "cookies", "cookies/bake00")


@pytest.mark.parametrize("slug", ["{elsewhere}/x/y/z", "../../elsewhere/x/y"])
def test_a_refused_path_leaves_what_was_there(bake, tmp_path, slug):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    assert bake(project_slug=slug.format(elsewhere=elsewhere)).exit_code != 0
    assert holds_only(tmp_path, "cookies", "cookies/bake00", "elsewhere", "elsewhere/file")


def test_a_refusal_comes_first_on_the_command_line_too(person):
    command = person.command("--no-input", "domain=https://example.com")
    screen = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    refused = subprocess.run(command, check=False, cwd=person.folder, env=person.env(), **screen)
    assert refused.returncode == 1
    assert refused.stdout.startswith(f"{PROMPTS['domain']} (domain): 'https://example.com' has a ")
    assert holds_only(person.folder)


def test_only_the_first_problem_is_told(bake, capfd):
    bake(domain="localhost", project_slug="A", admin_email="none")
    errors = capfd.readouterr().err
    assert errors.startswith("Name of its folder (project_slug): ")
    assert errors.count("For example: ") == 1


def test_the_good_examples_are_good(bake):
    examples = {key: example for key, (_, example) in PRE_GEN["QUESTIONS"].items()}
    assert PRE_GEN["refusal"](examples) is None


@pytest.mark.parametrize(("key", "answer"), ACCEPTED)
def test_an_unusual_answer_is_accepted(bake, key, answer):
    assert bake(**{"admin_email": "admin@example.com", key: answer}).exit_code == 0


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Cloud", "acme_cloud"),
        ("3D Prints", "my_3d_prints"),
        ("株式会社", "zhu_shi_hui_she"),
        ("🚀", "my_project"),
        ("_ --", "my_project"),
        ("x " * 100, "x" + "_x" * 24),
    ],
)
def test_what_is_derived_from_a_name_is_never_refused(bake, name, slug):
    baked = bake(project_name=name)
    assert baked.exit_code == 0
    assert baked.path.name == slug


@pytest.mark.parametrize("slug", ["a_", "a--b", "a" * 100])
def test_what_is_derived_from_a_slug_is_never_refused(bake, slug):
    assert bake(project_slug=slug).exit_code == 0


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_hostile_name_arrives_from_the_command_line(person, name):
    made = person.cookiecutter(
        f"project_name={name}", "project_slug=acme", "admin_username=admin", "set_up_now=no"
    )
    assert made.returncode == 0, made.stderr
    assert_named(person.folder / "acme", name)


@pytest.mark.parametrize("name", TYPED_NAMES)
def test_a_hostile_name_arrives_from_the_prompt(person, name):
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        person.command(),
        cwd=person.folder,
        env=person.env(TERM="dumb"),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    os.write(master, f"{name}\nacme\n\n\n\n\n\nno\n".encode())
    screen = b""
    with suppress(OSError):  # how Linux tells that the terminal's last writer has gone
        while chunk := os.read(master, 4096):
            screen += chunk
    os.close(master)
    assert process.wait() == 0, screen.decode()
    assert all(prompt in screen.decode() for prompt in PROMPTS.values())
    assert_named(person.folder / "acme", name)
