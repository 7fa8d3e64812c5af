"""A person with a browser, who looks at each page for faults that no one may have."""

import re
from contextlib import contextmanager
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe

KEYS = 60  # Tab is pressed at most so often to reach something


class Visitor:
    """Uses the sites at this port, with the mouse or with the keyboard alone.

    `faults` gathers what no page may do: errors in the console, among them breaches of the
    Content-Security-Policy, and requests to other machines.
    """

    def __init__(self, context, port, *, has_mouse=True, has_scripts=True):
        self.context, self.port = context, port
        self.has_mouse, self.has_scripts = has_mouse, has_scripts
        self.faults, self.seen = [], set()
        context.set_default_timeout(15_000)
        context.on("console", self.hear)
        context.on("weberror", lambda error: self.faults.append(str(error.error)))
        context.on("request", self.watch)
        self.page = context.new_page()

    def hear(self, message):
        if message.type == "error":
            self.faults.append(f"{message.page.url}: {message.text}")

    def watch(self, request):
        url = urlsplit(request.url)
        if url.scheme != "data" and not f".{url.hostname}".endswith(".localhost"):
            self.faults.append(f"asked {request.url}")

    # What a person does. `end` is where they are then: a path, or a host with a path.

    def open(self, place, end=None):
        with self.arriving(end or place):
            self.page.goto(self.url(place))

    def press(self, name, end, role="button"):
        target = self.page.get_by_role(role, name=name).first
        with self.arriving(end):
            self.use(target, "Enter")

    def follow(self, name, end):
        self.press(name, end, role="link")

    def fill(self, label, text):
        field = self.page.get_by_label(label, exact=True)
        if self.has_mouse:
            field.fill(text)
        else:
            self.reach(field)
            self.page.keyboard.press("Control+A")
            self.page.keyboard.type(text)

    def tick(self, label):
        self.use(self.page.get_by_label(label), "Space")

    def choose_file(self, label, name, data):
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        self.page.get_by_label(label, exact=True).set_input_files(file)

    def read_code(self, email):
        return re.search(r"^[A-Z0-9-]{6,}$", self.read_mail(email), re.M)[0]

    def read_link(self, email):
        """Return the place on the main website to which the newest e-mail leads."""
        return f"localhost{re.search(r'/invitations/.+/', self.read_mail(email))[0]}"

    def read_mail(self, email):
        """Return the newest e-mail to the address, from the page of development."""
        page = self.context.new_page()
        page.goto(f"http://localhost:{self.port}/_mail/")
        text = page.locator("article", has_text=email).first.inner_text()
        page.close()
        return text

    def plug_in_passkeys(self):
        """Give the browser a device that holds passkeys, and recognises the person."""
        options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True}
        options |= {"hasUserVerification": True, "isUserVerified": True}
        devtools = self.context.new_cdp_session(self.page)
        devtools.send("WebAuthn.enable")
        devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})

    # How they do it

    def url(self, place):
        host, path = place.split("/", 1)
        return f"http://{host or urlsplit(self.page.url).hostname}:{self.port}/{path}"

    @contextmanager
    def arriving(self, place):
        url = self.url(place).replace("?", r"\?")
        with self.page.expect_navigation(url=re.compile(rf"{url}(\?.*)?$")):
            yield
        self.look()

    def use(self, target, key):
        if self.has_mouse:
            target.click()
        else:
            self.reach(target)
            self.page.keyboard.press(key)

    def reach(self, target):
        """Press Tab until the target has the focus, and shows it."""
        for _ in range(KEYS):
            if target.evaluate("element => element === document.activeElement"):
                outline = target.evaluate("element => getComputedStyle(element).outlineStyle")
                assert outline != "none", f"{target} doesn't show that it has the focus"
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no Tab reaches {target}")

    def look(self):
        page = self.page
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= page.viewport_size["width"], f"{page.url} is {width} pixels wide"
        place = page.url.partition("?")[0]
        if self.has_scripts and place not in self.seen:  # axe is one, and takes a while
            self.seen.add(place)
            found = Axe().run(page)
            assert not found.violations_count, f"{page.url}: {found.generate_report()}"
