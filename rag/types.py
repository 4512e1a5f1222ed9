"""The frozen records that flow between the modules.

Two coordinate systems are used and never mixed:

- *canonical* offsets count characters of `Document.text`, the repaired source.
  Chunks, citations and passages use them.
- *plain* offsets count characters of `Document.plain`, what a reader sees.
  Blocks and sentences use them. `Document.offsets` goes from one to the other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

__all__ = [
    "Answer",
    "Block",
    "BlockKind",
    "Chunk",
    "Citation",
    "Document",
    "Facet",
    "FacetValue",
    "Language",
    "Metadata",
    "Mode",
    "OffsetMap",
    "Passage",
    "Ranking",
    "Reading",
    "ScoredChunk",
    "Segment",
    "Skipped",
    "Source",
    "Span",
    "Turn",
]

Language = Literal["fr", "en", "nl", "unknown"]
Metadata = Mapping[str, str | tuple[str, ...]]
Mode = Literal["extractive", "abstention", "courtesy", "written"]
BlockKind = Literal["heading", "paragraph", "item", "fact", "property", "table", "code", "noise"]


@dataclass(frozen=True, slots=True)
class Segment:
    """Pair a stretch of plain text with the canonical stretch it was read from.

    Equal lengths correspond character by character (a non-breaking space may
    stand for a space); unequal lengths (`&amp;` for `&`) only as a whole.
    """

    plain_start: int
    plain_end: int
    start: int
    end: int

    @property
    def aligned(self) -> bool:
        return self.plain_end - self.plain_start == self.end - self.start


@dataclass(frozen=True, slots=True)
class OffsetMap:
    """Translate spans between plain and canonical text.

    Segments are sorted and disjoint on both sides. Plain characters outside
    every segment (a separator put between two blocks) come from no source.
    """

    segments: tuple[Segment, ...]

    def to_canonical(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest canonical span that holds plain[start:end].

        A span without any character from the source gives an empty span.
        """
        first = last = None
        for segment in self._overlapping(start, end, plain=True):
            low, high = max(start, segment.plain_start), min(end, segment.plain_end)
            if segment.aligned:
                shift = segment.start - segment.plain_start
                low, high = low + shift, high + shift
            else:
                low, high = segment.start, segment.end
            first = low if first is None else first
            last = high
        if first is None or last is None:
            return self._nearest(start), self._nearest(start)
        return first, last

    def to_plain(self, start: int, end: int) -> tuple[int, int]:
        """Return the smallest plain span that holds canonical[start:end]."""
        first = last = None
        for segment in self._overlapping(start, end, plain=False):
            low, high = max(start, segment.start), min(end, segment.end)
            if segment.aligned:
                shift = segment.plain_start - segment.start
                low, high = low + shift, high + shift
            else:
                low, high = segment.plain_start, segment.plain_end
            first = low if first is None else first
            last = high
        return (first, last) if first is not None and last is not None else (0, 0)

    def _overlapping(self, start: int, end: int, *, plain: bool) -> Iterator[Segment]:
        def begin(segment: Segment) -> int:
            return segment.plain_start if plain else segment.start

        index = max(0, bisect_right(self.segments, start, key=begin) - 1)
        while index < len(self.segments) and begin(self.segments[index]) < end:
            segment = self.segments[index]
            if (segment.plain_end if plain else segment.end) > start:
                yield segment
            index += 1

    def _nearest(self, plain: int) -> int:
        index = bisect_right(self.segments, plain, key=lambda s: s.plain_start) - 1
        return self.segments[index].end if index >= 0 else 0


@dataclass(frozen=True, slots=True)
class Block:
    """One structural unit of a document, in plain offsets.

    `level` is the depth of a heading (1 to 6) or of a list item (1 is outermost).
    `noise` is text that is kept readable but never indexed or answered from.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A source file, decoded, repaired and understood.

    `doc_id` is the path below the corpus folder, with forward slashes.
    `text` is the canonical text, `plain` what a reader sees; `blocks` cover
    `plain` in order; `content_hash` is the SHA-256 of `text` in hexadecimal.
    """

    doc_id: str
    title: str
    text: str
    plain: str
    metadata: Metadata
    language: Language
    content_hash: str
    blocks: tuple[Block, ...] = ()
    offsets: OffsetMap = OffsetMap(())


@dataclass(frozen=True, slots=True)
class Skipped:
    """A source file that was not indexed, and why, in words for a person."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Source:
    """What the list of sources says of an indexed document."""

    doc_id: str
    title: str
    language: Language
    metadata: Metadata
    chunks: int
    characters: int


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value that a filter can have: `label` for a person, `documents` how many have it."""

    value: str
    label: str
    documents: int


@dataclass(frozen=True, slots=True)
class Facet:
    """A key of filters with the values that documents have, by label."""

    name: str
    values: tuple[FacetValue, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: `document.text[start:end] == text`, never cutting a sentence.

    `heading_path` runs from the outermost heading to the innermost.
    """

    chunk_id: str
    doc_id: str
    start: int
    end: int
    text: str
    heading_path: tuple[str, ...]
    metadata: Metadata


@dataclass(frozen=True, slots=True)
class ScoredChunk:
    """A chunk with its fused score, its rank from 1, and what each part of it was.

    `dense` is the cosine of the passage, `late` that of its tokens (see `rag/late.py`), both in
    [-1, 1]; `lexical` is a BM25 score above 0, None where no word is shared; `weight` is what
    it was multiplied by, which depends on the languages. `repeated` tells that a better passage
    says nearly the same, for which the score was lowered. `relevance` is what the reader added to
    the score, `rerank` the score of a cross-encoder, each None where that is not the second stage.
    """

    chunk: Chunk
    score: float
    rank: int
    dense: float | None = None
    lexical: float | None = None
    late: float | None = None
    weight: float = 0.0
    repeated: bool = False
    relevance: float | None = None
    rerank: float | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """The passages found for a query, best first; `language` is that of the query."""

    query: str
    hits: tuple[ScoredChunk, ...]
    language: Language = "unknown"


@dataclass(frozen=True, slots=True)
class Span:
    """A scored stretch of a document's plain text."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the reader found in the passages.

    `spans[i]` are the supporting units of `passages[i]`, in reading order and in
    plain offsets of its document. `short` is the short answer as the index of its
    passage and its span, where one can be told. `answerability` is in [0, 1]. `differ` tells
    that the units are of two documents which say different things.
    """

    passages: tuple[ScoredChunk, ...]
    spans: tuple[tuple[Span, ...], ...]
    answerability: float
    short: tuple[int, Span] | None = None
    differ: bool = False


@dataclass(frozen=True, slots=True)
class Citation:
    """A verbatim quote: `quote == document.text[start:end]` for `content_hash`."""

    key: str
    doc_id: str
    content_hash: str
    start: int
    end: int
    quote: str
    title: str
    heading_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that was read; `used` when the answer quotes it."""

    doc_id: str
    start: int
    end: int
    text: str
    score: float
    used: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer in plain text with markers such as `[1]`, and all it rests on.

    `short_answer` is empty where none can be told. `confidence` is in [0, 1]. A courtesy, which
    replies to a greeting or to a question about the assistant, rests on nothing. `understood` is
    what was asked in place of a follow-up, empty for a question that stands alone.
    `timings` holds `retrieve_ms`, `read_ms` and `total_ms`; with a language model `write_ms` too,
    of which `verify_ms` went into checking, and `first_sentence_ms` where one of its sentences
    stood. `model` is the one that wrote the
    text, `removed` the sentences of a model that the passages do not support, and `notice` says
    why a model's answer is not there, or not whole.
    """

    question: str
    language: Language
    text: str
    short_answer: str
    citations: tuple[Citation, ...]
    passages: tuple[Passage, ...]
    abstained: bool
    confidence: float
    mode: Mode
    timings: Mapping[str, float] = field(default_factory=dict)
    understood: str = ""
    removed: tuple[str, ...] = ()
    model: str = ""
    notice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `citadelle ask --json` prints."""
        understood = {"understood": self.understood} if self.understood else {}
        written = {"model": self.model, "notice": self.notice, "removed": list(self.removed)}
        return {
            "question": self.question,
            **understood,
            "language": self.language,
            "text": self.text,
            "short_answer": self.short_answer,
            "abstained": self.abstained,
            "confidence": round(self.confidence, 4),
            "mode": self.mode,
            "citations": [
                {
                    "key": citation.key,
                    "doc_id": citation.doc_id,
                    "title": citation.title,
                    "heading_path": list(citation.heading_path),
                    "start": citation.start,
                    "end": citation.end,
                    "quote": citation.quote,
                }
                for citation in self.citations
            ],
            "passages": [asdict(passage) for passage in self.passages],
            "timings": {name: round(value, 1) for name, value in self.timings.items()},
            **{name: value for name, value in written.items() if value},
        }


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation; a `private` one is sent to no language model."""

    role: Literal["user", "assistant"]
    text: str
    private: bool = False


History = Sequence[Turn]
