"""Change the documents in a thread of its own, one change at a time for all visitors.

Not in the page's thread, for the same reason as `ui.engine.Opening`: whatever a visitor
clicks would abort it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rag.errors import CitadelleError, LibraryError, NothingToIndex
from rag.library import Added, Existing, Library, Removed, Upload
from rag.logs import begin_request, unforeseen
from ui.engine import Engine, Progress

if TYPE_CHECKING:
    from rag.indexing import IndexReport

__all__ = ["Change", "Desk", "Task", "adding", "indexing", "removing", "restoring"]

logger = logging.getLogger(__name__)

Task = Callable[["Change"], None]


class Change:
    """A change of the documents that is under way, and what came of it.

    `added` is what became of the files that were given, `removed` and `restored` the file that
    was moved. `report` tells what the index made of it; `behind`, that the files changed and
    the index did not. `error` is set when it did not get to its end.
    """

    def __init__(self, task: Task) -> None:
        self.progress: Progress | None = None
        self.added: tuple[Added, ...] = ()
        self.removed: Removed | None = None
        self.restored: Removed | None = None
        self.report: IndexReport | None = None
        self.behind = False
        self.error: CitadelleError | None = None
        self._task = task
        self._finished = threading.Event()
        threading.Thread(target=self._run, name="citadelle-change", daemon=True).start()

    @property
    def running(self) -> bool:
        return not self._finished.is_set()

    def wait(self, seconds: float) -> bool:
        """Return True once it is done or has failed, at the latest after `seconds`."""
        return self._finished.wait(seconds)

    def advance(self, stage: str, done: int, total: int) -> None:
        """Note how far it is, for whoever watches."""
        self.progress = Progress(stage, done, total)

    def _run(self) -> None:
        begin_request()
        try:
            self._task(self)
        except CitadelleError as error:
            self.error = error
        except Exception as error:
            logger.exception("The documents could not be changed.")
            self.error = unforeseen(error)
        finally:
            self._finished.set()


class Desk:
    """The one change at a time that all visitors share."""

    def __init__(self) -> None:
        self.current: Change | None = None
        self._lock = threading.Lock()

    def start(self, task: Task) -> Change | None:
        """Begin a change and return it, or None while another one is under way."""
        with self._lock:
            if self.current is not None and self.current.running:
                return None
            self.current = Change(task)
            return self.current


def adding(
    library: Library, uploads: Sequence[Upload], existing: Existing, engine: Engine | None
) -> Task:
    """Add files, and index them where an engine is open; opening one indexes them otherwise."""

    def task(change: Change) -> None:
        change.added = library.add(uploads, existing, change.advance)
        if engine is not None and any(e.status in ("added", "replaced") for e in change.added):
            _index(change, engine)

    return task


def removing(library: Library, doc_id: str, engine: Engine) -> Task:
    """Take a document away, the last one too.

    It stays where the others have gone by themselves: nobody was asked about those.
    """

    def task(change: Change) -> None:
        is_last = [source.doc_id for source in engine.sources()] == [doc_id]
        removed = change.removed = library.remove(doc_id)
        try:
            _index(change, engine, may_empty=is_last)
        except NothingToIndex as error:
            library.restore(removed.key)
            change.removed, change.behind = None, False
            raise LibraryError(
                "{document} was left where it is: none of the other documents can be read any "
                "more. Bring the index in step first.",
                document=doc_id,
            ) from error

    return task


def restoring(library: Library, key: str, engine: Engine) -> Task:
    """Put a document back, and index it."""

    def task(change: Change) -> None:
        change.restored = library.restore(key)
        _index(change, engine)

    return task


def indexing(engine: Engine) -> Task:
    """Bring the index in step with the files."""

    def task(change: Change) -> None:
        change.report = engine.index(engine.library.paths, change.advance)

    return task


def _index(change: Change, engine: Engine, *, may_empty: bool = False) -> None:
    change.behind = True
    change.report = engine.index(engine.library.paths, change.advance, may_empty=may_empty)
    change.behind = False
