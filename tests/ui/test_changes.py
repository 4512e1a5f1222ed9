"""Changing the documents in a thread: one at a time, and what came of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rag.config import Settings
from rag.errors import IndexBusy, NothingToIndex
from rag.library import Library, Upload
from tests.ui.conftest import FakeEngine, SlowEngine, document
from ui.changes import Change, Desk, adding, indexing, removing, restoring

PATIENCE = 20.0
NOTE = b"Le fort garde la Meuse.\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "corpus").mkdir()
    return Settings(corpus=tmp_path / "corpus", data=tmp_path / "data", index=tmp_path / "index")


@pytest.fixture
def library(settings: Settings) -> Library:
    return Library(settings)


def done(change: Change) -> Change:
    assert change.wait(PATIENCE)
    return change


def test_one_change_at_a_time_which_all_visitors_see(settings: Settings, library: Library) -> None:
    engine = SlowEngine(settings=settings)
    desk = Desk()
    first = desk.start(adding(library, [Upload("fort.md", NOTE)], "skip", engine))
    assert first is not None and first.running
    assert desk.start(indexing(engine)) is None
    assert desk.current is first
    engine.let.set()
    done(first)
    assert first.report is not None and not first.behind
    assert first.progress is not None and first.progress.stage == "embed"
    again = desk.start(indexing(engine))
    assert again is not None and done(again).error is None


def test_nothing_is_indexed_when_nothing_was_added(settings: Settings, library: Library) -> None:
    engine = FakeEngine(settings=settings, indexes=AssertionError("indexed"))
    change = done(Change(adding(library, [Upload("vide.md", b"")], "skip", engine)))
    assert [entry.status for entry in change.added] == ["refused"]
    assert change.error is None and change.report is None


def test_an_index_held_by_another_process_leaves_the_files_and_says_so(
    settings: Settings, library: Library
) -> None:
    engine = FakeEngine(settings=settings, indexes=IndexBusy("Another process is writing."))
    change = done(Change(adding(library, [Upload("fort.md", NOTE)], "skip", engine)))
    assert change.behind and isinstance(change.error, IndexBusy)
    assert (settings.corpus / "fort.md").exists()


def test_a_document_is_taken_away_and_put_back(settings: Settings, library: Library) -> None:
    engine = FakeEngine(settings=settings)
    library.add([Upload("fort.md", NOTE)])
    change = done(Change(removing(library, "fort.md", engine)))
    assert change.removed is not None and change.report is not None
    assert not (settings.corpus / "fort.md").exists()
    back = done(Change(restoring(library, change.removed.key, engine)))
    assert back.restored is not None and (settings.corpus / "fort.md").exists()


def test_the_last_document_is_taken_away(settings: Settings, library: Library) -> None:
    engine = FakeEngine(
        {"fort.md": document("Fort", "fort.md")},
        settings=settings,
        indexes=NothingToIndex("No document could be read."),
    )
    library.add([Upload("fort.md", NOTE)])
    change = done(Change(removing(library, "fort.md", engine)))
    assert change.error is None and change.removed is not None and not change.behind
    assert engine.sources() == ()


def test_a_document_stays_when_the_others_have_gone(settings: Settings, library: Library) -> None:
    engine = FakeEngine(
        {"fort.md": document("Fort", "fort.md"), "gone.md": document("Parti", "gone.md")},
        settings=settings,
        indexes=NothingToIndex("No document could be read."),
    )
    library.add([Upload("fort.md", NOTE)])
    change = done(Change(removing(library, "fort.md", engine)))
    assert "none of the other documents can be read" in str(change.error)
    assert change.removed is None and not change.behind
    assert (settings.corpus / "fort.md").read_bytes() == NOTE
    assert library.removed() == ()


def test_a_defect_is_an_error_of_the_change(settings: Settings) -> None:
    engine = FakeEngine(settings=settings, indexes=ValueError("odd"))
    change = done(Change(indexing(engine)))
    assert re.fullmatch(r"ValueError: odd \(in the log: [0-9a-f]{12}\)", str(change.error))
