"""Documents and questions made to harm, and what the browser is allowed, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from docs.screenshot import ROOT, find_chromium, serving
from ui.scripts import SCRIPTS
from ui.texts import TEXTS

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here")

SECONDS = 1000
PATIENCE = 120 * SECONDS

# Each of these says so when it is taken for more than text.
TRICKS = (
    "<script>window.harmed = 1; alert(1)</script>",
    '<img src=x onerror="window.harmed = 1; alert(2)">',
    '<svg onload="window.harmed = 1"><a href="javascript:alert(3)">svg</a></svg>',
    "<iframe src='https://remote.invalid/frame'></iframe>",
    "</style><style>@import 'https://remote.invalid/a.css'; * { color: red !important }</style>",
    "</mark></section></div></article><h1 class='trick'>dehors</h1>",
    "<form action='https://remote.invalid/form'><input type=password name=p></form>",
    "<details open ontoggle='window.harmed = 1'>d</details>",
    "[lien](javascript:window.harmed=1) ![image](https://remote.invalid/x.png)",
    "<style>body { background: url(https://remote.invalid/b.png) }</style>",
    "\N{RIGHT-TO-LEFT OVERRIDE}renversé\N{POP DIRECTIONAL FORMATTING}",
    "{{7*7}} ${7*7} $x^2$ :material/home: :red[rouge] `code` <!-- comment -->",
    "&lt;script&gt;window.harmed = 1&lt;/script&gt;",
)
LONG = "anticonstitutionnellement" * 40
NAME = "phare onerror=alert(9) {{x}} é'&.md"
SENTENCE = "Le phare de Gatteville est gardé par Octavie Lerouge depuis 1872"
QUESTION = "Qui garde le phare de Gatteville ?"

# Elements that text of a person or of a document never makes.
FORBIDDEN = (
    ".stHtml :is(img, iframe, form, input, script, svg, style, object, embed, .trick, "
    "a:not([href^='#'], [href^='?']), [onerror], [onload], [ontoggle])"
)
# What the page itself puts there.
OWN = (
    *SCRIPTS,
    (ROOT / "ui/style.css").read_text("utf-8").strip(),
    # The words on the button of the upload, which Streamlit says in English only.
    f'content: "{TEXTS["fr"].add_browse}"',
)


def write_corpus(corpus: Path) -> None:
    """Write a note whose every part is hostile, and another with a hostile name of its own."""
    corpus.mkdir()
    tricks = "\n\n".join(f"- {SENTENCE} {trick}" for trick in TRICKS)
    labels = "\n".join(f"  - {trick!r}" for trick in TRICKS if "'" not in trick)
    (corpus / NAME).write_text(
        f"---\ntitle: 'Le phare {TRICKS[1]} {TRICKS[0]}'\naliases:\n{labels}\ntags:\n{labels}\n"
        f"---\n# Le phare {TRICKS[4]}\n\n{SENTENCE}. {LONG}\n\n{tricks}\n\n"
        f"| {TRICKS[3]} | {LONG} |\n|---|---|\n| {TRICKS[6]} | b |\n",
        encoding="utf-8",
    )
    (corpus / "<b>gras<b>.txt").write_text(
        "Le moulin de Valmy appartient à Jean Tricot.\n" + " ".join(TRICKS), encoding="utf-8"
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("hostile")
    write_corpus(folder / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITADELLE_DATA", str(folder / "data"))
        patch.setenv("CITADELLE_READER", "none")
        patch.setenv("CITADELLE_ABSTAIN_BELOW", "0")
        with serving(folder / "corpus", folder / "index") as address:
            yield address


class Watch:
    """What happened in a page that should not: it is gathered here and read at the end."""

    def __init__(self, page: sync_api.Page) -> None:
        self.dialogs: list[str] = []
        self.remote: list[str] = []
        self.violations: list[str] = []
        page.on("dialog", self._dialog)
        page.on("request", self._request)
        page.on("console", self._console)
        page.add_init_script(
            "document.addEventListener('securitypolicyviolation', event => "
            "console.error('Content Security Policy: ' + event.violatedDirective + ' ' "
            "+ event.blockedURI + ' ' + event.sample))"
        )

    def _dialog(self, dialog: sync_api.Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def _request(self, request: sync_api.Request) -> None:
        if not request.url.startswith(("data:", "blob:")) and (
            urlsplit(request.url).hostname != "127.0.0.1"
        ):
            self.remote.append(request.url)

    def _console(self, message: sync_api.ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            self.violations.append(message.text)


@pytest.fixture
def page(address: str, browser: sync_api.Browser) -> Iterator[sync_api.Page]:
    """Open the page; in the end nothing has run, been asked of elsewhere, or been blocked."""
    page = browser.new_page(viewport={"width": 390, "height": 800})
    watch = Watch(page)
    page.goto(address)
    page.get_by_test_id("stChatInputTextArea").wait_for(timeout=PATIENCE)
    yield page
    assert page.evaluate("window.harmed") is None
    assert (watch.dialogs, watch.remote, watch.violations) == ([], [], [])
    assert page.title() == "Citadelle"
    page.close()


def ask(page: sync_api.Page, question: str) -> None:
    settled = page.locator(".cit-answer, .cit-notice")
    before = settled.count()
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.get_by_test_id("stChatInputTextArea").press("Enter")
    settled.nth(before).wait_for(timeout=PATIENCE)
    page.wait_for_timeout(SECONDS / 2)


def go_to(page: sync_api.Page, view: str) -> None:
    """Go to a view by way of the side bar, which a phone hides."""
    expand = page.get_by_test_id("stExpandSidebarButton")
    if expand.count():
        expand.click()
    page.get_by_role("radio", name=view).click()


def check_drawn(page: sync_api.Page) -> None:
    """Nothing became an element, and nothing scrolls sideways."""
    found = page.locator(FORBIDDEN).evaluate_all("found => found.map(e => e.outerHTML)")
    assert [html for html in found if not any(own in html for own in OWN)] == []
    assert page.evaluate(
        "[document.documentElement, document.querySelector('.stMain')]"
        ".every(e => e.scrollWidth <= e.clientWidth)"
    )


def test_hostile_documents_are_quoted_listed_and_read_as_text(page: sync_api.Page) -> None:
    ask(page, QUESTION)
    assert "Octavie Lerouge" in page.locator(".cit-answer").inner_text()
    cards = page.locator(".cit-card")
    assert "<script>" in cards.first.locator(".cit-title").inner_text()
    check_drawn(page)

    go_to(page, "Documents")
    page.locator(".cit-source").nth(1).wait_for(timeout=PATIENCE)
    names = page.locator(".cit-source code").all_inner_texts()
    assert sorted(names) == ["<b>gras<b>.txt", NAME]
    check_drawn(page)

    page.get_by_role("button", name="Lire le document").nth(names.index(NAME)).click()
    whole = page.locator(".cit-document")
    whole.wait_for(timeout=PATIENCE)
    page.get_by_text(TEXTS["fr"].properties, exact=True).click()
    properties = page.locator(".cit-properties")
    properties.wait_for(timeout=PATIENCE)
    text = properties.inner_text() + whole.inner_text()
    # What Markdown makes of its marks is its own affair; what is HTML stays as it was written.
    for shown in ("window.harmed = 1; alert(1)", "dehors", "{{7*7}} ${7*7}", ":material/home:"):
        assert shown in text
    check_drawn(page)


def test_hostile_questions_are_shown_as_they_were_asked(page: sync_api.Page) -> None:
    question = f"{QUESTION} {' '.join(TRICKS)} {LONG[:300]}"
    ask(page, question)
    assert page.locator(".cit-question").text_content() == question
    check_drawn(page)
    # And once more, as the history of the next one.
    ask(page, "Et depuis quand ?")
    check_drawn(page)


def test_hostile_addresses_are_words(address: str, browser: sync_api.Browser) -> None:
    page = browser.new_page()
    watch = Watch(page)
    page.goto(f"{address}/?lang=<script>alert(1)</script>&c=../../etc/passwd&doc=<img src=x>&at=-1")
    page.get_by_test_id("stChatInputTextArea").wait_for(timeout=PATIENCE)
    check_drawn(page)
    assert (watch.dialogs, watch.remote, watch.violations) == ([], [], [])
    page.close()


def test_every_view_works_within_its_policy(page: sync_api.Page) -> None:
    go_to(page, "Évaluation")
    report = page.frame_locator("iframe")
    report.get_by_role("heading", level=1).wait_for(timeout=PATIENCE)
    # The script of the report runs: without it there is no field to search in.
    report.get_by_role("searchbox").first.wait_for(timeout=PATIENCE)
    # While the results are still being drawn, what is opened closes again.
    page.wait_for_timeout(2 * SECONDS)
    page.get_by_role("combobox", name="Questions à poser").click()
    page.get_by_role("option", name="Un autre fichier").click()
    upload = page.get_by_test_id("stFileUploaderDropzoneInput")
    upload.set_input_files([{"name": "<img>.jsonl", "mimeType": "text/plain", "buffer": b"{}"}])
    page.locator(".cit-notice-error").wait_for(timeout=PATIENCE)
    check_drawn(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="(JSON)").click()
    assert Path(download.value.path()).stat().st_size > 1000


def test_what_got_into_the_page_all_the_same_reaches_nothing(
    address: str, browser: sync_api.Browser
) -> None:
    page = browser.new_page()
    watch = Watch(page)
    page.goto(address)
    page.get_by_test_id("stChatInputTextArea").wait_for(timeout=PATIENCE)
    page.evaluate(
        """() => {
            const place = document.createElement("div");
            place.innerHTML = `<img src="https://remote.invalid/x.png">
                <img src=x onerror="window.harmed = 1">
                <iframe src="https://remote.invalid/f"></iframe>
                <form action="https://remote.invalid/f"><button id="send">x</button></form>`;
            document.body.append(place);
            const inline = document.createElement("script");
            inline.textContent = "window.harmed = 1";
            const remote = document.createElement("script");
            remote.src = "https://remote.invalid/x.js";
            document.body.append(inline, remote);
            fetch("https://remote.invalid/").catch(() => {});
            document.getElementById("send").click();
        }"""
    )
    page.wait_for_timeout(SECONDS)
    assert page.evaluate("window.harmed") is None
    blocked = {line.split()[3] for line in watch.violations if line.startswith("Content")}
    assert blocked >= {
        "img-src",
        "script-src-elem",
        "script-src-attr",
        "connect-src",
        "frame-src",
        "form-action",
    }
    assert page.url.startswith(address)
    page.close()
