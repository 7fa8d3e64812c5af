"""Views that leak, each in its own way, for the isolation proof to find.

Each entry of LEAKS has the URL patterns, the arguments of `isolation.prove()`, and a part of what
the proof has to say.
"""

import base64
import json
import logging
import os
from pathlib import Path

from django import forms
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.admin.sites import all_sites
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core import signing
from django.core.cache import caches
from django.core.mail import EmailMessage
from django.db import connection
from django.http import (
    FileResponse,
    Http404,
    HttpResponse,
    HttpResponseForbidden,
    JsonResponse,
    StreamingHttpResponse,
)
from django.shortcuts import get_object_or_404
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import UpdateView
from server.notes.models import Note
from server.notes.tasks import send_digest
from server.tenants.models import Organization, Tenant

logger = logging.getLogger(__name__)
CACHES = settings.CACHES | {
    "plain": {"BACKEND": settings.CACHES["default"]["BACKEND"], "LOCATION": "plain"}
}


def tenants():
    return Tenant.objects.exclude(schema_name="public")


def others(request):
    return tenants().exclude(pk=request.tenant.pk)


def notes_of(tenant):
    with tenant:
        return [*Note.objects.values_list("text", flat=True)]


def everybodys_notes():
    return [text for tenant in tenants() for text in notes_of(tenant)]


def reading(view):
    """A page for members that ignores what is sent."""
    return path("leak/", login_required(view))


# Found by somebody's canary in an answer


def basic_sign_in(request):
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    name, _, password = base64.b64decode(text).decode().partition(":")
    user = get_user_model().objects.filter(username=name).first()
    if kind != "Basic" or user is None or not user.check_password(password):
        return HttpResponse(status=401)
    return JsonResponse({"notes": [*Note.objects.values_list("text", flat=True)]})


def raw_sql(request):
    rows = Note.objects.using("default").raw(
        " UNION ALL ".join(f'SELECT * FROM "{each.schema_name}".notes_note' for each in tenants())  # noqa: S608
    )
    return HttpResponse(" ".join(note.text for note in rows))


def cached_without_tenant(request):
    texts = caches["plain"].get_or_set(
        "notes", lambda: [*Note.objects.values_list("text", flat=True)]
    )
    return HttpResponse(" ".join(texts))


def kept_in_a_global(request, kept=[]):  # noqa: B006 (that is the leak)
    kept.extend(() if kept else Note.objects.all())
    return HttpResponse(" ".join(map(str, kept)))


def file_by_path(request, path):
    file = Path(os.path.normpath(settings.MEDIA_ROOT / request.tenant.schema_name / path))
    if not file.is_file():
        raise Http404
    return FileResponse(file.open("rb"))


def csv_export(request):
    lines = (f"{text}\r\n" for tenant in tenants() for text in notes_of(tenant))
    return StreamingHttpResponse(lines, content_type="text/csv")


def on_the_second_request(request, seen=set()):  # noqa: B006
    is_known, key = request.session.get("seen"), "seen"
    request.session[key] = True
    return HttpResponse(" ".join(everybodys_notes()) if is_known else "Welcome")


def left_in_another_tenant(request):
    connection.set_tenant(others(request).get())
    return HttpResponse(" ".join(Note.objects.values_list("text", flat=True)))


def tenant_by_parameter(request):
    tenant = Tenant.objects.filter(slug=request.GET.get("tenant", "")).first() or request.tenant
    return HttpResponse(" ".join(notes_of(tenant)))


class AuthorForm(forms.ModelForm):
    class Meta:
        model = Note
        fields = ["author"]  # noqa: RUF012


def all_people(request):
    return HttpResponse(AuthorForm().as_p())


def header(request):
    return HttpResponse(headers={"X-Latest": everybodys_notes()[-1]})


# Found elsewhere than in an answer


def mail_to_all(request):
    people = get_user_model().objects.values_list("email", flat=True)
    EmailMessage("News", "There is news.", bcc=[*people]).send()
    return HttpResponse("Sent")


def logged(request):
    logger.warning("The newest note is %s.", everybodys_notes()[-1])
    return HttpResponse("Fine")


def cache_key(request):
    caches["default"].set(f"seen-{everybodys_notes()[-1]}", True)
    return HttpResponse("Fine")


def task_elsewhere(request):
    with others(request).get():
        send_digest.delay()
    return HttpResponse("Sent")


# Found by what is changed


class OrganizationForm(UpdateView):
    model = Organization
    fields = ["name"]  # noqa: RUF012
    template_name = "notes/notes.html"
    success_url = "/"

    def render_to_response(self, context, **options):
        return HttpResponse(f'<form method="post">{context["form"]}</form>')


def deleted_everywhere(request, pk):
    for tenant in tenants():
        with tenant:
            Note.objects.filter(pk=pk).delete() if request.method == "POST" else None
    return HttpResponse("Gone")


def body_decides(request):
    if request.method != "POST":
        return HttpResponse("Write")
    sent = json.loads(request.body)
    for tenant in tenants():
        with tenant:
            Note.objects.filter(pk=sent["id"]).update(text=sent["text"])
    return JsonResponse({})


def open_to_everybody(request):
    if request.method == "POST":
        Note.objects.create(text="Spam", author=request.tenant.owner)
    return HttpResponse('<form method="post"><input name="text"></form>')


# Found by answers that differ


def signed_link(request, token):
    try:
        signing.loads(token)
    except signing.BadSignature:
        raise Http404 from None
    return HttpResponse("Welcome")


def counted(request):
    return HttpResponse(f"{len(everybodys_notes())} notes")


def existence(request, pk):
    if not Note.objects.filter(pk=pk).exists():
        for tenant in others(request):
            with tenant:
                if Note.objects.filter(pk=pk).exists():
                    return HttpResponseForbidden("This note isn't yours.")
    return HttpResponse(get_object_or_404(Note, pk=pk).text)


def disk_usage(request):
    return HttpResponse(sum(1 for file in Path(settings.MEDIA_ROOT).rglob("*.txt")))


# Found by status 500


def broken(request):
    raise KeyError("plan")


def shared_admin():
    site = AdminSite(name="leaky")
    all_sites.discard(site)  # or `check` would refuse it in other tests
    site.register(Organization)
    return path("leak/", site.urls)


OF_OTHER, DIFFERS = "of other", "the answer depends on the other tenant's rows"
PAGE = {"only": ["leak/"]}

LEAKS = {
    "I1: sign-in that ignores membership": (
        path("leak/", basic_sign_in),
        PAGE,
        "a person without a membership",
    ),
    "I2: a shared model in a tenant's admin": (
        shared_admin(),
        {"only": ["leaky:tenants_organization_change"]},
        "a shared row of tenants_organization changed",
    ),
    "raw SQL with schemas": (reading(raw_sql), PAGE, OF_OTHER),
    "a cache key without the tenant": (reading(cached_without_tenant), PAGE, OF_OTHER),
    "a shared model in a form": (
        path("leak/<int:pk>/", login_required(OrganizationForm.as_view())),
        {"only": ["leak/<int:pk>/"]},
        "a shared row of tenants_organization changed",
    ),
    "a file by path": (
        path("leak/<path:path>", login_required(file_by_path)),
        {"only": ["leak/<path:path>"]},
        OF_OTHER,
    ),
    "a signed link without the tenant": (
        path("leak/<token>/", login_required(signed_link)),
        {
            "only": ["leak/<token>/"],
            "arguments": {"leak/<token>/": lambda user: [{"token": signing.dumps(user.pk)}]},
        },
        "another tenant's row is answered otherwise",
    ),
    "a task in the wrong tenant": (reading(task_elsewhere), PAGE, "a task was sent in the schema"),
    "a queryset in a global": (reading(kept_in_a_global), PAGE, OF_OTHER),
    "a count": (reading(counted), PAGE, DIFFERS),
    "a CSV export": (reading(csv_export), PAGE, OF_OTHER),
    "404 or 403": (
        path("leak/<int:pk>/", login_required(existence)),
        {"only": ["leak/<int:pk>/"]},
        "another tenant's row is answered otherwise",
    ),
    "the second request": (reading(on_the_second_request), PAGE, OF_OTHER),
    "people of other tenants": (reading(all_people), PAGE, "the name of a person"),
    "an e-mail to everybody": (reading(mail_to_all), PAGE, "an e-mail has"),
    "a log line": (reading(logged), PAGE, "a log line has"),
    "a header": (reading(header), PAGE, "a header has"),
    "a tenant by parameter": (reading(tenant_by_parameter), PAGE, OF_OTHER),
    "another tenant's row deleted": (
        path("leak/<int:pk>/", login_required(deleted_everywhere)),
        {"only": ["leak/<int:pk>/"]},
        "rows of other's notes_note changed",
    ),
    "a key in the body": (
        path("leak/", csrf_exempt(login_required(body_decides))),
        {**PAGE, "data": {"leak/": [{"json": {"id": 817263001, "text": "New"}}]}},
        "rows of other's notes_note changed",
    ),
    "another tenant left current": (reading(left_in_another_tenant), PAGE, OF_OTHER),
    "the number of files": (reading(disk_usage), PAGE, DIFFERS),
    "the name of a cache key": (reading(cache_key), PAGE, "a cache key has"),
    "a page that writes for everybody": (
        path("leak/", open_to_everybody),
        PAGE,
        "a person without a membership changed",
    ),
    "an error": (reading(broken), PAGE, "status 500"),
}
