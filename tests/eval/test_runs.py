from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.runs import load_run, save_run, slim
from rag.errors import DatasetError


def item(identifier: str) -> dict[str, Any]:
    return {
        "id": identifier,
        "lang": "fr",
        "type": "fact",
        "question": f"{identifier} ?",
        "answerable": True,
        "outcome": "answered",
        "stage": "right",
        "correct": True,
        "scores": {"F1": 1.0},
        "given": {"text": "long"},
        "ranking": [],
    }


def run(*items: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": 2,
        "config": {"dataset": {"name": "g.jsonl", "sha256": "0"}},
        "counts": {},
        "measures": {"overall": {}},
        "items": list(items),
    }


def test_run_files_are_read_back_one_item_a_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    save_run(run(item("é"), item("b")), path)
    assert load_run(path) == run(item("é"), item("b"))
    assert sum(line.startswith('{"id": ') for line in path.read_text().splitlines()) == 2
    save_run(run(), path)
    assert load_run(path) == run()


def test_a_slim_run_keeps_what_is_compared_and_drops_what_is_read() -> None:
    (kept,) = slim(run(item("a")))["items"]
    assert kept["scores"] == {"F1": 1.0}
    assert "given" not in kept and "ranking" not in kept
    assert kept["confidence"] is None  # the item had none


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not a run file"),
        ("[]", "'config' is missing"),
        ('{"format": 2, "config": {}, "counts": {}, "measures": {}}', "'items' is missing"),
        (
            '{"format": 2, "config": {}, "counts": {}, "measures": {}, "items": []}',
            "no overall measures",
        ),
        (
            '{"format": 2, "config": {}, "counts": {}, "measures": {"overall": {}}, "items": [{}]}',
            "lacks its scores",
        ),
        ('{"config": {}, "measures": {}}', "another version"),
    ],
)
def test_what_is_no_run_is_said_in_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=words):
        load_run(path)


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be read"):
        load_run(tmp_path / "none.json")
    with pytest.raises(DatasetError, match="cannot be written"):
        save_run(run(), tmp_path / "none" / "run.json")
