from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console

from eval.comparison import compare_runs
from eval.dataset import Dataset, Item
from eval.experiment import measure
from eval.report.terminal import print_comparison, print_matrix, print_run

if TYPE_CHECKING:
    from tests.eval.conftest import FakeSystem

HOSTILE = "<script>alert(1)</script> [red]x[/red] [/]"
RIGHT = Item("a", "fr", "Où ?", ("Bruxelles",), ("Siège : Bruxelles.",), "note", "fact")
WRONG = Item("b", "de", HOSTILE, (HOSTILE,), ("Le chef est Anne.",), "note", "fact")
NONE = Item("c", "en", "How?", type="unanswerable", answerable=False)


def measured(system: FakeSystem) -> dict[str, Any]:
    cited = [system.cite("note.md", "Bruxelles")]
    system.script("Où ?", "Bruxelles [1]", "Bruxelles", cited, ranking=["Le chef est Anne."])
    system.script(HOSTILE, f"Non, {HOSTILE[:8]}", "", cited, confidence=0.4)
    system.script("How?", "?", abstained=True, confidence=0.1)
    return measure(system, Dataset({"name": "<g>.jsonl", "sha256": "0"}, (RIGHT, WRONG, NONE)))


def shown(print_to: Any, value: Any, width: int = 160) -> str:
    out = StringIO()
    print_to(value, Console(file=out, width=width))
    return out.getvalue()


def test_terminal_table_has_languages_counts_and_intervals(system: FakeSystem) -> None:
    text = shown(print_run, measured(system), width=80)
    lines = [line.split() for line in text.splitlines()]
    assert ["measure", "overall", "95%", "fr", "en", "de"] in lines
    # Two answerable items, right and wrong, so some resample has either alone.
    row = next(line for line in lines if line[:1] == ["answer_recall"])
    assert row[1:] == ["0.50", "(2)", "0.00–1.00", "1.00", "(1)", "–", "(0)", "0.00", "(1)"]
    # Right at 0.9; wrong at 0.4 and at 0.1: (0.1 + 0.4 + 0.1) / 3, from 0.1 to 0.4.
    row = next(line for line in lines if line[:1] == ["ECE"])
    assert row[1:] == ["0.20", "(3)", "0.10–0.40", "0.10", "(1)", "0.10", "(1)", "0.40", "(1)"]
    assert ["rightly", "abstained", "1", "0", "1", "0"] in lines
    assert "2 citations verified" in text
    assert "Where a loss lies: retrieval alone" in text


def test_matrix_says_what_was_not_measured() -> None:
    figures = {"R@1": 0.5, "R@5": 1.0, "answer_recall": 0.25, "citation_precision": None}
    matrix = {"nl": {"fr": {"items": 4, **figures}}, "de": {"fr": {"items": 3, **figures}}}
    text = shown(print_matrix, matrix)
    assert "answer recall 0.25" in text and "R@1 0.50 (4)" in text
    assert text.count("not measured") == 8
    assert "3 questions in or over another language are not in the table." in text


def test_comparison_names_changed_items_as_they_are(system: FakeSystem) -> None:
    before = measured(system)
    system.script(HOSTILE, HOSTILE, "")
    system.script("Où ?", "?", abstained=True)
    items = Dataset({"name": "g", "sha256": "0"}, (RIGHT, WRONG))
    text = shown(print_comparison, compare_runs(before, measure(system, items)))
    assert "2 items in common; left out: 1 only in A, 0 only in B." in text
    assert "[red]x[/red]" in text  # shown, not obeyed
    assert "outcome: answered → abstained" in text
    assert "No item changed." in shown(print_comparison, compare_runs(before, before))
