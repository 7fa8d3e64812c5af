"""The e-mails that development didn't send, on a page for the developer."""

import email
from email import policy
from ipaddress import ip_address
from pathlib import Path

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from tenancy.emails import kept_files


@login_not_required
@never_cache
@require_safe
def outbox(request):
    """Show the newest e-mails, to a browser on this machine, with DEBUG and no mail server."""
    is_development = settings.DEBUG and settings.EMAIL_BACKEND == "tenancy.emails.ConsoleBackend"
    address = request.META.get("REMOTE_ADDR") or "0.0.0.0"  # noqa: S104
    is_proxied = "HTTP_X_FORWARDED_FOR" in request.META
    if not is_development or is_proxied or not ip_address(address).is_loopback:
        raise Http404
    messages = [*map(parse, kept_files())]
    return render(request, "tenancy/account/outbox.html", {"emails": messages})


def parse(file: Path) -> dict:
    message = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    body = message.get_body(["plain"])
    return {
        "subject": message["subject"],
        "to": message["to"],
        "at": message["date"],
        "text": body.get_content() if body else "",
    }
