"""Every view, light and dark, checked by axe-core, and used with the keyboard alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from docs.screenshot import QUESTION, ROOT, find_chromium, serving

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium here")

SECONDS = 1000
PATIENCE = 120 * SECONDS
UNANSWERED = "Quel est le budget du laboratoire de chimie organique ?"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("accessible")
    shutil.copytree(ROOT / "corpus", folder / "corpus")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CITADELLE_DATA", str(folder / "data"))
        patch.setenv("CITADELLE_READER", "none")
        with serving(folder / "corpus", folder / "index") as address:
            yield address


def barriers(page: sync_api.Page) -> list[str]:
    """Return what axe finds serious or critical, once everything is drawn."""
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for(timeout=PATIENCE)
    # Colours change gradually.
    page.wait_for_timeout(SECONDS)
    found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
        for node in rule["nodes"]
    ]


def ask(page: sync_api.Page, question: str) -> None:
    settled = page.locator(".cit-answer, .cit-notice")
    before = settled.count()
    page.get_by_test_id("stChatInputTextArea").fill(question)
    page.get_by_test_id("stChatInputTextArea").press("Enter")
    settled.nth(before).wait_for(timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_has_a_barrier(address: str, browser: sync_api.Browser, scheme: str) -> None:
    page = browser.new_page(color_scheme=scheme)
    page.goto(address)
    page.get_by_test_id("stChatInputTextArea").wait_for(timeout=PATIENCE)
    found = {"empty": barriers(page)}
    ask(page, QUESTION)
    found["answer"] = barriers(page)
    ask(page, UNANSWERED)
    found["abstention"] = barriers(page)
    page.get_by_role("radio", name="Documents").click()
    page.locator(".cit-source").first.wait_for(timeout=PATIENCE)
    found["documents"] = barriers(page)
    page.get_by_role("button", name="Lire le document").first.click()
    page.locator(".cit-document").wait_for(timeout=PATIENCE)
    found["document"] = barriers(page)
    page.get_by_role("radio", name="Évaluation").click()
    page.frame_locator("iframe").get_by_role("heading", level=1).wait_for(timeout=PATIENCE)
    found["evaluation"] = barriers(page)
    assert {view: lines for view, lines in found.items() if lines} == {}
    page.close()


def tab_to(page: sync_api.Page, wanted: str, *, back: bool = False) -> None:
    """Press Tab until the focus is on an element that matches a selector."""
    for _ in range(80):
        page.keyboard.press("Shift+Tab" if back else "Tab")
        if page.evaluate("wanted => document.activeElement.matches(wanted)", wanted):
            return
    pytest.fail(f"Tab does not lead to {wanted}.")


def test_the_keyboard_alone_asks_opens_a_passage_and_finds_the_documents(
    address: str, browser: sync_api.Browser
) -> None:
    page = browser.new_page()
    page.goto(address)
    page.get_by_test_id("stChatInputTextArea").wait_for(timeout=PATIENCE)
    tab_to(page, "[data-testid=stChatInputTextArea]")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    page.locator(".cit-card mark").first.wait_for(timeout=PATIENCE)
    page.locator(".stApp[data-test-script-state=notRunning]").wait_for(timeout=PATIENCE)

    # The box keeps the focus; the marker stands before it, and leads to the quote in its source.
    tab_to(page, ".cit-marker", back=True)
    page.keyboard.press("Enter")
    quote = page.locator(".st-key-reading mark:focus")
    sync_api.expect(quote).to_be_in_viewport(timeout=PATIENCE)
    page.keyboard.press("Escape")
    sync_api.expect(page.locator(".st-key-reading")).to_have_count(0, timeout=PATIENCE)

    tab_to(page, ".st-key-view [role=radio]", back=True)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator(".cit-source").first.wait_for(timeout=PATIENCE)
    tab_to(page, "[class*=st-key-read-] button")
    page.keyboard.press("Enter")
    page.locator(".cit-document").wait_for(timeout=PATIENCE)
    page.close()
