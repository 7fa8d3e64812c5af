"""The tests in `engine/apis` pass. They need other settings, and so another process.

bin/test-engine --ds engine.apis.settings engine/apis -k knox
"""

import os
import subprocess
import sys


def test_the_tests_with_libraries_for_apis_pass():
    """I1, I8"""
    command = [sys.executable, "-m", "pytest", "--ds", "engine.apis.settings", "-q", "engine/apis"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env.pop("DJANGO_SETTINGS_MODULE", None)

    result = subprocess.run(command, env=env, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
