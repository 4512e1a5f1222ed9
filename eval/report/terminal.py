"""Show runs and comparisons as tables in a terminal.

Values of a run come from documents and models: `Text` keeps rich from reading marks in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from eval.comparison import Comparison
from eval.summary import LANGUAGES, STAGES

__all__ = ["print_comparison", "print_matrix", "print_run"]

MOST_CHANGES = 40
_TALLIES = ("items", "answerable", "unanswerable", "answered", "abstained", "errors")
# The three figures that place a loss.
_PLACES = (
    ("retrieval alone", "R@5"),
    ("reading alone", "reading_answer_recall"),
    ("end to end", "answer_recall"),
)


def print_run(run: Mapping[str, Any], console: Console) -> None:
    """Print the measures overall with their intervals, and for each language, with counts."""
    columns = _columns(run)
    dataset = run["config"]["dataset"]
    table = _compact(str(dataset["name"]))
    table.add_column("measure", no_wrap=True)
    for number, (name, _, _) in enumerate(columns):
        table.add_column(Text(name), justify="right", no_wrap=True)
        if number == 0:
            table.add_column("95%", justify="right", no_wrap=True)
    for tally in _TALLIES:
        _add_tallies(table, tally, [str(counts[tally]) for _, counts, _ in columns])
    table.add_section()
    intervals = run["intervals"]["overall"]
    for measure in _measure_names(run):
        cells = [Text(_figure(measure, figures.get(measure))) for _, _, figures in columns]
        for cell, (_, counts, _) in zip(cells, columns, strict=True):
            cell.append(f" ({counts['measured'].get(measure, 0)})", style="dim")
        table.add_row(measure, cells[0], _interval(measure, intervals.get(measure)), *cells[1:])
    table.add_section()
    for stage in STAGES:
        tallies = [str(counts["stages"][stage]) for _, counts, _ in columns]
        _add_tallies(table, stage.replace("_", " "), tallies)
    console.print(table)
    for line in _remarks(run):
        console.print(Text(line))


def _compact(title: str) -> Table:
    """Return a table without a frame: with one the figures do not fit into 80 columns."""
    return Table(
        title=Text(title), title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False
    )


def _add_tallies(table: Table, name: str, tallies: Sequence[str]) -> None:
    table.add_row(name, tallies[0], "", *tallies[1:])


def print_matrix(matrix: Mapping[str, Any], console: Console) -> None:
    """Print answer recall and R@1 by language of question and document, with counts."""
    table = Table(title="question × document", title_justify="left")
    table.add_column("asked in")
    for written in LANGUAGES:
        table.add_column(f"documents in {written}", justify="right")
    for asked in LANGUAGES:
        table.add_row(asked, *(_cell(matrix.get(asked, {}).get(w)) for w in LANGUAGES))
    console.print(table)
    others = sum(
        cell["items"]
        for asked, row in matrix.items()
        for written, cell in row.items()
        if asked not in LANGUAGES or written not in LANGUAGES
    )
    if others:
        console.print(f"{others} questions in or over another language are not in the table.")


def _cell(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "not measured"
    recall, first = (_figure(name, cell[name]) for name in ("answer_recall", "R@1"))
    return f"answer recall {recall}\nR@1 {first} ({cell['items']})"


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print win, tie and loss of B against A for each measure, and the items that changed."""
    table = _compact("B against A, item by item")
    table.add_column("measure", no_wrap=True)
    for name in ("items", "A", "B", "B-A", "win", "tie", "loss", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("test", no_wrap=True)
    for row in comparison.rows:
        if row.mean_a is None or row.mean_b is None:
            table.add_row(row.measure, "0", *["–"] * 8)
            continue
        table.add_row(
            row.measure,
            str(row.items),
            f"{row.mean_a:.3f}",
            f"{row.mean_b:.3f}",
            f"{row.mean_b - row.mean_a:+.3f}",
            str(row.wins),
            str(row.ties),
            str(row.losses),
            f"{row.p:.3f}",
            # Cut, so that the row fits into 80 columns.
            row.test[:7],
        )
    console.print(table)
    console.print(
        f"{comparison.common} items in common; left out: {comparison.only_a} only in A, "
        f"{comparison.only_b} only in B."
    )
    if not comparison.changes:
        console.print("No item changed.")
        return
    changed = Table(title=f"{len(comparison.changes)} items changed", title_justify="left")
    for name in ("id", "lang", "question", "A → B"):
        changed.add_column(name)
    for change in comparison.changes[:MOST_CHANGES]:
        differences = "\n".join(f"{name}: {a} → {b}" for name, a, b in change.differences)
        changed.add_row(
            Text(change.id), Text(change.lang), Text(change.question), Text(differences)
        )
    console.print(changed)
    if len(comparison.changes) > MOST_CHANGES:
        console.print(f"The other {len(comparison.changes) - MOST_CHANGES} are not shown.")


def _columns(run: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Return (name, counts, figures): overall, then the languages, ours first."""
    counts, figures = run["counts"], run["measures"]
    names = sorted(figures["lang"], key=lambda name: (name not in LANGUAGES, _place(name), name))
    return [
        ("overall", counts["overall"], figures["overall"]),
        *((name, counts["lang"][name], figures["lang"][name]) for name in names),
    ]


def _place(name: str) -> int:
    return LANGUAGES.index(name) if name in LANGUAGES else 0


def _measure_names(run: Mapping[str, Any]) -> list[str]:
    return list(run["measures"]["overall"])


def _figure(measure: str, value: float | None) -> str:
    if value is None:
        return "–"
    # Two digits: a third says nothing over a few hundred questions.
    return f"{value:.0f}" if measure.endswith("_ms") else f"{value:.2f}"


def _interval(measure: str, interval: Sequence[float] | None) -> str:
    if interval is None:
        return ""
    return "–".join(_figure(measure, bound) for bound in interval)


def _remarks(run: Mapping[str, Any]) -> list[str]:
    counts = run["counts"]
    excluded = counts["overall"]["excluded"]
    overall = run["measures"]["overall"]
    placed = (f"{name} {_figure(measure, overall[measure])}" for name, measure in _PLACES)
    lines = [
        f"Where a loss lies: {', '.join(placed)} ({', '.join(name for _, name in _PLACES)}).",
        f"{counts['quotes_verified']} citations verified letter by letter.",
    ]
    left_out = [f"{number} {name.replace('_', ' ')}" for name, number in excluded.items()]
    lines.append(f"Excluded: {'; '.join(left_out)}.")
    missing = counts["evidence_not_in_document"]
    if missing:
        shown = ", ".join(missing[:10]) + (" …" if len(missing) > 10 else "")
        lines.append(f"Evidence not found in its document, so never retrieved: {shown}.")
    return lines
