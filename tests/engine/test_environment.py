"""Variables of the environment and of `.env`, and what is said about one that isn't good."""

from pathlib import Path

import pytest
from tenancy.environment import Env, EnvError, validate

env = Env()


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (env.str, "", ""),
        (env.str, " a b ", " a b "),
        (env.int, "587", 587),
        (env.bool, "on", True),
        (env.bool, "True", True),
        (env.bool, "0", False),
        (env.bool, "NO", False),
        (env.list, "", []),
        (env.list, ".a.org,b.org", [".a.org", "b.org"]),
        (env.path, "media", Path("media")),
    ],
)
def test_a_variable_is_read_as_what_it_is(monkeypatch, read, text, value):
    monkeypatch.setenv("X", text)

    assert read("X") == value


@pytest.mark.parametrize(
    ("read", "text", "options", "said"),
    [
        (env.int, "many", {}, "Write a whole number."),
        (env.int, "", {}, "Write a whole number."),
        (env.bool, "", {}, "Write “on” or “off”."),
        (
            env.str,
            "short",
            {"validate": validate.Length(min=6)},
            "It is shorter than 6 characters.",
        ),
        (env.str, "long", {"validate": validate.Length(max=3)}, "It is longer than 3 characters."),
        (env.int, "-1", {"validate": validate.Range(min=0)}, "It is less than 0."),
        (env.int, "2", {"validate": validate.Range(max=1)}, "It is more than 1."),
        (env.str, "c", {"validate": validate.OneOf(["", "a", "b"])}, "Write one of: a, b."),
        (env.str, "b", {"validate": validate.Regexp("a", error="Begin with a.")}, "Begin with a."),
    ],
)
def test_a_bad_value_is_said_in_a_line(monkeypatch, read, text, options, said):
    monkeypatch.setenv("X", text)

    with pytest.raises(EnvError) as caught:
        read("X", **options)

    assert str(caught.value) == f'Environment variable "X" invalid: {said}'


def test_a_variable_without_a_default_must_be_set(monkeypatch):
    monkeypatch.delenv("X", raising=False)

    with pytest.raises(EnvError, match=r'^Environment variable "X" not set$'):
        env.str("X")
    assert env.int("X", default=None) is None
    assert env.str("X", default="a", validate=validate.Length(min=2)) == "a"


def test_a_file_sets_what_the_environment_does_not(monkeypatch, tmp_path):
    file = tmp_path / ".env"
    file.write_text("# A comment\nX=file\nY=\"two 'words'\"\nexport Z='a#b'\n")
    monkeypatch.setenv("X", "environment")
    for name in ("Y", "Z"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)

    env.read_env(file)
    env.read_env(tmp_path / "nowhere")

    assert [env.str(name) for name in "XYZ"] == ["environment", "two 'words'", "a#b"]
