"""What the hook does after rendering: with stand-ins for uv, Python and a terminal; no network."""

import os
import pty
import re
import runpy
import shutil
import signal
import sys
import time
from contextlib import suppress

import pytest
from conftest import PROJECT, run
from dotenv import dotenv_values
from projects import OURS, ROOT, environment

POST_GEN = runpy.run_path(str(ROOT / "hooks" / "post_gen_project.py"))
ENV_FILE = runpy.run_path(str(ROOT / PROJECT / "tenancy" / "env_file.py"))
UV_STEPS = [["sync"], ["run", "manage.py", "init_tenant"]]
DATABASE = "Create the database and the public site"


@pytest.fixture
def python(person, stand_in, tmp_path):
    """Put a stand-in in the place of the hooks' sys.executable; return the variables for it.

    `-m venv` makes a .venv of the same; `changes` is a line that alters the hooks' Python.
    """

    def python(behaviour="", changes=""):
        venv = "if arguments[:2] == ['-m', 'venv']: shutil.copytree({!r}, arguments[2] + '/bin')"
        program = stand_in("python", venv.format(str(person.bin)) + "\n" + behaviour)
        customized = tmp_path / "customized"
        customized.mkdir()
        (customized / "sitecustomize.py").write_text(f"""
import sys
if "-m" not in sys.orig_argv:  # which is Cookiecutter itself
    sys.executable = {str(program)!r}
    {changes}
""")
        return {"PYTHONPATH": customized}

    return python


def password_of(project):
    return dotenv_values(project / ".env")["ADMIN_PASSWORD"]


def last_line(text):
    return text.rstrip().rpartition("\n")[2].strip()


def test_uv_installs_and_makes_the_database(person, stand_in, calls):
    stand_in("uv", "print('noise', flush=True); print('noise', file=sys.stderr)")
    made = person.cookiecutter()
    project = person.folder / "acme_cloud"
    assert (made.returncode, made.stderr) == (0, "")
    assert [call["arguments"] for call in calls()] == UV_STEPS
    assert {call["folder"] for call in calls()} == {str(project)}
    for line in (
        "    cd acme_cloud",
        "    uv run manage.py runserver",
        "http://localhost:8000/         the public site",
        f"http://localhost:8000/admin/   sign in as admin with {password_of(project)} ",
        "    uv run manage.py provision_tenant EvilCorp evilcorp org admin",
        "    uv run pytest",
    ):
        assert f"\n{line}" in made.stdout
    assert made.stdout.count(password_of(project)) == 1
    assert dotenv_values(project / ".env")["SECRET_KEY"] not in made.stdout
    assert "noise" not in made.stdout


def test_every_step_is_a_line_with_its_time(person, stand_in):
    stand_in("uv", "time.sleep(0.3)")
    lines = person.cookiecutter().stdout.splitlines()[:4]
    times = [re.fullmatch(r"(.{40}) *(\d+\.\d) s", line) for line in lines]
    assert all(times)
    assert times[-1][1].strip() == DATABASE
    assert float(times[-1][2]) >= 0.3


def test_uv_is_found_by_its_variable_and_named_by_its_path(person, stand_in, calls, tmp_path):
    uv = stand_in("uv").rename(tmp_path / "my uv")
    made = person.cookiecutter(UV=uv)
    assert [call["arguments"] for call in calls()] == UV_STEPS
    assert f"\n    '{uv}' run manage.py runserver\n" in made.stdout


def test_what_another_project_left_in_the_environment_is_not_inherited(person, stand_in, calls):
    """S15: neither packages, nor another project of uv's."""
    stand_in("uv")
    packages = {"PIP_TARGET", "PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT"}
    foreign = dict.fromkeys(packages, "/elsewhere")
    set_by_env = {"DOMAIN": "inherited.example", "ADMIN_PASSWORD": "inherited"}
    made = person.cookiecutter(**set_by_env, **foreign)
    assert len(calls()) == 2
    for call in calls():
        assert not call["env"].keys() & {*set_by_env, *foreign}
    assert "DATABASE_URL" not in made.stdout


def test_a_baked_project_of_a_benchmark_has_packages_of_its_own(monkeypatch):
    """S15: what the shell says of the template's environment doesn't reach the project."""
    for name in OURS:
        monkeypatch.setenv(name, "/elsewhere")

    assert "UV_PROJECT_ENVIRONMENT" in OURS
    assert not environment().keys() & OURS


def test_a_database_that_the_environment_names_is_used_and_told(person, stand_in, calls):
    stand_in("uv")
    url = "postgres://me:s3cret@host/name"
    made = person.cookiecutter(DATABASE_URL=url)
    assert {call["env"]["DATABASE_URL"] for call in calls()} == {url}
    assert "The database is the one in DATABASE_URL. Keep it set" in made.stdout
    assert "s3cret" not in made.stdout


def test_without_uv_it_is_venv_and_pip(person, python, calls):
    made = person.cookiecutter(**python())
    assert (made.returncode, made.stderr) == (0, "")
    assert [call["arguments"] for call in calls()] == [
        ["-m", "venv", ".venv"],
        ["-m", "pip", "install", "pip>=25.1"],
        ["-m", "pip", "install", "--editable", ".", "--group", "dev"],
        ["manage.py", "init_tenant"],
    ]
    assert "\n    .venv/bin/python manage.py runserver\n" in made.stdout
    assert "\n    .venv/bin/python -m pytest\n" in made.stdout


def test_a_failed_installation_keeps_the_project_and_names_the_command_that_finishes(
    person, stand_in, calls, tmp_path
):
    stand_in("uv", "sys.exit('error: Request failed\\n  cause: dns error\\n  cause: no such host')")
    failed = person.cookiecutter()
    assert (failed.returncode, failed.stderr) == (0, "")
    assert "\nInstall the packages, with uv: no such host\n" in failed.stdout
    assert last_line(failed.stdout) == "cd acme_cloud && uv run manage.py init_tenant"
    assert password_of(person.folder / "acme_cloud") not in failed.stdout
    assert [call["arguments"] for call in calls()] == [["sync"]]

    stand_in("uv")
    finished = run("/bin/sh", "-c", last_line(failed.stdout), cwd=person.folder, env=person.env())
    assert finished.returncode == 0
    assert calls()[-1]["arguments"] == UV_STEPS[-1]
    assert calls()[-1]["folder"] == str(person.folder / "acme_cloud")


def test_the_command_that_finishes_works_from_anywhere_else_too(person, stand_in, calls):
    stand_in("uv", "sys.exit(1)")
    elsewhere = person.folder / "it's here"
    failed = person.cookiecutter("--output-dir", str(elsewhere))
    assert ": exit status 1\n" in failed.stdout
    run("/bin/sh", "-c", last_line(failed.stdout), cwd="/", env=person.env())
    assert [call["folder"] for call in calls()] == [str(elsewhere / "acme_cloud")] * 2


def test_a_failed_init_tenant_gives_its_last_line(person, stand_in):
    stand_in(
        "uv", "'run' in arguments and sys.exit('Traceback:\\n  error\\nCommandError: Because.')"
    )
    failed = person.cookiecutter()
    assert failed.returncode == 0
    assert f"\n{DATABASE}: CommandError: Because.\n" in failed.stdout
    assert last_line(failed.stdout) == "cd acme_cloud && uv run manage.py init_tenant"


def test_a_failed_pip_leaves_only_what_is_left(person, python):
    failed = person.cookiecutter(
        **python("'--group' in arguments and sys.exit('ERROR: no compiler')")
    )
    assert "\nInstall the packages, with pip: no compiler\n" in failed.stdout
    assert last_line(failed.stdout) == (
        "cd acme_cloud && .venv/bin/python -m pip install --editable . --group dev"
        " && .venv/bin/python manage.py init_tenant"
    )


def test_a_python_without_ensurepip_says_what_to_install(person, python, calls):
    failed = person.cookiecutter(**python(changes="sys.modules['ensurepip'] = None"))
    assert re.search(
        r"\nCreate \.venv: .*: on Debian and Ubuntu, apt install python3-venv\n", failed.stdout
    )
    assert calls() == []
    finish = (
        f"cd acme_cloud && {person.bin}/python -m venv .venv && .venv/bin/python -m pip install"
    )
    assert last_line(failed.stdout).startswith(finish)


def test_an_old_python_says_which_it_should_be(person, python, calls):
    failed = person.cookiecutter(**python(changes="sys.version_info = (3, 10, 13, 'final', 0)"))
    assert (
        "\nCreate .venv: the project needs Python 3.11 or newer; this is Python " in failed.stdout
    )
    assert calls() == []
    assert last_line(failed.stdout).startswith("cd acme_cloud && python3.11 -m venv .venv && ")


def test_a_program_that_cannot_be_run_is_a_failed_step(person):
    failed = person.cookiecutter(UV="/nowhere/uv")
    assert failed.returncode == 0
    assert (
        "\nInstall the packages, with uv: /nowhere/uv: No such file or directory\n" in failed.stdout
    )


NO_NETWORK_PIP_23 = """\
  error: subprocess-exited-with-error

  pip subprocess to install build dependencies did not run successfully.
  ╰─> [4 lines of output]
      WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
'NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x7fa1813eea50>: \
Failed to establish a new connection: [Errno -2] Name or service not known')': /simple/setuptools/
      ERROR: Could not find a version that satisfies the requirement setuptools>=77
      ERROR: No matching distribution found for setuptools>=77
      [end of output]

note: This error originates from a subprocess, and is likely not a problem with pip.
"""
NO_NETWORK_PIP_26 = """\
WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by \
'NameResolutionError("HTTPSConnection(host='nohost.invalid', port=443): \
Failed to resolve 'nohost.invalid' ([Errno -2] Name or service not known)")': /simple/pip/
ERROR: No matching distribution found for pip>=25.1
"""
NO_PROXY_PIP_23 = """\
WARNING: Retrying (Retry(total=0)) after connection broken by \
'ProxyError('Cannot connect to proxy.', NewConnectionError('<pip._vendor.HTTPConnection object>: \
Failed to establish a new connection: [Errno 111] Connection refused'))': http://127.0.0.1:9/pip/
ERROR: No matching distribution found for pip>=25.1
"""
NO_SOLUTION_UV = """\
error: No solution found when resolving dependencies
  cause: Because only a<=4 is available, it is unsatisfiable.
"""


@pytest.mark.parametrize(
    ("errors", "reason"),
    [
        (
            NO_NETWORK_PIP_23,
            "Failed to establish a new connection: [Errno -2] Name or service not known",
        ),
        (
            NO_NETWORK_PIP_26,
            "Failed to resolve 'nohost.invalid' ([Errno -2] Name or service not known)",
        ),
        (
            NO_PROXY_PIP_23,
            "Failed to establish a new connection: [Errno 111] Connection refused",
        ),
        (NO_SOLUTION_UV, "Because only a<=4 is available, it is unsatisfiable."),
        ("error: unexpected argument\n\nUsage: uv\n", "unexpected argument"),
        ("first\nlast\n\n", "last"),
        ("", ""),
    ],
)
def test_the_reason_is_the_line_that_says_why(errors, reason):
    assert POST_GEN["reason"](errors) == reason


def test_a_terminal_sees_the_seconds_pass_and_can_interrupt(person, stand_in):
    stand_in("uv", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(20)")
    started = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
        os.chdir(person.folder)
        os.execve(sys.executable, person.command("--no-input"), person.env())  # noqa: S606
    shown = ""
    keys = [b"\x03"]
    with suppress(OSError):  # how Linux tells that nobody writes any more
        while chunk := os.read(terminal, 4096):
            shown += chunk.decode()
            if keys and re.search(r"[2-9]\.\d s\x08", shown):  # uv ignores it by now
                os.write(terminal, keys.pop())
    os.close(terminal)
    os.waitpid(child, 0)
    assert "\nInstall the packages, with uv: interrupted\r\n" in shown
    assert "    cd acme_cloud && uv run manage.py init_tenant" in shown  # Cookiecutter prints, too
    assert "Traceback" not in shown
    assert time.monotonic() - started < 15
    assert (person.folder / "acme_cloud" / ".env").exists()


def test_without_a_set_up_there_are_files_and_the_command(person, stand_in, calls):
    stand_in("uv")
    made = person.cookiecutter("set_up_now=no")
    assert made.returncode == 0
    assert calls() == []
    assert last_line(made.stdout) == "cd acme_cloud && uv run manage.py init_tenant"
    assert (person.folder / "acme_cloud" / ".env").exists()


def test_the_answers_are_in_the_env_files(bake):
    answers = {"project_name": "A & B", "admin_username": "jane", "admin_email": "jane@b.example"}
    project = bake(domain="b.example", **answers).path
    for file in (".env", ".env.example"):
        values = dotenv_values(project / file)
        assert answers == {key: values[key.upper()] for key in answers}
        assert values["DOMAIN"] == "localhost"
        assert "\n# DOMAIN=b.example\n" in (project / file).read_text()


def test_secrets_are_in_env_alone_for_its_owner_alone_and_never_the_same(bake):
    projects = [bake().path, bake().path]
    for name, length in (("SECRET_KEY", 50), ("ADMIN_PASSWORD", 16)):
        values = {dotenv_values(project / ".env")[name] for project in projects}
        assert len(values) == 2
        assert all(re.fullmatch(rf"[\w-]{{{length},}}", value, re.ASCII) for value in values)
        assert dotenv_values(projects[0] / ".env.example")[name] == ""
    assert (projects[0] / ".env").stat().st_mode & 0o777 == 0o600


def test_baking_over_a_project_keeps_its_env(person):
    person.cookiecutter("set_up_now=no")
    env = (person.folder / "acme_cloud" / ".env").read_text()
    again = person.cookiecutter("set_up_now=no", "--overwrite-if-exists")
    assert (again.returncode, again.stderr) == (0, "")
    assert (person.folder / "acme_cloud" / ".env").read_text() == env


def test_a_module_in_the_temporary_folder_is_not_imported(person, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (temporary / "json.py").write_text("raise SystemExit('imported')")
    made = person.cookiecutter("set_up_now=no", TMPDIR=temporary)
    assert (made.returncode, made.stderr) == (0, "")


def test_a_declined_file_that_is_not_there_is_an_error_of_the_template(bake, template, tmp_path):
    copy = shutil.copytree(template, tmp_path / "copy")
    (copy / PROJECT / "server" / "celery.py").unlink()
    assert bake(copy, use_celery=False).exit_code != 0


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "",
        "a b",
        "\"'`",
        "\\",
        "\\\\n",
        "\r\n\t",
        "#",
        " # ",
        "$",
        "$$",
        "${HOME}",
        "$${X:-y}",
        "${",
        "株\u2028🚀\x85",
    ],
)
def test_what_is_quoted_is_read_back(tmp_path, value):
    (tmp_path / ".env").write_text(f"A={POST_GEN['quote'](value)}\nB=after\n", newline="")
    assert dotenv_values(tmp_path / ".env") == {"A": value, "B": "after"}
    assert len((tmp_path / ".env").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("text", ["", "A=\nA=\n", "# A=\n"])
def test_an_answer_needs_its_line(tmp_path, text):
    example = tmp_path / ".env.example"
    example.write_text(text)
    with pytest.raises(ValueError, match=r"lines that begin with A=, not one"):
        POST_GEN["write_values"](example, "example.com", {"A": "a"})


def test_write_fills_empty_secrets_and_overwrites_nothing(tmp_path):
    example, target = tmp_path / ".env.example", tmp_path / ".env"
    example.write_text("ADMIN_PASSWORD=known\nSECRET_KEY=\n")
    ENV_FILE["write"](example, target)
    text = target.read_text()
    assert re.fullmatch(r"ADMIN_PASSWORD=known\nSECRET_KEY=[\w-]{50,}\n", text, re.ASCII)
    with pytest.raises(FileExistsError):
        ENV_FILE["write"](example, target)
    assert target.read_text() == text


def test_ensure_makes_the_env_of_a_fresh_clone_once(tmp_path, monkeypatch):
    ensure = ENV_FILE["ensure"]
    assert not ensure(tmp_path)  # there is no example
    (tmp_path / ".env.example").write_text("# Says: X\nSECRET_KEY=\n# TEST_COMMENTED_OUT=x\n")
    monkeypatch.delenv("SECRET_KEY", raising=False)
    for name in ("SECRET_KEY", "TEST_COMMENTED_OUT"):
        with monkeypatch.context() as environment:
            environment.setenv(name, "set")
            assert not ensure(tmp_path)
    assert not (tmp_path / ".env").exists()
    assert ensure(tmp_path)
    assert dotenv_values(tmp_path / ".env")["SECRET_KEY"]
    assert not ensure(tmp_path)
