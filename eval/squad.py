"""SQuAD files as open question answering: their contexts become the corpus.

Every distinct context becomes one text file, in a folder named after the contents, so
that the same file is indexed once.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from eval.dataset import Context, Dataset, Item, fail, field_of, identity, json_file, json_lines
from eval.matching import contains, fold

__all__ = ["load_squad", "write_corpus"]

UNTITLED = "Passage"


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
    source: dict[str, Any] = {"kind": "squad", **identity(path)}
    library = _Contexts()
    items = _squad_items(path, library)
    if questions is not None:
        items = _reworded(items, questions, path)
        source["questions"] = identity(questions)
    if unanswerable is not None:
        items += _unanswerable_items(unanswerable, library)
        source["unanswerable"] = identity(unanswerable)
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            fail(str(path), f"the id {item.id!r} is used by more than one question")
        seen.add(item.id)
    if limit is not None and limit < len(items):
        # Evenly spaced, so that a short run still visits every part of the file.
        items = [items[index * len(items) // limit] for index in range(limit)]
        source["limit"] = limit
    if not items:
        fail(str(path), "there is no question in it")
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


def _squad_items(path: Path, library: _Contexts) -> list[Item]:
    default = _language_of(path)
    items: list[Item] = []
    data = field_of(str(path), json_file(path), "data", list)
    for i, article in enumerate(data):
        where = f"{path}, data[{i}]"
        title = article.get("title") if isinstance(article, dict) else None
        paragraphs = field_of(where, article, "paragraphs", list)
        for j, paragraph in enumerate(paragraphs):
            place = f"{where}.paragraphs[{j}]"
            context = field_of(place, paragraph, "context", str)
            questions = field_of(place, paragraph, "qas", list)
            doc_id = library.add(context, _safe_title(title, questions))
            for k, question in enumerate(questions):
                spot = f"{place}.qas[{k}]"
                wording = field_of(spot, question, "question", str)
                lang = str(question.get("lang") or default)
                # Some files (the CNIL's) number no question; their place is stable.
                identifier = str(question.get("id") or f"{i}-{j}-{k}")
                if question.get("is_impossible"):
                    items.append(_no_answer(identifier, lang, wording))
                    continue
                spans = _answer_spans(spot, context, field_of(spot, question, "answers", list))
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
    records = list(json_lines(questions))
    times: dict[str, int] = {}
    for _, record in records:
        times[str(record.get("id"))] = times.get(str(record.get("id")), 0) + 1
    reworded: list[Item] = []
    for number, record in records:
        where = f"{questions}, line {number}"
        identifier = field_of(where, record, "id", str)
        if identifier not in known:
            fail(where, f"no question of {path.name} has the id {identifier!r}")
        lang = field_of(where, record, "lang", str)
        reworded.append(
            replace(
                known[identifier],
                id=identifier if times[identifier] == 1 else f"{identifier}-{lang}",
                lang=lang,
                question=field_of(where, record, "question", str),
            )
        )
    return reworded


def _unanswerable_items(path: Path, library: _Contexts) -> list[Item]:
    items: list[Item] = []
    for number, record in json_lines(path):
        where = f"{path}, line {number}"
        library.add(field_of(where, record, "context", str), UNTITLED)
        items.append(
            _no_answer(
                f"unanswerable-{field_of(where, record, 'pid', str)}",
                field_of(where, record, "lang", str),
                field_of(where, record, "question", str),
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
        fail(where, "there is no answer, and 'is_impossible' is not true")
    spans = []
    for answer in answers:
        text = field_of(where, answer, "text", str)
        start = answer.get("answer_start")
        if not isinstance(start, int) or context[start : start + len(text)] != text:
            start = context.find(text)
        if not text.strip() or start < 0:
            fail(where, f"the answer {text!r} is not in the context")
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
