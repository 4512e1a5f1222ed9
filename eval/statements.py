"""Labelled statements: sentences of an answer, and whether the passages they cite support them.

`statements.jsonl` is only for reporting. Every wrong statement is close to a right one and
says in `note` what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval.dataset import GOLD_LANGUAGES, fail, field_of, json_lines

__all__ = ["FAULTS", "WORDINGS", "Statement", "load_statements"]

# How a supported statement says what its passages say.
WORDINGS = ("paraphrase", "translation", "merge", "verbatim")
# What is wrong with a statement that is not supported.
FAULTS = (
    "number",
    "date",
    "entity",
    "negation",
    "modality",
    "role_swap",
    "overgeneralisation",
    "wrong_passage",
    "unit",
    "invention",
)

_FIELDS = {
    "id": str,
    "lang": str,
    "statement": str,
    "passages": list,
    "question": str,
    "supported": bool,
    "kind": str,
    "doc": str,
}


@dataclass(frozen=True, slots=True)
class Statement:
    """A sentence that answers `question` and cites `passages`, which support it or do not.

    `lang` is the language of the sentence and of the question; the passages are French.
    `kind` is one of `WORDINGS` when the passages alone support the sentence, and one of
    `FAULTS` otherwise. `doc` names the document or article of the passages. `line` is where
    the statement stands in its file.
    """

    id: str
    lang: str
    statement: str
    passages: tuple[str, ...]
    question: str
    supported: bool
    kind: str
    doc: str
    note: str = ""
    line: int = field(default=0, compare=False)


def load_statements(path: Path) -> tuple[Statement, ...]:
    """Read a file of statements, one JSON object a line; blank lines are passed over.

    Raises `DatasetError` that names the file, the line and what is wrong.
    """
    statements: list[Statement] = []
    lines: dict[str, int] = {}
    for number, record in json_lines(path):
        where = f"{path}, line {number}"
        statement = _statement(where, number, record)
        if statement.id in lines:
            fail(where, f"the id {statement.id!r} was already used on line {lines[statement.id]}")
        lines[statement.id] = number
        statements.append(statement)
    if not statements:
        fail(str(path), "there is no statement in it")
    return tuple(statements)


def _statement(where: str, line: int, record: Mapping[str, Any]) -> Statement:
    for name in record:
        if name not in _FIELDS and name != "note":
            fail(where, f"the field {name!r} is unknown")
    values = {name: field_of(where, record, name, kind) for name, kind in _FIELDS.items()}
    note = record.get("note", "")
    if not isinstance(note, str):
        fail(where, "the field 'note' must be a string")
    if values["lang"] not in GOLD_LANGUAGES:
        fail(where, f"the language {values['lang']!r} is none of {', '.join(GOLD_LANGUAGES)}")
    passages = values["passages"]
    if not passages or not all(isinstance(text, str) and text.strip() for text in passages):
        fail(where, "the field 'passages' must hold strings that are not empty, one at least")
    kinds, label = (WORDINGS, "supported") if values["supported"] else (FAULTS, "unsupported")
    if values["kind"] not in kinds:
        fail(
            where,
            f"the kind {values['kind']!r} of a statement that is {label} is none of "
            f"{', '.join(kinds)}",
        )
    if values["supported"] and note.strip():
        fail(where, "a supported statement cannot have a note of what is wrong")
    if not values["supported"] and not note.strip():
        fail(where, "an unsupported statement needs the field 'note', which says what is wrong")
    return Statement(**{**values, "passages": tuple(passages)}, note=note, line=line)
