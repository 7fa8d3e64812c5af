"""The data of a workspace, for its owner: export, backups, new workspaces from it, deletion."""

from datetime import timedelta
from functools import partial

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from tenancy import hosts, lifecycle
from tenancy.concrete import Tenant
from tenancy.copies import jobs
from tenancy.copies.kept import kept
from tenancy.emails import send_email
from tenancy.models import DataJob
from tenancy.people.confirmation import confirmed
from tenancy.states import end_of_grace
from tenancy.workspace.access import for_the_owner, form_on, refusals_to
from tenancy.workspace.data.forms import CopyForm, DeleteForm
from tenancy.workspace.new.addresses import suggest
from tenancy.workspace.new.making import check_number, counted

Kind = DataJob.Kind
PAGE = "workspace-data"


@for_the_owner
@require_safe
def data(request):
    jobs.settle(request.tenant)
    mine = jobs.of(request.tenant)
    last = mine.first()
    context = {
        "job": last if last and last.ended is None else None,
        "last": last,
        "export": jobs.downloadable(request.tenant).first(),
        "last_export": mine.filter(kind=Kind.EXPORT).exclude(ended=None).first(),
        "archives": kept(request.tenant),
        "made": made_by(last, request.user),
        "may_copy": settings.SIGN_UP,
        "grace_days": settings.TENANT_GRACE_DAYS,
    }
    return render(request, "tenancy/workspace/data.html", context)


def made_by(job: DataJob | None, user) -> dict | None:
    """Return the name and the address of the workspace that the job has made for the person."""
    if job is None or job.kind != Kind.COPY or job.ended is None or job.failure:
        return None
    tenant = Tenant.objects.active().filter(slug=job.slug, owner=user).first()
    if tenant is None:
        return None
    url = hosts.site_url(tenant.get_primary_domain().domain, "/sign-in/")
    return {"name": tenant.name, "url": url}


@for_the_owner
@confirmed(minutes=10)
@form_on(PAGE)
def export(request):
    return begin(request, Kind.EXPORT)


@for_the_owner
@confirmed(minutes=10)
@form_on(PAGE)
def back_up(request):
    return begin(request, Kind.BACKUP)


def begin(request, kind: Kind) -> HttpResponseRedirect:
    """Begin a job, which the page then shows, or say why it can't begin."""
    with refusals_to(partial(messages.error, request)):
        jobs.ask(request.tenant, kind, request.user)
    return redirect(PAGE)


@for_the_owner
@confirmed(minutes=10)
@form_on(PAGE)
def download(request, pk):
    """Send an export, once."""
    with refusals_to(partial(messages.error, request)):
        file = jobs.take(request.tenant, pk, request.user)
        name = f"{request.tenant.slug}-{timezone.now():%Y-%m-%d}.zip"
        return FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")
    return redirect(PAGE)


@for_the_owner
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
def copy(request, pk=None):
    """Make a new workspace of the person's from an archive, or from the present state."""
    if not settings.SIGN_UP:  # people make no workspaces by themselves
        raise PermissionDenied
    archive = get_object_or_404(kept(request.tenant), pk=pk) if pk else None
    form = CopyForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        slug = suggest(name) or suggest(request.tenant.slug)
        with refusals_to(partial(form.add_error, None)), counted(request):
            check_number(request.user)
            what = {"archive": archive, "name": name, "slug": slug}
            jobs.ask(request.tenant, Kind.COPY, request.user, **what)
            return redirect(PAGE)
    context = {"form": form, "archive": archive}
    return render(request, "tenancy/workspace/data_copy.html", context)


@for_the_owner
@confirmed(minutes=10)
@require_http_methods(["GET", "HEAD", "POST"])
def delete(request):
    """Delete the workspace, which its owner can bring back for a while."""
    tenant = request.tenant
    form = DeleteForm(tenant, request.POST or None)
    until = timezone.now() + timedelta(days=settings.TENANT_GRACE_DAYS)
    template = "tenancy/workspace/data_delete.html"
    if request.method == "POST" and form.is_valid():
        with refusals_to(partial(form.add_error, None)):
            row = lifecycle.delete(tenant, request.user.get_username())
            until = end_of_grace(row)
            url = hosts.main_website_url("/workspaces/")
            context = {"name": tenant.name, "until": until, "url": url}
            mail = partial(send_email, "workspace_deleted", row.owner.email, context)
            transaction.on_commit(mail, robust=True)
            # A page, no redirect: the browser holds a form to this host.
            return render(request, "tenancy/workspace/data_deleted.html", context)
    return render(request, template, {"form": form, "until": until})
