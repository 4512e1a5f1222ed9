"""Question sets: the records, and gold files of one JSON object a line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NoReturn, cast

from rag.errors import DatasetError, Message

__all__ = [
    "GOLD_LANGUAGES",
    "Context",
    "Dataset",
    "Item",
    "fail",
    "field_of",
    "gold_item",
    "identity",
    "json_file",
    "json_lines",
    "load_gold",
    "resolve_document",
]

GOLD_LANGUAGES = ("fr", "en", "nl")

_REQUIRED = {
    "id": str,
    "lang": str,
    "question": str,
    "answers": list,
    "evidence": list,
    "doc": str,
    "type": str,
    "answerable": bool,
}
_OPTIONAL = {"history": list, "answer_groups": list, "polarity": str}
_KINDS = {
    str: Message("a string"),
    list: Message("a list"),
    bool: Message("true or false"),
}


@dataclass(frozen=True, slots=True)
class Item:
    """A question with what a right answer says and rests on.

    `answers` are alternatives; of each of `answer_groups` one alternative must be said.
    `evidence` are passages that prove the answer: any one does, but where there are
    groups all are wanted. `doc` is a document's identifier, name or unique prefix.
    Unanswerable items have none of these. `polarity` is for people: answers quote, and no
    measure reads it. `line` is where the item stands in its file.
    """

    id: str
    lang: str
    question: str
    answers: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    doc: str = ""
    type: str = "span"
    answerable: bool = True
    history: tuple[str, ...] = ()
    answer_groups: tuple[tuple[str, ...], ...] = ()
    polarity: Literal["yes", "no"] | None = None
    line: int = field(default=0, compare=False)

    @property
    def wanted(self) -> tuple[tuple[str, ...], ...]:
        """The evidence in groups of alternatives, of which each is wanted."""
        if self.answer_groups:
            return tuple((text,) for text in self.evidence)
        return (self.evidence,) if self.evidence else ()


@dataclass(frozen=True, slots=True)
class Context:
    """A document to write: `doc_id` is its path below the corpus folder."""

    doc_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Dataset:
    """Questions, the file they came from, and the documents it brings (SQuAD only).

    `source` records file names, their SHA-256 and the options, for the run file.
    """

    source: Mapping[str, Any]
    items: tuple[Item, ...]
    contexts: tuple[Context, ...] = ()


def load_gold(path: Path, name: str = "") -> Dataset:
    """Read a gold file, one JSON object a line; blank lines are passed over.

    `name` is what the file is called, where it lies at `path` for a moment only. Raises
    `DatasetError` that names the file, the line and what is wrong.
    """
    items: list[Item] = []
    lines: dict[str, int] = {}
    for number, record in json_lines(path, name):
        where = _line(name or path, number)
        item = replace(gold_item(where, record), line=number)
        if item.id in lines:
            fail(
                where,
                Message(
                    "the id {id!r} was already used on line {line}",
                    id=item.id,
                    line=lines[item.id],
                ),
            )
        lines[item.id] = number
        items.append(item)
    if not items:
        fail(name or str(path), Message("there is no question in it"))
    source = {"kind": "gold", **identity(path)}
    if name:
        source["name"] = Path(name).name
    return Dataset(source, tuple(items))


def resolve_document(name: str, known: Iterable[str]) -> str:
    """Return the document whose identifier or file name is `name`, or alone begins with it.

    Raises `DatasetError` when there is none or more than one.
    """
    known = sorted(known)
    for matches in (
        [doc_id for doc_id in known if name in (doc_id, PurePosixPath(doc_id).name)],
        [
            doc_id
            for doc_id in known
            if doc_id.startswith(name) or PurePosixPath(doc_id).name.startswith(name)
        ],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DatasetError(
                "The document {name!r} may be any of {matches}.",
                name=name,
                matches=", ".join(matches),
            )
    raise DatasetError("No document of the corpus is named or begins with {name!r}.", name=name)


def gold_item(where: str, record: Mapping[str, Any]) -> Item:
    """Return the item of a gold record; raises `DatasetError` that begins with `where`."""
    for name, kind in _REQUIRED.items():
        if name not in record:
            fail(where, Message("the field '{name}' is missing", name=name))
        if not isinstance(record[name], kind):
            fail(where, Message("the field '{name}' must be {kind}", name=name, kind=_KINDS[kind]))
    for name, value in record.items():
        if name not in _REQUIRED and name not in _OPTIONAL:
            fail(where, Message("the field '{name}' is unknown", name=name))
        if name in _OPTIONAL and not isinstance(value, _OPTIONAL[name]):
            wanted = _KINDS[_OPTIONAL[name]]
            fail(where, Message("the field '{name}' must be {kind}", name=name, kind=wanted))
    for name in ("id", "question", "type"):
        if not record[name].strip():
            fail(where, Message("the field '{name}' is empty", name=name))
    if record["lang"] not in GOLD_LANGUAGES:
        known = ", ".join(GOLD_LANGUAGES)
        fail(
            where,
            Message("the language {given!r} is none of {known}", given=record["lang"], known=known),
        )
    polarity = record.get("polarity")
    if polarity not in (None, "yes", "no"):
        fail(where, Message("the polarity {given!r} is neither 'yes' nor 'no'", given=polarity))
    groups = record.get("answer_groups", [])
    if not all(isinstance(group, list) and group for group in groups):
        fail(where, Message("the field 'answer_groups' must hold lists that are not empty"))
    for name in ("answers", "evidence", "doc"):
        if record["answerable"] and not record[name]:
            fail(where, Message("an answerable question needs the field '{name}'", name=name))
    for name in ("answers", "evidence", "doc", "answer_groups", "polarity"):
        if not record["answerable"] and record.get(name):
            fail(
                where, Message("an unanswerable question cannot have the field '{name}'", name=name)
            )
    return Item(
        id=record["id"],
        lang=record["lang"],
        question=record["question"],
        answers=_strings(where, "answers", record["answers"]),
        evidence=_strings(where, "evidence", record["evidence"]),
        doc=record["doc"],
        type=record["type"],
        answerable=record["answerable"],
        history=_strings(where, "history", record.get("history", [])),
        answer_groups=tuple(_strings(where, "answer_groups", group) for group in groups),
        polarity=cast("Literal['yes', 'no'] | None", polarity),
    )


def identity(path: Path) -> dict[str, str]:
    """Return the name and the SHA-256 of a file of questions, for the run file."""
    return {"name": path.name, "sha256": hashlib.sha256(_read(path).encode()).hexdigest()}


def json_lines(path: Path, name: str = "") -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the line number and object of every line that is not blank.

    Raises `DatasetError` with the line of the file, which is called `name` if that is given.
    """
    # Not splitlines(): a line separator inside a JSON string is not the end of a line.
    for number, line in enumerate(_read(path, name).split("\n"), 1):
        if not line.strip():
            continue
        where = _line(name or path, number)
        record = _loads(where, line)
        if not isinstance(record, dict):
            fail(where, Message("not a JSON object"))
        yield number, record


def json_file(path: Path) -> object:
    """Return what a JSON file holds; raises `DatasetError` with the line."""
    return _loads(str(path), _read(path))


def _loads(where: str, text: str) -> object:
    def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            fail(where, Message("the field {name!r} is given twice", name=twice))
        return record

    try:
        found = json.loads(text, object_pairs_hook=unique)
        # Half of a character that takes two: it can be written as JSON, and nowhere else.
        json.dumps(found, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = where if "\n" not in text else _line(where, error.lineno)
        fail(place, Message("not valid JSON ({problem})", problem=error.msg), error)
    except UnicodeEncodeError as error:
        fail(where, Message("holds half a character (a lone surrogate)"), error)
    except (ValueError, RecursionError) as error:
        what = Message("not readable as JSON: nested too deep, or a number too long")
        fail(where, what, error)
    return cast("object", found)


def _line(file: object, number: int) -> Message:
    return Message("{file}, line {number}", file=file, number=number)


def _read(path: Path, name: str = "") -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        problem = error.strerror or str(error)
        fail(name or str(path), Message("cannot be read ({problem})", problem=problem), error)
    except UnicodeDecodeError as error:
        what = Message("not UTF-8 text (byte {place})", place=error.start)
        fail(name or str(path), what, error)


def field_of(where: str, record: Any, name: str, kind: type) -> Any:
    """Return a field of a record; raises `DatasetError` when it is missing or of another kind."""
    if not isinstance(record, dict) or name not in record:
        fail(where, Message("the field '{name}' is missing", name=name))
    if not isinstance(record[name], kind) or (kind is str and not record[name].strip()):
        fail(
            where,
            Message("the field '{name}' must be {kind}, not empty", name=name, kind=_KINDS[kind]),
        )
    return record[name]


def _strings(where: str, name: str, values: Sequence[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) and value.strip() for value in values):
        fail(where, Message("the field '{name}' must hold strings that are not empty", name=name))
    return tuple(values)


def fail(where: str, what: str, cause: Exception | None = None) -> NoReturn:
    """Raise `DatasetError` with one sentence."""
    raise DatasetError("{where}: {what}.", where=where, what=what) from cause
