"""The settings of a workspace: for the owner and the admins, the address for the owner."""

from html import unescape
from io import BytesIO
from zlib import crc32

import pytest
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from PIL import Image, ImageFile, PngImagePlugin
from server.tenants.models import Tenant
from tenancy import lifecycle
from tenancy.concrete import User
from tenancy.copies import backup, clone, restore
from tenancy.emails import send_email
from tenancy.models import TenantEvent
from tenancy.people.accounts import create_user
from tenancy.people.members import add_member
from tenancy.schemas.uploads import uploads_of
from tenancy.testing import TenantClient
from tenancy.testing.client import sign_in
from tenancy.workspace.settings import logos, views
from tenancy.workspace.settings.colours import DARK_PAPER, LIGHT_PAPER, contrast, stylesheet

from engine.copies import cleaned_up, get, provision

URL = "/workspace/settings/"
GENERAL = {"section": "general", "name": "First Tenant", "language": "", "time_zone": ""}


@pytest.fixture(autouse=True)
def _media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def admin(tenant, ada):
    """The client of an admin who isn't the owner."""
    add_member(tenant, "ada", "admin", by="test")
    return TenantClient(tenant, ada)


def picture(kind="PNG", size=(300, 200), **options):
    file = BytesIO()
    Image.new("RGB", size, "#336699").save(file, kind, **options)
    return file.getvalue()


def logo_from(data, name="logo.png"):
    return {"section": "logo", "logo": SimpleUploadedFile(name, data)}


def history():
    lines = TenantEvent.objects.filter(action__in=("change", "rename")).order_by("pk")
    return [*lines.values_list("by", "before", "after")]


def body(response):
    return b"".join(response) if response.streaming else response.content


# Who, and what is written down


def test_each_change_is_a_line_of_the_history(admin, tenant):
    form = GENERAL | {"name": "  Good Corp ", "time_zone": "Pacific/Auckland"}
    page = admin.post(URL, form, follow=True)
    assert "The settings are saved." in page.text
    assert "<title>Settings · Good Corp</title>" in page.text

    admin.post(URL, {"section": "colour", "accent": "#aa0033"})
    admin.post(URL, {"section": "colour", "accent": "#aa0033"})  # changes nothing

    assert history() == [
        ("ada", "name: First Tenant", "name: Good Corp"),
        ("ada", "time_zone: ", "time_zone: Pacific/Auckland"),
        ("ada", "accent: ", "accent: #aa0033"),
    ]
    admin.post(URL, {"section": "colour", "remove": ""})
    admin.post(URL, logo_from(picture()))
    admin.post(URL, {"section": "logo", "remove": ""})
    page = unescape(admin.get("/workspace/history/").text)
    for text in (
        "ada changed the name from “First Tenant” to “Good Corp”.",
        "ada set the colour to “#aa0033”.",
        "ada removed the colour “#aa0033”.",
        "ada changed the logo.",
        "ada removed the logo.",
    ):
        assert text in page


@pytest.mark.parametrize(
    "form",
    [
        GENERAL | {"name": " "},
        GENERAL | {"language": "tlh"},
        GENERAL | {"time_zone": "../../etc/passwd"},
        {"section": "colour", "accent": "red;} body {display: none"},
        {"section": "nonsense"},
        {},
    ],
)
def test_what_is_invalid_changes_nothing(admin, form):
    assert admin.post(URL, form).status_code == 200
    assert history() == []


def test_members_and_strangers_change_nothing(tenant, other_tenant, admin):
    member = create_user("bob", "bob@example.com")
    add_member(tenant, "bob", by="test")
    for person, status in ((member, 403), (other_tenant.owner, 403), (None, 302)):
        client = TenantClient(tenant, person)
        for path in (URL, f"{URL}address/"):
            assert client.get(path).status_code == status
            assert client.post(path, GENERAL | {"name": "Mine"}).status_code == status
    assert admin.get(f"{URL}address/").status_code == 403  # for the owner alone
    assert "Change the address" not in admin.get(URL).text
    assert history() == []


# Logo


def test_a_logo_is_drawn_anew_and_shown_to_all(admin, tenant, other_client, other_tenant):
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", "Our secret")
    data = picture(pnginfo=about, icc_profile=b"Our profile") + b"<script>"
    assert "This is your logo now." in admin.post(URL, logo_from(data), follow=True).text

    tenant.refresh_from_db()
    page = TenantClient(tenant).get("/").text
    assert 'alt="Logo of First Tenant"' in page
    [source] = [part for part in page.split('"') if part.startswith("/workspace/logo.webp?")]
    answer = TenantClient(tenant).get(source)
    kept = body(answer)
    assert answer["Content-Type"] == "image/webp"
    assert answer["Cache-Control"] == "public, max-age=86400"
    for text in (b"secret", b"profile", b"script", b"EXIF", b"ICCP"):
        assert text not in kept
    with Image.open(BytesIO(kept)) as image:
        assert (image.format, image.size) == ("WEBP", (256, 171))
    for client in (other_client, TenantClient(other_tenant)):
        assert client.get("/workspace/logo.webp").status_code == 404


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "GIF"])
def test_a_logo_is_of_any_of_four_formats(admin, tenant, kind):
    admin.post(URL, logo_from(picture(kind), "logo.txt"))
    assert Tenant.objects.get(pk=tenant.pk).logo_file.endswith(".webp")


def bomb():
    """A PNG whose head promises more pixels than its body has."""
    data = bytearray(picture())
    data[16:24] = (20_000).to_bytes(4) * 2
    data[29:33] = crc32(data[12:29]).to_bytes(4)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable image"),
        (b"GIF89a\0\0", "not a readable image"),
        (picture("BMP"), "not a readable image"),
        (picture()[:200], "not a readable image"),
        (bomb(), "not a readable image"),
        (picture(size=(5000, 2001)), "up to 10 megapixels"),
        (picture() + b"\0" * logos.MAX_BYTES, "up to 2 MB"),
        (b"", "The submitted file is empty."),
    ],
)
def test_what_is_no_small_picture_is_refused(admin, tenant, data, said):
    assert said in admin.post(URL, logo_from(data)).text
    assert uploads_of(tenant.schema_name).names() == []
    assert history() == []


def test_a_picture_with_too_many_pixels_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it is unpacked"))
    monkeypatch.setattr(logos, "MAX_PIXELS", 300 * 200 - 1)
    with pytest.raises(logos.ValidationError, match="megapixels"):
        logos.redraw(SimpleUploadedFile("logo.png", picture()))


def test_a_logo_is_replaced_and_removed(admin, tenant, django_capture_on_commit_callbacks):
    def send(form):
        with django_capture_on_commit_callbacks(execute=True):
            admin.post(URL, form)
        tenant.refresh_from_db()
        return [*default_storage.listdir("workspace")[1]]

    [first] = send(logo_from(picture()))
    assert "Choose a file." in admin.post(URL, {"section": "logo"}).text
    [second] = send(logo_from(picture(size=(10, 10))))
    assert second != first
    assert tenant.logo_file == f"workspace/{second}"
    assert send({"section": "logo", "remove": ""}) == []
    assert "icon.svg" in admin.get("/").text
    assert admin.get("/workspace/logo.webp").status_code == 404


def test_copies_keep_the_look(committed_db, tmp_path):
    chosen = {"accent": "#aa0033", "language": "de", "time_zone": "Europe/Berlin"}
    with cleaned_up():
        tenant = provision("source")
        logos.change(tenant, "test", b"Our logo")
        tenant = lifecycle.change(get("source"), "test", **chosen)
        clone(tenant, "the-copy", "test")
        restore(backup(tenant, tmp_path / "source.zip", "test"), "test", slug="restored")
        logos.change(get("source"), "test", b"")

        for copy in (get("the-copy"), get("restored")):
            assert chosen.items() <= vars(copy).items()
            with copy:
                assert default_storage.open(copy.logo_file).read() == b"Our logo"


# Colour


@pytest.mark.parametrize("accent", ["#000000", "#ffffff", "#ffff00", "#0000ff", "#808080"])
def test_each_colour_is_readable_on_light_and_dark_pages(accent):
    light, dark = stylesheet(accent).split("light-dark(")[1].split(")")[0].split(", ")
    assert contrast(light, LIGHT_PAPER) >= 4.5
    assert contrast(dark, DARK_PAPER) >= 4.5


def test_a_readable_colour_stays_as_it_is():
    assert "light-dark(#0b6b57, " in stylesheet("#0b6b57")
    assert ", #4fc3a1)" in stylesheet("#4fc3a1")


def test_pages_have_the_colour_by_a_stylesheet(admin, tenant, other_client):
    assert "style.css" not in admin.get("/").text
    admin.post(URL, {"section": "colour", "accent": "#aa0033"})
    visitor = TenantClient(tenant)
    for path in ("/", "/nothing/"):
        assert 'href="/workspace/style.css?aa0033"' in visitor.get(path).text
    answer = visitor.get("/workspace/style.css")
    assert "--accent: light-dark(#aa0033, " in answer.text
    assert answer["Content-Type"] == "text/css"
    again = visitor.get("/workspace/style.css", headers={"if-none-match": answer["ETag"]})
    assert again.status_code == 304
    assert other_client.get("/workspace/style.css").content == b""

    admin.post(URL, {"section": "colour", "remove": ""})
    assert "style.css" not in visitor.get("/").text


# Language and time zone


def language_of(page):
    return page["Content-Language"]


def test_visitors_and_members_get_the_workspaces_language(admin, tenant, ada):
    admin.post(URL, GENERAL | {"language": "de", "time_zone": "Pacific/Auckland"})
    visitor, english = TenantClient(tenant), {"accept-language": "en"}
    for path in ("/", "/nothing/"):
        page = visitor.get(path, headers=english)
        assert language_of(page) == "de"
        assert '<html lang="de">' in page.text
    assert language_of(admin.get("/", headers=english)) == "de"
    assert language_of(Client(SERVER_NAME="localhost").get("/", headers=english)) == "en"
    assert language_of(Client(SERVER_NAME="other.localhost").get("/", headers=english)) == "en"


def test_a_choice_of_ones_own_comes_first(tenant, ada, settings):
    lifecycle.change(tenant, "test", language="de", time_zone="Pacific/Auckland")
    add_member(tenant, "ada", by="test")
    User.objects.filter(pk=ada.pk).update(language="en")
    assert language_of(TenantClient(tenant, ada).get("/")) == "en"

    visitor = TenantClient(tenant)
    visitor.cookies[settings.LANGUAGE_COOKIE_NAME] = "en"
    assert language_of(visitor.get("/")) == "en"


def test_emails_are_in_the_workspaces_language(tenant, ada, mailoutbox):
    context = {"workspace": tenant, "sender": "Ada", "link": "https://x.org", "days": 7}
    lifecycle.change(tenant, "test", language="de")
    tenant.refresh_from_db()
    User.objects.filter(pk=ada.pk).update(language="en")
    send_email("invitation", "new@example.com", context, tenant)
    send_email("invitation", "ada@example.com", context, tenant)
    send_email("invitation", "new@example.com", context, get("other"))

    assert ["Ada invites" in mail.subject for mail in mailoutbox] == [False, True, True]


@pytest.mark.parametrize("end", ["\n\nGo to https://x.org", "\r", "\u2028", "\x85"])
def test_a_name_is_one_line(admin, tenant, end):
    """Otherwise its rest would be a paragraph of the site's own in an e-mail."""
    page = admin.post(URL, GENERAL | {"name": f"Acme{end}Labs"}, follow=True)

    assert "in one line" in page.text
    assert get(tenant.slug).name == "First Tenant"


def test_settings_cost_a_page_no_query(admin, tenant, django_assert_num_queries):
    admin.post(URL, GENERAL | {"language": "de", "time_zone": "Pacific/Auckland"})
    admin.post(URL, {"section": "colour", "accent": "#aa0033"})
    admin.post(URL, logo_from(picture()), follow=True)  # and reads the messages
    with django_assert_num_queries(4):  # the host, in a test; the session, the person, the notes
        admin.get("/notes/")
    visitor = TenantClient(tenant)
    with django_assert_num_queries(1):
        visitor.get("/workspace/logo.webp")


# Address


def test_the_owner_changes_the_address(tenant, tenant_client):
    page = tenant_client.post(f"{URL}address/", {"address": "Good.localhost"})
    assert 'href="http://good.localhost/workspace/settings/"' in page.text
    moved = Client(SERVER_NAME="first.localhost").get("/notes/?page=2")
    assert moved.url == "http://good.localhost/notes/?page=2"
    assert [by for by, _, _ in history()] == ["admin"]

    back = TenantClient(Tenant.objects.get(slug="good"), tenant.owner)
    page = back.post(f"{URL}address/", {"address": "first"})
    assert 'href="http://first.localhost/workspace/settings/"' in page.text


def test_the_owner_confirms_it_first(tenant):
    late = TenantClient(tenant)
    sign_in(late, tenant.owner, confirmed=False)
    assert late.post(f"{URL}address/", {"address": "good"}).status_code == 403
    assert Tenant.objects.get(pk=tenant.pk).slug == "first"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("other", "“other” is taken."),
        ("others-former", "“others-former” is taken."),
        ("admin", "“admin” is reserved"),
        ("public", "“public” is reserved"),
        ("no way", "An address has up to 40"),
        ("first", "This is the address already."),
        ("", "This field is required."),
    ],
)
def test_some_addresses_are_refused(tenant, tenant_client, other_tenant, address, said):
    lifecycle.rename(other_tenant, "test", slug="others-former")
    lifecycle.rename(other_tenant, "test", slug="other")
    assert said in tenant_client.post(f"{URL}address/", {"address": address}).text
    assert Tenant.objects.get(pk=tenant.pk).slug == "first"


def test_an_address_changes_three_times_a_day(tenant):
    for address in ("a", "b", "c"):
        client = TenantClient(Tenant.objects.get(pk=tenant.pk), tenant.owner)
        page = client.post(f"{URL}address/", {"address": address})
        assert f"Continue to {address}.localhost" in page.text
        client = TenantClient(Tenant.objects.get(pk=tenant.pk), tenant.owner)
        client.post(f"{URL}address/", {"address": "other"})  # isn't counted
    said = client.post(f"{URL}address/", {"address": "d"}).text
    assert "This was done too often. Try again in 24 hours." in said


def test_a_closed_workspace_keeps_its_address(tenant, tenant_client, monkeypatch):
    monkeypatch.setattr(views, "limit", lambda *use: lifecycle.delete(tenant, "test"))
    page = tenant_client.post(f"{URL}address/", {"address": "good"})
    assert "the site&#x27;s operator has closed the workspace" in page.text
    assert Tenant.objects.get(pk=tenant.pk).slug == "first"
