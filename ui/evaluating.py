"""Ask a set of questions in a thread of its own, and keep the runs where they are found again.

Not in the page's thread, for the same reason as `ui.engine.Opening`: whatever a visitor
clicks would abort it. The evaluation's libraries are loaded when they are needed.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from rag.errors import CitadelleError, DatasetError, Message
from rag.logs import begin_request, unforeseen
from rag.types import Answer
from ui.engine import Engine

if TYPE_CHECKING:
    from eval.dataset import Dataset
    from eval.experiment import System

__all__ = ["Bench", "Evaluating", "KeptRun", "kept_runs", "question_files"]

logger = logging.getLogger(__name__)

_COMMITTED: Final = Path(__file__).parent.parent / "eval"
_RUNS: Final = "evaluations"
_LONGEST_NAME: Final = 50
_NAME: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d)\.(\d\d)\.(\d\d) (.+)")


def question_files(data: Path) -> tuple[Path, ...]:
    """Return the files of questions: those that come with Citadelle, then those in `data`."""
    return tuple(file for folder in (_COMMITTED, data) for file in sorted(folder.glob("*.jsonl")))


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run on disk: the `name` of its questions, and `when` it was made as a person writes it.

    A baseline, which comes with Citadelle, has no `when`.
    """

    path: Path
    name: str
    when: str = ""
    baseline: bool = False


def kept_runs(data: Path) -> tuple[KeptRun, ...]:
    """Return the runs kept below `data`, the newest first, then the baselines."""
    runs = map(_kept, (data / _RUNS).glob("*.json"))
    baselines = sorted((_COMMITTED / "baselines").glob("*.json"))
    return (
        *sorted(runs, key=lambda run: (run.when, run.path.name), reverse=True),
        *(KeptRun(file, file.stem, baseline=True) for file in baselines),
    )


def _kept(file: Path) -> KeptRun:
    match = _NAME.fullmatch(file.stem)
    if match is None:
        return KeptRun(file, file.stem)
    day, hour, minute, _, name = match.groups()
    return KeptRun(file, name, f"{day} {hour}:{minute}")


def _new_file(folder: Path, name: str) -> Path:
    """Return a file that is not there yet, named after the time and the questions."""
    known = re.sub(r"[^\w.-]+", "-", Path(name).stem)[:_LONGEST_NAME].strip("-.") or "questions"
    now = datetime.now().strftime("%Y-%m-%d %H.%M.%S")
    names = (f"{now} {known}{end}.json" for end in ("", *(f"-{n}" for n in range(2, 100))))
    return next(file for file in (folder / entry for entry in names) if not file.exists())


class _Stopped(Exception):
    """Leave the measuring between two questions."""


class Evaluating:
    """A set of questions that is being asked, and what came of it.

    At the end one of these is set: `saved`, the file of the run; `stopped`; `changed`,
    when the documents were replaced meanwhile; `error`.
    """

    def __init__(self, engine: Engine, dataset: Dataset) -> None:
        self.total = len(dataset.items)
        self.done = 0
        self.stopping = False
        self.saved: Path | None = None
        self.stopped = False
        self.changed = False
        self.error: CitadelleError | None = None
        self._engine = engine
        self._dataset = dataset
        self._finished = threading.Event()
        threading.Thread(target=self._run, name="citadelle-evaluate", daemon=True).start()

    @property
    def running(self) -> bool:
        return not self._finished.is_set()

    def wait(self, seconds: float) -> bool:
        """Return True once all is asked, or it ended otherwise, at the latest after `seconds`."""
        return self._finished.wait(seconds)

    def stop(self) -> None:
        """End after the question that is being asked; what is done is kept for the next time."""
        self.stopping = True

    def _run(self) -> None:
        begin_request()
        try:
            self.saved = self._measure()
        except _Stopped:
            self.stopped = True
        except CitadelleError as error:
            self.error = error
        except Exception as error:
            logger.exception("The evaluation did not end.")
            self.error = unforeseen(error)
        finally:
            self._finished.set()

    def _measure(self) -> Path | None:
        from eval.experiment import configuration, measure
        from eval.journal import Journal
        from eval.runs import save_run

        engine: System = self._engine
        if engine.settings.llm:
            engine = cast("System", _Quoting(self._engine))
        dataset = self._dataset
        # Made first: minutes of asking must not end with a folder that cannot be written.
        folder = _made(engine.settings.data / _RUNS)
        unfinished = engine.settings.cache / "eval" / "unfinished"
        before = engine.manifest["corpus_hash"]
        with Journal(unfinished, configuration(engine, dataset)) as journal:
            run, failure = None, None
            try:
                run = measure(engine, dataset, self._advance, journal)
            except CitadelleError as error:
                failure = error
            if engine.manifest["corpus_hash"] != before:
                # Answers from two states of the documents: nothing of them can be used.
                journal.remove()
                self.changed = True
                return None
            if run is None:
                raise failure or _Stopped
            file = _new_file(folder, str(dataset.source["name"]))
            save_run(run, file)
            journal.remove()
        return file

    def _advance(self) -> None:
        self.done += 1
        if self.stopping and self.done < self.total:
            raise _Stopped


class _Quoting:
    """An engine without its language model: what is measured here costs nothing and goes nowhere.

    Whoever wants a model measured says so on the command line.
    """

    def __init__(self, engine: Engine) -> None:
        self.settings = engine.settings.model_copy(update={"llm": ""})
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def ask(self, question: str, *, history: Sequence[str] = ()) -> Answer:
        return self._engine.ask(question, history=history, written=False)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            "The folder {folder} for {purpose} cannot be made ({problem}); name another with "
            "the setting '{setting}'.",
            folder=folder,
            setting="data",
            purpose=Message("evaluations"),
            problem=error.strerror or str(error),
        ) from error
    return folder


class Bench:
    """The evaluation that all visitors share: one at a time, or the times would mean nothing."""

    def __init__(self) -> None:
        self.current: Evaluating | None = None
        self._lock = threading.Lock()

    def start(self, engine: Engine, dataset: Dataset) -> Evaluating:
        """Begin an evaluation, unless one is running; return the one that runs."""
        with self._lock:
            if self.current is None or not self.current.running:
                self.current = Evaluating(engine, dataset)
            return self.current
