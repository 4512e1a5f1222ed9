"""Question sets: gold JSON lines and SQuAD files, read into one record.

A SQuAD file brings its own corpus: every distinct context becomes one text file,
in a folder named after the contents, so that the same file is indexed once.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

from eval.measures import contains, fold
from rag.errors import DatasetError

__all__ = ["Context", "Dataset", "Item", "load_gold", "load_squad", "write_corpus"]

GOLD_LANGUAGES = ("fr", "en", "nl")
UNTITLED = "Passage"

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
_KINDS = {str: "a string", list: "a list", bool: "true or false"}


@dataclass(frozen=True, slots=True)
class Item:
    """A question with what a right answer says and rests on.

    `answers` are alternatives; of each of `answer_groups` one alternative must be said.
    `evidence` are passages that prove the answer: any one does, but where there are
    groups all are wanted. `doc` is a document's
    identifier, name or unique prefix. Unanswerable items have none of these.
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


def load_gold(path: Path) -> Dataset:
    """Read a gold file, one JSON object a line; blank lines are passed over.

    Raises `DatasetError` that names the file, the line and what is wrong.
    """
    items: list[Item] = []
    lines: dict[str, int] = {}
    for number, record in _json_lines(path):
        where = f"{path}, line {number}"
        item = _gold_item(where, record)
        if item.id in lines:
            _fail(where, f"the id {item.id!r} was already used on line {lines[item.id]}")
        lines[item.id] = number
        items.append(item)
    if not items:
        _fail(str(path), "there is no question in it")
    return Dataset({"kind": "gold", **_identity(path)}, tuple(items))


def load_squad(
    path: Path,
    *,
    questions: Path | None = None,
    unanswerable: Path | None = None,
    limit: int | None = None,
) -> Dataset:
    """Read a SQuAD 1.1 or 2.0 file (Rajpurkar et al., 2016 and 2018).

    The language of a question is its `lang`, else that in the file's name
    (`xquad.de.json`), else French. The evidence of an item is its shortest answer,
    completed to whole words, within its context. `questions` keeps only the ids it
    lists, in its wording and language. `unanswerable` adds questions about a context
    (`pid`, `lang`, `question`, `context`) that have no answer there. `limit` takes
    that many questions, evenly spaced, and leaves the contexts complete.
    Raises `DatasetError` that names the file, the place and what is wrong.
    """
    source: dict[str, Any] = {"kind": "squad", **_identity(path)}
    library = _Contexts()
    items = _squad_items(path, library)
    if questions is not None:
        items = _reworded(items, questions, path)
        source["questions"] = _identity(questions)
    if unanswerable is not None:
        items += _unanswerable_items(unanswerable, library)
        source["unanswerable"] = _identity(unanswerable)
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            _fail(str(path), f"the id {item.id!r} is used by more than one question")
        seen.add(item.id)
    if limit is not None and limit < len(items):
        # Evenly spaced, so that a short run still visits every part of the file.
        items = [items[index * len(items) // limit] for index in range(limit)]
        source["limit"] = limit
    if not items:
        _fail(str(path), "there is no question in it")
    return Dataset(source, tuple(items), library.written())


def write_corpus(contexts: Sequence[Context], folder: Path) -> Path:
    """Write the documents below `folder` and return their root, named after the contents.

    The root holds `corpus/`; an index may be kept beside it. An existing root is
    complete, because it is renamed into place, and is used as it is.
    """
    digest = hashlib.sha256()
    for context in sorted(contexts, key=lambda context: context.doc_id):
        digest.update(f"{context.doc_id}\0{context.text}\0".encode())
    root = folder / digest.hexdigest()[:16]
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".writing-", dir=folder))
    try:
        for context in contexts:
            target = draft / "corpus" / context.doc_id
            target.parent.mkdir(parents=True, exist_ok=True)
            # Bytes: newline translation would shift every offset on some systems.
            target.write_bytes(context.text.encode())
        draft.rename(root)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not root.is_dir():  # Otherwise another run wrote the same corpus first.
            raise
    return root


def _gold_item(where: str, record: Mapping[str, Any]) -> Item:
    for name, kind in _REQUIRED.items():
        if name not in record:
            _fail(where, f"the field '{name}' is missing")
        if not isinstance(record[name], kind):
            _fail(where, f"the field '{name}' must be {_KINDS[kind]}")
    for name, value in record.items():
        if name not in _REQUIRED and name not in _OPTIONAL:
            _fail(where, f"the field '{name}' is unknown")
        if name in _OPTIONAL and not isinstance(value, _OPTIONAL[name]):
            _fail(where, f"the field '{name}' must be {_KINDS[_OPTIONAL[name]]}")
    for name in ("id", "question", "type"):
        if not record[name].strip():
            _fail(where, f"the field '{name}' is empty")
    if record["lang"] not in GOLD_LANGUAGES:
        _fail(where, f"the language {record['lang']!r} is none of {', '.join(GOLD_LANGUAGES)}")
    polarity = record.get("polarity")
    if polarity not in (None, "yes", "no"):
        _fail(where, f"the polarity {polarity!r} is neither 'yes' nor 'no'")
    groups = record.get("answer_groups", [])
    if not all(isinstance(group, list) and group for group in groups):
        _fail(where, "the field 'answer_groups' must hold lists that are not empty")
    for name in ("answers", "evidence", "doc"):
        if record["answerable"] and not record[name]:
            _fail(where, f"an answerable question needs the field '{name}'")
        if not record["answerable"] and record[name]:
            _fail(where, f"an unanswerable question cannot have the field '{name}'")
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


def _squad_items(path: Path, library: _Contexts) -> list[Item]:
    default = _language_of(path)
    items: list[Item] = []
    data = _get(str(path), _json_file(path), "data", list)
    for i, article in enumerate(data):
        where = f"{path}, data[{i}]"
        title = article.get("title") if isinstance(article, dict) else None
        paragraphs = _get(where, article, "paragraphs", list)
        for j, paragraph in enumerate(paragraphs):
            place = f"{where}.paragraphs[{j}]"
            context = _get(place, paragraph, "context", str)
            questions = _get(place, paragraph, "qas", list)
            doc_id = library.add(context, _safe_title(title, questions))
            for k, question in enumerate(questions):
                spot = f"{place}.qas[{k}]"
                wording = _get(spot, question, "question", str)
                lang = str(question.get("lang") or default)
                # Some files (the CNIL's) number no question; their place is stable.
                identifier = str(question.get("id") or f"{i}-{j}-{k}")
                if question.get("is_impossible"):
                    items.append(_no_answer(identifier, lang, wording))
                    continue
                spans = _answer_spans(spot, context, _get(spot, question, "answers", list))
                shortest = min(spans, key=lambda span: span[1] - span[0])
                answers = [context[start:end] for start, end in spans]
                # An annotation that cuts a word is also met by the whole word.
                answers += [_whole_words(context, *span) for span in spans]
                items.append(
                    Item(
                        id=identifier,
                        lang=lang,
                        question=wording,
                        answers=tuple(dict.fromkeys(answers)),
                        evidence=(_whole_words(context, *shortest),),
                        doc=doc_id,
                    )
                )
    return items


def _reworded(items: Sequence[Item], questions: Path, path: Path) -> list[Item]:
    known = {item.id: item for item in items}
    records = list(_json_lines(questions))
    times: dict[str, int] = {}
    for _, record in records:
        times[str(record.get("id"))] = times.get(str(record.get("id")), 0) + 1
    reworded: list[Item] = []
    for number, record in records:
        where = f"{questions}, line {number}"
        identifier = _get(where, record, "id", str)
        if identifier not in known:
            _fail(where, f"no question of {path.name} has the id {identifier!r}")
        lang = _get(where, record, "lang", str)
        reworded.append(
            replace(
                known[identifier],
                id=identifier if times[identifier] == 1 else f"{identifier}-{lang}",
                lang=lang,
                question=_get(where, record, "question", str),
            )
        )
    return reworded


def _unanswerable_items(path: Path, library: _Contexts) -> list[Item]:
    items: list[Item] = []
    for number, record in _json_lines(path):
        where = f"{path}, line {number}"
        library.add(_get(where, record, "context", str), UNTITLED)
        items.append(
            _no_answer(
                f"unanswerable-{_get(where, record, 'pid', str)}",
                _get(where, record, "lang", str),
                _get(where, record, "question", str),
            )
        )
    return items


def _no_answer(identifier: str, lang: str, question: str) -> Item:
    return Item(identifier, lang, question, type="unanswerable", answerable=False)


class _Contexts:
    """Collect distinct contexts; the first title given to a context stays."""

    def __init__(self) -> None:
        self._documents: dict[str, Context] = {}

    def add(self, text: str, title: str) -> str:
        if text not in self._documents:
            digest = hashlib.sha256(text.encode()).hexdigest()[:12]
            # A folder keeps the digest out of the title, which is read from the file's name;
            # plain text keeps dashes and stars from being read as markdown.
            self._documents[text] = Context(f"{digest}/{title}.txt", text)
        return self._documents[text].doc_id

    def written(self) -> tuple[Context, ...]:
        return tuple(self._documents.values())


def _safe_title(title: object, questions: Sequence[Any]) -> str:
    """Return the article's title, unless it gives away a question or answer of the context."""
    if not isinstance(title, str):
        return UNTITLED
    for question in filter(lambda entry: isinstance(entry, dict), questions):
        texts = [str(answer.get("text", "")) for answer in question.get("answers", ())]
        if fold(str(question.get("question"))) == fold(title) or any(
            contains(title, text) for text in texts
        ):
            return UNTITLED
    # PIAF's titles carry the tags of Wikipedia's: "<i>Vizzavona</i> (navire)".
    name = re.sub(r"</?[a-z]+>", "", title)
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*_]+', " ", name)
    return " ".join(name.split())[:80].strip(" .") or UNTITLED


def _answer_spans(where: str, context: str, answers: Sequence[Any]) -> list[tuple[int, int]]:
    if not answers:
        _fail(where, "there is no answer, and 'is_impossible' is not true")
    spans = []
    for answer in answers:
        text = _get(where, answer, "text", str)
        start = answer.get("answer_start")
        if not isinstance(start, int) or context[start : start + len(text)] != text:
            start = context.find(text)
        if not text.strip() or start < 0:
            _fail(where, f"the answer {text!r} is not in the context")
        spans.append((start, start + len(text)))
    return spans


def _whole_words(text: str, start: int, end: int) -> str:
    while start > 0 and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    return text[start:end]


def _language_of(path: Path) -> str:
    suffixes = path.suffixes
    named = suffixes[-2][1:] if len(suffixes) > 1 else ""
    return named if re.fullmatch(r"[a-z]{2}", named) else "fr"


def _identity(path: Path) -> dict[str, str]:
    return {"name": path.name, "sha256": hashlib.sha256(_read(path).encode()).hexdigest()}


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # Not splitlines(): a line separator inside a JSON string is not the end of a line.
    for number, line in enumerate(_read(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            _fail(f"{path}, line {number}", f"not valid JSON ({error.msg})", error)
        if not isinstance(record, dict):
            _fail(f"{path}, line {number}", "not a JSON object")
        yield number, record


def _json_file(path: Path) -> object:
    try:
        return cast("object", json.loads(_read(path)))
    except json.JSONDecodeError as error:
        _fail(f"{path}, line {error.lineno}", f"not valid JSON ({error.msg})", error)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        _fail(str(path), f"cannot be read ({error.strerror or error})", error)
    except UnicodeDecodeError as error:
        _fail(str(path), f"not UTF-8 text (byte {error.start})", error)


def _get(where: str, record: Any, name: str, kind: type) -> Any:
    if not isinstance(record, dict) or name not in record:
        _fail(where, f"the field '{name}' is missing")
    if not isinstance(record[name], kind) or (kind is str and not record[name].strip()):
        _fail(where, f"the field '{name}' must be {_KINDS[kind]}, not empty")
    return record[name]


def _strings(where: str, name: str, values: Sequence[Any]) -> tuple[str, ...]:
    if not all(isinstance(value, str) and value.strip() for value in values):
        _fail(where, f"the field '{name}' must hold strings that are not empty")
    return tuple(values)


def _fail(where: str, what: str, cause: Exception | None = None) -> NoReturn:
    raise DatasetError(f"{where}: {what}.") from cause
