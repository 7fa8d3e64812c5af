"""The tests in `engine/social` pass. They need other settings, and so another process.

bin/test-engine --ds engine.social.settings engine/social -k connect
"""

import os
import subprocess
import sys

import pytest
from django.apps import apps
from django.test import Client
from django.urls import NoReverseMatch, reverse


def test_the_tests_with_providers_pass():
    command = [sys.executable, "-m", "pytest", "--ds", "engine.social.settings", "-q"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env.pop("DJANGO_SETTINGS_MODULE", None)

    result = subprocess.run(
        [*command, "engine/social"], env=env, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.usefixtures("db")
def test_without_keys_there_is_no_button_and_no_page():
    assert not apps.is_installed("allauth.socialaccount")
    client = Client(SERVER_NAME="localhost")
    for page in ("login", "signup"):
        assert "Continue with" not in client.get(f"/account/{page}/").text
    assert client.get("/account/google/login/").status_code == 404
    with pytest.raises(NoReverseMatch):
        reverse("socialaccount_connections", urlconf="server.urls_public")
