"""Compare two runs question by question, and hold a run against a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from eval import measures, statistics
from eval.runs import slim
from eval.summary import LATENCIES
from rag.errors import DatasetError

__all__ = ["TOLERANCES", "Change", "Comparison", "Row", "baseline_of", "compare_runs", "gate"]

Record = Mapping[str, Any]

# Yes-or-no outcomes of an item beside its measures: 1 when it abstained exactly if it had
# to, and 1 when the user was served right, by an answer or by an abstention.
ABSTENTION = "abstention"
SERVED = "served"
COMPARED = (*measures.ITEM_MEASURES, ABSTENTION, SERVED)
_SERVED_STAGES = ("right", "rightly_abstained")

# How much worse than the baseline a measure may be, where the baseline does not say. In bf16
# instead of fp32, as another processor would have it, no measure of the gold set moves by
# more than 0.006: one question of 159. ECE moves by as much at most when each confidence of
# that set is moved by up to 0.01 at random.
TOLERANCES: Mapping[str, float] = {
    "R@1": 0.02,
    "R@5": 0.02,
    "RR@10": 0.02,
    "answer_recall": 0.02,
    "citation_precision": 0.02,
    "citation_recall": 0.02,
    "reading_answer_recall": 0.02,
    "abstention_F1": 0.05,
    "AURC": 0.02,
    "ECE": 0.02,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One measure over the items that both runs have it for; a win is B above A.

    `p` is two-sided: McNemar's exact test where every outcome is yes or no, else the
    paired permutation test on the means.
    """

    measure: str
    items: int
    mean_a: float | None
    mean_b: float | None
    wins: int
    ties: int
    losses: int
    p: float
    test: Literal["McNemar", "permutation"]


@dataclass(frozen=True, slots=True)
class Change:
    """An item whose outcome or some measure differs: (name, in A, in B).

    `direction` is 1 where B serves the user and A does not, -1 the other way round, else
    the sign of the sum of the differences.
    """

    id: str
    lang: str
    question: str
    direction: int
    differences: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the questions that both asked; the others are only counted."""

    rows: tuple[Row, ...]
    changes: tuple[Change, ...]
    common: int
    only_a: int
    only_b: int


def compare_runs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Compare two runs item by item, on the items with the same id and question.

    Items that changed come worst first.
    """
    of_a = {(item["id"], item["question"]): item for item in a["items"]}
    of_b = {(item["id"], item["question"]): item for item in b["items"]}
    pairs = [(item, of_b[key]) for key, item in of_a.items() if key in of_b]
    changes = [change for left, right in pairs if (change := _change(left, right))]
    return Comparison(
        tuple(_row(name, pairs) for name in COMPARED),
        tuple(sorted(changes, key=lambda change: change.direction)),
        len(pairs),
        len(of_a) - len(pairs),
        len(of_b) - len(pairs),
    )


def baseline_of(
    run: Mapping[str, Any],
    earlier: Mapping[str, Any] | None = None,
    bounds: Sequence[tuple[str, str, float]] = (),
) -> dict[str, Any]:
    """Return the run as a baseline, with the tolerances and bounds to gate by.

    They are those of the `earlier` baseline where there is one; `bounds` are added as
    (language or "overall", measure, value): the least, or the greatest where lower is better.
    """
    before = (earlier or {}).get("gate", {})
    kept: dict[str, Any] = {
        "tolerances": dict(before.get("tolerances", TOLERANCES)),
        "bounds": {part: dict(given) for part, given in before.get("bounds", {}).items()},
    }
    for part, measure, bound in bounds:
        if measure not in run["measures"]["overall"]:
            known = ", ".join(run["measures"]["overall"])
            raise DatasetError(f"There is no measure '{measure}'; there are: {known}.")
        if part != "overall" and part not in run["measures"]["lang"]:
            raise DatasetError(f"The run has no question in the language '{part}'.")
        if not math.isfinite(bound) or (measure not in LATENCIES and not 0 <= bound <= 1):
            raise DatasetError(f"{bound:g} is no bound for {measure}; give one from 0 to 1.")
        kept["bounds"].setdefault(part, {})[measure] = bound
    return {**slim(run), "gate": kept}


def gate(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Return a line for every measure that is worse than its tolerance or its bound allows.

    A measure that the baseline has and the run has not (no abstention at all, say)
    counts as fallen, and so does a question that ended in an error. Raises `DatasetError`
    when the two asked different questions, or asked them of different documents.
    """
    _require_same(run, baseline)
    overall, before = run["measures"]["overall"], baseline["measures"]["overall"]
    settings = baseline.get("gate", {})
    lines = []
    for name, tolerance in settings.get("tolerances", TOLERANCES).items():
        old, new = before.get(name), overall.get(name)
        if old is None or (new is not None and _loss(name, old, new) <= tolerance + 1e-9):
            continue
        worse = "above" if name in measures.LOWER_IS_BETTER else "below"
        lines.append(f"{name}: {_shown(new)}, {worse} {_shown(old)} by more than {tolerance:g}")
    for part, bounds in settings.get("bounds", {}).items():
        figures = overall if part == "overall" else run["measures"]["lang"].get(part, {})
        for name, bound in bounds.items():
            new = figures.get(name)
            if new is None or _loss(name, bound, new) > 1e-9:
                where = "" if part == "overall" else f" in {part}"
                worse = "above" if name in measures.LOWER_IS_BETTER else "below"
                lines.append(f"{name}{where}: {_shown(new)}, {worse} the bound of {bound:g}")
    errors = run["counts"]["overall"].get("errors", 0)
    if errors > baseline["counts"]["overall"].get("errors", 0):
        lines.append(f"errors: {errors} questions could not be asked")
    return lines


def _loss(name: str, reference: float, value: float) -> float:
    """Return how much worse a value is than a reference; below 0 it is better."""
    return value - reference if name in measures.LOWER_IS_BETTER else reference - value


def _require_same(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> None:
    if _nameless(run["config"]["dataset"]) != _nameless(baseline["config"].get("dataset")):
        raise DatasetError(
            "The baseline was measured on other questions; make a new one with "
            "'python -m eval baseline', or use 'compare', which compares what is common."
        )
    corpora = [r["config"].get("manifest", {}).get("corpus_hash") for r in (run, baseline)]
    if corpora[0] != corpora[1]:
        raise DatasetError(
            "The baseline was measured on other documents; make a new one with "
            "'python -m eval baseline', or name those documents with --corpus."
        )


def _nameless(source: Any) -> Any:
    """Return what was asked, whatever the files are called: their hashes and the options."""
    if not isinstance(source, dict):
        return source
    return {key: _nameless(value) for key, value in source.items() if key != "name"}


def _score(item: Record, name: str) -> float | None:
    if name == SERVED:
        return float(item["stage"] in _SERVED_STAGES)
    if name == ABSTENTION and item["outcome"] == "error":
        return 0.0
    if name == ABSTENTION:
        return float((item["outcome"] == "abstained") != bool(item["answerable"]))
    return cast("float | None", item["scores"].get(name))


def _row(name: str, pairs: Sequence[tuple[Record, Record]]) -> Row:
    both = list(_scored(name, pairs))
    differences = [b - a for a, b in both]
    wins = sum(difference > 0 for difference in differences)
    losses = sum(difference < 0 for difference in differences)
    binary = all(value in (0.0, 1.0) for pair in both for value in pair)
    return Row(
        measure=name,
        items=len(both),
        mean_a=statistics.mean([a for a, _ in both]),
        mean_b=statistics.mean([b for _, b in both]),
        wins=wins,
        ties=len(both) - wins - losses,
        losses=losses,
        p=statistics.mcnemar(wins, losses)
        if binary
        else statistics.paired_permutation(differences),
        test="McNemar" if binary else "permutation",
    )


def _scored(name: str, pairs: Sequence[tuple[Record, Record]]) -> Iterator[tuple[float, float]]:
    for left, right in pairs:
        a, b = _score(left, name), _score(right, name)
        if a is not None and b is not None:
            yield a, b


def _change(left: Record, right: Record) -> Change | None:
    differences = [
        (name, str(left[name]), str(right[name]))
        for name in ("outcome", "stage")
        if left[name] != right[name]
    ]
    total = 0.0
    for name in COMPARED:
        a, b = _score(left, name), _score(right, name)
        if a == b:
            continue
        total += (b or 0.0) - (a or 0.0)
        if name not in (ABSTENTION, SERVED):
            differences.append((name, _shown(a), _shown(b)))
    if not differences:
        return None
    served = (_score(right, SERVED) or 0.0) - (_score(left, SERVED) or 0.0)
    balance = served or total
    return Change(
        id=left["id"],
        lang=left["lang"],
        question=left["question"],
        direction=(balance > 0) - (balance < 0),
        differences=tuple(differences),
    )


def _shown(value: float | None) -> str:
    return "no figure" if value is None else f"{value:.3f}"
