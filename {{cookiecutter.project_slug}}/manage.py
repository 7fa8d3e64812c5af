#!/usr/bin/env python
"""The project's command line."""

import os
import sys
from pathlib import Path


def main():
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "server.settings")
    try:
        from django.core.management import execute_from_command_line

        from tenancy import env_file
        from tenancy.environment import EnvError
        from tenancy.exceptions import LocalPostgresError, MissingRequirement
    except ImportError as error:
        sys.exit(
            f"{error.name} is not installed for this Python: {sys.executable} (uv run manage.py …?)"
        )

    if sys.argv[1:2] == ["init_tenant"] and env_file.ensure(Path(__file__).resolve().parent):
        print("Made .env from .env.example.")
    try:
        execute_from_command_line(sys.argv)
    except (EnvError, LocalPostgresError, MissingRequirement) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
