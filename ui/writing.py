"""An answer while a language model writes it: what stands so far, and how to stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextvars import copy_context
from typing import Final, Protocol

from rag.types import Answer, Ranking
from rag.writing import Event, Sentence
from ui.engine import FoundCallback, ProgressCallback

__all__ = ["Stream", "Writing"]

# After this many seconds without anybody looking the model is stopped: the page was closed.
_LONGEST_UNWATCHED: Final = 10.0


class Stream(Protocol):
    """Begin to answer a question, as `Engine.stream` does."""

    def __call__(
        self, *, progress: ProgressCallback, stopped: Callable[[], bool], found: FoundCallback
    ) -> Iterable[Event]: ...


class Writing:
    """An answer being written in a thread of its own.

    Not in the page's thread: a click reruns the page by raising inside whatever Streamlit
    call comes next, and the model would begin anew. Here the next run finds what there is.
    """

    def __init__(self, stream: Stream, *, patience: float = _LONGEST_UNWATCHED) -> None:
        self.stage = ("", 0)
        self.found: tuple[Ranking, ...] = ()
        self.sentences: tuple[Sentence, ...] = ()
        self._stream = stream
        self._patience = patience
        self._answer: Answer | None = None
        self._error: Exception | None = None
        self._stopping = False
        self._abandoned = False
        self._watched = time.monotonic()
        self._finished = threading.Event()
        # With the number of the question, for the log.
        run = copy_context().run
        threading.Thread(target=run, args=(self._run,), name="citadelle-write", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Return True once there is an answer or none to come, at the latest after `seconds`."""
        self._watched = time.monotonic()
        return self._finished.wait(seconds)

    def stop(self) -> None:
        """End with what stands by now."""
        self._stopping = True

    @property
    def abandoned(self) -> bool:
        """Whether it was stopped because nobody looked: what it gives is not what was asked."""
        return self._abandoned

    def result(self) -> Answer:
        """Return the answer, once it is finished; raise what kept it from being given."""
        if self._error is not None:
            raise self._error
        if self._answer is None:
            raise RuntimeError("The engine ended without an answer.")
        return self._answer

    def _run(self) -> None:
        try:
            for event in self._stream(
                progress=self._advance, stopped=self._stopped, found=self._find
            ):
                if isinstance(event, Sentence):
                    self.sentences = (*self.sentences, event)
                elif isinstance(event, Answer):
                    self._answer = event
        except Exception as error:
            # Raised again where it is waited for.
            self._error = error
        finally:
            self._finished.set()

    def _advance(self, stage: str, _done: int, total: int) -> None:
        self.stage = (stage, total)

    def _find(self, found: tuple[Ranking, ...]) -> None:
        self.found = found

    def _stopped(self) -> bool:
        if not self._stopping and time.monotonic() - self._watched > self._patience:
            self._abandoned = True
        return self._stopping or self._abandoned
