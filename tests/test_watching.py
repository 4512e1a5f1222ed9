"""An index that follows its files while it is in use."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rag.config import Settings
from rag.errors import CitadelleError, IndexLoss
from rag.index import Index
from rag.indexing import IndexReport, build_index
from rag.pipeline import Citadelle
from rag.watching import watch
from tests.conftest import ToyEncoder

Events = queue.Queue[IndexReport | CitadelleError]


@pytest.fixture
def events(settings: Settings, folder: Path) -> Iterator[Events]:
    """Follow the folder in another thread; what is yielded comes here."""
    build_index([folder], settings, ToyEncoder())
    found: Events = queue.Queue()
    stop = threading.Event()

    def follow() -> None:
        for event in watch([folder], settings, ToyEncoder(), stop, look_ms=500):
            found.put(event)

    thread = threading.Thread(target=follow)
    thread.start()
    yield found
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_changes_are_indexed_together_and_taken_up(
    events: Events, settings: Settings, folder: Path
) -> None:
    toy = ToyEncoder()
    citadelle = Citadelle(settings, toy, Index.open(settings, toy))
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    (folder / "projet.md").unlink()
    report = events.get(timeout=30)
    assert isinstance(report, IndexReport)
    assert (report.added, report.removed) == (("neuf.txt",), ("projet.md",))
    assert citadelle.refresh()
    assert [source.doc_id for source in citadelle.sources()] == ["bureau.md", "neuf.txt"]


def test_errors_are_said_once_and_survived(
    events: Events, settings: Settings, folder: Path, tmp_path: Path
) -> None:
    shutil.move(folder, tmp_path / "away")
    assert isinstance(events.get(timeout=30), IndexLoss)
    with pytest.raises(queue.Empty):
        events.get(timeout=2)
    assert len(Index.open(settings, ToyEncoder()).documents) == 2
    (tmp_path / "away" / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    shutil.move(tmp_path / "away", folder)
    report = events.get(timeout=30)
    assert isinstance(report, IndexReport)
    assert (report.added, len(report.unchanged)) == (("neuf.txt",), 2)
