import os
import subprocess
import sys


class PytestRunner:
    """Makes `manage.py test` run pytest (TEST_RUNNER)."""

    def __init__(self, verbosity=1, failfast=False, keepdb=False, **options):
        self.arguments = [
            *["-x"] * failfast,
            *["--reuse-db"] * keepdb,
            *["-v"] * (verbosity > 1),
            *["-q"] * (verbosity < 1),
        ]

    @classmethod
    def add_arguments(cls, parser):
        parser.add_argument("--failfast", action="store_true", help="stop at the first failure")
        parser.add_argument("--keepdb", action="store_true", help="keep the test database")

    def run_tests(self, test_labels) -> int:
        """Run pytest on the paths, and return its exit status."""
        # pytest takes the settings from pyproject.toml, unless this variable names others.
        env = {
            name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"
        }
        # --pyargs: a label may also be a package, like `server.invoices`.
        command = [sys.executable, "-m", "pytest", "--pyargs", *self.arguments, *test_labels]
        return subprocess.call(command, env=env)
