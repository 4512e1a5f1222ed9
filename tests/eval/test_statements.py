"""The published statements are what they promise, and a malformed line is named."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from eval.dataset import GOLD_LANGUAGES, resolve_document
from eval.statements import FAULTS, WORDINGS, Statement, load_statements
from rag.documents import read_folder
from rag.errors import DatasetError
from rag.types import Document

ROOT = Path(__file__).resolve().parent.parent.parent
REPORTED = ROOT / "eval" / "statements.jsonl"

RIGHT: dict[str, Any] = {
    "id": "s1",
    "lang": "nl",
    "statement": "Het werd in 2022 opgericht.",
    "passages": ["Création : 2022"],
    "question": "Wanneer werd het opgericht?",
    "supported": True,
    "kind": "translation",
    "doc": "note.md",
    "note": "",
}
WRONG = {**RIGHT, "id": "s2", "supported": False, "kind": "date", "note": "2022, not 2021"}


def write(folder: Path, *records: object) -> Path:
    path = folder / "statements.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in records) + "\n")
    return path


@pytest.fixture(scope="module")
def statements() -> tuple[Statement, ...]:
    return load_statements(REPORTED)


def test_there_are_enough_in_each_language_with_both_labels(
    statements: tuple[Statement, ...],
) -> None:
    assert len(statements) >= 330
    labels = Counter((statement.lang, statement.supported) for statement in statements)
    for lang in GOLD_LANGUAGES:
        right, wrong = labels[lang, True], labels[lang, False]
        assert 0.28 <= (right + wrong) / len(statements) <= 0.38
        assert 0.43 <= right / (right + wrong) <= 0.57


def test_every_fault_is_there_ten_times_and_in_each_language(
    statements: tuple[Statement, ...],
) -> None:
    kinds = Counter(statement.kind for statement in statements)
    assert set(kinds) == {*WORDINGS, *FAULTS}
    assert [fault for fault in FAULTS if kinds[fault] < 10] == []
    seen = {(statement.kind, statement.lang) for statement in statements}
    assert {(fault, lang) for fault in FAULTS for lang in GOLD_LANGUAGES} <= seen


def test_no_sentence_is_judged_twice_on_the_same_passages(
    statements: tuple[Statement, ...],
) -> None:
    said = Counter((s.question, s.statement, s.passages) for s in statements)
    assert [key for key, times in said.items() if times > 1] == []


def test_passages_have_the_length_of_passages(statements: tuple[Statement, ...]) -> None:
    words = {len(text.split()) for statement in statements for text in statement.passages}
    assert min(words) >= 40
    assert max(words) <= 200


def test_verbatim_statements_are_and_the_others_are_not(
    statements: tuple[Statement, ...],
) -> None:
    for statement in statements:
        inside = any(statement.statement in passage for passage in statement.passages)
        assert inside == (statement.kind == "verbatim"), statement.id


def test_reported_passages_are_word_for_word_in_their_document() -> None:
    corpus = {d.doc_id: d for d in read_folder([ROOT / "corpus"]) if isinstance(d, Document)}
    missing = [
        statement.id
        for statement in load_statements(REPORTED)
        for document in (corpus[resolve_document(statement.doc, corpus)],)
        for passage in statement.passages
        if passage not in document.plain and passage not in document.text
    ]
    assert missing == []


def test_a_statement_keeps_its_fields(tmp_path: Path) -> None:
    without = {name: value for name, value in RIGHT.items() if name != "note"}
    first, second = load_statements(write(tmp_path, without, WRONG))
    assert first == Statement(
        id="s1",
        lang="nl",
        statement="Het werd in 2022 opgericht.",
        passages=("Création : 2022",),
        question="Wanneer werd het opgericht?",
        supported=True,
        kind="translation",
        doc="note.md",
    )
    assert (second.supported, second.kind, second.note) == (False, "date", "2022, not 2021")
    assert (first.line, second.line) == (1, 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"statement": " "}, "the field 'statement' must be a string, not empty"),
        ({"supported": "yes"}, "the field 'supported' must be true or false"),
        ({"lang": "de"}, "the language 'de' is none of fr, en, nl"),
        ({"passages": []}, "'passages' must hold strings that are not empty, one at least"),
        ({"passages": ["a", ""]}, "'passages' must hold strings that are not empty"),
        ({"passages": "a"}, "the field 'passages' must be a list"),
        ({"kind": "translation"}, "the kind 'translation' of a statement that is unsupported"),
        ({"supported": True, "note": ""}, "the kind 'date' of a statement that is supported"),
        ({"supported": True, "kind": "merge"}, "cannot have a note"),
        ({"note": ""}, "needs the field 'note'"),
        ({"note": None}, "the field 'note' must be a string"),
        ({"extra": 1}, "the field 'extra' is unknown"),
        ({"id": "s1"}, "the id 's1' was already used on line 1"),
    ],
)
def test_a_malformed_statement_names_file_line_and_fault(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = write(tmp_path, RIGHT, {**WRONG, **change})
    with pytest.raises(DatasetError) as caught:
        load_statements(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line 2: ")
    assert words in message
    assert "\n" not in message


def test_a_missing_field_broken_json_or_an_empty_file_is_named(tmp_path: Path) -> None:
    without = {name: value for name, value in RIGHT.items() if name != "kind"}
    with pytest.raises(DatasetError, match="line 1: the field 'kind' is missing"):
        load_statements(write(tmp_path, without))
    path = tmp_path / "broken.jsonl"
    path.write_text(json.dumps(RIGHT) + "\n{\n")
    with pytest.raises(DatasetError, match="line 2: not valid JSON"):
        load_statements(path)
    path.write_text("\n")
    with pytest.raises(DatasetError, match="there is no statement in it"):
        load_statements(path)
