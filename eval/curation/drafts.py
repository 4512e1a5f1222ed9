"""Drafts of gold questions: what a feedback says, filled in, and what is still missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from eval.curation.findings import quoted
from eval.dataset import GOLD_LANGUAGES
from rag.chunking import units
from rag.conversation import standalone
from rag.errors import DatasetError
from rag.feedback import Feedback
from rag.types import Document, Language

__all__ = ["FIELDS", "TYPES", "Draft", "changes", "draft", "fill", "missing", "next_id", "passages"]

Draft = dict[str, Any]

TYPES = ("fact", "date", "definition", "acronym", "list", "yesno", "followup", "typo")
# The order in which fields are asked for: each leans on those before it.
FIELDS = ("lang", "answerable", "type", "polarity", "evidence", "doc", "answers")
# More sentences than this are no choice any more.
_MOST_PASSAGES = 40
_OWN_ID = re.compile(r"u(\d{3,})")


def draft(
    feedback: Feedback, documents: Mapping[str, Document], taken: Collection[str] = ()
) -> Draft:
    """Return a gold record as far as the feedback tells; what it does not is empty.

    An answer that was right gives its short answer, the quotes that hold it and their
    document; an abstention that was right gives a complete unanswerable question. Of what
    was wrong only the expected answer is taken, with the sentence where it stands, if it
    stands in one only. `answerable` is None where nobody said. `taken` are the ids in use.
    """
    language = cast("Language", feedback.language)
    record: Draft = {
        "id": next_id(taken),
        "lang": language if language in GOLD_LANGUAGES else "",
        "question": feedback.question,
        "answers": [],
        "evidence": [],
        "doc": "",
        "type": "",
        "answerable": True,
    }
    if standalone(feedback.question, feedback.history).carried:
        record["history"] = list(feedback.history)
    abstained = bool(feedback.answer.get("abstained"))
    if feedback.verdict == "right" and abstained:
        return fill(record, unanswerable=True)
    if feedback.verdict == "right":
        return record | _from_citations(feedback, documents)
    if feedback.expected:
        return record | _from_expected(feedback.expected, documents)
    return record | {"answerable": True if abstained else None}


def fill(
    record: Draft,
    *,
    answers: Sequence[str] = (),
    evidence: Sequence[str] = (),
    doc: str = "",
    type: str = "",
    lang: str = "",
    polarity: str = "",
    unanswerable: bool = False,
) -> Draft:
    """Return a draft with what a person gave in place of what was pre-filled.

    Raises `DatasetError` when that contradicts itself.
    """
    if unanswerable:
        if answers or evidence or doc or polarity or type not in ("", "unanswerable"):
            raise DatasetError(
                "An unanswerable question has no answer, evidence, document, polarity or type of "
                "its own; leave these options out, or --unanswerable."
            )
        emptied = {"answers": [], "evidence": [], "doc": "", "answerable": False}
        filled = {**record, **emptied, "type": "unanswerable"}
        filled.pop("polarity", None)
        return {**filled, "lang": lang or record["lang"]}
    given = {
        "answers": list(answers),
        "evidence": list(evidence),
        "doc": doc,
        "type": type,
        "lang": lang,
        "polarity": polarity,
    }
    filled = {**record, **{name: value for name, value in given.items() if value}}
    if answers or evidence:
        filled["answerable"] = True
    # Evidence of one's own may stand in another document than what was cited.
    if evidence and not doc:
        filled["doc"] = ""
    return filled


def missing(record: Draft) -> tuple[str, ...]:
    """Return the fields of a draft that must be asked for, in order."""
    if record["answerable"] is False:
        return () if record["lang"] else ("lang",)
    empty = [name for name in FIELDS if record.get(name) in (None, "", [])]
    return tuple(name for name in empty if name != "polarity" or record["type"] == "yesno")


def changes(feedback: Feedback, documents: Mapping[str, Document]) -> tuple[str, ...]:
    """Say of each document how it differs from what the answer was made from."""
    said: dict[str, str] = {}
    for citation in feedback.answer["citations"]:
        doc_id, document = citation["doc_id"], documents.get(citation["doc_id"])
        if document is None:
            said[doc_id] = f"{doc_id} is no longer among the documents."
        elif _quote_place(document, citation) is None:
            quote = quoted(citation["quote"])
            said[doc_id] = f"{doc_id} has changed since; it no longer says {quote}."
        elif document.content_hash != citation["content_hash"]:
            said.setdefault(doc_id, f"{doc_id} has changed since; what was quoted still stands.")
    for passage in feedback.answer["passages"]:
        doc_id, document = passage["doc_id"], documents.get(passage["doc_id"])
        if document is None or _text_place(document, passage["text"], passage["start"]) is None:
            said.setdefault(doc_id, f"{doc_id} has changed since; a passage of it is gone.")
    return tuple(said.values())


def passages(feedback: Feedback, documents: Mapping[str, Document]) -> tuple[tuple[str, str], ...]:
    """Return what evidence can be chosen from, as (document, plain text).

    First what the answer quoted, then the sentences, items and rows of what was read.
    """
    found: dict[tuple[str, str], None] = {}
    for citation in feedback.answer["citations"]:
        document = documents.get(citation["doc_id"])
        place = _quote_place(document, citation) if document else None
        if document and place:
            found[document.doc_id, document.plain[slice(*place)]] = None
    for passage in feedback.answer["passages"]:
        document = documents.get(passage["doc_id"])
        place = _text_place(document, passage["text"], passage["start"]) if document else None
        if document and place:
            for unit in units(document, *place):
                found[document.doc_id, document.plain[unit.start : unit.end]] = None
    return tuple(found)[:_MOST_PASSAGES]


def _from_citations(feedback: Feedback, documents: Mapping[str, Document]) -> Draft:
    quotes: dict[str, list[str]] = {}
    for citation in feedback.answer["citations"]:
        document = documents.get(citation["doc_id"])
        place = _quote_place(document, citation) if document else None
        if document and place:
            quotes.setdefault(document.doc_id, []).append(document.plain[slice(*place)])
    short = feedback.answer["short_answer"]
    # One question has one document: the one with the short answer, else the first quoted.
    for doc_id, texts in quotes.items():
        holding = [text for text in texts if short and short in text]
        if holding:
            return {"doc": doc_id, "evidence": holding, "answers": [short]}
    doc_id = next(iter(quotes), "")
    return {"doc": doc_id, "evidence": quotes.get(doc_id, [])}


def _from_expected(expected: str, documents: Mapping[str, Document]) -> Draft:
    holding = [
        (document.doc_id, document.plain[unit.start : unit.end])
        for document in documents.values()
        if expected in document.plain
        for unit in units(document)
        if expected in document.plain[unit.start : unit.end]
    ]
    if len(holding) == 1:
        return {"answers": [expected], "doc": holding[0][0], "evidence": [holding[0][1]]}
    return {"answers": [expected]}


def _quote_place(document: Document, citation: Mapping[str, Any]) -> tuple[int, int] | None:
    return _text_place(document, citation["quote"], citation["start"])


def _text_place(document: Document, text: str, start: int) -> tuple[int, int] | None:
    """Return where a canonical text stands now, in plain offsets: at its place, or elsewhere."""
    if document.text[start : start + len(text)] != text:
        start = document.text.find(text)
    if not text or start < 0:
        return None
    low, high = document.offsets.to_plain(start, start + len(text))
    return (low, high) if low < high else None


def next_id(taken: Collection[str]) -> str:
    """Return the id after the last of ours; one that was taken out is not given again."""
    numbers = [int(found[1]) for name in taken if (found := _OWN_ID.fullmatch(name))]
    return f"u{max(numbers, default=0) + 1:03d}"
