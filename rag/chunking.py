"""Documents into passages that respect headings, lists and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rag.sentences import sentences
from rag.types import Block, BlockKind, Chunk, Document

__all__ = ["CHUNKING_VERSION", "Unit", "chunk_document", "heading_paths", "passage_text", "units"]

# Part of the manifest: an index made with another version must be rebuilt.
CHUNKING_VERSION = 1

# Properties that serve Obsidian, not a reader: they are metadata and filters, never passages.
_SILENT_PROPERTIES = frozenset(
    {"archetype", "cssclass", "cssclasses", "permalink", "publish", "tag", "tags"}
)
_LISTS: frozenset[BlockKind] = frozenset({"item", "fact", "property", "table"})


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


def chunk_document(
    document: Document, *, max_tokens: int, count_tokens: Callable[[str], int]
) -> list[Chunk]:
    """Cut a document into passages of at most `max_tokens` tokens.

    A paragraph is a passage; so is a list, with the sentence that introduces it; so are
    the rows of a card and the properties of a note. What is longer is cut between units,
    and a single sentence that is longer still between words. The tokens of the heading
    path that is embedded with the passage are counted too.
    """
    paths = heading_paths(document)
    chunks = []
    for group in _groups(document, units(document)):
        path = paths[group[0].block]
        budget = max_tokens - count_tokens("\n".join(_context(document.title, path)))
        for start, end in _pack(document, group, max(budget, max_tokens // 2), count_tokens):
            low, high = document.offsets.to_canonical(start, end)
            if low == high:
                continue
            chunks.append(
                Chunk(
                    chunk_id=f"{document.doc_id}:{low}-{high}",
                    doc_id=document.doc_id,
                    start=low,
                    end=high,
                    text=document.text[low:high],
                    heading_path=path,
                    metadata={
                        **document.metadata,
                        "title": document.title,
                        "language": document.language,
                    },
                )
            )
    return chunks


def passage_text(document: Document, chunk: Chunk) -> str:
    """Return what is embedded and searched for a chunk: title, headings, plain text."""
    start, end = document.offsets.to_plain(chunk.start, chunk.end)
    context = _context(document.title, chunk.heading_path)
    return "\n".join([*context, document.plain[start:end]])


def _context(title: str, path: Sequence[str]) -> list[str]:
    line = " > ".join(dict.fromkeys(part for part in (title, *path) if part))
    return [line] if line else []


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
