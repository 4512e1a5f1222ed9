"""Compose an answer from what was read, or abstain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rag.chunking import heading_path_at
from rag.citation import cite, marker
from rag.types import Answer, Citation, Document, Language, Passage, Reading

__all__ = ["ABSTENTION", "Composer"]

# The one place where the sentence is written; page, command line and tests use it.
ABSTENTION: Mapping[str, str] = {
    "fr": "Je n’ai pas trouvé de réponse à cette question dans les documents.",
    "en": "I did not find an answer to this question in the documents.",
    "nl": "Ik heb in de documenten geen antwoord op deze vraag gevonden.",
}

_LEAD_IN: Mapping[str, str] = {
    "fr": "Selon «\u00a0{title}\u00a0»\u00a0:",
    "en": "According to “{title}”:",
    "nl": "Volgens “{title}”:",
}
_LEAD_IN_SEVERAL: Mapping[str, str] = {
    "fr": "Selon les documents\u00a0:",
    "en": "According to the documents:",
    "nl": "Volgens de documenten:",
}
_QUOTES: Mapping[str, tuple[str, str]] = {
    "fr": ("«\u00a0", "\u00a0»"),
    "en": ("“", "”"),
    "nl": ("“", "”"),
}


@dataclass(frozen=True, slots=True)
class Composer:
    """Write the extractive answer: quoted units, each with its marker.

    `default_language` answers questions whose language is not clear; `threshold` is the
    confidence below which it abstains.
    """

    default_language: str
    threshold: float

    def compose(
        self,
        question: str,
        language: Language,
        reading: Reading,
        documents: Mapping[str, Document],
    ) -> Answer:
        """Return the answer to a question from its reading; timings are left empty."""
        tongue = self.default_language if language == "unknown" else language
        abstained = reading.answerability < self.threshold or not any(reading.spans)
        citations = [] if abstained else _citations(reading, documents)
        text = ABSTENTION[tongue] if abstained else _text(tongue, citations, documents)
        short = ""
        if not abstained and reading.short is not None:
            number, span = reading.short
            document = documents[reading.passages[number].chunk.doc_id]
            short = document.plain[span.start : span.end]
        return Answer(
            question=question,
            language=language,
            text=text,
            short_answer=short,
            citations=tuple(citations),
            passages=tuple(
                Passage(
                    doc_id=hit.chunk.doc_id,
                    start=hit.chunk.start,
                    end=hit.chunk.end,
                    text=hit.chunk.text,
                    score=round(hit.score, 4),
                    used=bool(reading.spans[number]) and not abstained,
                )
                for number, hit in enumerate(reading.passages)
            ),
            abstained=abstained,
            confidence=reading.answerability,
            mode="abstention" if abstained else "extractive",
        )


def _citations(reading: Reading, documents: Mapping[str, Document]) -> list[Citation]:
    citations: list[Citation] = []
    for hit, spans in zip(reading.passages, reading.spans, strict=True):
        document = documents[hit.chunk.doc_id]
        for span in spans:
            citations.append(
                cite(
                    document,
                    span.start,
                    span.end,
                    key=str(len(citations) + 1),
                    path=heading_path_at(document, span.start),
                )
            )
    return citations


def _text(tongue: str, citations: Sequence[Citation], documents: Mapping[str, Document]) -> str:
    titles = list(dict.fromkeys(citation.title for citation in citations))
    lead = _LEAD_IN if len(titles) == 1 else _LEAD_IN_SEVERAL
    lines = [lead[tongue].format(title=titles[0])]
    opening, closing = _QUOTES[tongue]
    for citation in citations:
        document = documents[citation.doc_id]
        start, end = document.offsets.to_plain(citation.start, citation.end)
        quote = document.plain[start:end].replace("\n", " ")
        bullet = "- " if len(citations) > 1 else ""
        lines.append(f"{bullet}{opening}{quote}{closing} {marker(citation)}")
    return "\n".join(lines)
