"""Asking a set of questions in a thread, and the files that are left of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from eval.dataset import load_gold
from eval.runs import load_run
from rag.config import Settings
from rag.errors import CitadelleError, DatasetError
from rag.types import Answer
from tests.conftest import ROOT
from tests.ui.conftest import GOLD, FakeEngine
from ui.evaluating import Bench, Evaluating, KeptRun, kept_runs, question_files

PATIENCE = 20.0


@dataclass
class SlowEngine(FakeEngine):
    """Answers a question only when it is let, and says when it is asked."""

    let: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    reached: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
    ) -> Answer:
        self.reached.release()
        assert self.let.acquire(timeout=PATIENCE)
        return super().ask(question, history, filters)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", cache=tmp_path / "cache")


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    file = tmp_path / "fort.jsonl"
    file.write_text(GOLD, encoding="utf-8")
    return file


def journals(settings: Settings) -> list[Path]:
    return list((settings.cache / "eval" / "unfinished").glob("*.jsonl"))


def test_a_run_is_saved_under_a_name_to_be_found_by(settings: Settings, gold: Path) -> None:
    engine = FakeEngine(settings=settings)
    evaluating = Evaluating(engine, load_gold(gold))
    assert evaluating.wait(PATIENCE) and not evaluating.running
    assert (evaluating.done, evaluating.total, evaluating.error) == (2, 2, None)
    (run,) = (run for run in kept_runs(settings.data) if not run.baseline)
    assert run.path == evaluating.saved
    assert run.name == "fort"
    day, _, minute = run.when.partition(" ")
    assert run.path.stem.startswith(f"{day} {minute.replace(':', '.')}")
    # One of the two has an answer, which is given.
    assert load_run(run.path)["measures"]["overall"]["answer_recall"] == 1.0
    assert [question for question, _ in engine.asked] == [
        "Que garde le fort ?",
        "Quel temps fait-il ?",
    ]
    assert journals(settings) == []


def test_what_was_stopped_is_gone_on_with(settings: Settings, gold: Path) -> None:
    engine = SlowEngine(settings=settings)
    evaluating = Evaluating(engine, load_gold(gold))
    assert engine.reached.acquire(timeout=PATIENCE)
    evaluating.stop()
    engine.let.release()
    assert evaluating.wait(PATIENCE)
    assert evaluating.stopped and evaluating.saved is None
    assert evaluating.done == 1
    assert len(journals(settings)) == 1
    other = FakeEngine(settings=settings)
    resumed = Evaluating(other, load_gold(gold))
    assert resumed.wait(PATIENCE)
    assert [question for question, _ in other.asked] == ["Quel temps fait-il ?"]
    assert resumed.saved is not None
    assert len(load_run(resumed.saved)["items"]) == 2
    assert journals(settings) == []


def test_one_evaluation_at_a_time(settings: Settings, gold: Path) -> None:
    engine = SlowEngine(settings=settings)
    bench = Bench()
    first = bench.start(engine, load_gold(gold))
    assert bench.start(engine, load_gold(gold)) is first
    for _ in range(2):
        engine.let.release()
    assert first.wait(PATIENCE)
    assert bench.current is first
    engine.let.release(2)
    assert bench.start(engine, load_gold(gold)) is not first
    assert bench.current is not None and bench.current.wait(PATIENCE)


def test_two_runs_of_the_same_second_are_both_kept(settings: Settings, gold: Path) -> None:
    saved = set()
    for _ in range(2):
        evaluating = Evaluating(FakeEngine(settings=settings), load_gold(gold))
        assert evaluating.wait(PATIENCE)
        saved.add(evaluating.saved)
    assert len(saved) == 2 and None not in saved


def test_documents_that_change_meanwhile_spoil_the_run(settings: Settings, gold: Path) -> None:
    engine = SlowEngine(settings=settings)
    evaluating = Evaluating(engine, load_gold(gold))
    assert engine.reached.acquire(timeout=PATIENCE)
    engine.manifest = {"corpus_hash": "c1"}
    engine.let.release(2)
    assert evaluating.wait(PATIENCE)
    assert evaluating.changed and evaluating.saved is None and evaluating.error is None
    assert journals(settings) == []


def test_a_missing_document_is_named_before_anything_is_asked(
    settings: Settings, gold: Path
) -> None:
    gold.write_text(GOLD.replace('"note"', '"phare"'), encoding="utf-8")
    engine = FakeEngine(settings=settings)
    evaluating = Evaluating(engine, load_gold(gold))
    assert evaluating.wait(PATIENCE)
    assert isinstance(evaluating.error, DatasetError)
    assert "f1" in str(evaluating.error) and "'phare'" in str(evaluating.error)
    assert engine.asked == []


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_asked(
    settings: Settings, gold: Path
) -> None:
    settings.data.write_text("a file", encoding="utf-8")
    engine = FakeEngine(settings=settings)
    evaluating = Evaluating(engine, load_gold(gold))
    assert evaluating.wait(PATIENCE)
    assert isinstance(evaluating.error, DatasetError)
    assert str(settings.data) in str(evaluating.error) and "'data'" in str(evaluating.error)
    assert engine.asked == []


def test_a_defect_is_named(settings: Settings, gold: Path) -> None:
    evaluating = Evaluating(FakeEngine(settings=settings, gives=ValueError("odd")), load_gold(gold))
    assert evaluating.wait(PATIENCE)
    assert type(evaluating.error) is CitadelleError
    assert str(evaluating.error).startswith("ValueError: odd (in the log: ")


def test_runs_are_listed_newest_first_and_baselines_last(tmp_path: Path) -> None:
    folder = tmp_path / "evaluations"
    folder.mkdir()
    for name in ("2026-01-02 09.05.59 gold", "2026-01-02 10.00.00 dev-2", "copied"):
        (folder / f"{name}.json").write_text("{}", encoding="utf-8")
    (folder / "notes.txt").touch()
    runs = [run for run in kept_runs(tmp_path) if not run.baseline]
    assert runs == [
        KeptRun(folder / "2026-01-02 10.00.00 dev-2.json", "dev-2", "2026-01-02 10:00"),
        KeptRun(folder / "2026-01-02 09.05.59 gold.json", "gold", "2026-01-02 09:05"),
        KeptRun(folder / "copied.json", "copied"),
    ]
    committed = sorted((ROOT / "eval" / "baselines").glob("*.json"))
    assert [run.path for run in kept_runs(tmp_path) if run.baseline] == committed


def test_questions_come_from_citadelle_then_from_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").touch()
    committed = sorted((ROOT / "eval").glob("*.jsonl"))
    assert question_files(tmp_path) == (*committed, tmp_path / "mine.jsonl")
    assert question_files(tmp_path / "nowhere") == tuple(committed)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mes questions.jsonl", "mes-questions"),
        ("../../é<b>.jsonl", "é-b"),
        ("….jsonl", "questions"),
    ],
)
def test_names_of_files_are_fit_for_every_system(
    settings: Settings, gold: Path, name: str, expected: str
) -> None:
    dataset = load_gold(gold)
    named = type(dataset)({**dataset.source, "name": name}, dataset.items)
    evaluating = Evaluating(FakeEngine(settings=settings), named)
    assert evaluating.wait(PATIENCE)
    assert evaluating.saved is not None
    assert evaluating.saved.parent == settings.data / "evaluations"
    assert evaluating.saved.stem.partition(" ")[2].partition(" ")[2] == expected


def test_no_language_model_is_measured(settings: Settings, gold: Path) -> None:
    settings = settings.model_copy(update={"llm": "openai:m"})
    # Asked to write anything, this engine fails.
    engine = FakeEngine(settings=settings)
    evaluating = Evaluating(engine, load_gold(gold))
    assert evaluating.wait(PATIENCE)
    assert evaluating.error is None and evaluating.saved is not None
    assert len(engine.asked) == 2
    assert load_run(evaluating.saved)["config"]["settings"]["llm"] == ""
