"""Documents into passages that respect headings, lists and sentences.

What is embedded must say enough to be found: a paragraph of one line ("86 € en timbre
fiscal") says nothing alone. So the paragraphs of a section share a passage up to its size,
and a section of a few lines goes with its neighbour. `benchmarks/chunks.py` prints what sizes
and strategies give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from rag.sentences import sentences
from rag.types import Block, BlockKind, Chunk, Document

__all__ = [
    "CHUNKING_VERSION",
    "Unit",
    "chunk_document",
    "head_and_body",
    "heading_path_at",
    "heading_paths",
    "passage_text",
    "units",
]

# Part of the manifest: an index made with another version must be rebuilt.
CHUNKING_VERSION = 2

# A section below this many tokens shares a passage with its neighbour under another heading.
# Evidence in the first 2,500 characters found on DILA dev, whose sections are a line or two
# (`benchmarks/chunks.py`; fr, en, nl): 0.87, 0.82, 0.80 with a paragraph or list each; 0.93,
# 0.86, 0.85 joined within sections; 0.97, 0.91, 0.94 with this.
_SMALL_SECTION = 64

# Properties that serve Obsidian, not a reader: they are metadata and filters, never passages.
_SILENT_PROPERTIES = frozenset(
    {"archetype", "cssclass", "cssclasses", "permalink", "publish", "tag", "tags"}
)
_LISTS: frozenset[BlockKind] = frozenset({"item", "fact", "property", "table"})
_CARDS: frozenset[BlockKind] = frozenset({"fact", "property"})


@dataclass(frozen=True, slots=True)
class Unit:
    """The smallest thing that is quoted: a sentence, list item, key fact or table row.

    `start` and `end` are plain offsets; `block` is the index of its block.
    """

    kind: BlockKind
    start: int
    end: int
    block: int


def units(document: Document, start: int = 0, end: int | None = None) -> list[Unit]:
    """Return the units within plain[start:end], in order; headings and noise have none."""
    limit = len(document.plain) if end is None else end
    found = []
    for index, block in enumerate(document.blocks):
        if block.kind in ("heading", "noise") or block.end <= start or block.start >= limit:
            continue
        for low, high in _unit_spans(document, block):
            if low >= start and high <= limit:
                found.append(Unit(block.kind, low, high, index))
    return found


def _unit_spans(document: Document, block: Block) -> Iterator[tuple[int, int]]:
    if block.kind == "paragraph":
        for low, high in sentences(document.plain[block.start : block.end]):
            yield block.start + low, block.start + high
    elif block.kind != "property" or _property_key(document, block) not in _SILENT_PROPERTIES:
        yield block.start, block.end


def _property_key(document: Document, block: Block) -> str:
    return document.plain[block.start : block.end].split(":", 1)[0].strip().lower()


def heading_paths(document: Document) -> list[tuple[str, ...]]:
    """Return for every block the headings above it, outermost first."""
    stack: list[tuple[int, str]] = []
    paths = []
    for block in document.blocks:
        if block.kind == "heading":
            while stack and stack[-1][0] >= block.level:
                stack.pop()
            paths.append(tuple(text for _, text in stack))
            stack.append((block.level, document.plain[block.start : block.end]))
        else:
            # The frontmatter stands before every heading and belongs to the whole document.
            paths.append(tuple(text for _, text in stack))
    return paths


def heading_path_at(document: Document, start: int) -> tuple[str, ...]:
    """Return the headings above a plain offset, outermost first."""
    paths = heading_paths(document)
    found: tuple[str, ...] = ()
    for block, path in zip(document.blocks, paths, strict=True):
        if block.start > start:
            break
        found = path
    return found


def chunk_document(
    document: Document, *, max_tokens: int, count_tokens: Callable[[str], int]
) -> list[Chunk]:
    """Cut a document into passages of at most `max_tokens` tokens.

    What must be read together stays together: a paragraph, a list with the sentence that
    introduces it. Such groups share a passage with their neighbours as long as it fits, within
    a section, and across two sections where one is only a few lines. The rows of a card and
    the properties of a note are passages of their own. A group that is longer is cut between
    units, and a single sentence that is longer still between words. The tokens of the heading
    path that is embedded with the passage are counted too.
    """
    # A sentence that is a passage of its own, and each heading, would be counted several times.
    count_tokens = cache(count_tokens)
    paths = heading_paths(document)
    chunks = []
    for piece in _merge(document, _pieces(document, paths, max_tokens, count_tokens), count_tokens):
        low, high = document.offsets.to_canonical(piece.start, piece.end)
        if low == high:
            continue
        chunks.append(
            Chunk(
                chunk_id=f"{document.doc_id}:{low}-{high}",
                doc_id=document.doc_id,
                start=low,
                end=high,
                text=document.text[low:high],
                heading_path=piece.path,
                metadata={
                    **document.metadata,
                    "title": document.title,
                    "language": document.language,
                },
            )
        )
    return chunks


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of plain text on its way to a passage; `budget` is what fits into that."""

    start: int
    end: int
    path: tuple[str, ...]
    tokens: int
    budget: int
    alone: bool


def _pieces(
    document: Document,
    paths: Sequence[tuple[str, ...]],
    max_tokens: int,
    count_tokens: Callable[[str], int],
) -> Iterator[_Piece]:
    for group in _groups(document, units(document)):
        path = paths[group[0].block]
        budget = max_tokens - count_tokens(_context(document.title, path))
        budget = max(budget, max_tokens // 2)
        for start, end in _pack(document, group, budget, count_tokens):
            yield _Piece(
                start,
                end,
                path,
                count_tokens(document.plain[start:end]),
                budget,
                alone=group[0].kind in _CARDS,
            )


def _merge(
    document: Document, pieces: Iterable[_Piece], count_tokens: Callable[[str], int]
) -> Iterator[_Piece]:
    """Join neighbouring pieces from the top for as long as they fit into one passage."""
    noise = [block.start for block in document.blocks if block.kind == "noise"]
    last: _Piece | None = None
    for piece in pieces:
        joined = None
        if last is not None and not _parted(last, piece, noise):
            # The headings between the two are part of the text, and counted with it.
            tokens = count_tokens(document.plain[last.start : piece.end])
            budget = min(last.budget, piece.budget)
            if tokens <= budget:
                path = tuple(_common(last.path, piece.path))
                joined = _Piece(last.start, piece.end, path, tokens, budget, alone=False)
        if joined is None and last is not None:
            yield last
        last = joined or piece
    if last is not None:
        yield last


def _parted(last: _Piece, piece: _Piece, noise: Sequence[int]) -> bool:
    """Return whether two neighbours may not share a passage."""
    if last.alone or piece.alone or any(last.end <= start < piece.start for start in noise):
        return True
    return last.path != piece.path and min(last.tokens, piece.tokens) > _SMALL_SECTION


def _common(one: Sequence[str], other: Sequence[str]) -> Iterator[str]:
    for mine, yours in zip(one, other, strict=False):
        if mine != yours:
            return
        yield mine


def passage_text(document: Document, chunk: Chunk) -> str:
    """Return what is embedded and searched for a chunk: title, headings, plain text."""
    head, body = head_and_body(document, chunk)
    return f"{head}\n{body}" if head else body


def head_and_body(document: Document, chunk: Chunk) -> tuple[str, str]:
    """Return the line of title and headings above a chunk, and its plain text."""
    start, end = document.offsets.to_plain(chunk.start, chunk.end)
    return _context(document.title, chunk.heading_path), document.plain[start:end]


def _context(title: str, path: Sequence[str]) -> str:
    return " > ".join(dict.fromkeys(part for part in (title, *path) if part))


def _groups(document: Document, found: Sequence[Unit]) -> Iterator[list[Unit]]:
    """Put together what must be read together: a list with its lead-in, a paragraph."""
    group: list[Unit] = []
    for unit in found:
        if group and not _belongs(document, group[-1], unit):
            yield group
            group = []
        group.append(unit)
    if group:
        yield group


def _belongs(document: Document, last: Unit, unit: Unit) -> bool:
    if last.block == unit.block:
        return True
    if unit.block - last.block > 1 and any(
        block.kind == "heading" for block in document.blocks[last.block + 1 : unit.block]
    ):
        return False
    if last.kind == unit.kind:
        return unit.kind in _LISTS
    introduces = document.plain[last.start : last.end].rstrip().endswith(":")
    return unit.kind == "item" and last.kind == "paragraph" and introduces


def _pack(
    document: Document,
    group: Sequence[Unit],
    budget: int,
    count_tokens: Callable[[str], int],
) -> Iterator[tuple[int, int]]:
    start = end = group[0].start
    used = 0
    for unit in group:
        for low, high, size in _fit(document.plain, unit, budget, count_tokens):
            if used and used + size > budget:
                yield start, end
                start, used = low, 0
            end, used = high, used + size
    yield start, end


def _fit(
    plain: str, unit: Unit, budget: int, count_tokens: Callable[[str], int]
) -> Iterator[tuple[int, int, int]]:
    """Yield a unit whole, or halved between words until each part fits the budget."""
    size = count_tokens(plain[unit.start : unit.end])
    middle = plain.find(" ", (unit.start + unit.end) // 2, unit.end)
    if size <= budget or unit.end - unit.start < 2:
        yield unit.start, unit.end, size
        return
    if middle <= unit.start:
        middle = (unit.start + unit.end) // 2
    yield from _fit(plain, Unit(unit.kind, unit.start, middle, unit.block), budget, count_tokens)
    rest = middle + 1 if plain[middle] == " " else middle
    yield from _fit(plain, Unit(unit.kind, rest, unit.end, unit.block), budget, count_tokens)
