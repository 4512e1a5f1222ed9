"""Figures of a run as they are shown, and how they changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eval.comparison import Comparison, Row
from eval.report import charts, glossary
from eval.report.glossary import Measure

__all__ = ["Difference", "Figure", "at", "change_since", "figure", "row_change", "row_of"]

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A change of a figure; `better` is 1, 0 or -1; `row` has its test, where there is one."""

    shown: str
    better: int
    row: Row | None

    @property
    def rising(self) -> bool:
        return self.shown.startswith("+")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in numbers and in words, its interval likewise, and the items it is over."""

    number: str
    words: str
    interval: str = ""
    interval_words: str = ""
    items: int = 0
    whisker: charts.Whisker | None = None


def at(table: Any, path: Iterable[str]) -> Any:
    """Return what a table of a run holds at a path, `None` where it does not go so far."""
    for name in path:
        table = table.get(name) if isinstance(table, Mapping) else None
    return table


def figure(run: Record, name: str, slice_path: Sequence[str] = ("overall",)) -> Figure:
    """Return a measure over a slice: ("overall",) or, say, ("lang", "fr")."""
    value = at(run["measures"], [*slice_path, name])
    interval = at(run.get("intervals"), [*slice_path, name])
    items = at(run["counts"], [*slice_path, "measured", name]) or 0
    if value is None:
        return Figure("–", "not measured", items=items)
    kind = glossary.measure(name)
    bounds = [interval[0], interval[1]] if interval is not None else []
    return Figure(
        _number(kind, value),
        _words(kind, value),
        "–".join(_number(kind, bound) for bound in bounds),
        _words(kind, *bounds) if bounds else "",
        items,
        charts.whisker(value, interval) if kind.unit != "ms" else None,
    )


def change_since(
    run: Record, name: str, baseline: Record | None, comparison: Comparison | None
) -> Difference | None:
    """Return the change of an overall figure since the baseline, where it can be told."""
    if baseline is None or comparison is None:
        return None
    row = row_of(comparison, name)
    if row is not None:
        return row_change(row)
    before, now = (at(r["measures"], ["overall", name]) for r in (baseline, run))
    kind = glossary.measure(name)
    # What is no mean over items can only be compared over the same ones, and times only
    # when they were taken on like machines.
    machines = {r["config"].get("platform") for r in (baseline, run)}
    if comparison.only_a or comparison.only_b or (kind.unit == "ms" and len(machines) > 1):
        return None
    return _difference(kind, now - before, None) if None not in (before, now) else None


def row_of(comparison: Comparison | None, name: str) -> Row | None:
    """Return the row of a measure, `None` where it was not compared item by item."""
    rows = comparison.rows if comparison is not None else ()
    return next((row for row in rows if row.measure == name), None)


def row_change(row: Row) -> Difference | None:
    """Return the change of a mean from A to B, `None` where one has none."""
    if row.mean_a is None or row.mean_b is None:
        return None
    return _difference(glossary.measure(row.measure), row.mean_b - row.mean_a, row)


def _difference(kind: Measure, change: float, row: Row | None) -> Difference:
    shown = {
        "share": f"{100 * change:+.1f} points",
        "score": f"{change:+.3f}",
        "ms": f"{change:+.0f} ms",
    }[kind.unit]
    # What rounds to nothing is nothing.
    moved = any(digit in "123456789" for digit in shown)
    sign = ((change > 0) - (change < 0)) * kind.better if moved else 0
    return Difference(shown.replace("-", "−"), sign, row)


def _number(kind: Measure, value: float) -> str:
    return f"{value:.0f}" if kind.unit == "ms" else f"{value:.3f}"


def _words(kind: Measure, *values: float) -> str:
    """Return a value, or an interval, with its unit."""
    if kind.unit == "ms":
        *others, last = (charts.duration(value) for value in values)
        unit = last[last.index(" ") :]
        return "–".join([*(other.removesuffix(unit) for other in others), last])
    if kind.unit == "share":
        return "–".join(f"{100 * value:.1f}" for value in values) + "%"
    return "–".join(f"{value:.3f}" for value in values)
