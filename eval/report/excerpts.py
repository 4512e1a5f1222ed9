"""Mark in a passage where the evidence stands and what was cited, and cut what is far off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

__all__ = ["Passage", "Piece", "Span", "evidence_ranks", "excerpt", "passages", "pieces", "stray"]

Record = Mapping[str, Any]

CONTEXT = 140
START = 90
# A cut must leave out enough to be worth an ellipsis.
LEAST_CUT = 40


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document in canonical offsets: cited under `key`, or evidence without."""

    start: int
    end: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a passage in which nothing begins or ends.

    `keys` are of the citations that begin with it. An `opening` piece is the first of its
    run of cited pieces, a `closing` one the last. A `gap` stands for text left out.
    """

    text: str
    evidence: bool = False
    cited: bool = False
    keys: tuple[str, ...] = ()
    opening: bool = False
    closing: bool = False
    gap: bool = False

    @property
    def marked(self) -> bool:
        return self.evidence or self.cited


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage with its marks; `rank` counts from 1 in the order of reading, 0 if not read."""

    rank: int
    doc_id: str
    whole: tuple[Piece, ...]
    excerpt: tuple[Piece, ...]
    evidence: bool

    @property
    def marked(self) -> bool:
        return any(piece.marked for piece in self.whole)

    @property
    def cited(self) -> bool:
        return any(piece.cited for piece in self.whole)

    @property
    def cut(self) -> bool:
        return any(piece.gap for piece in self.excerpt)

    @property
    def characters(self) -> int:
        return sum(len(piece.text) for piece in self.whole)

    @property
    def start(self) -> str:
        """Return the first words of the passage, on one line."""
        text = " ".join("".join(piece.text for piece in self.whole).split())
        return text if len(text) <= START else f"{text[: _head(text, START)].rstrip()} …"


def passages(item: Record) -> tuple[Passage, ...]:
    """Return the passages that were read, before them that of the evidence if it was not."""
    read = item["given"]["passages"] if item["given"] else ()
    shown = [_passage(item, rank, passage) for rank, passage in enumerate(read, 1)]
    if wanted := item["expected"].get("passage"):
        places = [place for place in _places(item) if _holds(wanted, place)] or [wanted]
        if not any(_holds(passage, place) for passage in read for place in places):
            shown.insert(0, _passage(item, 0, wanted))
    return tuple(shown)


def stray(item: Record) -> tuple[Record, ...]:
    """Return the citations of an item that reach into none of the passages read."""
    given = item["given"] or {"citations": (), "passages": ()}
    return tuple(
        citation
        for citation in given["citations"]
        if not any(
            passage["doc_id"] == citation["doc_id"]
            and citation["start"] < passage["end"]
            and passage["start"] < citation["end"]
            for passage in given["passages"]
        )
    )


def evidence_ranks(item: Record) -> tuple[int | None, ...]:
    """Return, for each place of evidence, the rank of the first hit that holds it whole."""
    return tuple(
        next((rank for rank, hit in enumerate(item["ranking"], 1) if _holds(hit, place)), None)
        for place in _places(item)
    )


def pieces(
    text: str, offset: int, evidence: Iterable[Span], cited: Iterable[Span]
) -> tuple[Piece, ...]:
    """Split a passage, which begins at `offset` of its document, where any span begins or ends.

    Spans may overlap, and may reach beyond the passage or lie outside: what is in the
    passage is marked. The texts of all pieces together are the passage's.
    """

    def within(spans: Iterable[Span]) -> list[Span]:
        clipped = (
            Span(max(0, span.start - offset), min(len(text), span.end - offset), span.key)
            for span in spans
        )
        return [span for span in clipped if span.start < span.end]

    gold, quoted = within(evidence), within(cited)
    ends = {0, len(text)}.union(*((span.start, span.end) for span in [*gold, *quoted]))
    split = [
        Piece(
            text[start:end],
            evidence=any(span.start <= start and end <= span.end for span in gold),
            cited=any(span.start <= start and end <= span.end for span in quoted),
            keys=tuple(span.key for span in quoted if span.start == start),
        )
        for start, end in pairwise(sorted(ends))
    ]
    around = [False, *(piece.cited for piece in split), False]
    return tuple(
        replace(piece, opening=not before, closing=not after) if piece.cited else piece
        for piece, before, after in zip(split, around, around[2:], strict=False)
    )


def excerpt(passage: Sequence[Piece], context: int = CONTEXT) -> tuple[Piece, ...]:
    """Keep what is marked with about `context` characters on each side, cut between words.

    A passage without marks keeps its beginning.
    """
    kept: list[Piece] = []
    last = len(passage) - 1
    bare = not any(piece.marked for piece in passage)
    for index, piece in enumerate(passage):
        # At an end of the passage there is a mark on one side alone.
        head = context if index > 0 or bare else 0
        tail = context if index < last else 0
        if piece.marked or len(piece.text) <= head + tail + LEAST_CUT:
            kept.append(piece)
            continue
        start, end = _head(piece.text, head), _tail(piece.text, tail)
        parts = (Piece(piece.text[:start]), Piece("", gap=True), Piece(piece.text[end:]))
        kept += [part for part in parts if part.text or part.gap]
    return tuple(kept)


def _head(text: str, length: int) -> int:
    """Return where a beginning of about this length ends: after a whole word."""
    while 0 < length < len(text) and not text[length].isspace():
        length -= 1
    return length


def _tail(text: str, length: int) -> int:
    """Return where an end of about this length starts: before a whole word."""
    start = len(text) - length
    while start < len(text) and not text[start - 1].isspace():
        start += 1
    return start


def _places(item: Record) -> list[Record]:
    doc_id = item["expected"]["doc_id"]
    return [
        {"doc_id": doc_id, "start": start, "end": end}
        for start, end in item["expected"].get("places", ())
    ]


def _holds(passage: Record, place: Record) -> bool:
    return bool(
        passage["doc_id"] == place["doc_id"]
        and passage["start"] <= place["start"]
        and place["end"] <= passage["end"]
    )


def _passage(item: Record, rank: int, passage: Record) -> Passage:
    doc_id = passage["doc_id"]
    cited = item["given"]["citations"] if item["given"] else ()
    whole = pieces(
        passage["text"],
        passage["start"],
        [Span(p["start"], p["end"]) for p in _places(item) if p["doc_id"] == doc_id],
        [Span(c["start"], c["end"], c["key"]) for c in cited if c["doc_id"] == doc_id],
    )
    evidence = rank == 0 or bool(passage.get("evidence"))
    return Passage(rank, doc_id, whole, excerpt(whole), evidence)
