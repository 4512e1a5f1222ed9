"""An answer that is written in a thread: watched, stopped, left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from rag.errors import IndexBusy
from rag.types import Ranking
from rag.writing import Event, Sentence
from tests.ui.conftest import document, quoting
from ui.engine import FoundCallback, ProgressCallback
from ui.writing import Writing

ANSWER = quoting(document(), "Il garde la Meuse.")
FOUND = Ranking("Que garde le fort ?", ())
SENTENCE = Sentence("Il garde la Meuse [1].", ANSWER.citations)


def test_what_stands_and_where_it_is_can_be_seen_meanwhile() -> None:
    def stream(
        *, progress: ProgressCallback, stopped: Callable[[], bool], found: FoundCallback
    ) -> Iterator[Event]:
        found((FOUND,))
        progress("write", 0, 8)
        yield SENTENCE
        while not stopped():
            time.sleep(0.01)
        yield ANSWER

    writing = Writing(stream)
    while not writing.sentences:
        assert not writing.wait(0.01)
    assert writing.stage == ("write", 8)
    assert writing.found == (FOUND,)
    assert writing.sentences == (SENTENCE,)
    writing.stop()
    assert writing.wait(10)
    assert writing.result() is ANSWER and not writing.abandoned


def test_who_leaves_stops_it() -> None:
    def stream(
        *, progress: ProgressCallback, stopped: Callable[[], bool], found: FoundCallback
    ) -> Iterator[Event]:
        while not stopped():
            time.sleep(0.01)
        yield ANSWER

    writing = Writing(stream, patience=0.2)
    for _ in range(5):
        assert not writing.wait(0.1)
    assert not writing.abandoned
    time.sleep(0.6)
    assert writing.abandoned and writing.wait(10)


def test_what_goes_wrong_is_raised_where_it_is_waited_for() -> None:
    def stream(
        *, progress: ProgressCallback, stopped: Callable[[], bool], found: FoundCallback
    ) -> Iterator[Event]:
        yield SENTENCE
        raise IndexBusy("Another process writes.")

    writing = Writing(stream)
    assert writing.wait(10)
    with pytest.raises(IndexBusy, match="Another process"):
        writing.result()
