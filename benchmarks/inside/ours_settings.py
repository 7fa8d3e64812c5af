"""The baked project's settings, with the page that is measured in place of its own."""

from server.settings import *  # noqa: F403

ROOT_URLCONF = "page"
