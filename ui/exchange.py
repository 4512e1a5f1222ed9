"""A question and what came of it, as the page holds it and as it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rag import __version__
from rag.errors import DocumentNotFound
from rag.history import KeptExchange, new_identifier
from rag.types import Answer, Document
from ui.engine import Engine
from ui.feedback import Judgement, recalled_judgement
from ui.filters import Filter
from ui.texts import Texts
from ui.writing import Writing

__all__ = [
    "Exchange",
    "keepable",
    "present_documents",
    "recall_documents",
    "recalled",
    "unchanged_documents",
]


@dataclass
class Exchange:
    """A question and what came of it: an answer, an error, or nothing yet.

    `filters` are what it was limited to, whatever is in force by now; `hints` say how to ask
    again what was not answered; `alone` is a question asked without the ones before it, `quoted`
    one that no language model may answer. `writing` is its answer while a model writes it,
    `proposed` the answer by quotes alone while it is asked whether a model may write another,
    `compared` that answer beside a written one.
    `documents` are the ones that were quoted, as they were then: an answer goes
    on showing what it was made from when a document changes or goes. They are None of an
    exchange that was kept, until they are looked up.
    """

    question: str
    filters: tuple[Filter, ...] = ()
    alone: bool = False
    quoted: bool = False
    answer: Answer | None = None
    hints: tuple[str, ...] = ()
    error: str = ""
    documents: dict[str, Document] | None = field(default_factory=dict)
    judgement: Judgement | None = None
    writing: Writing | None = None
    proposed: Answer | None = None
    compared: Answer | None = None
    identifier: str = field(default_factory=new_identifier)

    @property
    def pending(self) -> bool:
        return self.answer is None and not self.error


def keepable(exchange: Exchange) -> KeptExchange:
    """Return an exchange as it is kept."""
    judgement = exchange.judgement
    return KeptExchange(
        id=exchange.identifier,
        question=exchange.question,
        filters=tuple((entry.name, entry.value, entry.label) for entry in exchange.filters),
        alone=exchange.alone,
        quoted=exchange.quoted,
        answer=exchange.answer,
        error=exchange.error,
        hints=exchange.hints,
        history=judgement.history if judgement is not None else (),
        corpus_hash=judgement.corpus_hash if judgement is not None else "",
        version=__version__,
    )


def recalled(kept: KeptExchange, folder: Path, texts: Texts) -> Exchange:
    """Return an exchange as it was kept, with what was said of its answer since."""
    answer = kept.answer
    judgement = None
    if answer is not None and answer.mode != "courtesy":
        judgement = recalled_judgement(answer, kept.history, kept.corpus_hash, folder)
    return Exchange(
        question=kept.question,
        filters=tuple(Filter(*entry) for entry in kept.filters),
        alone=kept.alone,
        quoted=kept.quoted,
        answer=answer,
        hints=kept.hints,
        error=texts.history_unreadable if kept.unreadable else kept.error,
        documents=None,
        judgement=judgement,
        identifier=kept.id,
    )


def recall_documents(exchange: Exchange, engine: Engine) -> dict[str, Document]:
    """Return the documents of an exchange; look them up if it was kept."""
    if exchange.documents is None:
        answer = exchange.answer
        exchange.documents = unchanged_documents(answer, engine) if answer is not None else {}
    return exchange.documents


def present_documents(doc_ids: Iterable[str], engine: Engine) -> dict[str, Document]:
    """Return the documents that are there of those named, each once and in their order."""
    found: dict[str, Document] = {}
    for doc_id in doc_ids:
        try:
            document = engine.document(doc_id)
        except DocumentNotFound:
            continue
        # One that has gone may be the beginning of another's name.
        if document.doc_id == doc_id:
            found[doc_id] = document
    return found


def unchanged_documents(answer: Answer, engine: Engine) -> dict[str, Document]:
    """Return the documents of an answer that still are what it was made from."""
    quoted = {citation.doc_id for citation in answer.citations}
    there = present_documents(quoted | {passage.doc_id for passage in answer.passages}, engine)
    return {
        doc_id: document
        for doc_id, document in there.items()
        if all(
            cited.content_hash == document.content_hash
            for cited in answer.citations
            if cited.doc_id == doc_id
        )
        and all(
            document.text[passage.start : passage.end] == passage.text
            for passage in answer.passages
            if passage.doc_id == doc_id
        )
    }
