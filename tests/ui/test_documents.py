"""The view of the documents: what there is, what can be changed, and what can go wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from streamlit.testing.v1 import AppTest

from rag import library as files
from rag.errors import IndexBusy, Message, NothingToIndex
from rag.library import Library, Upload
from rag.types import Block, Skipped
from tests.ui.conftest import HOSTILE, FakeEngine, SlowEngine, Start, document, read, shown
from ui import collection
from ui.texts import TEXTS, InterfaceLanguage

FRENCH = TEXTS["fr"]
PATIENCE = 20.0
NOTE = b"Le fort garde la Meuse.\n"


def opened(start: Start, engine: FakeEngine) -> AppTest:
    page = start(engine)
    page.button_group(key="view").set_value("documents").run()
    assert not page.exception
    return page


def settled(page: AppTest) -> AppTest:
    """Wait for the change that is under way, then draw the page."""
    change = collection._desk().current
    assert change is not None and change.wait(PATIENCE)
    page.run()
    assert not page.exception
    return page


def keys(page: AppTest) -> set[str]:
    return {button.key for button in page.button if button.key}


@pytest.fixture
def many() -> FakeEngine:
    """Return 45 documents, of which the first alone is in English and has another name."""
    documents = {f"{n}.md": document(f"Texte {n}", f"{n}.md") for n in range(45)}
    documents["0.md"] = replace(
        documents["0.md"],
        language="en",
        title="Écluse",
        metadata={"aliases": ("Barrage de l’Œuvre",), "format": "markdown"},
    )
    return FakeEngine(documents)


# --- The list -----------------------------------------------------------------------------


def test_documents_are_listed_and_read(start: Start) -> None:
    engine = FakeEngine(skipped=(Skipped("vide.pdf", Message("has no text layer: needs OCR")),))
    page = opened(start, engine)
    markup = shown(page)
    for expected in ("note.md", "français", "2 passages", "Le vieux fort", "fortifications"):
        assert expected in markup
    assert "61 caractères" in markup
    assert "1 document n’a pas pu être lu" in markup and "vide.pdf" in markup
    assert "reconnaissance de caractères" in markup
    page.button(key="read-note.md").click().run()
    assert "cit-document" in shown(page) and "Fin." in shown(page)
    page.button(key="back").click().run()
    assert "cit-document" not in shown(page)


def test_many_documents_are_paged_and_searched(start: Start, many: FakeEngine) -> None:
    page = opened(start, many)
    assert shown(page).count('"cit-source"') == 20
    # Whatever the accents and the case: a title, a name, another name, several words.
    for wanted, count in (
        ("texte 44", 1),
        ("ECLUSE", 1),
        ("oeuvre barrage", 1),
        ("4.md", 5),
        ("rien", 0),
    ):
        page.text_input(key="find").set_value(wanted).run()
        assert shown(page).count('"cit-source"') == count, wanted
    assert FRENCH.documents_none in shown(page)


def test_documents_are_put_in_order(start: Start, many: FakeEngine) -> None:
    many.documents["7.md"] = document("Un texte bien plus long", "7.md")
    page = opened(start, many)

    def first() -> str:
        return next(
            str(button.key) for button in page.button if str(button.key).startswith("read-")
        )

    # By title, "Écluse" is before "Texte".
    assert first() == "read-0.md"
    page.selectbox(key="sort").set_value("size").run()
    assert first() == "read-7.md"
    folder = many.settings.corpus
    folder.mkdir()
    (folder / "31.md").write_bytes(NOTE)
    page.selectbox(key="sort").set_value("changed").run()
    assert first() == "read-31.md"


def test_a_filter_narrows_the_list_and_the_questions(start: Start, many: FakeEngine) -> None:
    page = opened(start, many)
    page.selectbox(key="filter-language").set_value("en").run()
    assert shown(page).count('"cit-source"') == 1
    assert FRENCH.filters_shared in shown(page)
    page.button_group(key="view").set_value("questions").run()
    assert "Langue du document\xa0: anglais" in shown(page)


def test_only_one_document_is_asked(start: Start, many: FakeEngine) -> None:
    many.documents["note.md"] = document()
    page = opened(start, many)
    page.selectbox(key="filter-language").set_value("en").run()
    page.text_input(key="find").set_value("écluse").run()
    page.button(key="only-0.md").click().run()
    assert page.session_state["view"] == "questions"
    assert "Document\xa0: Écluse" in shown(page)
    assert "Langue du document\xa0:" not in shown(page)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert many.filtered == [{"doc": "0.md"}]


def test_properties_are_shown_once(start: Start) -> None:
    text = "pays : Niger\n\nLe projet."
    blocks = (Block("property", 0, 12), Block("paragraph", 14, 24))
    source = replace(document(text), blocks=blocks, metadata={"pays": "Niger"})
    page = opened(start, FakeEngine({source.doc_id: source}))
    page.button(key=f"read-{source.doc_id}").click().run()
    markup = shown(page)
    assert "<dt>pays</dt>" in markup and "Le projet." in markup
    assert '<div class="cit-property">' not in markup


@pytest.mark.parametrize(
    ("language", "said"), [("fr", "1er novembre 2026, 00:05"), ("en", "1 November 2026, 00:05")]
)
def test_a_time_is_that_of_the_visitor(
    monkeypatch: pytest.MonkeyPatch, language: InterfaceLanguage, said: str
) -> None:
    monkeypatch.setattr(collection, "visitor_zone", lambda: ZoneInfo("Europe/Brussels"))
    # An hour ahead of Greenwich since the last Sunday of October.
    when = datetime(2026, 10, 31, 23, 5, tzinfo=UTC)
    assert collection.written(when, TEXTS[language]) == said


def test_a_document_shows_its_properties_and_passages(start: Start) -> None:
    page = opened(start, FakeEngine())
    page.button(key="read-note.md").click().run()
    assert '<dd><span class="cit-chip">histoire</span>' in shown(page)
    assert "cit-chunk" not in shown(page)
    page.session_state["passages-note.md"] = True
    page.run()
    markup = shown(page)
    assert markup.count('"cit-chunk"') == 2
    assert "Le fort › Histoire" in markup and "# Le fort" in markup
    assert "caractères 30 à 61, 31 en tout" in markup


def test_hostile_names_and_contents_are_text(start: Start) -> None:
    name = "<b>x</b>&.md"
    hostile = replace(
        document(HOSTILE, name),
        metadata={"tags": (HOSTILE,), "aliases": HOSTILE, HOSTILE: HOSTILE, "type": (HOSTILE,)},
    )
    engine = FakeEngine({name: hostile, "note.md": document()})
    page = opened(start, engine)
    library = engine.library
    library.add([Upload("a<script>.md", NOTE)])
    library.remove("a_script_.md")
    page.session_state["trash"] = True
    page.run()
    for markup in (shown(page), shown(page.button(key=f"read-{name}").click().run())):
        _, tags = read(markup)
        assert not tags & {"script", "img", "b", "a", "form", "iframe"}
    page.session_state[f"passages-{name}"] = True
    page.run()
    text, tags = read(shown(page))
    assert HOSTILE in text and "script" not in tags
    page.button(key=f"remove-{name}").click().run()
    text, tags = read(shown(page))
    assert FRENCH.remove_text.split("{")[0] + HOSTILE in text
    assert not tags & {"script", "img", "b"}


# --- Adding -------------------------------------------------------------------------------


def choose(page: AppTest, *given: tuple[str, bytes]) -> AppTest:
    number = page.session_state["additions"]
    page.file_uploader(key=f"add-{number}").set_value(
        [(name, data, "application/octet-stream") for name, data in given]
    ).run()
    assert not page.exception
    return page


def test_files_are_added_and_reported(start: Start) -> None:
    engine = FakeEngine()
    page = opened(start, engine)
    choose(page, ("fort.md", NOTE), ("<i>.csv", b"a"), ("vide.md", b""), ("con.md", NOTE))
    page.button(key="add-start").click().run()
    settled(page)
    text, _ = read(shown(page))
    assert "Ajoutés · 2fort.mdcon.md, enregistré sous _con.md" in text
    assert "<i>.csv — ce format n’est pas lu" in text
    assert "vide.md — est vide" in text
    assert "L’index est à jour" in text
    assert sorted(path.name for path in engine.settings.corpus.iterdir()) == ["_con.md", "fort.md"]
    # The box is empty again, and the report can be put away.
    assert "add-start" not in keys(page)
    page.button(key="dismiss").click().run()
    assert "Ajoutés" not in shown(page)


def test_a_refused_file_is_said_in_the_language_of_the_page(start: Start) -> None:
    page = opened(start, FakeEngine())
    page.button_group(key="language").set_value("nl").run()
    choose(page, ("leeg.md", b""), ("plan.pdf", b"%PDF-odd"), ("oud.docx", b"\xd0\xcf\x11\xe0"))
    page.button(key="add-start").click().run()
    settled(page)
    text, _ = read(shown(page))
    assert "leeg.md — is leeg" in text
    assert "plan.pdf — is een beschadigde pdf" in text
    assert "oud.docx — is beveiligd of in het oude Word-formaat: bewaar het als .docx" in text


def test_a_taken_name_is_asked_about(start: Start) -> None:
    engine = FakeEngine()
    engine.library.add([Upload("fort.md", NOTE)])
    page = opened(start, engine)
    choose(page, ("fort.md", b"Une autre note."))
    assert page.button(key="add-start").disabled
    assert "fort.md" in shown(page)
    page.radio(key="existing-0").set_value("replace").run()
    assert not page.button(key="add-start").disabled
    page.button(key="add-start").click().run()
    settled(page)
    assert "Remplacés" in shown(page)
    (before,) = engine.library.removed()
    assert before.file.read_bytes() == NOTE


def test_a_folder_that_cannot_be_written_is_said(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine()
    engine.settings.corpus.mkdir()
    page = opened(start, engine)
    choose(page, ("fort.md", NOTE))

    def refuse(path: Path, data: bytes) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", refuse)
        page.button(key="add-start").click().run()
        settled(page)
    assert FRENCH.change_failed in shown(page) and "en écriture (accès refusé)" in shown(page)

    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    page.run()
    assert "n’a pas le droit d’écrire" in shown(page)
    assert not page.get("file_uploader")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    page.run()
    assert "ne peut pas être lu" in shown(page)


# --- Taking away --------------------------------------------------------------------------


def test_removing_asks_first_and_can_be_undone(start: Start) -> None:
    engine = FakeEngine({"note.md": document(), "fort.md": document("Fort", "fort.md")})
    engine.library.add([Upload("fort.md", NOTE)])
    file = engine.settings.corpus / "fort.md"
    page = opened(start, engine)
    page.button(key="remove-fort.md").click().run()
    assert "n’est pas supprimé" in shown(page)
    assert str(engine.settings.data) in shown(page)
    page.button(key="remove-no").click().run()
    assert file.exists()
    page.button(key="remove-fort.md").click().run()
    page.button(key="remove-yes").click().run()
    settled(page)
    assert not file.exists()
    assert "fort.md est retiré" in shown(page)
    page.session_state["trash"] = True
    page.run()
    (removed,) = engine.library.removed()
    page.button(key=f"restore-{removed.key}").click().run()
    settled(page)
    assert file.read_bytes() == NOTE
    assert "fort.md est de retour" in shown(page)


def test_the_last_document_can_be_taken_away(start: Start) -> None:
    engine = FakeEngine(indexes=NothingToIndex("No document could be read."))
    engine.library.add([Upload("note.md", NOTE)])
    page = opened(start, engine)
    page.button(key="remove-note.md").click().run()
    assert TEXTS["fr"].remove_last in shown(page)
    page.button(key="remove-yes").click().run()
    settled(page)
    assert TEXTS["fr"].documents_empty in shown(page)
    assert not (engine.settings.corpus / "note.md").exists()
    page.button_group(key="view").set_value("questions").run()
    assert TEXTS["fr"].documents_empty in shown(page)
    assert not page.exception


def test_one_of_several_is_not_said_to_be_the_last(start: Start) -> None:
    engine = FakeEngine({"note.md": document(), "fort.md": document("Fort", "fort.md")})
    page = opened(start, engine)
    page.button(key="remove-fort.md").click().run()
    assert TEXTS["fr"].remove_last not in shown(page)


# --- Indexing, and other states -----------------------------------------------------------


def test_an_index_that_another_process_writes_is_said_and_tried_again(start: Start) -> None:
    engine = FakeEngine(indexes=IndexBusy("Another process is writing the index."))
    page = opened(start, engine)
    page.button(key="index-again").click().run()
    settled(page)
    assert FRENCH.index_busy in shown(page) and FRENCH.change_failed in shown(page)
    engine.indexes = None
    page.button(key="index-again").click().run()
    settled(page)
    assert "inchangés\xa0: 1" in shown(page)


def test_files_that_changed_since_are_noted(start: Start) -> None:
    page = opened(start, FakeEngine(stale=True))
    assert FRENCH.stale in shown(page)


def progress_bars(page: AppTest) -> list[Any]:
    return [bar.proto for bar in page.get("progress")]


def test_two_visitors_watch_the_same_change(start: Start) -> None:
    engine = SlowEngine()
    page, other = opened(start, engine), opened(start, engine)
    page.button(key="index-again").click().run()
    change = collection._desk().current
    assert change is not None
    while change.progress is None:
        assert change.running
    other.run()
    (bar,) = progress_bars(other)
    assert bar.text == "Indexation des passages · 3 / 12" and bar.value == 25
    assert other.button(key="index-again").disabled
    engine.let.set()
    assert "L’index est à jour" in shown(settled(other))
    assert "L’index est à jour" in shown(settled(page))
    # Who comes later is not told of what is past.
    assert "L’index est à jour" not in shown(opened(start, FakeEngine()))


def test_a_shared_installation_offers_no_changes(start: Start) -> None:
    engine = FakeEngine({"note.md": document(), "fort.md": document("Fort", "fort.md")})
    engine.library.add([Upload("fort.md", NOTE), Upload("phare.md", NOTE)])
    engine.library.remove("phare.md")
    engine.settings = engine.settings.model_copy(update={"allow_changes": False})
    page = opened(start, engine)
    assert FRENCH.changes_off in shown(page)
    assert not page.get("file_uploader")
    assert not [key for key in keys(page) if key.startswith(("remove", "index-again", "restore"))]
    page.button(key="read-note.md").click().run()
    assert "remove-note.md" not in keys(page) and "only-note.md" in keys(page)


def test_the_first_document_is_added_where_there_are_none(start: Start) -> None:
    page = start(NothingToIndex("There is no file or folder corpus; nothing was indexed."))
    markup = shown(page)
    assert FRENCH.documents_empty in markup and "citadelle index" in markup
    choose(page, ("fort.md", NOTE))
    page.button(key="add-start").click().run()
    settled(page)
    assert [path.name for path in Library(FakeEngine().settings).folder.iterdir()] == ["fort.md"]
    assert "Ajoutés · 1" in shown(page)


def test_an_index_that_another_process_prepares_is_waited_for(start: Start) -> None:
    page = start(IndexBusy("Another process is writing the index in .citadelle/index."))
    assert FRENCH.index_busy in shown(page)
    assert "retry" in keys(page)
