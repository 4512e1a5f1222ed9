from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.runs import TOLERANCES, compare_runs, gate, load_run, save_run
from rag.errors import DatasetError


def item(identifier: str, outcome: str = "answered", **scores: float | None) -> dict[str, Any]:
    return {
        "id": identifier,
        "lang": "fr",
        "question": f"{identifier} ?",
        "answerable": True,
        "outcome": outcome,
        "scores": scores,
    }


def run(*items: dict[str, Any], **overall: float | None) -> dict[str, Any]:
    return {
        "config": {"dataset": {"name": "g.jsonl", "sha256": "0"}},
        "counts": {},
        "measures": {"overall": overall},
        "items": list(items),
    }


def test_wins_ties_and_losses_of_b() -> None:
    a = run(item("1", F1=0.0), item("2", F1=0.5), item("3", F1=1.0), item("4", F1=None))
    b = run(item("1", F1=1.0), item("2", F1=1.0), item("3", F1=1.0), item("4", F1=1.0))
    rows = {row.measure: row for row in compare_runs(a, b).rows}
    f1 = rows["F1"]
    # Item 4 has no F1 in A. Differences 1, 0.5, 0: of 4 sign patterns 2 are as extreme.
    assert (f1.items, f1.wins, f1.ties, f1.losses) == (3, 2, 1, 0)
    assert (f1.mean_a, f1.mean_b, f1.p) == (0.5, 1.0, 0.5)
    assert (rows["EM"].items, rows["EM"].mean_a, rows["EM"].p) == (0, None, 1.0)


def test_only_common_questions_are_compared() -> None:
    a = run(item("1", F1=1.0), item("2", F1=1.0), item("3", F1=1.0))
    b = run(item("2", F1=1.0), {**item("3", F1=0.0), "question": "reworded"}, item("4", F1=0.0))
    comparison = compare_runs(a, b)
    assert (comparison.common, comparison.only_a, comparison.only_b) == (1, 2, 2)
    assert comparison.changes == ()


def test_abstention_is_compared_by_item() -> None:
    # 1 stops abstaining on an answerable question: a win. 2 fails: a loss.
    a = run(item("1", "abstained", F1=0.0), item("2", F1=1.0))
    b = run(item("1", F1=0.0), item("2", "error", F1=1.0))
    row = compare_runs(a, b).rows[-1]
    assert (row.measure, row.wins, row.losses) == ("abstention", 1, 1)
    first, second = compare_runs(a, b).changes
    assert first.differences == (("outcome", "abstained", "answered"),)
    assert second.differences == (("outcome", "answered", "error"),)


def test_changed_items_say_what_changed() -> None:
    (change,) = compare_runs(run(item("1", F1=0.25, EM=None)), run(item("1", F1=1, EM=0))).changes
    assert change.differences == (("EM", "–", "0.00"), ("F1", "0.25", "1.00"))


def test_gate_allows_the_tolerance_and_no_more() -> None:
    base = dict.fromkeys(TOLERANCES, 0.8)
    assert gate(run(**base), run(**base)) == []
    within = {name: 0.8 - tolerance for name, tolerance in TOLERANCES.items()}
    assert gate(run(**within), run(**base)) == []
    below = {**base, "RR@10": 0.8 - TOLERANCES["RR@10"] - 0.001, "citation_recall": None}
    assert gate(run(**below), run(**base)) == [
        "RR@10: 0.779, below 0.800 by more than 0.02",
        "citation_recall: no figure, below 0.800 by more than 0.02",
    ]
    better = dict.fromkeys(TOLERANCES, 0.9)
    assert gate(run(**better), run(**base)) == []
    assert gate(run(**base), run(**{**base, "R@5": None})) == []


def test_gate_refuses_a_baseline_of_other_questions() -> None:
    other = run(**dict.fromkeys(TOLERANCES, 0.8))
    other["config"]["dataset"] = {"name": "g.jsonl", "sha256": "1"}
    with pytest.raises(DatasetError, match="other questions"):
        gate(run(**dict.fromkeys(TOLERANCES, 0.8)), other)


def test_gate_takes_a_baseline_of_the_same_questions_under_another_name() -> None:
    renamed = run(**dict.fromkeys(TOLERANCES, 0.8))
    renamed["config"]["dataset"] = {"name": "other.jsonl", "sha256": "0"}
    assert gate(run(**dict.fromkeys(TOLERANCES, 0.8)), renamed) == []


def test_run_files_are_read_back_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save_run(run(item("é", F1=1.0)), path)
    assert load_run(path) == run(item("é", F1=1.0))
    for text, words in (
        ("{", "not a run file"),
        ("[]", "'config' is missing"),
        ('{"config": {}, "counts": {}, "measures": {}}', "'items' is missing"),
        ('{"config": {}, "counts": {}, "measures": {}, "items": []}', "no overall measures"),
        (
            '{"config": {}, "counts": {}, "measures": {"overall": {}}, "items": [{}]}',
            "lacks its scores",
        ),
    ):
        path.write_text(text)
        with pytest.raises(DatasetError, match=words):
            load_run(path)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_run(tmp_path / "none.json")
    with pytest.raises(DatasetError, match="cannot be written"):
        save_run({}, tmp_path / "none" / "run.json")
