from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import eval.__main__ as command

if TYPE_CHECKING:
    from tests.eval.conftest import FakeSystem

SEAT = {
    "id": "a",
    "lang": "fr",
    "question": "Où ?",
    "answers": ["Bruxelles"],
    "evidence": ["Siège : Bruxelles."],
    "doc": "note",
    "type": "fact",
    "answerable": True,
}
Invoke = Callable[..., int]


@pytest.fixture
def opened() -> list[tuple[Path, Path]]:
    return []


@pytest.fixture
def invoke(
    system: FakeSystem,
    opened: list[tuple[Path, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Invoke:
    def open_system(corpus: Path, index: Path, progress: Any, llm: str) -> FakeSystem:
        opened.append((corpus, index))
        system.settings = system.settings.model_copy(update={"llm": llm})
        progress("embedding", 1, 2)
        return system

    monkeypatch.setattr(command, "open_system", open_system)
    monkeypatch.setenv("CITADELLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "gold.jsonl").write_text(json.dumps(SEAT))
    cited = [system.cite("note.md", "**Siège** : Bruxelles.")]
    system.script("Où ?", "Bruxelles [1]", "Bruxelles", cited, ranking=["**Siège** : Bruxelles."])

    def call(*arguments: str) -> int:
        with pytest.raises(SystemExit) as caught:
            command.main(arguments)
        assert isinstance(caught.value.code, int)
        return caught.value.code

    return call


def test_run_prints_a_table_and_writes_files(
    invoke: Invoke,
    opened: list[tuple[Path, Path]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke("run", "gold.jsonl", "--json", "r.json", "--html", "r.html") == 0
    out, err = capsys.readouterr()
    assert "answer_recall" in out
    assert err == ""  # no progress where there is no terminal
    run = json.loads((tmp_path / "r.json").read_text())
    assert run["measures"]["overall"]["answer_recall"] == 1.0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    # The user's own index is left alone.
    assert opened[0][0] == Path("corpus")
    assert opened[0][1].is_relative_to(tmp_path / "cache" / "eval")


def test_a_language_model_is_measured_only_when_it_is_named(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITADELLE_LLM", "ollama:other")
    assert invoke("run", "gold.jsonl", "--json", "r.json") == 0
    run = json.loads((tmp_path / "r.json").read_text())
    assert run["config"]["settings"]["llm"] == ""
    assert "fell_back" not in run["measures"]["overall"]
    assert invoke("run", "gold.jsonl", "--llm", "ollama:small", "--json", "r.json") == 0
    run = json.loads((tmp_path / "r.json").read_text())
    assert run["config"]["settings"]["llm"] == "ollama:small"
    assert run["measures"]["overall"]["sentences_verified"] == 1.0


def test_gate(
    invoke: Invoke, system: FakeSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke("run", "gold.jsonl", "--json", "run.json") == 0
    assert invoke("baseline", "run.json", "--out", "base.json") == 0
    gated = ("run", "gold.jsonl", "--baseline", "base.json", "--gate")
    assert invoke(*gated) == 0
    out = capsys.readouterr().out
    assert "No item changed." in out
    assert "The gate is passed" in out
    system.script("Où ?", "?", abstained=True, ranking=["**Siège** : Bruxelles."])
    assert invoke(*gated[:-1]) == 0  # compared, not gated
    capsys.readouterr()
    assert invoke(*gated, "--html", "r.html") == 1
    # citation_precision has no figure any more; abstention F1 had none in the baseline.
    assert capsys.readouterr().err.splitlines() == [
        "answer_recall: 0.000, below 1.000 by more than 0.02",
        "citation_precision: no figure, below 1.000 by more than 0.02",
        "citation_recall: 0.000, below 1.000 by more than 0.02",
        "reading_answer_recall: 0.000, below 1.000 by more than 0.02",
        "AURC: 1.000, above 0.000 by more than 0.02",
        # The confidence is 0.9 both times.
        "ECE: 0.900, above 0.100 by more than 0.02",
    ]
    # A build that fails is when the page is wanted most.
    assert (tmp_path / "r.html").is_file()


def test_baseline_is_small_and_keeps_its_bounds(
    invoke: Invoke, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke("run", "gold.jsonl", "--json", "run.json") == 0
    assert invoke("baseline", "run.json") == 1  # there is no eval/baselines here
    assert "its folder does not exist" in capsys.readouterr().err
    (tmp_path / "eval" / "baselines").mkdir(parents=True)
    assert invoke("baseline", "run.json", "--bound", "fr.answer_recall=0.9") == 0
    assert invoke("baseline", "run.json", "--bound", "F1=0.5") == 0
    path = tmp_path / "eval" / "baselines" / "gold.json"
    kept = json.loads(path.read_text())
    assert kept["gate"]["bounds"] == {"fr": {"answer_recall": 0.9}, "overall": {"F1": 0.5}}
    assert "given" not in kept["items"][0]
    assert path.stat().st_size < (tmp_path / "run.json").stat().st_size
    assert invoke("baseline", "run.json", "--bound", "F1") == 2
    assert invoke("baseline", "run.json", "--bound", "F1=nan") == 1
    assert invoke("baseline", "run.json", "--bound", "F3=1") == 1
    assert "There is no measure 'F3'" in capsys.readouterr().err


def test_a_run_that_is_interrupted_says_how_to_go_on(
    invoke: Invoke,
    system: FakeSystem,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = {**SEAT, "id": "b", "question": "Quand ?"}
    Path("gold.jsonl").write_text(json.dumps(SEAT) + "\n" + json.dumps(second))
    system.script("Quand ?", "?", abstained=True)
    ask = system.ask

    def stop(question: str, *, history: Any = ()) -> Any:
        if question == "Quand ?":
            raise KeyboardInterrupt
        return ask(question, history=history)

    monkeypatch.setattr(system, "ask", stop)
    assert invoke("run", "gold.jsonl", "--json", "r.json") == 130
    assert "Stopped after 1 of 2 questions; the same command goes on" in capsys.readouterr().err
    assert not Path("r.json").exists()
    monkeypatch.setattr(system, "ask", ask)
    system.asked.clear()
    assert invoke("run", "gold.jsonl", "--json", "r.json") == 0
    assert "Going on after 1 of 2 questions." in capsys.readouterr().err
    assert [question for question, _ in system.asked] == ["Quand ?"]
    assert [item["id"] for item in json.loads(Path("r.json").read_text())["items"]] == ["a", "b"]
    # A run that is complete leaves nothing to go on with.
    assert invoke("run", "gold.jsonl") == 0
    assert "Going on" not in capsys.readouterr().err


def test_gate_without_baseline_is_wrong_usage(
    invoke: Invoke, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke("run", "gold.jsonl", "--gate") == 2
    assert "--baseline" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "none.jsonl"), "none.jsonl: cannot be read"),
        (("run", "gold.jsonl", "--corpus", "nowhere"), "nowhere: there is no such folder"),
        (("run", "gold.jsonl", "--json", "no/such/r.json"), "no/such/r.json: cannot be written"),
        (("run", "gold.jsonl", "--json", "corpus"), "corpus: is a folder; name a file"),
        (("run", "gold.jsonl", "--json", "gold.jsonl"), "gold.jsonl: is named twice"),
        (("run", "gold.jsonl", "--json", "r", "--html", "r"), "r: is named twice"),
        (("run", "gold.jsonl", "--baseline", "gold.jsonl"), "gold.jsonl: not a run file"),
        (("squad", "gold.jsonl"), "'data' is missing"),
        (("compare", "gold.jsonl", "gold.jsonl"), "not a run file"),
    ],
)
def test_user_errors_are_one_line(
    invoke: Invoke,
    opened: list[tuple[Path, Path]],
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    assert invoke(*arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.startswith("Error: ") and err.count("\n") == 1
    assert opened == []  # found before anything was indexed


@pytest.mark.parametrize("arguments", [("run",), ("squad", "x", "--limit", "0"), ("boil",)])
def test_wrong_usage(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    assert invoke(*arguments) == 2


def test_squad_makes_its_contexts_the_corpus(
    invoke: Invoke, system: FakeSystem, opened: list[tuple[Path, Path]], tmp_path: Path
) -> None:
    answer = {"text": "Bruxelles", "answer_start": 4}
    entry = {"id": "q", "question": "Où ?", "answers": [answer]}
    paragraph = {"context": "Vu à Bruxelles.", "qas": [entry]}
    Path("s.json").write_text(json.dumps({"data": [{"title": "T", "paragraphs": [paragraph]}]}))
    # The fake has no such document: one clear line, with the corpus already written.
    assert invoke("squad", "s.json", "--limit", "1") == 1
    ((corpus, index),) = opened
    (file,) = corpus.rglob("*.txt")
    assert file.read_text() == "Vu à Bruxelles."
    doc_id = file.relative_to(corpus).as_posix()
    assert index.parent == corpus.parent.parent
    system.documents[doc_id] = replace(system.documents["note.md"], doc_id=doc_id)
    assert invoke("squad", "s.json", "--json", "r.json") == 0
    assert opened[1] == opened[0]
    run = json.loads(Path("r.json").read_text())
    assert run["config"]["dataset"]["kind"] == "squad"
    assert run["items"][0]["type"] == "span"


def test_compare(invoke: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("run", "gold.jsonl", "--json", "a.json") == 0
    capsys.readouterr()
    assert invoke("compare", "a.json", "a.json") == 0
    assert "1 items in common" in capsys.readouterr().out
    assert invoke("compare", "a.json", "a.json", "--html", "c.html") == 0
    assert Path("c.html").read_text().startswith("<!doctype html>")


def test_matrix_puts_runs_together(invoke: Invoke, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke("run", "gold.jsonl", "--json", "a.json") == 0
    capsys.readouterr()
    assert invoke("matrix", "a.json") == 0
    out = capsys.readouterr().out
    assert "answer recall 1.00" in out and "R@1 1.00 (1)" in out
    assert out.count("not measured") == 8
    assert invoke("matrix", "a.json", "a.json") == 0  # one file, named twice
    assert "R@1 1.00 (1)" in capsys.readouterr().out
    Path("b.json").write_bytes(Path("a.json").read_bytes())
    assert invoke("matrix", "a.json", "b.json") == 1
    assert "b.json: the question 'a' is in a.json already" in capsys.readouterr().err
    assert invoke("baseline", "a.json", "--out", "base.json") == 0
    assert invoke("matrix", "base.json") == 1
    assert "a baseline does not say" in capsys.readouterr().err
