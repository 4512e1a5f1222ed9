"""The tables and the picture of the comparison with other systems; no peer is needed."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from benchmarks import peers
from eval.dataset import Context, Item

ROOT = Path(__file__).resolve().parent.parent

CORPUS = peers.Corpus(
    "PIAF",
    {"piaf-train.json": "0" * 64},
    (Context("a/Lyon.txt", "Lyon est une ville."), Context("b/Passage.txt", "Le Rhône coule.")),
    tuple(
        Item(f"q{index}", lang, "?", ("ville",), ("ville",), "a/Lyon.txt")
        for index, lang in enumerate(("fr", "fr", "en", "nl"))
    ),
)


def _result(*rankings: list[str]) -> dict[str, object]:
    return {
        "index_s": 2.0,
        "query_ms": [10.0, 20.0, 30.0, 40.0],
        "rankings": list(rankings),
        "peak_mib": 512.0,
        "versions": {"torch": "2.13.0"},
    }


# French: ranks 1 and 2; English: rank 2; Dutch: not found.
MEASURED = peers.score(
    CORPUS.items, _result(["a/Lyon.txt"], ["b", "a/Lyon.txt"], ["b", "a/Lyon.txt"], ["b"])
)
FAILED = peers.Failed("No module named 'txtai'")


def _outcomes() -> dict[str, dict[str, peers.Outcome]]:
    """Every system measured alike, except txtai's defaults, which failed."""
    return {
        system.key: {"PIAF": FAILED if system.key == "txtai-defaults" else MEASURED}
        for system in peers.SYSTEMS
    }


def test_measures_are_counted_from_the_rank_of_the_right_document() -> None:
    # R@1 1/5, R@5 3/5, RR@10 (1 + 1/2 + 1/5 + 1/10) / 5 = 0.36
    found = peers.ranking_measures([1, 2, 5, 10, None])
    assert found == pytest.approx({"R@1": 0.2, "R@5": 0.6, "RR@10": 0.36})


def test_rankings_are_scored_by_language() -> None:
    assert MEASURED.measures["fr"] == {"R@1": 0.5, "R@5": 1.0, "RR@10": 0.75}
    assert MEASURED.measures["en"] == {"R@1": 0.0, "R@5": 1.0, "RR@10": 0.5}
    assert MEASURED.measures["nl"] == {"R@1": 0.0, "R@5": 0.0, "RR@10": 0.0}
    assert MEASURED.p50_ms == 25.0
    assert MEASURED.p95_ms == pytest.approx(38.5)  # 2.85 of the way through 10, 20, 30, 40


def test_a_system_that_failed_keeps_its_row_and_its_reason() -> None:
    console = Console(width=peers._COLUMNS, file=io.StringIO())
    for table in peers.tables([CORPUS], _outcomes()):
        assert len(table.rows) == len(peers.SYSTEMS)
        console.print(table)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert printed.count("failed") == 2
    assert re.search(r"Citadelle .*defaults .*0\.500 .*1\.000 .*0\.750", printed)
    assert "…" not in printed, "the tables are wider than the console"
    notes = peers.notes([CORPUS], _outcomes())
    assert "txtai hybrid, defaults, failed on PIAF: No module named 'txtai'" in notes


def test_costs_are_multiples_of_citadelles() -> None:
    assert peers.ratio(3.0, 2.0) == "1.50"
    assert peers.ratio(3.0, None) == "–"


def test_the_scale_of_the_picture_spans_the_plot() -> None:
    assert peers.bounds([0.37, 0.784]) == (3, 8)
    assert peers.bounds([0.5]) == (5, 6)
    assert peers.bounds([]) == (0, 10)
    left, right = peers._PLOT
    place = peers.scale(0.3, 0.8)
    assert place(0.3) == left
    assert place(0.8) == right
    assert place(0.55) == pytest.approx((left + right) / 2)


def test_the_picture_has_a_mark_for_each_figure_inside_the_card() -> None:
    root = ElementTree.fromstring(peers.picture(CORPUS, _outcomes()))  # noqa: S314
    svg = "{http://www.w3.org/2000/svg}"
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    measured = len(peers.SYSTEMS) - 1
    marks = [
        *root.findall(f"{svg}circle"),
        *root.findall(f"{svg}rect[@class='mark en']"),
        *root.findall(f"{svg}polygon"),
    ]
    assert len(marks) == 3 * (measured + 1)  # and the three of the legend
    for node in root.findall(f"{svg}text"):
        assert 0 < float(node.get("x", -1)) < width
        assert 0 < float(node.get("y", -1)) < height
    words = [node.text for node in root.findall(f"{svg}text")]
    assert words.count("0.50") == measured  # French
    assert words.count("0.00") == 2 * measured  # English and Dutch
    assert "prefers-color-scheme: dark" in (root.findtext(f"{svg}style") or "")


def test_the_saved_figures_hold_no_path_of_the_machine() -> None:
    record = peers.report([CORPUS], _outcomes(), "0" * 64, 0.5)
    text = json.dumps(record)
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text
    assert [entry["key"] for entry in record["systems"]] == [s.key for s in peers.SYSTEMS]
    assert record["corpora"]["PIAF"]["questions"] == {"fr": 2, "en": 1, "nl": 1}
    reason = peers._plain("cannot open /tmp/tmpabc/job.json or '/srv/x/y.bin'\n")
    assert reason == "cannot open job.json or 'y.bin'"


def test_a_title_is_known_unless_it_is_withheld() -> None:
    assert [peers.title_of(document.doc_id) for document in CORPUS.documents] == ["Lyon", ""]


def test_every_system_names_what_the_worker_knows() -> None:
    keys = [system.key for system in peers.SYSTEMS]
    assert len(set(keys)) == len(keys)
    worker = peers.WORKER.read_text(encoding="utf-8")
    for system in peers.SYSTEMS:
        assert f'"{system.worker}": _{system.worker}' in worker
        for option in system.options:
            assert f'"{option}"' in worker, f"{system.key} sets {option}, which nothing reads"


@pytest.mark.parametrize("missing", ["data", "peers"])
def test_what_is_not_at_hand_is_said_in_a_sentence(missing: str, tmp_path: Path) -> None:
    if missing == "peers":
        (tmp_path / "piaf-train.json").write_text("{}", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "benchmarks/peers.py", "--data", str(tmp_path)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Not run: " in done.stdout
    assert len(done.stdout.splitlines()) == 1
