"""The example app: tests like those of any Django app, and one of what tenants are for."""

from server.notes.models import Note


def test_a_note_is_written_and_read(tenant_client, tenant):
    response = tenant_client.post("/notes/", {"text": "Buy <milk>"}, follow=True)

    assert "Buy &lt;milk&gt;" in response.text
    assert Note.objects.get().author == tenant.owner


def test_an_empty_note_is_refused(tenant_client):
    response = tenant_client.post("/notes/", {"text": " "})

    assert response.context["form"].errors["text"]
    assert not Note.objects.exists()


def test_a_plan_allows_so_many_notes(tenant_client, settings):
    settings.TENANCY_LIMITS = {"free": {"notes": 1}}
    tenant_client.post("/notes/", {"text": "One"})
    page = tenant_client.post("/notes/", {"text": "Two"})

    assert "your plan has up to 1 notes" in page.text
    assert Note.objects.count() == 1


def test_notes_are_for_members(client, tenant):
    response = client.get("/notes/", headers={"host": "first.localhost"})

    assert response.url == "/sign-in/?next=/notes/"


# template: if cookiecutter.use_celery
def test_the_digest_tells_staff_how_many_notes_are_new(tenant, mailoutbox):
    from server.notes.tasks import send_digest

    send_digest()
    assert mailoutbox == []

    Note.objects.create(text="New", author=tenant.owner)
    send_digest()
    assert mailoutbox[0].to == [tenant.owner.email]
    assert "1 new note" in mailoutbox[0].body


# template: endif
def test_another_tenant_reads_none_of_them(tenant, other_tenant, tenant_client, other_client):
    tenant_client.post("/notes/", {"text": "Our secret"})

    with other_tenant:
        assert not Note.objects.exists()
    assert "Our secret" in tenant_client.get("/notes/").text
    assert "Our secret" not in other_client.get("/notes/").text
