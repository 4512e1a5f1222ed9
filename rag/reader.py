"""Read a question with its passages: which units answer it, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from rag.chunking import Unit, units
from rag.encoder import Encoder
from rag.lexical import LexicalIndex
from rag.questions import Asks, asked_for, asked_key, wants_list
from rag.short_answers import ACRONYM, DATE, NUMBER, short_answer
from rag.types import Document, Language, Ranking, Reading, ScoredChunk, Span

__all__ = ["Evidence", "EvidenceReader", "Reader"]


class Reader(Protocol):
    """What answering needs of a reader; a trained one has the same interface."""

    def read(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Mapping[str, Document],
    ) -> Reading:
        """Return the supporting units of the passages and how answerable the question is."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A unit of a passage with what speaks for it.

    `similarity` is the cosine of question and unit, `coverage` the share of the question's
    words in it, `context` that share in title, headings and passage, `typed` whether it
    holds the kind of thing that is asked for, `hit` its passage.
    """

    passage: int
    unit: Unit
    similarity: float
    coverage: float
    context: float
    typed: float
    hit: ScoredChunk

    @property
    def score(self) -> float:
        return _score(self)


# Chosen on 1,000 questions of PIAF train and DILA train; see benchmarks/reader.py.
_COVERAGE = 0.10
_CONTEXT = 0.0
_TYPED = 0.03
_PASSAGE = 0.5
# Units within this of the best one are quoted too.
_NEARLY_AS_GOOD = 0.01
_MOST_UNITS = 3
_SHORTEST_LIST = 2


def _score(evidence: Evidence) -> float:
    return (
        evidence.similarity
        + _COVERAGE * evidence.coverage
        + _TYPED * evidence.typed
        + _PASSAGE * evidence.hit.score
    )


class EvidenceReader:
    """Choose units with the encoder and the shared words, without a trained model."""

    def __init__(self, encoder: Encoder, lexical: LexicalIndex) -> None:
        self._encoder = encoder
        self._lexical = lexical

    def evidence(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Mapping[str, Document],
    ) -> list[Evidence]:
        """Return every unit of the passages with its evidence, best first."""
        found: list[tuple[int, Unit, Document, str]] = []
        for number, hit in enumerate(ranking.hits):
            document = documents[hit.chunk.doc_id]
            start, end = document.offsets.to_plain(hit.chunk.start, hit.chunk.end)
            found.extend(
                (number, unit, document, document.plain[unit.start : unit.end])
                for unit in units(document, start, end)
            )
        if not found:
            return []
        texts = [
            _in_context(document, ranking.hits[number], unit, text)
            for number, unit, document, text in found
        ]
        query = self._encoder.encode_queries([question])[0]
        similarities = self._encoder.encode_passages(texts) @ query
        asks = asked_for(question)
        evidence = []
        for (number, unit, document, text), similarity in zip(found, similarities, strict=True):
            hit = ranking.hits[number]
            context = " ".join([document.title, *hit.chunk.heading_path, hit.chunk.text])
            evidence.append(
                Evidence(
                    passage=number,
                    unit=unit,
                    similarity=float(similarity),
                    coverage=self._lexical.coverage(question, language, text, document.language),
                    context=self._lexical.coverage(question, language, context, document.language),
                    typed=_typed(question, asks, unit, text),
                    hit=hit,
                )
            )
        return sorted(evidence, key=lambda e: -e.score)

    def read(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Mapping[str, Document],
    ) -> Reading:
        """Return the units that answer the question: one, a whole list, or a few."""
        evidence = self.evidence(question, language, ranking, documents)
        if not evidence:
            return Reading(ranking.hits, tuple(() for _ in ranking.hits), 0.0)
        best = evidence[0]
        chosen = _whole_list(question, evidence, documents) or _close_to_best(evidence)
        spans: list[tuple[Span, ...]] = []
        for number in range(len(ranking.hits)):
            mine = sorted((e for e in chosen if e.passage == number), key=lambda e: e.unit.start)
            spans.append(tuple(Span(e.unit.start, e.unit.end, e.score) for e in mine))
        return Reading(
            passages=ranking.hits,
            spans=tuple(spans),
            answerability=_answerability(best, evidence, language, documents),
            short=_short(question, best, documents) if len(chosen) == 1 else None,
        )


def _in_context(document: Document, hit: ScoredChunk, unit: Unit, text: str) -> str:
    if unit.kind in ("fact", "property", "table"):
        return f"{document.title} : {text}"
    return text


def _typed(question: str, asks: Asks, unit: Unit, text: str) -> float:
    """Return 1 when a unit holds the kind of thing that is asked for, by its form."""
    if unit.kind in ("fact", "property"):
        return float(asked_key(question, text.split(":", 1)[0]))
    if asks == "date":
        return float(DATE.search(text) is not None)
    if asks == "number":
        return float(NUMBER.search(text) is not None)
    if asks == "expansion":
        return float(ACRONYM.search(text) is not None)
    return 0.0


def _whole_list(
    question: str, evidence: Sequence[Evidence], documents: Mapping[str, Document]
) -> list[Evidence]:
    """Return every item of the list that the best unit stands in, when a list is asked for."""
    best = evidence[0]
    document = documents[best.hit.chunk.doc_id]
    passage = sorted((e for e in evidence if e.passage == best.passage), key=lambda e: e.unit.start)
    items = [e for e in passage if e.unit.kind == "item"]
    text = document.plain[best.unit.start : best.unit.end].rstrip()
    introduces = text.endswith(":")
    if len(items) < _SHORTEST_LIST or not (best.unit.kind == "item" or introduces):
        return []
    return items if introduces or wants_list(question) else []


def _close_to_best(evidence: Sequence[Evidence]) -> list[Evidence]:
    """Return the best unit and those that are nearly as good, from a few passages."""
    chosen = [evidence[0]]
    for other in evidence[1:]:
        near = other.score >= evidence[0].score - _NEARLY_AS_GOOD
        if near and len(chosen) < _MOST_UNITS and other.unit.kind == evidence[0].unit.kind:
            chosen.append(other)
    return chosen


def _answerability(
    best: Evidence,
    evidence: Sequence[Evidence],
    language: Language,
    documents: Mapping[str, Document],
) -> float:
    return 1.0


def _short(
    question: str, best: Evidence, documents: Mapping[str, Document]
) -> tuple[int, Span] | None:
    found = short_answer(question, best.unit, documents[best.hit.chunk.doc_id])
    return (best.passage, Span(*found, best.score)) if found else None
