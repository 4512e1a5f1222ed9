"""Open the engine behind the page, once for all its visitors."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import streamlit as st

from rag.config import Settings
from rag.errors import CitadelleError
from rag.library import Library
from rag.logs import begin_request, unforeseen
from rag.types import Answer, Chunk, Document, Facet, Ranking, Skipped, Source, Turn

if TYPE_CHECKING:
    from rag.indexing import IndexReport
    from rag.writing import Event

__all__ = [
    "Engine",
    "FoundCallback",
    "Opening",
    "Progress",
    "ProgressCallback",
    "open_engine",
    "opening",
]

logger = logging.getLogger(__name__)


ProgressCallback = Callable[[str, int, int], None]
FoundCallback = Callable[[tuple[Ranking, ...]], None]


class Engine(Protocol):
    """Say what the page needs of `rag.Citadelle`, for people and for evaluations."""

    @property
    def settings(self) -> Settings: ...

    @property
    def manifest(self) -> Mapping[str, Any]: ...

    @property
    def reader(self) -> str: ...

    @property
    def skipped(self) -> tuple[Skipped, ...]: ...

    def ask(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        *,
        written: bool = True,
        found: FoundCallback | None = None,
    ) -> Answer: ...

    def stream(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        *,
        stopped: Callable[[], bool] | None = None,
        found: FoundCallback | None = None,
    ) -> Generator[Event, None, None]: ...

    def answer(
        self,
        question: str,
        ranking: Ranking,
        history: Sequence[str] = (),
        abstain_below: float | None = None,
    ) -> Answer: ...

    def count_tokens(self, text: str) -> int: ...

    def hints(
        self, answer: Answer, filters: Mapping[str, str] | None = None
    ) -> tuple[str, ...]: ...

    def search(
        self,
        question: str,
        k: int = 10,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
    ) -> Ranking: ...

    def document(self, doc_id: str) -> Document: ...

    def chunks(self, doc_id: str) -> tuple[Chunk, ...]: ...

    def sources(self, filters: Mapping[str, str] | None = None) -> tuple[Source, ...]: ...

    @property
    def library(self) -> Library: ...

    def is_stale(self) -> bool: ...

    def index(
        self,
        paths: Sequence[Path] | None = None,
        progress: ProgressCallback | None = None,
        *,
        may_empty: bool = False,
    ) -> IndexReport: ...

    def facets(self) -> tuple[Facet, ...]: ...

    def refresh(self) -> bool: ...


def open_engine(progress: ProgressCallback) -> Engine:
    """Open the engine with the settings in force; bring its index in step with the documents."""
    # Imported here because the models' libraries take seconds to load, and the page can be
    # drawn, and show how far things are, without them.
    from rag import Citadelle

    return Citadelle.open(update=True, progress=progress)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the opening is: `done` of `total` units of `stage`."""

    stage: str
    done: int
    total: int


class Opening:
    """An engine being opened in a thread of its own.

    Not in the page's thread: a click reruns the page by raising inside whatever
    Streamlit call comes next, and a progress bar drawn from the engine's callback
    would abort indexing half-way. Here every visitor watches the same opening.
    """

    def __init__(self, opener: Callable[[ProgressCallback], Engine]) -> None:
        self.progress: Progress | None = None
        self.engine: Engine | None = None
        self.error: CitadelleError | None = None
        self._opener = opener
        self._finished = threading.Event()
        threading.Thread(target=self._run, name="citadelle-open", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Return True once the engine is open or has failed to, at the latest after `seconds`."""
        return self._finished.wait(seconds)

    def _run(self) -> None:
        begin_request()
        try:
            self.engine = self._opener(self._report)
            # Streamlit collects garbage after every run of the page, which looks at each object
            # of the models' libraries: 0.3 s in which nothing else runs, until they are frozen.
            gc.freeze()
        except CitadelleError as error:
            self.error = error
        except Exception as error:
            logger.exception("The engine did not open.")
            self.error = unforeseen(error)
        finally:
            self._finished.set()

    def _report(self, stage: str, done: int, total: int) -> None:
        self.progress = Progress(stage, done, total)


@st.cache_resource(show_spinner=False)
def opening() -> Opening:
    """Return the one opening that the server begins and every visitor watches."""
    # Looked up at the call, so that whoever replaces it is obeyed.
    return Opening(lambda progress: open_engine(progress))
