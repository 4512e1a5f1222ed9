from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from eval.dataset import load_gold, resolve_document
from rag.errors import DatasetError

GOLD: dict[str, Any] = {
    "id": "g1",
    "lang": "fr",
    "question": "Où ?",
    "answers": ["Bruxelles"],
    "evidence": ["Siège : Bruxelles"],
    "doc": "note",
    "type": "fact",
    "answerable": True,
}
UNANSWERABLE = {**GOLD, "id": "g2", "answers": [], "evidence": [], "doc": "", "answerable": False}


def write(folder: Path, name: str, *records: object) -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    return path


def test_gold_keeps_optional_fields(tmp_path: Path) -> None:
    more = {"history": ["Qui ?"], "answer_groups": [["a", "b"], ["c"]], "polarity": "no"}
    dataset = load_gold(write(tmp_path, "g.jsonl", {**GOLD, **more}, UNANSWERABLE))
    first, second = dataset.items
    assert first.history == ("Qui ?",)
    assert first.answer_groups == (("a", "b"), ("c",))
    assert first.polarity == "no"
    assert [item.line for item in dataset.items] == [1, 2]
    assert not second.answerable
    assert dataset.source["name"] == "g.jsonl"
    assert len(dataset.source["sha256"]) == 64


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"answers": None}, "'answers' must be a list"),
        ({"answers": []}, "needs the field 'answers'"),
        ({"answers": [" "]}, "strings that are not empty"),
        ({"answerable": "yes"}, "'answerable' must be true or false"),
        ({"answerable": False}, "cannot have the field 'answers'"),
        (
            {"answerable": False, "answers": [], "evidence": [], "doc": "", "polarity": "no"},
            "cannot have the field 'polarity'",
        ),
        ({"lang": "de"}, "'de' is none of fr, en, nl"),
        ({"polarity": "maybe"}, "'maybe' is neither"),
        ({"answer_groups": [[]]}, "lists that are not empty"),
        ({"answer_groups": ["x"]}, "lists that are not empty"),
        ({"history": "Qui ?"}, "'history' must be a list"),
        ({"question": " "}, "'question' is empty"),
        ({"extra": 1}, "'extra' is unknown"),
    ],
)
def test_malformed_gold_names_file_line_and_fault(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = write(tmp_path, "g.jsonl", {**UNANSWERABLE, "id": "g0"}, {**GOLD, **change})
    with pytest.raises(DatasetError) as caught:
        load_gold(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: ")
    assert words in message
    assert "\n" not in message


def test_gold_with_a_missing_field_repeated_id_or_broken_json(tmp_path: Path) -> None:
    without = {name: value for name, value in GOLD.items() if name != "doc"}
    with pytest.raises(DatasetError, match="line 1: the field 'doc' is missing"):
        load_gold(write(tmp_path, "a.jsonl", without))
    with pytest.raises(DatasetError, match="line 2: the id 'g1' was already used on line 1"):
        load_gold(write(tmp_path, "b.jsonl", GOLD, GOLD))
    broken = tmp_path / "c.jsonl"
    broken.write_text(json.dumps(GOLD) + "\n\n{'id'\n")
    with pytest.raises(DatasetError, match="line 3: not valid JSON"):
        load_gold(broken)
    for text, words in (
        ('{"id": "a", "id": "b"}', "line 1: the field 'id' is given twice"),
        ('{"id": "\\ud800"}', "line 1: holds half a character"),
        ("[" * 100_000, "line 1: not readable as JSON"),
        ("1" * 5_000, "line 1: not readable as JSON"),
    ):
        broken.write_text(text)
        with pytest.raises(DatasetError, match=words):
            load_gold(broken)
    broken.write_text("[]\n")
    with pytest.raises(DatasetError, match="line 1: not a JSON object"):
        load_gold(broken)
    broken.write_text("\n")
    with pytest.raises(DatasetError, match="no question"):
        load_gold(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(DatasetError, match="not UTF-8"):
        load_gold(broken)
    with pytest.raises(DatasetError, match="cannot be read"):
        load_gold(tmp_path / "none.jsonl")


def test_gold_may_hold_a_line_separator_inside_a_string(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    path.write_text(json.dumps({**GOLD, "question": "a\u2028b"}, ensure_ascii=False))
    assert load_gold(path).items[0].question == "a\u2028b"


def test_documents_are_resolved() -> None:
    known = ["a/note.md", "notes.md", "page.txt"]
    assert resolve_document("page.txt", known) == "page.txt"
    assert resolve_document("pa", known) == "page.txt"
    assert resolve_document("note.md", known) == "a/note.md"  # a name, though below a folder
    assert resolve_document("notes", known) == "notes.md"
    with pytest.raises(DatasetError, match=r"'note' may be any of a/note\.md, notes\.md"):
        resolve_document("note", known)
    with pytest.raises(DatasetError, match=r"No document .* 'x'"):
        resolve_document("x", known)
