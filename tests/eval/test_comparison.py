from __future__ import annotations

from typing import Any

import pytest

from eval.comparison import TOLERANCES, baseline_of, compare_runs, gate
from eval.measures import LOWER_IS_BETTER
from rag.errors import DatasetError


def item(
    identifier: str, outcome: str = "answered", stage: str = "right", **scores: float | None
) -> dict[str, Any]:
    return {
        "id": identifier,
        "lang": "fr",
        "question": f"{identifier} ?",
        "answerable": True,
        "outcome": outcome,
        "stage": stage,
        "scores": scores,
    }


def run(*items: dict[str, Any], **overall: float | None) -> dict[str, Any]:
    return {
        "config": {
            "dataset": {"name": "g.jsonl", "sha256": "0"},
            "manifest": {"corpus_hash": "c"},
        },
        "counts": {"overall": {"errors": 0}},
        "measures": {"overall": overall, "lang": {"nl": overall}},
        "items": list(items),
    }


def test_wins_ties_and_losses_of_b() -> None:
    a = run(item("1", F1=0.0), item("2", F1=0.5), item("3", F1=1.0), item("4", F1=None))
    b = run(item("1", F1=1.0), item("2", F1=1.0), item("3", F1=1.0), item("4", F1=1.0))
    rows = {row.measure: row for row in compare_runs(a, b).rows}
    f1 = rows["F1"]
    # Item 4 has no F1 in A. Differences 1, 0.5, 0: of 4 sign patterns 2 are as extreme.
    assert (f1.items, f1.wins, f1.ties, f1.losses) == (3, 2, 1, 0)
    assert (f1.mean_a, f1.mean_b, f1.p, f1.test) == (0.5, 1.0, 0.5, "permutation")
    assert (rows["EM"].items, rows["EM"].mean_a, rows["EM"].p) == (0, None, 1.0)


def test_yes_or_no_outcomes_are_tested_by_mcnemar() -> None:
    a = run(*(item(str(n), EM=0.0) for n in range(5)), item("5", EM=1.0))
    b = run(*(item(str(n), EM=1.0) for n in range(5)), item("5", EM=0.0))
    row = next(row for row in compare_runs(a, b).rows if row.measure == "EM")
    # 5 wins, 1 loss: P(at most 1 of 6 heads) = (1 + 6) / 64, twice for two sides.
    assert (row.wins, row.losses, row.test) == (5, 1, "McNemar")
    assert row.p == pytest.approx(2 * 7 / 64)


def test_only_common_questions_are_compared() -> None:
    a = run(item("1", F1=1.0), item("2", F1=1.0), item("3", F1=1.0))
    b = run(item("2", F1=1.0), {**item("3", F1=0.0), "question": "reworded"}, item("4", F1=0.0))
    comparison = compare_runs(a, b)
    assert (comparison.common, comparison.only_a, comparison.only_b) == (1, 2, 2)
    assert comparison.changes == ()


def test_abstaining_and_serving_are_compared_by_item() -> None:
    # 1 stops abstaining on an answerable question: a win. 2 fails: a loss. Of these only 2
    # changes whether the user is served.
    a = run(item("1", "abstained", "wrongly_abstained", F1=0.0), item("2", F1=1.0))
    b = run(item("1", stage="wrong_span", F1=0.0), item("2", "error", "error", F1=1.0))
    rows = {row.measure: row for row in compare_runs(a, b).rows}
    assert (rows["abstention"].wins, rows["abstention"].losses) == (1, 1)
    assert (rows["served"].wins, rows["served"].losses) == (0, 1)


def test_changed_items_say_what_changed_worst_first() -> None:
    a = run(item("1", F1=0.25, EM=None), item("2", F1=1.0), item("3", stage="wrong_span", F1=1.0))
    b = run(
        item("1", F1=1, EM=0), item("2", stage="wrong_span", F1=0.5), item("3", "answered", F1=0.0)
    )
    worse, *better = compare_runs(a, b).changes
    assert (worse.id, worse.direction) == ("2", -1)
    assert worse.differences == (("stage", "right", "wrong_span"), ("F1", "1.000", "0.500"))
    # The user is served now, whatever F1 says.
    assert [(change.id, change.direction) for change in better] == [("1", 1), ("3", 1)]
    assert better[0].differences == (("EM", "no figure", "0.000"), ("F1", "0.250", "1.000"))


def test_gate_allows_the_tolerance_and_no_more() -> None:
    base = dict.fromkeys(TOLERANCES, 0.8)
    assert gate(run(**base), run(**base)) == []
    signs = {name: 1 if name in LOWER_IS_BETTER else -1 for name in TOLERANCES}
    within = {name: 0.8 + signs[name] * tolerance for name, tolerance in TOLERANCES.items()}
    assert gate(run(**within), run(**base)) == []
    below = {**base, "RR@10": 0.8 - TOLERANCES["RR@10"] - 0.001, "citation_recall": None}
    assert gate(run(**below), run(**base)) == [
        "RR@10: 0.779, below 0.800 by more than 0.02",
        "citation_recall: no figure, below 0.800 by more than 0.02",
    ]
    better = {name: 0.8 - 0.1 * sign for name, sign in signs.items()}
    assert gate(run(**better), run(**base)) == []
    assert gate(run(**base), run(**{**base, "R@5": None})) == []


def test_gate_holds_bounds_and_tolerances_of_the_baseline() -> None:
    low, high = run(F1=0.5, EM=0.5), run(F1=0.6, EM=0.5)
    bounds = [("overall", "F1", 0.55), ("nl", "EM", 0.51), ("nl", "F1", 0.5)]
    baseline = baseline_of(high, bounds=bounds)
    baseline["gate"]["tolerances"] = {"F1": 0.2}
    assert gate(low, baseline) == [
        "F1: 0.500, below the bound of 0.55",
        "EM in nl: 0.500, below the bound of 0.51",
    ]


def test_where_lower_is_better_the_gate_looks_the_other_way() -> None:
    good, bad = run(AURC=0.13, latency_p50_ms=10.0), run(AURC=0.5, latency_p50_ms=900.0)
    baseline = baseline_of(good, bounds=[("overall", "AURC", 0.2), ("nl", "latency_p50_ms", 60.0)])
    assert gate(good, baseline) == []
    assert gate(bad, baseline) == [
        "AURC: 0.500, above 0.130 by more than 0.02",
        "AURC: 0.500, above the bound of 0.2",
        "latency_p50_ms in nl: 900.000, above the bound of 60",
    ]
    assert gate(run(AURC=0.01, latency_p50_ms=1.0), baseline) == []


def test_a_measure_that_the_baseline_has_not_is_not_held() -> None:
    # As of a baseline that was made before there was the measure.
    assert gate(run(F1=0.5, ECE=0.9), baseline_of(run(F1=0.5))) == []
    assert gate(run(F1=0.5, ECE=0.9), baseline_of(run(F1=0.5, ECE=0.1))) == [
        "ECE: 0.900, above 0.100 by more than 0.02"
    ]


@pytest.mark.parametrize("bound", [float("nan"), float("inf"), 75.0, -0.1])
def test_a_bound_that_no_run_can_keep_is_refused(bound: float) -> None:
    with pytest.raises(DatasetError, match="is no bound for F1"):
        baseline_of(run(F1=0.5), bounds=[("overall", "F1", bound)])


def test_gate_counts_questions_that_could_not_be_asked() -> None:
    failed = run(F1=1.0)
    failed["counts"]["overall"]["errors"] = 2
    assert gate(failed, run(F1=1.0)) == ["errors: 2 questions could not be asked"]


def test_a_new_baseline_keeps_the_gate_of_the_one_before() -> None:
    earlier = baseline_of(run(F1=0.5), bounds=[("nl", "F1", 0.4)])
    earlier["gate"]["tolerances"] = {"F1": 0.3}
    later = baseline_of(run(item("1"), F1=0.6), earlier, [("overall", "F1", 0.5)])
    assert later["gate"] == {
        "tolerances": {"F1": 0.3},
        "bounds": {"nl": {"F1": 0.4}, "overall": {"F1": 0.5}},
    }
    assert earlier["gate"]["bounds"] == {"nl": {"F1": 0.4}}
    assert later["measures"]["overall"] == {"F1": 0.6}
    with pytest.raises(DatasetError, match="no measure 'F2'; there are: F1"):
        baseline_of(run(F1=0.5), bounds=[("nl", "F2", 0.4)])
    with pytest.raises(DatasetError, match="no question in the language 'de'"):
        baseline_of(run(F1=0.5), bounds=[("de", "F1", 0.4)])


@pytest.mark.parametrize(
    ("part", "value", "words"),
    [
        ("dataset", {"name": "g.jsonl", "sha256": "1"}, "other questions"),
        ("manifest", {"corpus_hash": "d"}, "other documents"),
    ],
)
def test_gate_refuses_a_baseline_of_something_else(
    part: str, value: dict[str, str], words: str
) -> None:
    other = run(**dict.fromkeys(TOLERANCES, 0.8))
    other["config"][part] = value
    with pytest.raises(DatasetError, match=words):
        gate(run(**dict.fromkeys(TOLERANCES, 0.8)), other)


def test_gate_takes_a_baseline_of_the_same_questions_under_another_name() -> None:
    renamed = run(**dict.fromkeys(TOLERANCES, 0.8))
    renamed["config"]["dataset"] = {"name": "other.jsonl", "sha256": "0"}
    assert gate(run(**dict.fromkeys(TOLERANCES, 0.8)), renamed) == []
