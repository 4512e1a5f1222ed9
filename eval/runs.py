"""Run files: write, read, compare, and hold against a baseline."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, cast

from eval import measures
from rag.errors import DatasetError

__all__ = [
    "TOLERANCES",
    "Change",
    "Comparison",
    "Row",
    "compare_runs",
    "gate",
    "load_run",
    "presentable",
    "save_run",
]

DIGITS = 6
_PATH = re.compile(r"(?<![\w/])(?:[A-Za-z]:[\\/]|/)(?:[^\s'\":/\\]+[\\/])+([^\s'\":/\\]+)")
# The per-item form of abstention: 1 when the system abstained exactly if it had to.
ABSTENTION = "abstention"

# How far below the baseline a measure may fall. A run is deterministic on one machine;
# arithmetic in bf16 on another may swap near-equal passages: about two items of a hundred.
TOLERANCES: Mapping[str, float] = {
    "R@5": 0.02,
    "RR@10": 0.02,
    "answer_recall": 0.02,
    "citation_precision": 0.02,
    "citation_recall": 0.02,
    "abstention_F1": 0.03,
}


@dataclass(frozen=True, slots=True)
class Row:
    """One measure over the items that both runs have it for; a win is B above A.

    `p` is the two-sided p-value of the paired permutation test on the means.
    """

    measure: str
    items: int
    mean_a: float | None
    mean_b: float | None
    wins: int
    ties: int
    losses: int
    p: float


@dataclass(frozen=True, slots=True)
class Change:
    """An item whose outcome or some measure differs: (name, in A, in B)."""

    id: str
    lang: str
    question: str
    differences: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs on the questions that both asked; the others are only counted."""

    rows: tuple[Row, ...]
    changes: tuple[Change, ...]
    common: int
    only_a: int
    only_b: int


def save_run(run: Mapping[str, Any], path: Path) -> None:
    """Write a run as JSON; raises `DatasetError` when the file cannot be written."""
    text = json.dumps(run, ensure_ascii=False, indent=1, allow_nan=False)
    try:
        path.write_bytes((text + "\n").encode())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror}).") from error


def load_run(path: Path) -> dict[str, Any]:
    """Read a run; raises `DatasetError` when the file is not one."""
    try:
        run = json.loads(path.read_bytes())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise DatasetError(f"{path}: not a run file ({error}).") from error
    parts = {"config": dict, "counts": dict, "measures": dict, "items": list}
    for name, kind in parts.items():
        if not isinstance(run, dict) or not isinstance(run.get(name), kind):
            raise DatasetError(f"{path}: not a run file ('{name}' is missing).")
    if not isinstance(run["measures"].get("overall"), dict):
        raise DatasetError(f"{path}: not a run file (it has no overall measures).")
    needed = {"id", "question", "answerable", "scores", "outcome"}
    if not all(isinstance(item, dict) and needed <= item.keys() for item in run["items"]):
        raise DatasetError(f"{path}: not a run file (an item lacks its scores).")
    return cast("dict[str, Any]", run)


def presentable(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run fit for JSON and for other people.

    Floats are rounded to 6 digits, numbers of numpy become Python's, NaN becomes null,
    and absolute paths in `config` and in errors shrink to their last part.
    """
    fit = {name: _fit(value) for name, value in run.items()}
    for item in fit["items"]:
        item["error"] = _PATH.sub(r"\1", item["error"]) if item["error"] else None
    return {**fit, "config": _without_paths(fit["config"])}


def compare_runs(a: Mapping[str, Any], b: Mapping[str, Any]) -> Comparison:
    """Compare two runs item by item, on the items with the same id and question."""
    of_a = {(item["id"], item["question"]): item for item in a["items"]}
    of_b = {(item["id"], item["question"]): item for item in b["items"]}
    pairs = [(item, of_b[key]) for key, item in of_a.items() if key in of_b]
    names = (*measures.ITEM_MEASURES, ABSTENTION)
    changes = [change for left, right in pairs if (change := _change(left, right, names))]
    return Comparison(
        tuple(_row(name, pairs) for name in names),
        tuple(changes),
        len(pairs),
        len(of_a) - len(pairs),
        len(of_b) - len(pairs),
    )


def gate(run: Mapping[str, Any], baseline: Mapping[str, Any]) -> list[str]:
    """Return a line for every gated measure that fell below its tolerance.

    A measure that the baseline has and the run has not (no abstention at all, say)
    counts as fallen. Raises `DatasetError` when the two asked different questions.
    """
    if _nameless(run["config"]["dataset"]) != _nameless(baseline["config"].get("dataset")):
        raise DatasetError(
            "The baseline was measured on other questions; make a new one with --json, or use "
            "'compare', which compares what is common."
        )
    lines = []
    for name, tolerance in TOLERANCES.items():
        now = run["measures"]["overall"].get(name)
        before = baseline["measures"]["overall"].get(name)
        if before is None or (now is not None and now >= before - tolerance - 1e-9):
            continue
        shown = "no figure" if now is None else f"{now:.3f}"
        lines.append(f"{name}: {shown}, below {before:.3f} by more than {tolerance:g}")
    return lines


def _nameless(source: Any) -> Any:
    """Return what was asked, whatever the files are called: their hashes and the options."""
    if not isinstance(source, dict):
        return source
    return {key: _nameless(value) for key, value in source.items() if key != "name"}


def _score(item: Mapping[str, Any], name: str) -> float | None:
    if name == ABSTENTION and item["outcome"] == "error":
        return 0.0
    if name == ABSTENTION:
        return float((item["outcome"] == "abstained") != bool(item["answerable"]))
    return cast("float | None", item["scores"].get(name))


def _row(name: str, pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Row:
    scores = [(_score(left, name), _score(right, name)) for left, right in pairs]
    both = [(a, b) for a, b in scores if a is not None and b is not None]
    differences = [b - a for a, b in both]
    return Row(
        measure=name,
        items=len(both),
        mean_a=measures.mean([a for a, _ in both]),
        mean_b=measures.mean([b for _, b in both]),
        wins=sum(difference > 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        p=measures.paired_permutation(differences),
    )


def _change(
    left: Mapping[str, Any], right: Mapping[str, Any], names: Sequence[str]
) -> Change | None:
    differences = []
    if left["outcome"] != right["outcome"]:
        differences.append(("outcome", left["outcome"], right["outcome"]))
    for name in names:
        a, b = _score(left, name), _score(right, name)
        if name != ABSTENTION and a != b:
            differences.append((name, _shown(a), _shown(b)))
    if not differences:
        return None
    return Change(left["id"], left.get("lang", ""), left["question"], tuple(differences))


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _fit(value: object) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _fit(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_fit(part) for part in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, Path):
        return str(value)
    number = float(cast("float", value))
    return round(number, DIGITS) if math.isfinite(number) else None


def _without_paths(value: Any) -> Any:
    if isinstance(value, dict):
        return {_without_paths(name): _without_paths(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_paths(part) for part in value]
    if isinstance(value, str):
        for kind in (PurePosixPath, PureWindowsPath):
            if kind(value).is_absolute():
                return kind(value).name
    return value
