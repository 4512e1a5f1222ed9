"""A system whose documents, rankings and answers are written out by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag.config import Settings
from rag.errors import DocumentNotFound, InvalidQuestion
from rag.types import (
    Answer,
    Chunk,
    Citation,
    Document,
    OffsetMap,
    Ranking,
    ScoredChunk,
    Segment,
    Source,
)
from rag.writing import Event, Sentence

# Canonical text with marks; the plain text is without the stars.
NOTE = "**Siège** : Bruxelles.\n**Création** : 2022.\nLe chef est Anne.\n"
PAGE = "Le CCB coopère avec le Niger.\nIl siège à l'ENISA.\n"


def document(doc_id: str, text: str) -> Document:
    plain, segments, start = "", [], 0
    for part in text.split("**"):
        segments.append(Segment(len(plain), len(plain) + len(part), start, start + len(part)))
        plain, start = plain + part, start + len(part) + 2
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Document(doc_id, doc_id, text, plain, {}, "fr", digest, (), OffsetMap(tuple(segments)))


class FakeSystem:
    """Answer from a script; rank the lines of all documents in the order of the script."""

    def __init__(self) -> None:
        self.settings = Settings(corpus=Path("/home/someone/corpus"))
        self.manifest: Mapping[str, Any] = {
            "encoder": "fake",
            "paths": ["/home/someone/corpus"],
            "created": "today",
            "documents": {"note.md": "0"},
        }
        self.documents = {
            name: document(name, text) for name, text in (("note.md", NOTE), ("page.txt", PAGE))
        }
        self.answers: dict[str, Answer] = {}
        self.rankings: dict[str, list[str]] = {}
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        # What is answered from given passages, where it is not what is answered otherwise.
        self.readings: dict[tuple[str, float | None], Answer] = {}
        self.read: list[tuple[str, tuple[str, ...]]] = []

    def __enter__(self) -> FakeSystem:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def cite(self, doc_id: str, quote: str, key: str = "1") -> Citation:
        found = self.documents[doc_id]
        start = found.text.index(quote)
        return Citation(
            key, doc_id, found.content_hash, start, start + len(quote), quote, doc_id, ()
        )

    def script(
        self,
        question: str,
        text: str = "",
        short: str = "",
        cited: Sequence[Citation] = (),
        *,
        confidence: float = 0.9,
        abstained: bool = False,
        ms: float = 10.0,
        ranking: Sequence[str] = (),
    ) -> None:
        self.answers[question] = Answer(
            question,
            "fr",
            text,
            short,
            tuple(cited),
            (),
            abstained,
            confidence,
            "abstention" if abstained else "extractive",
            {"total_ms": ms},
        )
        self.rankings[question] = list(ranking)

    def ask(self, question: str, *, history: Sequence[str] = ()) -> Answer:
        self.asked.append((question, tuple(history)))
        if question not in self.answers:
            raise InvalidQuestion("Not in the script, see /home/someone/script.json.")
        return self.answers[question]

    def stream(self, question: str, *, history: Sequence[str] = ()) -> Iterator[Event]:
        """Write the scripted answer in sentences of a line each, as a language model would."""
        answer = self.ask(question, history=history)
        if answer.abstained:
            yield answer
            return
        for line in answer.text.split("\n"):
            yield Sentence(line, answer.citations, repaired="[2]" in line)
        timings = {**answer.timings, "write_ms": 8.0, "first_sentence_ms": 5.0}
        yield replace(answer, mode="written", timings=timings)

    reader = "fake"

    def answer(
        self,
        question: str,
        ranking: Ranking,
        *,
        history: Sequence[str] = (),
        abstain_below: float | None = None,
    ) -> Answer:
        self.read.append((question, tuple(hit.chunk.text for hit in ranking.hits)))
        if (question, abstain_below) in self.readings:
            return self.readings[question, abstain_below]
        return self.answers[question]

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
    ) -> Ranking:
        if filters is not None:
            return self._lines(question, filters["doc"])
        hits = []
        for rank, line in enumerate(self.rankings[question][:k], 1):
            doc_id = next(name for name, doc in self.documents.items() if line in doc.text)
            start = self.documents[doc_id].text.index(line)
            chunk = Chunk(f"{doc_id}:{start}", doc_id, start, start + len(line), line, (), {})
            hits.append(ScoredChunk(chunk, 1 / rank, rank))
        return Ranking(question, tuple(hits))

    def _lines(self, question: str, doc_id: str) -> Ranking:
        """Rank the lines of one document in their order, as its passages."""
        hits, start = [], 0
        for line in self.documents[doc_id].text.splitlines():
            chunk = Chunk(f"{doc_id}:{start}", doc_id, start, start + len(line), line, (), {})
            hits.append(ScoredChunk(chunk, 1.0, len(hits) + 1))
            start += len(line) + 1
        return Ranking(question, tuple(hits))

    def document(self, doc_id: str) -> Document:
        if doc_id not in self.documents:
            raise DocumentNotFound(f"There is no {doc_id}.")
        return self.documents[doc_id]

    def sources(self) -> tuple[Source, ...]:
        return tuple(
            Source(doc.doc_id, doc.title, "fr", {}, 1, len(doc.text))
            for doc in self.documents.values()
        )


@pytest.fixture
def system() -> FakeSystem:
    return FakeSystem()
