"""The settings of the engine's tests, with two providers in the environment."""

import os
import runpy

from engine.settings import *  # noqa: F403

os.environ |= {
    "GOOGLE": "12-ab.apps.googleusercontent.com:s3cret",
    "OIDC": "http://client:s3cret@127.0.0.1:1/?name=Example",  # where nothing listens
}
found = runpy.run_path(str(BASE_DIR / "server/settings.py"))  # noqa: F405
SOCIALACCOUNT_PROVIDERS = found["SOCIALACCOUNT_PROVIDERS"]
SHARED_APPS += found["SOCIAL_APPS"]  # noqa: F405
INSTALLED_APPS += found["SOCIAL_APPS"]  # noqa: F405
MIDDLEWARE = found["MIDDLEWARE"]
DATABASES["default"]["TEST"] = {"NAME": "test_social"}  # noqa: F405
