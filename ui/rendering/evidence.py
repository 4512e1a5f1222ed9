"""What is shown of documents: stretches of text with marks, and the addresses of places."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from rag.types import Answer, Citation, Document, Passage, Ranking
from ui.addresses import source_address

__all__ = [
    "LEAST_CONTEXT",
    "MOST_CONTEXT",
    "Evidence",
    "Mark",
    "address_of",
    "evidence",
    "first_found",
    "marked",
    "nearest",
    "quoted_document",
]

# A quote is judged by what is around it; more than a paragraph each side hides the quote.
LEAST_CONTEXT: Final = 80
MOST_CONTEXT: Final = 700


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of plain text to highlight, with the number the answer gives it."""

    start: int
    end: int
    key: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A stretch of a document's plain text to show, with its highlights.

    `quote` replaces all of it when the document is not the one that was quoted; there is no
    `address` to read on at then.
    """

    title: str
    heading_path: tuple[str, ...]
    document: Document | None
    start: int
    end: int
    marks: tuple[Mark, ...]
    quote: str = ""
    address: str = ""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(mark.key for mark in self.marks)


def evidence(answer: Answer, documents: Mapping[str, Document]) -> tuple[Evidence, ...]:
    """Return the passages that the answer quotes, in its order, one for each passage.

    Quotes from the same passage share it, each with its own highlight.
    """
    groups: dict[tuple[str, int, int], list[Citation]] = {}
    for citation in answer.citations:
        start, end = _around(citation, answer.passages)
        groups.setdefault((citation.doc_id, start, end), []).append(citation)
    shown = []
    for (_, start, end), citations in groups.items():
        first = citations[0]
        document = quoted_document(first, documents)
        if document is None:
            shown += [
                Evidence(
                    title=citation.title,
                    heading_path=citation.heading_path,
                    document=None,
                    start=0,
                    end=0,
                    marks=(Mark(0, len(citation.quote), citation.key),),
                    quote=citation.quote,
                )
                for citation in citations
            ]
            continue
        marks = _marks(document, citations)
        begin, finish = _with_context(document, *document.offsets.to_plain(start, end), marks)
        shown.append(
            Evidence(
                first.title,
                first.heading_path,
                document,
                begin,
                finish,
                marks,
                address=source_address("", first),
            )
        )
    return tuple(shown)


def marked(answer: Answer, document: Document) -> tuple[Mark, ...]:
    """Return what an answer quotes of a document, as it was when it was quoted."""
    return _marks(
        document,
        [
            citation
            for citation in answer.citations
            if quoted_document(citation, {document.doc_id: document})
        ],
    )


def quoted_document(citation: Citation, documents: Mapping[str, Document]) -> Document | None:
    """Return the document that is quoted, None where it is gone or says something else by now."""
    document = documents.get(citation.doc_id)
    same = document is not None and document.content_hash == citation.content_hash
    return document if same else None


def _marks(document: Document, citations: Iterable[Citation]) -> tuple[Mark, ...]:
    return tuple(
        Mark(*document.offsets.to_plain(citation.start, citation.end), citation.key)
        for citation in citations
    )


def _with_context(
    document: Document, start: int, end: int, marks: Sequence[Mark]
) -> tuple[int, int]:
    """Widen a passage that is hardly more than its quotes to the blocks next to it."""
    quoted = sum(mark.end - mark.start for mark in marks)
    if end - start - quoted >= LEAST_CONTEXT:
        return start, end
    blocks = [block for block in document.blocks if block.kind != "noise"]
    before = [block for block in blocks if block.end <= start][-1:]
    # Not past a heading, on either side of which things are about something else.
    if any(block.kind == "heading" and block.start <= start < block.end for block in blocks):
        before = []
    after = [block for block in blocks if block.start >= end][:1]
    for block in before + after:
        if block.kind != "heading" and block.end - block.start <= MOST_CONTEXT:
            start, end = min(start, block.start), max(end, block.end)
    return start, end


def nearest(
    answer: Answer, documents: Mapping[str, Document], limit: int = 3
) -> tuple[Evidence, ...]:
    """Return the passages that came closest to an answer, without highlights."""
    shown = []
    for passage in answer.passages[:limit]:
        document = documents.get(passage.doc_id)
        if document is not None:
            start, end = document.offsets.to_plain(passage.start, passage.end)
            address = address_of(document, passage.start, passage.end)
            shown.append(Evidence(document.title, (), document, start, end, (), address=address))
    return tuple(shown)


def first_found(
    found: Sequence[Ranking], documents: Mapping[str, Document], limit: int = 3
) -> tuple[Evidence, ...]:
    """Return the passages to show before any is read: the best for each part of a question."""
    turns = zip_longest(*([hit for hit in each.hits if not hit.repeated] for each in found))
    chunks = {hit.chunk.chunk_id: hit.chunk for turn in turns for hit in turn if hit is not None}
    shown = []
    for chunk in list(chunks.values())[:limit]:
        document = documents.get(chunk.doc_id)
        # It may have changed since: then its answer will say so.
        if document is not None and document.text[chunk.start : chunk.end] == chunk.text:
            start, end = document.offsets.to_plain(chunk.start, chunk.end)
            shown.append(Evidence(document.title, chunk.heading_path, document, start, end, ()))
    return tuple(shown)


def address_of(document: Document, start: int, end: int) -> str:
    """Return the address of a canonical stretch of a document, relative to the page."""
    quote = document.text[start:end]
    return source_address("", Citation("", document.doc_id, "", start, end, quote, "", ()))


def _around(citation: Citation, passages: Iterable[Passage]) -> tuple[int, int]:
    """Return the passage that holds the citation, or the citation itself if none does."""
    for passage in passages:
        if (
            passage.doc_id == citation.doc_id
            and passage.start <= citation.start
            and citation.end <= passage.end
        ):
            return passage.start, passage.end
    return citation.start, citation.end
