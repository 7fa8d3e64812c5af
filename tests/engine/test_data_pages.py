"""The page of a workspace's data: for its owner alone, who confirms that it is them."""

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.copies import jobs
from tenancy.models import Archive, DataJob, TenantEvent
from tenancy.people.members import add_member
from tenancy.schemas.private_files import EXPORTS, new_file_name, path_of
from tenancy.testing import TenantClient
from tenancy.testing.client import sign_in

URL = "/workspace/data/"
Kind = DataJob.Kind
PATHS = ["", "export/", "export/1/", "backup/", "backup/1/restore/", "duplicate/", "delete/"]
NAME = "First"


@pytest.fixture
def ready(tenant):
    """An export that can be downloaded."""
    name = new_file_name(EXPORTS, tenant.schema_name, tenant.slug)
    path_of(name).write_bytes(b"All that is ours")
    now = timezone.now()
    return DataJob.objects.create(
        tenant=tenant,
        kind=Kind.EXPORT,
        user=tenant.owner,
        ended=now,
        file=name,
        size=16,
        expires=now + jobs.DOWNLOADABLE,
    )


def archive_of(tenant):
    return Archive.objects.create(
        tenant=tenant, slug=tenant.slug, by="somebody", file=f"{tenant.slug}.zip", digest="x"
    )


def test_nobody_but_the_owner_sees_it(tenant, ada):
    assert TenantClient(tenant).get(URL).url.startswith("/sign-in/")
    add_member(tenant, "ada", "admin", by="test")
    admin = TenantClient(tenant, ada)
    assert URL not in admin.get("/workspace/people/").text
    for path in PATHS:
        assert admin.get(URL + path).status_code == 403, path
        assert admin.post(URL + path).status_code == 403, path
    assert not DataJob.objects.exists()


def test_the_owner_confirms_first(tenant, ready):
    late = TenantClient(tenant)
    sign_in(late, tenant.owner, confirmed=False)
    assert late.get(URL).status_code == 200
    for path in PATHS[1:]:
        path = path.replace("1", str(ready.pk))
        assert late.post(URL + path, {"name": tenant.name}).status_code == 403, path
    assert DataJob.objects.get().downloaded is None
    assert Tenant.objects.get(pk=tenant.pk).status == "active"


def test_an_export_is_asked_for_and_watched(tenant, tenant_client):
    page = tenant_client.post(f"{URL}export/", follow=True)
    assert "Your export is being made" in page.text
    assert 'http-equiv="refresh"' in page.text
    assert TenantEvent.objects.get(action="export").by == tenant.owner.username
    assert "being made already" in tenant_client.post(f"{URL}backup/", follow=True).text

    DataJob.objects.update(ended=timezone.now(), failure="It was interrupted. Try again.")
    page = tenant_client.get(URL)
    assert "It was interrupted. Try again." in page.text
    assert "refresh" not in page.text


def test_the_limit_of_a_day_is_told(tenant_client, settings):
    settings.TENANCY_RATES = {"data-backup": "0/1d"}
    page = tenant_client.post(f"{URL}backup/", follow=True)
    assert "Try again in 24 hours." in page.text


def test_an_export_is_downloaded_once(tenant, tenant_client, ready):
    assert "16\N{NO-BREAK SPACE}bytes" in tenant_client.get(URL).text
    url = f"{URL}export/{ready.pk}/"
    answer = tenant_client.post(url)
    assert b"".join(answer.streaming_content) == b"All that is ours"
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith('attachment; filename="first-')
    assert not path_of(ready.file).exists()
    assert "downloaded already" in tenant_client.post(url, follow=True).text
    assert "The last one was downloaded" in tenant_client.get(URL).text


def test_nothing_of_another_workspace_is_reached(tenant_client, other_client, other_tenant, ready):
    assert "downloaded already" in other_client.post(f"{URL}export/{ready.pk}/", follow=True).text
    assert path_of(ready.file).exists()
    theirs = archive_of(other_tenant)
    assert "somebody" not in tenant_client.get(URL).text
    data = {"name": "Mine"}
    assert tenant_client.post(f"{URL}backup/{theirs.pk}/restore/", data).status_code == 404
    assert DataJob.objects.filter(kind=Kind.COPY).count() == 0


def test_a_new_workspace_is_made_from_an_archive(tenant, tenant_client, settings):
    archive = archive_of(tenant)
    url = f"{URL}backup/{archive.pk}/restore/"
    assert url in tenant_client.get(URL).text
    page = tenant_client.post(url, {"name": "Then"}, follow=True)
    assert "Then is being made" in page.text
    job = DataJob.objects.get()
    assert (job.kind, job.archive, job.slug) == (Kind.COPY, archive, "then")
    DataJob.objects.update(ended=timezone.now())

    settings.MAX_WORKSPACES_OWNED = 1
    page = tenant_client.post(f"{URL}duplicate/", {"name": "Again"})
    assert "You own as many workspaces" in page.text
    settings.SIGN_UP = False
    assert tenant_client.post(url, {"name": "Then"}).status_code == 403
    assert "duplicate" not in tenant_client.get(URL).text


def test_one_that_is_being_made_counts(tenant, tenant_client, settings):
    settings.MAX_WORKSPACES_OWNED = Tenant.objects.filter(owner=tenant.owner).count()
    DataJob.objects.create(tenant=tenant, kind=Kind.COPY, user=tenant.owner)
    page = tenant_client.post(f"{URL}duplicate/", {"name": "Again"})
    assert "You own as many workspaces" in page.text


# Deletion


@pytest.fixture
def deleted(tenant, tenant_client, mailoutbox, django_capture_on_commit_callbacks):
    """Delete the workspace on its page."""
    with django_capture_on_commit_callbacks(execute=True):
        return tenant_client.post(f"{URL}delete/", {"name": tenant.name})


def test_a_workspace_is_deleted_by_its_name(tenant, tenant_client):
    page = tenant_client.post(f"{URL}delete/", {"name": "Another"})
    assert "This is not the name of this workspace." in page.text
    assert Tenant.objects.get(pk=tenant.pk).status == "active"


def test_the_owner_is_told_until_when(deleted, tenant, mailoutbox):
    assert "http://localhost/workspaces/" in deleted.text
    assert f"{tenant.name} is deleted" in deleted.text
    row = Tenant.objects.get(pk=tenant.pk)
    assert row.status == "deleted"
    [mail] = mailoutbox
    assert mail.to == [tenant.owner.email]
    year = str((row.deleted + timezone.timedelta(days=30)).year)
    assert year in mail.body
    assert f"{tenant.name} is deleted" == mail.subject
    assert year in deleted.text


def test_the_owner_brings_it_back(deleted, tenant, public_client, settings):
    page = public_client.get("/workspaces/")
    assert "Deleted workspaces" in page.text
    url = "/workspaces/bring-back/"
    settings.MAX_WORKSPACES_OWNED = 0
    assert "as many" in public_client.post(url, {"slug": tenant.slug}, follow=True).text
    del settings.MAX_WORKSPACES_OWNED
    page = public_client.post(url, {"slug": tenant.slug}, follow=True)
    assert "is back." in page.text
    assert Tenant.objects.get(pk=tenant.pk).status == "active"
    actions = TenantEvent.objects.filter(slug=tenant.slug).values_list("action", flat=True)
    assert {"delete", "undelete"} <= {*actions}


def test_nobody_else_brings_it_back(deleted, tenant, public, ada):
    url, data = "/workspaces/bring-back/", {"slug": tenant.slug}
    client = TenantClient(public, ada)
    assert "Deleted workspaces" not in client.get("/workspaces/").text
    assert client.post(url, data).status_code == 404
    late = TenantClient(public)
    with public:
        sign_in(late, tenant.owner, confirmed=False)
    assert "reauthenticate" in late.post(url, data).url
    assert Tenant.objects.get(pk=tenant.pk).status == "deleted"


def test_what_an_operator_has_deleted_only_an_operator_brings_back(tenant, public_client):
    lifecycle.delete(tenant, "manage.py")
    page = public_client.get("/workspaces/")
    assert "ask us to bring it back" in page.text
    data = {"slug": tenant.slug}
    assert public_client.post("/workspaces/bring-back/", data).status_code == 404


def test_after_the_time_of_grace_it_is_gone(deleted, tenant, public_client, settings):
    settings.TENANT_GRACE_DAYS = 0
    assert "Deleted workspaces" not in public_client.get("/workspaces/").text
    data = {"slug": tenant.slug}
    assert public_client.post("/workspaces/bring-back/", data).status_code == 404


@pytest.mark.usefixtures("db")
def test_the_command_cleans_up(ready):
    DataJob.objects.update(expires=timezone.now())
    call_command("clean_up_data")
    assert not path_of(ready.file).exists()


def test_many_that_are_deleted_cost_the_page_no_more_queries(
    tenant, other_tenant, public_client, django_assert_num_queries
):
    lifecycle.delete(tenant, by="admin")
    with CaptureQueriesContext(connection) as queries:
        public_client.get("/workspaces/")
    lifecycle.transfer(other_tenant, "admin", by="test")
    lifecycle.delete(other_tenant, by="admin")

    with django_assert_num_queries(len(queries)):
        page = public_client.get("/workspaces/")
    assert [each.may_return for each in page.context["deleted"]] == [True, True]
