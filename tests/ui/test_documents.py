"""The view of the documents."""

from __future__ import annotations

from rag.types import Skipped
from tests.ui.conftest import FakeEngine, Start, document, shown
from ui.texts import TEXTS


def test_documents_are_listed_and_read(start: Start) -> None:
    engine = FakeEngine(skipped=(Skipped("vide.pdf", "no text"),))
    page = start(engine)
    page.button_group(key="view").set_value("documents").run()
    markup = shown(page)
    for expected in ("note.md", "français", "1 passage", "Le vieux fort", "fortifications"):
        assert expected in markup
    assert "1 document n’a pas pu être lu" in markup and "vide.pdf" in markup
    page.button(key="read-note.md").click().run()
    assert "cit-document" in shown(page) and "Fin." in shown(page)
    page.button(key="back").click().run()
    assert "cit-document" not in shown(page)


def test_many_documents_are_paged_and_filtered(start: Start) -> None:
    documents = {f"{n}.md": document(f"Texte {n}", f"{n}.md") for n in range(45)}
    page = start(FakeEngine(documents))
    page.button_group(key="view").set_value("documents").run()
    assert shown(page).count('"cit-source"') == 20
    page.text_input(key="find").set_value("texte 44").run()
    assert shown(page).count('"cit-source"') == 1
    page.text_input(key="find").set_value("rien").run()
    assert TEXTS["fr"].documents_none in shown(page)
