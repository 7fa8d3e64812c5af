"""The sessions that a browser opened in workspaces end with its session at the main website."""

from collections.abc import Iterable
from importlib import import_module

from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.contrib.sessions.backends.base import SessionBase
from django.db import connection
from django.dispatch import receiver
from django_tenants.utils import get_public_schema_name, schema_context

from tenancy import support
from tenancy.models import WITHOUT_SCHEMA, HandOver


def session_store(session_key: str) -> SessionBase:
    """Return the session of the current tenant with this key."""
    return import_module(settings.SESSION_ENGINE).SessionStore(session_key)


def opened_from(website_sessions: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of the workspaces that each session of the main website opened."""
    rows = HandOver.objects.filter(website_session__in=[*website_sessions])
    names = {}
    for row in rows.exclude(workspace_session="").select_related("tenant"):
        opened = names.setdefault(row.website_session, [])
        if row.tenant.name not in opened:
            opened.append(row.tenant.name)
    return names


def end_opened_from(website_session: str) -> None:
    """End the sessions in workspaces that this session of the main website opened."""
    with schema_context(get_public_schema_name()):
        rows = HandOver.objects.filter(website_session=website_session)
        for row in rows.exclude(workspace_session="").select_related("tenant", "user"):
            if row.tenant.status not in WITHOUT_SCHEMA:
                with row.tenant:
                    session_store(row.workspace_session).delete()
            if row.grant_id:
                support.leave(row.tenant, row.user, row.workspace_session, "signed out")
        rows.delete()


def end_opened_at(host: str, tenant) -> None:
    """End the sessions that were opened at one of the tenant's hosts, and the codes for it."""
    rows = HandOver.objects.filter(tenant=tenant, host=host)
    with tenant:
        for row in rows.exclude(workspace_session=""):
            session_store(row.workspace_session).delete()
    rows.delete()


@receiver(user_logged_out)
def end_browser(request, **kwargs):
    """Sign the browser out everywhere, wherever it signs out: at the main website or a workspace.

    Otherwise the next “Sign in” at the workspace would let anybody at this computer in.
    """
    session_key = request.session.session_key
    if not session_key:
        return
    if connection.schema_name == get_public_schema_name():
        end_opened_from(session_key)
        return
    rows = HandOver.objects.filter(tenant=connection.tenant, workspace_session=session_key)
    for handover in rows:
        with schema_context(get_public_schema_name()):
            session_store(handover.website_session).delete()
        end_opened_from(handover.website_session)
