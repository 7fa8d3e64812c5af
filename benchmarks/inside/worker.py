"""Works inside a project, in its Python, and stays warm: reads lines of JSON, each with a verb and
its arguments, and answers each with a line. What it times excludes the start of the process."""

import contextlib
import io
import json
import os
import sys
import time

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection


def user():
    from django.contrib.auth import get_user_model

    return get_user_model().objects.first()


def found():
    """Make the first user, and the public tenant where there is none."""
    from django.contrib.auth import get_user_model

    if not hasattr(settings, "TENANT_MODEL"):
        get_user_model().objects.create_user("ada")
    elif user() is None:
        from tenant_users.tenants.utils import create_public_tenant

        create_public_tenant("localhost", "ada@localhost", is_superuser=True, is_staff=True)


def provision(slug):
    """Make a tenant; return the seconds that took."""
    owner = user()
    if "tenancy" in settings.INSTALLED_APPS:
        from tenancy.lifecycle import provision_tenant

        def make():
            provision_tenant(slug, slug, "Benchmark", owner.username)
    else:
        from tenant_users.tenants.tasks import provision_tenant

        def make():
            provision_tenant(slug, slug, owner, is_staff=True)

    return timed(make)


def write(schema):
    """Write the note that the page shows; return a cookie of somebody who is signed in."""
    from django.contrib.auth import login
    from django.contrib.sessions.backends.db import SessionStore
    from django.http import HttpRequest

    with inside(schema):
        apps.get_model("notes.Note").objects.create(text="Remember the milk", author=user())
        request = HttpRequest()
        request.session = SessionStore()
        login(request, user(), settings.AUTHENTICATION_BACKENDS[0])
        request.session.save()
    return f"{settings.SESSION_COOKIE_NAME}={request.session.session_key}"


def warm():
    """Import all migrations and open the connection."""
    from django.db.migrations.loader import MigrationLoader

    MigrationLoader(connection)


def migrate(**options):
    """Migrate all tenants, with the default executor; return the seconds that took."""
    return timed(lambda: call_command("migrate_schemas", tenant=True, verbosity=0, **options))


def share():
    """Migrate the public schema, to which ours adds the blueprint; return the seconds."""
    return timed(lambda: call_command("migrate_schemas", shared=True, verbosity=0))


def call(command):
    """Call a command of the project, whose output goes nowhere; return the seconds."""
    return timed(lambda: call_command(*command, stdout=io.StringIO()))


def admin_page(query):
    """Open the main website's admin at its list of tenants; return the seconds."""
    import signing_up
    from django.contrib.sessions.backends.db import SessionStore
    from django.test import Client, override_settings

    answers = []
    with override_settings(**signing_up.SETTINGS, MFA_REQUIRED="off"):
        client = Client(SERVER_NAME="localhost")
        person = user()
        client.force_login(person, settings.AUTHENTICATION_BACKENDS[0])
        seconds = timed(lambda: answers.append(client.get(f"/admin/tenants/tenant/?{query}")))
        SessionStore(client.session.session_key).delete()
    if answers[0].status_code != 200:
        raise RuntimeError(f"{answers[0].status_code} {answers[0].headers}")
    return seconds


def sql(schema, migration):
    """The statements of a migration of the notes."""
    out = io.StringIO()
    with inside(schema):
        call_command("sqlmigrate", "notes", migration, stdout=out, no_color=True)
    return [line for line in out.getvalue().splitlines() if line and not line.startswith("--")]


def versions():
    from importlib.metadata import version

    packages = "Django", "django-tenants", "django-tenant-users", "psycopg2-binary", "gunicorn"
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        postgres = cursor.fetchone()[0]
    python = sys.version.split()[0]
    return {"Python": python, "PostgreSQL": postgres} | {name: version(name) for name in packages}


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def inside(schema):
    if schema is None:
        return contextlib.nullcontext()
    from django_tenants.utils import schema_context

    return schema_context(schema)


def run_tasks(**arguments):
    import background

    return background.run_tasks(**arguments)


def sign_up(**arguments):
    import signing_up

    return signing_up.sign_up(**arguments)


VERBS = {
    verb.__name__: verb
    for verb in (
        *(found, provision, write, warm, migrate, share, sql, versions, run_tasks, sign_up),
        *(call, admin_page),
    )
}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # where others print
    django.setup()
    for line in sys.stdin:
        verb, arguments = json.loads(line)
        print(json.dumps(VERBS[verb](**arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
