from __future__ import annotations

from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.console import Console

from eval.dataset import Dataset, Item
from eval.experiment import measure
from eval.report import page, print_comparison, print_run
from eval.runs import compare_runs

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


def shown(print_to: Any, value: Any) -> str:
    out = StringIO()
    print_to(value, Console(file=out, width=160))
    return out.getvalue()


class Tags(HTMLParser):
    """Collect tags and addresses, and check that what opens also closes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_terminal_table_has_languages_and_counts(system: FakeSystem) -> None:
    lines = shown(print_run, measured(system)).splitlines()
    header = next(line for line in lines if "measure" in line)
    assert [cell.strip() for cell in header.strip("┃").split("┃")] == [
        "measure",
        "overall",
        "fr",
        "en",
        "de",
    ]
    row = next(line for line in lines if "answer_recall" in line)
    assert "0.500 (2)" in row and "1.000 (1)" in row and "– (0)" in row
    assert any("2 citations verified" in line for line in lines)


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


def test_page_is_whole_escaped_and_alone(system: FakeSystem) -> None:
    html = page(measured(system))
    tags = Tags()
    tags.feed(html)
    assert tags.open == []
    assert "script" not in tags.seen and "link" not in tags.seen
    assert tags.addresses == []
    assert "http" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "Citadelle on &lt;g&gt;.jsonl" in html


def test_page_shows_failures_with_expected_and_given(system: FakeSystem) -> None:
    html = page(measured(system))
    assert "Failures: 1 of 3 items" in html
    assert html.count("<details>") == 1
    assert "<dd>Non, &lt;script&gt;</dd>" in html
    assert "<dd>[1] note.md: Bruxelles</dd>" in html


def test_page_draws_the_risk_coverage_curve(system: FakeSystem) -> None:
    # Losses by falling confidence: right, wrong, abstained: risks 0, 1/2, 2/3 at 1/3, 2/3, 1.
    # x = 44 + coverage * 472, y = 236 - risk * 192.
    html = page(measured(system))
    assert 'points="201.3,236.0 358.7,140.0 516.0,108.0"' in html
    assert "area under the curve 0.389" in html  # (0 + 1/2 + 2/3) / 3
