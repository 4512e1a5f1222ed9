"""Write plain text from drafts of blocks, and remember where every character came from.

The readers of the formats say what a block is and which stretches of the canonical
text it consists of. White space, separators and the map of offsets are settled
here, once for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rag.types import Block, BlockKind, OffsetMap, Segment

__all__ = ["Body", "Draft", "Piece", "assemble", "inserted", "kept", "replaced", "shown"]

# Soft hyphens, zero-width spaces and direction marks: never seen, and they hide words
# from a search. The zero-width joiner stays: emoji are built with it.
_HIDDEN = "\u00ad\u200b\u2060\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069"
_RUN = re.compile(rf"[^\s{_HIDDEN}]+(?:\s[^\s{_HIDDEN}]+)*")
_SPACE = re.compile(r"\s")


class Piece(NamedTuple):
    """A stretch of a block's text.

    `source` tells that `text` is the canonical text from `start` to `end`. Otherwise
    it stands for that stretch as a whole, or for nothing where `start` is -1.
    """

    text: str
    start: int = -1
    end: int = -1
    source: bool = False


def kept(canonical: str, start: int, end: int) -> Piece:
    """Return the piece that shows canonical[start:end] itself."""
    return Piece(canonical[start:end], start, end, True)


def replaced(text: str, start: int, end: int) -> Piece:
    """Return the piece that shows `text` where the canonical text has [start:end]."""
    return Piece(text, start, end)


def inserted(text: str) -> Piece:
    """Return a piece that comes from no source."""
    return Piece(text)


@dataclass(frozen=True, slots=True)
class Draft:
    """A block before it is written: its kind, and the pieces that it shows.

    `labelled` tells that the author set a key apart (`**Siège** : …`); `verbatim`
    """

    kind: BlockKind
    pieces: tuple[Piece, ...]
    level: int = 0
    labelled: bool = False
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class Body:
    """The drafts of a body of text, and the tags found in it."""

    drafts: tuple[Draft, ...]
    tags: tuple[str, ...] = ()


def shown(draft: Draft) -> str:
    """Return the text of a draft as it will be written."""
    text = "".join(piece.text for piece in draft.pieces)
    return text if draft.verbatim else " ".join(text.split())


def assemble(canonical: str, drafts: Iterable[Draft]) -> tuple[str, tuple[Block, ...], OffsetMap]:
    """Write the plain text of `drafts`, one block under the other.

    Runs of white space become one space; blocks without text are left out; the line
    end between two blocks belongs to no segment.
    """
    writer = _Writer(canonical)
    blocks: list[Block] = []
    for draft in drafts:
        start = writer.open_block()
        if draft.verbatim:
            writer.write_verbatim(draft.pieces)
        else:
            for piece in draft.pieces:
                writer.write(piece)
        end = writer.close_block()
        if end > start:
            blocks.append(Block(draft.kind, start, end, draft.level))
    return writer.plain(), tuple(blocks), OffsetMap(writer.segments())


class _Writer:
    def __init__(self, canonical: str) -> None:
        self._canonical = canonical
        self._parts: list[str] = []
        self._length = 0
        self._segments: list[list[int]] = []
        self._block_start = 0
        self._gap: int | None = None  # where the space seen last comes from, -1: nowhere

    def plain(self) -> str:
        return "".join(self._parts)

    def segments(self) -> tuple[Segment, ...]:
        return tuple(Segment(*bounds) for bounds in self._segments)

    def open_block(self) -> int:
        self._block_start = self._length + (1 if self._length else 0)
        self._gap = None
        return self._block_start

    def close_block(self) -> int:
        return max(self._length, self._block_start)

    def write(self, piece: Piece) -> None:
        if not piece.source:
            self._write_whole(piece)
            return
        position = 0
        for match in _RUN.finditer(piece.text):
            self._note_gap(piece, position, match.start())
            self._flush_gap()
            text = match.group()
            start = piece.start + match.start()
            self._append(_SPACE.sub(" ", text), start, start + len(text))
            position = match.end()
        self._note_gap(piece, position, len(piece.text))

    def write_verbatim(self, pieces: Sequence[Piece]) -> None:
        for number, piece in enumerate(pieces):
            if number:
                self._append("\n", -1, -1)
            text = piece.text.rstrip()
            if text:
                self._append(_SPACE.sub(" ", text), piece.start, piece.start + len(text))

    def _write_whole(self, piece: Piece) -> None:
        words = piece.text.split()
        if piece.text[:1].isspace():
            self._gap = -1 if self._gap is None else self._gap
        if not words:
            return
        self._flush_gap()
        text = " ".join(words)
        start, end = piece.start, piece.end
        if end - start == len(text) and self._canonical[start:end] != text:
            # Equal lengths would claim that the characters correspond one by one.
            start, end = (start, end - 1) if len(text) > 1 else (-1, -1)
        self._append(text, start, end)
        if piece.text[-1:].isspace():
            self._gap = -1

    def _note_gap(self, piece: Piece, start: int, end: int) -> None:
        if self._gap is not None:
            return
        space = _SPACE.search(piece.text, start, end)
        if space:
            place = piece.start + space.start()
            # A comment that was blanked out is no space in the source.
            self._gap = place if self._canonical[place].isspace() else -1

    def _flush_gap(self) -> None:
        if self._gap is not None and self._length > self._block_start:
            place = self._gap
            self._append(" ", place, place + 1 if place >= 0 else -1)
        self._gap = None

    def _append(self, text: str, start: int, end: int) -> None:
        if self._length and self._length < self._block_start:
            self._parts.append("\n")
            self._length += 1
        begin = self._length
        self._parts.append(text)
        self._length += len(text)
        if start < 0 or end <= start:
            return
        last = self._segments[-1] if self._segments else None
        aligned = end - start == len(text)
        if (
            last
            and aligned
            and last[1] - last[0] == last[3] - last[2]
            and (last[1], last[3]) == (begin, start)
        ):
            last[1], last[3] = self._length, end
        else:
            self._segments.append([begin, self._length, start, end])
