"""The page in a real browser, with the real engine, end to end."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from docs.screenshot import QUESTION, ROOT, find_chromium, serving
from eval.report.glossary import HEADLINES
from rag.feedback import FeedbackStore
from rag.history import ConversationStore

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here")

QUOTE = "représente la Belgique au sein du European Cybersecurity Certification Group (ECCG)"
TITLE = "Relations internationales"
MISSIONS = "Quelles sont les missions du Belgian Cyber Command ?"
MISSION = "Soutien aux opérations : Fournir un soutien cyber"
SECONDS = 1000
PATIENCE = 120 * SECONDS

HOSTILE_NAME = "phare.md"
HOSTILE = """# Le phare <img src=x onerror="document.title='owned'">

Le phare de Gatteville est gardé par <script>document.title='owned'</script> Octavie Lerouge.
![image](http://remote.invalid/x.png) [lien](javascript:document.title='owned') $x^2$ :red[rouge]
"""

GOLD = (
    {
        "id": "b1",
        "lang": "en",
        "question": QUESTION,
        "answers": ["NCCA-BE"],
        "evidence": [QUOTE],
        "doc": "ccb-relations",
        "type": "fact",
        "answerable": True,
    },
    {
        "id": "b2",
        "lang": "fr",
        "question": "Qui a vendu <b>sept</b> voiliers rouges ?",
        "answers": [],
        "evidence": [],
        "doc": "",
        "type": "unanswerable",
        "answerable": False,
    },
)

FORBIDDEN = ":is(img, iframe, form, script, a[href^='javascript'], a[href^='http'])"

Open = Callable[..., AbstractContextManager["sync_api.Page"]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of what the page keeps, with a file of two questions in it."""
    folder = tmp_path_factory.mktemp("data")
    lines = "\n".join(json.dumps(item, ensure_ascii=False) for item in GOLD)
    (folder / "tiny.jsonl").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    corpus = folder / "corpus"
    shutil.copytree(ROOT / "corpus", corpus)
    (corpus / HOSTILE_NAME).write_text(HOSTILE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITADELLE_DATA", str(data))
        with serving(corpus, folder / "index") as address:
            yield address


@pytest.fixture
def opened(address: str, browser: sync_api.Browser) -> Open:
    """Return a context that opens the page, and closes it once it asked only this machine."""

    @contextmanager
    def open_page(width: int = 1280, height: int = 800) -> Iterator[sync_api.Page]:
        page = browser.new_page(viewport={"width": width, "height": height})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url))
        page.on("dialog", lambda dialog: pytest.fail(f"A script ran: {dialog.message}"))
        page.goto(address)
        box = page.get_by_test_id("stChatInputTextArea")
        failure = page.locator(".cit-notice-error")
        box.or_(failure).first.wait_for(timeout=PATIENCE)
        assert failure.all_inner_texts() == []
        assert page.locator("html").get_attribute("lang") == "fr"
        yield page
        assert page.title() == "Citadelle"
        assert asked
        hosts = {urlsplit(url).hostname for url in asked if not url.startswith(("data:", "blob:"))}
        assert hosts == {"127.0.0.1"}
        page.close()

    return open_page


def ask(page: sync_api.Page, question: str) -> None:
    """Ask a question and wait until its answer, or the lack of one, is drawn."""
    settled = page.locator(".cit-answer, .cit-notice")
    before = settled.count()
    box = page.get_by_test_id("stChatInputTextArea")
    box.fill(question)
    box.press("Enter")
    settled.nth(before).wait_for(timeout=PATIENCE)


def outside(page: sync_api.Page) -> list[str]:
    """Return what is drawn beyond either side of the window."""
    found: list[str] = page.evaluate(
        "[...document.querySelectorAll('.stMain, .stMain .stHtml *')].filter(e => {"
        "const box = e.getBoundingClientRect();"
        "return box.width > 1 && (box.right > innerWidth || box.left < 0)})"
        ".map(e => e.className)"
    )
    return found


def test_answer_is_cited_and_its_passage_highlighted(opened: Open) -> None:
    with opened() as page:
        ask(page, QUESTION)
        card = page.locator(".cit-card").first
        card.locator("mark").first.wait_for(timeout=PATIENCE)
        assert QUOTE in " ".join(card.locator("mark").all_inner_texts())
        assert card.locator(".cit-title").inner_text() == TITLE
        assert QUOTE in page.locator(".cit-answer").inner_text()
        # What is highlighted stands within what is around it.
        assert len(card.locator(".cit-text").inner_text()) > len(QUOTE) + 100

        # The whole document is beside it, at the quote.
        whole = page.locator(".cit-document")
        whole.wait_for(timeout=PATIENCE)
        assert QUOTE in " ".join(whole.locator("mark").all_inner_texts())
        assert "Counter-Ransomware Initiative" in whole.inner_text()
        sync_api.expect(whole.locator("mark").first).to_be_in_viewport(timeout=PATIENCE)


def test_passages_are_shown_before_the_answer_takes_their_place(opened: Open) -> None:
    with opened() as page:
        ask(page, QUESTION)
        page.evaluate(
            "window.seen = []; new MutationObserver(() => {"
            "const last = [...document.querySelectorAll('.stChatMessage')].at(-1);"
            "for (const name of ['cit-found', 'cit-answer'])"
            "  if (last?.querySelector('.' + name) && seen.at(-1)?.name !== name) seen.push({name,"
            "    top: [...document.querySelectorAll('.cit-question')].at(-1)"
            "      .getBoundingClientRect().top});"
            "}).observe(document.body, {childList: true, subtree: true})"
        )
        ask(page, MISSIONS)
        page.wait_for_timeout(SECONDS)
        steps = page.evaluate("seen")
        assert [step["name"] for step in steps][-2:] == ["cit-found", "cit-answer"]
        assert page.locator(".cit-found").count() == 0
        # The question stood where it stands by then: nothing jumps.
        top = page.locator(".cit-question").last.bounding_box()["y"]
        assert steps[-1]["top"] == pytest.approx(top, abs=3)


def followed(page: sync_api.Page) -> str:
    """Return what stands out in the source, numbers left out."""
    texts: list[str] = page.evaluate(
        "[...document.querySelectorAll('.cit-document mark')].filter(mark =>"
        "!getComputedStyle(mark).boxShadow.startsWith('rgba(0, 0, 0, 0)'))"
        ".map(mark => mark.textContent)"
    )
    return " ".join(texts)


def test_source_is_checked_beside_the_answer_and_sent_to_a_colleague(
    opened: Open, browser: sync_api.Browser
) -> None:
    with opened() as page:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        ask(page, MISSIONS)
        source = page.locator(".st-key-reading")
        marker = page.locator(".cit-marker[data-open='1.4']")
        # Beside it, not over it.
        source.wait_for(timeout=PATIENCE)
        assert page.locator(".cit-answer").bounding_box()["width"] > 300
        assert outside(page) == []
        sync_api.expect(marker).to_be_visible()
        marker.click()
        sync_api.expect(page.locator(".cit-place")).to_contain_text("4 sur 4", timeout=PATIENCE)
        assert followed(page).startswith(MISSION)
        mark = page.locator(".cit-document mark[data-keys='4']")
        sync_api.expect(mark).to_be_in_viewport(ratio=1, timeout=PATIENCE)

        page.get_by_role("button", name="Copier l’adresse").click()
        sync_api.expect(page.get_by_role("button", name="Adresse copiée")).to_be_visible()
        copied = page.evaluate("navigator.clipboard.readText()")
        other = browser.new_page()
        other.goto(copied)
        other.locator(".cit-document mark").wait_for(timeout=PATIENCE)
        sync_api.expect(other.locator(".cit-document mark")).to_be_in_viewport(
            ratio=1, timeout=PATIENCE
        )
        assert followed(other) == mark.text_content()
        assert other.locator(".cit-question").count() == 0
        other.close()

        # What is copied of the answer is its words, without numbers and hints.
        page.evaluate("getSelection().selectAllChildren(document.querySelector('.cit-answer'))")
        words = page.evaluate("getSelection().toString()")
        assert MISSION in words and "[4]" not in words and "**" not in words

        # By keyboard: away and back to the marker, and to the quote again.
        marker.focus()
        page.keyboard.press("Escape")
        sync_api.expect(source).to_have_count(0, timeout=PATIENCE)
        sync_api.expect(marker).to_be_focused()
        page.keyboard.press("Enter")
        sync_api.expect(mark.first).to_be_focused(timeout=PATIENCE)
        page.get_by_role("button", name="Citation précédente").press("Enter")
        sync_api.expect(page.locator(".cit-place")).to_contain_text("3 sur 4", timeout=PATIENCE)
        page.get_by_role("button", name="Fermer la source").press("Enter")
        sync_api.expect(source).to_have_count(0, timeout=PATIENCE)
        sync_api.expect(marker).to_be_focused()


def test_phone_opens_the_source_over_the_answer_when_asked(opened: Open) -> None:
    with opened(360, 740) as page:
        ask(page, MISSIONS)
        source = page.locator(".st-key-reading")
        source.wait_for(state="attached", timeout=PATIENCE)
        sync_api.expect(source).to_be_hidden()
        marker = page.locator(".cit-marker[data-open='1.2']")
        marker.focus()
        page.keyboard.press("Enter")
        sync_api.expect(source).to_be_visible(timeout=PATIENCE)
        mark = page.locator(".cit-document mark[data-keys='2']")
        sync_api.expect(mark).to_be_focused(timeout=PATIENCE)
        sync_api.expect(mark).to_be_in_viewport()
        assert outside(page) == []
        page.keyboard.press("Escape")
        sync_api.expect(source).to_have_count(0, timeout=PATIENCE)
        sync_api.expect(marker).to_be_focused()


def test_the_switch_is_remembered_by_the_browser(opened: Open, address: str) -> None:
    with opened() as page:
        ask(page, QUESTION)
        switch = page.get_by_role("switch", name="Ouvrir la source avec chaque réponse")
        page.get_by_text("Ouvrir la source avec chaque réponse").click()
        sync_api.expect(switch).not_to_be_checked(timeout=PATIENCE)
        # The page's policy lets nothing be evaluated but what is sent whole.
        page.evaluate(
            "new Promise(done => { const look = () => "
            "localStorage['citadelle-source-beside'] === 'no' ? done() : setTimeout(look, 50); "
            "look() })"
        )
        page.goto(address)
        ask(page, QUESTION)
        page.wait_for_timeout(2 * SECONDS)
        sync_api.expect(page.locator(".st-key-reading")).to_have_count(0)


@pytest.mark.parametrize(("width", "height"), [(360, 740), (1600, 1000)])
def test_page_fits_and_shows_the_answer_first(opened: Open, width: int, height: int) -> None:
    with opened(width, height) as page:
        ask(page, QUESTION)
        page.wait_for_timeout(SECONDS)
        sync_api.expect(page.locator(".cit-question")).to_be_in_viewport()
        sync_api.expect(page.get_by_test_id("stChatInputTextArea")).to_be_in_viewport()
        assert outside(page) == []


def test_filters_are_chosen_from_the_keyboard_and_kept(opened: Open) -> None:
    with opened(360, 740) as page:
        page.get_by_role("button", name="Filtrer les documents").press("Enter")
        tags = page.get_by_role("combobox", name="Étiquette")
        tags.press("ArrowDown")
        tags.press_sequentially("militaire")
        sync_api.expect(page.get_by_role("option")).to_have_count(1, timeout=PATIENCE)
        tags.press("Enter")
        beside = page.locator(".st-key-filters .cit-chip")
        sync_api.expect(beside).to_have_text(re.compile("militaire"), timeout=PATIENCE)
        page.keyboard.press("Escape")
        sync_api.expect(tags).to_have_count(0, timeout=PATIENCE)
        ask(page, "Quel est le budget du laboratoire de chimie ?")
        with_question = page.locator(".stChatMessage .cit-chip")
        sync_api.expect(with_question).to_have_text(re.compile("militaire"))
        assert outside(page) == []
        page.get_by_role("button", name="Effacer les filtres").press("Enter")
        sync_api.expect(beside).to_have_count(0, timeout=PATIENCE)
        sync_api.expect(with_question).to_have_count(1)


def test_hostile_question_and_document_are_shown_as_text(opened: Open) -> None:
    question = (
        "Qui garde le phare de Gatteville ? <img src=x onerror=alert(1)> "
        "![x](http://remote.invalid/y.png)"
    )
    with opened() as page:
        ask(page, question)
        assert page.locator(".cit-question").inner_text() == question
        assert page.locator(".stChatMessage .stHtml").locator(FORBIDDEN).count() == 0
        page.get_by_role("radio", name="Documents").click()
        cards = page.locator(".cit-source")
        cards.nth(2).wait_for(timeout=PATIENCE)
        page.locator(f".st-key-read-{HOSTILE_NAME.replace('.', '-')} button").click()
        whole = page.locator(".cit-document")
        whole.wait_for(timeout=PATIENCE)
        assert "Octavie Lerouge" in whole.inner_text()
        assert whole.locator(FORBIDDEN).count() == 0


def test_phone_shows_the_documents_from_their_top(opened: Open) -> None:
    with opened(360, 740) as page:
        ask(page, QUESTION)
        page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_role("radio", name="Documents").click()
        page.locator(".cit-source").first.wait_for(timeout=PATIENCE)
        sync_api.expect(page.get_by_test_id("stSidebar")).to_have_attribute(
            "data-collapsed", "true"
        )
        sync_api.expect(page.get_by_role("heading", name="Documents")).to_be_in_viewport()
        page.wait_for_timeout(SECONDS)
        assert outside(page) == []


def test_too_long_question_stays_in_the_box(opened: Open) -> None:
    with opened() as page:
        ask(page, "é" * 20_000)
        sync_api.expect(page.locator(".cit-notice-warning")).to_contain_text("2\u202f000")
        sync_api.expect(page.get_by_test_id("stChatInputTextArea")).to_have_value("é" * 20_000)


def test_thumb_is_kept_and_can_be_taken_back(opened: Open, data: Path) -> None:
    store = FeedbackStore(data)
    with opened(360, 740) as page:
        ask(page, QUESTION)
        yes = page.get_by_role("radio", name="Oui")
        yes.click()
        thanks = page.get_by_text("reste sur cet ordinateur")
        thanks.wait_for(timeout=PATIENCE)
        (feedback,) = store.list()
        assert (feedback.question, feedback.verdict) == (QUESTION, "right")

        page.get_by_role("radio", name="Non").click()
        remark = page.get_by_role("textbox", name="Une remarque")
        remark.fill("Il manque la date.")
        assert outside(page) == []
        page.get_by_role("button", name="Enregistrer").click()
        page.get_by_role("button", name="Préciser").wait_for(timeout=PATIENCE)
        (feedback,) = store.list()
        assert (feedback.verdict, feedback.comment) == ("wrong", "Il manque la date.")

        page.get_by_role("radio", name="Non").click()
        sync_api.expect(thanks).to_have_count(0, timeout=PATIENCE)
        assert store.list() == ()


def test_question_is_answered_after_a_reload_in_the_middle(opened: Open, data: Path) -> None:
    with opened() as page:
        box = page.get_by_test_id("stChatInputTextArea")
        box.fill(QUESTION)
        box.press("Enter")
        page.wait_for_url(re.compile(r"\?c=[0-9a-f]{16}$"), timeout=PATIENCE)
        page.reload()
        answer = page.locator(".cit-answer")
        answer.wait_for(timeout=PATIENCE)
        assert QUOTE in answer.inner_text()
        identifier = page.url.partition("?c=")[2]
        (exchange,) = ConversationStore(data).exchanges(identifier)
        assert exchange.question == QUESTION and exchange.answer is not None

        page.reload()
        quoted = page.locator(".cit-card mark").first
        sync_api.expect(quoted).to_contain_text(QUOTE, timeout=PATIENCE)
        assert page.url.endswith(identifier)


def test_two_windows_that_ask_at_once_do_not_mix(opened: Open) -> None:
    other = "À quoi contribue le Belgian Cyber Command ?"
    with opened() as one, opened() as two:
        for page, question in ((one, QUESTION), (two, other)):
            box = page.get_by_test_id("stChatInputTextArea")
            box.fill(question)
            box.press("Enter")
        for page, question in ((one, QUESTION), (two, other)):
            page.locator(".cit-answer").wait_for(timeout=PATIENCE)
            assert page.locator(".cit-question").all_inner_texts() == [question]
        assert QUOTE in one.locator(".cit-answer").inner_text()
        assert QUOTE not in two.locator(".cit-answer").inner_text()
        assert one.url != two.url

        # The same conversation in both: what was added in one is seen in the other.
        two.goto(one.url)
        sync_api.expect(two.locator(".cit-question")).to_have_text([QUESTION], timeout=PATIENCE)
        ask(two, other)
        ask(one, "Quel est le budget du laboratoire de chimie ?")
        sync_api.expect(one.locator(".cit-question")).to_have_count(3, timeout=PATIENCE)
        assert one.locator(".cit-question").all_inner_texts()[:2] == [QUESTION, other]


def test_back_and_forward_go_where_one_was(opened: Open) -> None:
    with opened() as page:
        asked, welcome = page.locator(".cit-question"), page.locator(".cit-welcome")
        ask(page, QUESTION)
        first = page.url
        page.get_by_role("button", name="Nouvelle conversation").click()
        welcome.wait_for(timeout=PATIENCE)
        ask(page, MISSIONS)
        page.get_by_role("radio", name="Documents").click()
        page.get_by_role("button", name="Lire le document").first.click()
        document = page.locator(".cit-document")
        document.wait_for(timeout=PATIENCE)
        page.go_back()
        sync_api.expect(document).to_have_count(0, timeout=PATIENCE)
        sync_api.expect(page.locator(".cit-source").nth(1)).to_be_visible(timeout=PATIENCE)
        page.go_back()
        sync_api.expect(asked).to_have_text([MISSIONS], timeout=PATIENCE)
        page.go_back()
        welcome.wait_for(timeout=PATIENCE)
        page.go_back()
        sync_api.expect(asked).to_have_text([QUESTION], timeout=PATIENCE)
        assert page.url == first
        page.go_forward()
        welcome.wait_for(timeout=PATIENCE)
        page.go_forward()
        sync_api.expect(asked).to_have_text([MISSIONS], timeout=PATIENCE)
        page.go_forward()
        sync_api.expect(page.locator(".cit-source").nth(1)).to_be_visible(timeout=PATIENCE)
        # A conversation is opened in one step.
        page.locator(f"[class*=st-key-open-{first.partition('?c=')[2]}] button").click()
        sync_api.expect(asked).to_have_text([QUESTION], timeout=PATIENCE)
        page.go_back()
        sync_api.expect(page.locator(".cit-source").nth(1)).to_be_visible(timeout=PATIENCE)


def test_conversation_is_opened_renamed_deleted_and_brought_back(opened: Open) -> None:
    title = "![x](http://remote.invalid/z.png) -> :smile: :material/home: $x$ :red[y] <b>"
    with opened(360, 740) as page:
        ask(page, QUESTION)
        # What brings the answer into view closes the side bar, and with it what is open there.
        page.get_by_text("La réponse est affichée.").wait_for(state="attached", timeout=PATIENCE)
        page.wait_for_timeout(SECONDS)
        page.get_by_test_id("stExpandSidebarButton").click()
        current = page.locator("[class*=st-key-current-]")
        current.get_by_role("button", name=f"Actions sur « {QUESTION}").press("Enter")
        name = page.get_by_role("textbox", name="Titre de la conversation")
        name.wait_for(timeout=PATIENCE)
        name.fill(title)
        name.press("Enter")
        row = current.get_by_role("button").first
        sync_api.expect(row).to_contain_text("remote.invalid", timeout=PATIENCE)
        # Shown as it was typed; what keeps signs apart is not seen.
        assert row.locator("p").inner_text().replace("\u2060", "") == title
        assert page.get_by_test_id("stSidebar").locator("img, a, .katex").count() == 0

        page.get_by_role("button", name="Nouvelle conversation").click()
        page.locator(".cit-welcome").wait_for(timeout=PATIENCE)
        page.wait_for_timeout(2 * SECONDS)
        if page.get_by_test_id("stSidebar").get_attribute("data-collapsed") == "true":
            page.get_by_test_id("stExpandSidebarButton").click()
        # Not the first of the list, which may be of another test that went on meanwhile.
        renamed = page.locator("[class*=st-key-open-] button", has_text="remote.invalid")
        renamed.press("Enter")
        page.locator(".cit-answer").wait_for(timeout=PATIENCE)
        # On a phone the list makes way for what was opened.
        sync_api.expect(page.get_by_test_id("stSidebar")).to_have_attribute(
            "data-collapsed", "true", timeout=PATIENCE
        )
        sync_api.expect(page.locator(".cit-question")).to_be_in_viewport()
        assert outside(page) == []

        page.get_by_test_id("stExpandSidebarButton").click()
        current.locator("[class*=st-key-actions-] button").press("Enter")
        page.get_by_role("button", name="Supprimer").press("Enter")
        page.locator(".cit-welcome").wait_for(timeout=PATIENCE)
        assert "?c=" not in page.url
        if page.get_by_test_id("stSidebar").get_attribute("data-collapsed") == "true":
            page.get_by_test_id("stExpandSidebarButton").click()
        page.get_by_role("button", name="Annuler la suppression").press("Enter")
        page.locator(".cit-answer").wait_for(timeout=PATIENCE)
        assert "?c=" in page.url


def test_conversation_is_exported(opened: Open, browser: sync_api.Browser, tmp_path: Path) -> None:
    with opened() as page:
        ask(page, QUESTION)
        page.locator("[class*=st-key-current-] [class*=st-key-actions-] button").click()
        files = {}
        for label, suffix in (("Markdown", "md"), ("Page à imprimer", "html"), ("Données", "json")):
            with page.expect_download(timeout=PATIENCE) as download:
                page.get_by_role("button", name=label).click()
            name = download.value.suggested_filename
            assert re.fullmatch(rf"citadelle-[\d-]+-who-represents[a-z-]+\.{suffix}", name)
            files[suffix] = tmp_path / name
            download.value.save_as(files[suffix])
        url = urlsplit(page.url)
    assert QUOTE in files["md"].read_text(encoding="utf-8")
    record = json.loads(files["json"].read_text(encoding="utf-8"))
    (citation,) = record["exchanges"][0]["answer"]["citations"]
    place = f"doc={citation['doc_id']}&at={citation['start']}-{citation['end']}"
    digest = hashlib.sha256(citation["quote"].encode()).hexdigest()[:12]
    assert citation["address"] == f"http://{url.netloc}/?{place}&hash={digest}"

    alone = browser.new_page()
    asked: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.goto(files["html"].as_uri())
    assert asked == [files["html"].as_uri()]
    assert alone.locator("html").get_attribute("lang") == "fr"
    assert QUOTE in alone.locator("blockquote").inner_text()
    # The style is let through by what forbids all else.
    assert alone.locator("figure").evaluate("e => getComputedStyle(e).borderLeftWidth") == "3px"
    assert alone.pdf().startswith(b"%PDF")
    alone.close()


@pytest.mark.parametrize("clipboard", [True, False])
def test_answer_is_copied_from_the_keyboard(
    address: str, browser: sync_api.Browser, clipboard: bool
) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    if not clipboard:
        # As on plain http from another machine.
        page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(address)
    page.get_by_test_id("stChatInputTextArea").wait_for(timeout=PATIENCE)
    ask(page, QUESTION)
    other = context.new_page()
    other.goto(f"{address}/_stcore/health")
    opener = page.locator("summary", has_text="Copier")
    for name, sign in (
        ("Texte avec ses sources", "\n\nSources\u00a0:\n[1] «\u00a0"),
        ("Markdown", "\n> \\[1\\] Relations internationales"),
        ("Citation avec notes de bas de page", "¹ Relations internationales"),
    ):
        page.bring_to_front()
        opener.focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name=name).focus()
        page.keyboard.press("Enter")
        said = page.locator("[role=status]", has_text="Copié")
        said.wait_for(timeout=PATIENCE)
        assert said.get_attribute("aria-live") == "polite"
        sync_api.expect(opener).to_be_focused()
        sync_api.expect(page.get_by_role("button", name=name)).to_be_hidden()
        other.bring_to_front()
        copied = other.evaluate("navigator.clipboard.readText()")
        assert QUOTE in copied and sign in copied
        assert f"{address}/?doc=ccb-relations-internationales.txt&at=" in copied
    context.close()


def test_evaluation_is_run_from_the_keyboard_and_shows_its_figures(
    opened: Open, data: Path
) -> None:
    with opened() as page:
        page.get_by_role("radio", name="Évaluation").click()
        questions = page.get_by_role("combobox", name="Questions à poser")
        questions.wait_for(timeout=PATIENCE)
        # At once, while the results are still being drawn: typing chooses nothing by itself.
        questions.press("ArrowDown")
        questions.press_sequentially("gold")
        highlighted = page.locator("[role=option][data-focused]")
        for _ in range(2 * page.get_by_role("option").count()):
            if "tiny" in highlighted.inner_text():
                break
            questions.press("ArrowDown")
            page.wait_for_timeout(SECONDS / 5)
        questions.press("Enter")
        sync_api.expect(questions).to_have_value(re.compile("tiny"), timeout=20 * SECONDS)
        page.get_by_text(re.compile(r"dans les documents\s*:\s*1(?!\d)")).wait_for(timeout=20_000)
        page.get_by_role("button", name="Lancer l’évaluation").press("Enter")
        # The baseline is shown until the run is over.
        details = page.frame_locator("iframe")
        title = details.get_by_role("heading", level=1)
        sync_api.expect(title).to_contain_text("tiny", timeout=PATIENCE)
        figures = page.get_by_test_id("stMetric")
        sync_api.expect(figures).to_have_count(len(HEADLINES), timeout=PATIENCE)
        assert figures.first.inner_text().split("\n")[0] == "Réponses justes"
        sync_api.expect(figures.first).to_be_in_viewport()

        assert GOLD[1]["question"] in details.locator("body").text_content()
        assert details.locator("img, iframe, form").count() == 0
        # Whatever is in there, it cannot reach the page around it.
        (inner,) = (frame for frame in page.frames if frame.parent_frame is not None)
        reached = "(() => { try { return parent.document.title } catch (e) { return e.name } })()"
        assert inner.evaluate(reached) == "SecurityError"
        assert outside(page) == []

        (saved,) = (data / "evaluations").glob("*.json")
        with page.expect_download() as download:
            page.get_by_role("button", name="JSON").click()
        assert download.value.suggested_filename == saved.name
        assert Path(download.value.path()).read_bytes() == saved.read_bytes()


def test_a_document_is_added_asked_removed_and_put_back(opened: Open) -> None:
    # Long, because the passages are embedded meanwhile.
    patience = 3 * PATIENCE
    with opened() as page:
        page.get_by_role("radio", name="Documents").click()
        page.get_by_text("Ajouter des documents").click()
        page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
            [
                {
                    "name": "Moulin de Kérouat.md",
                    "mimeType": "text/markdown",
                    "buffer": "# Le moulin de Kérouat\n\nLe moulin a été bâti en 1610.\n".encode(),
                },
                {"name": "<b>abîmé</b>.pdf", "mimeType": "application/pdf", "buffer": b"rien"},
            ]
        )
        page.get_by_role("button", name="Ajouter à la collection").click()
        report = page.locator(".st-key-change-report")
        report.wait_for(timeout=patience)
        sync_api.expect(report).to_contain_text("Ajoutés · 1")
        sync_api.expect(report).to_contain_text("est un PDF endommagé")
        assert report.locator("b").count() == 0

        find = page.get_by_role("textbox", name=re.compile("Chercher par titre"))
        find.fill("kerouat MOULIN")
        find.press("Enter")
        cards = page.locator(".cit-source")
        sync_api.expect(cards).to_have_count(1, timeout=PATIENCE)
        sync_api.expect(cards).to_contain_text("Le moulin de Kérouat")
        page.get_by_role("button", name="N’interroger que ce document").click()
        beside = page.locator(".st-key-filters .cit-chip")
        sync_api.expect(beside).to_contain_text("Le moulin de Kérouat", timeout=PATIENCE)
        ask(page, "En quelle année le moulin de Kérouat a-t-il été bâti ?")
        sync_api.expect(page.locator(".cit-answer")).to_contain_text("1610", timeout=PATIENCE)

        page.get_by_role("radio", name="Documents").click()
        page.get_by_role("button", name="Retirer").first.click()
        dialog = page.get_by_role("dialog")
        sync_api.expect(dialog).to_contain_text("n’est pas supprimé", timeout=PATIENCE)
        dialog.get_by_role("button", name="Retirer").press("Enter")
        sync_api.expect(report).to_contain_text("est retiré", timeout=patience)
        sync_api.expect(dialog).to_have_count(0)
        # The filter on what has gone no longer holds.
        names = page.locator(".cit-source code")
        sync_api.expect(names.first).to_be_visible(timeout=PATIENCE)
        sync_api.expect(names.filter(has_text="Moulin")).to_have_count(0, timeout=PATIENCE)

        page.locator(".st-key-trash summary").click()
        page.get_by_role("button", name="Remettre").click()
        sync_api.expect(report).to_contain_text("est de retour", timeout=patience)
        sync_api.expect(names.filter(has_text="Moulin")).to_have_count(1, timeout=PATIENCE)
        assert outside(page) == []
