"""Documents and their passages, with quotes marked, as HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Final

from rag.types import Block, Chunk, Document
from ui.rendering.evidence import Mark
from ui.texts import Texts

__all__ = [
    "blocks_html",
    "blocks_within",
    "chunk_html",
    "document_html",
    "lang_attribute",
    "marked_html",
    "place_html",
    "properties_html",
    "source_heading_html",
]

# Where a document comes from is said above them, and how it is laid out is not its matter.
_UNTOLD: Final = frozenset({"path", "format", "cssclass", "cssclasses"})
# Only an address and nothing else, so that what is opened is what is read.
_LINK: Final = re.compile(r"https?://[^\s<>\"']+")


def document_html(
    document: Document, marks: Sequence[Mark] = (), view: str = "", *, below_card: bool = False
) -> str:
    """Show a whole document as it reads, with highlights.

    `view` is what the page's script knows it by. Its properties are left out `below_card`,
    which has them, unless one is highlighted.
    """
    start = _after_properties(document, marks) if below_card else 0
    body = blocks_html(document, start, len(document.plain), marks, "")
    known = f' data-view="{escape(view)}"' if view else ""
    return (
        f'<article class="cit-text cit-document"{lang_attribute(document)}{known}>{body}</article>'
    )


def _after_properties(document: Document, marks: Sequence[Mark]) -> int:
    end = 0
    for block in document.blocks:
        if block.kind == "property":
            end = block.end
        elif block.kind != "noise":
            break
    return 0 if any(mark.start < end for mark in marks) else end


def source_heading_html(document: Document, texts: Texts) -> str:
    """Show which document is read: its title, identifier and language."""
    return (
        f'<div class="cit-source-heading"><h2 class="cit-title" id="source-title">'
        f'{escape(document.title)}</h2><div class="cit-path"><code>{escape(document.doc_id)}</code>'
        f" · {escape(texts.name_of(document.language))}</div></div>"
    )


def place_html(words: str, address: str, texts: Texts) -> str:
    """Say where in a document one is, and offer the address of that place."""
    copy = (
        f'<button type="button" class="cit-copy" data-copy="{escape(address)}" '
        f'data-said="{escape(texts.address_copied)}">{escape(texts.copy_address)}</button>'
        if address
        else ""
    )
    return f'<div class="cit-place"><span role="status">{escape(words)}</span>{copy}</div>'


def properties_html(document: Document, texts: Texts) -> str:
    """Show the properties of a note as a card; nothing where it has none."""
    names = {
        "title": texts.property_title,
        "type": texts.property_type,
        "tags": texts.tags,
        "aliases": texts.aliases,
        "date": texts.property_date,
        "created": texts.property_created,
        "modified": texts.property_modified,
        "updated": texts.property_modified,
    }
    told = {
        key: value
        for key, value in document.metadata.items()
        if key not in _UNTOLD and not (key == "title" and value == document.title)
    }
    known = [key for key in names if key in told]
    rows = "".join(
        f"<dt>{escape(names.get(key, key))}</dt>"
        f"<dd>{_values_html(told[key], chips=key in ('tags', 'aliases'))}</dd>"
        for key in [*known, *(key for key in told if key not in names)]
    )
    return f'<dl class="cit-properties">{rows}</dl>' if rows else ""


def _values_html(value: str | tuple[str, ...], *, chips: bool) -> str:
    values = (value,) if isinstance(value, str) else value
    if not chips:
        return ", ".join(_value_html(each) for each in values)
    return "".join(f'<span class="cit-chip">{_value_html(each)}</span>' for each in values)


def _value_html(value: str) -> str:
    if not _LINK.fullmatch(value):
        return escape(value)
    shown = escape(value)
    return f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'


def lang_attribute(document: Document) -> str:
    return "" if document.language == "unknown" else f' lang="{document.language}"'


def blocks_html(
    document: Document, start: int, end: int, marks: Sequence[Mark], anchor: str
) -> str:
    parts = []
    position = start
    for block in blocks_within(document.blocks, start, end):
        parts.append(
            _block_html(document, Block("paragraph", position, block.start), marks, anchor)
        )
        parts.append(_block_html(document, block, marks, anchor))
        position = max(position, block.end)
    # Text outside every block is shown too: a reader must be able to read it all.
    parts.append(_block_html(document, Block("paragraph", position, end), marks, anchor))
    return "".join(parts)


def blocks_within(blocks: Iterable[Block], start: int, end: int) -> Iterable[Block]:
    for block in blocks:
        low, high = max(block.start, start), min(block.end, end)
        if low < high:
            yield Block(block.kind, low, high, block.level)


def _block_html(document: Document, block: Block, marks: Sequence[Mark], anchor: str) -> str:
    if not document.plain[block.start : block.end].strip():
        return ""
    inline = marked_html(document.plain, block.start, block.end, marks, anchor)
    level = min(max(block.level, 1), 6)
    if block.kind == "heading":
        return (
            f'<div class="cit-heading cit-level-{level}" role="heading" '
            f'aria-level="{min(level + 2, 6)}">{inline}</div>'
        )
    if block.kind == "item":
        return f'<div class="cit-item cit-level-{level}">{inline}</div>'
    return f'<div class="cit-{block.kind}">{inline}</div>'


def marked_html(text: str, start: int, end: int, marks: Sequence[Mark], anchor: str) -> str:
    """Escape text[start:end], with `<mark>` where marks cover it, even overlapping."""
    cuts = {start, end}
    for mark in marks:
        cuts |= {cut for cut in (mark.start, mark.end) if start < cut < end}
    parts = []
    for low, high in pairwise(sorted(cuts)):
        piece = escape(text[low:high])
        covering = [mark for mark in marks if mark.start <= low and high <= mark.end]
        beginning = [mark for mark in covering if mark.start == low]
        if anchor:
            parts += [
                f'<span class="cit-anchor" id="{anchor}-{escape(mark.key)}"></span>'
                for mark in beginning
            ]
        if covering:
            # The number is drawn by the style sheet, so that copied text is the quote alone.
            numbers = " ".join(mark.key for mark in beginning)
            number = f' data-number="{escape(numbers)}"' if numbers else ""
            keys = escape(" ".join(mark.key for mark in covering))
            piece = f'<mark{number} data-keys="{keys}">{piece}</mark>'
        parts.append(piece)
    return "".join(parts)


def chunk_html(chunk: Chunk, number: int, texts: Texts) -> str:
    """Show a passage as it is stored: its place, its headings, and the text of the file."""
    place = texts.passage_place.format(
        start=texts.count(chunk.start),
        end=texts.count(chunk.end),
        count=texts.count(chunk.end - chunk.start),
    )
    path = " › ".join(chunk.heading_path)
    headings = f'<div class="cit-path">{escape(path)}</div>' if path else ""
    return (
        '<section class="cit-chunk"><h3 class="cit-title">'
        f"{escape(texts.passage_number.format(number=number))}</h3>"
        f'{headings}<div class="cit-path">{escape(place)}</div>'
        f"<pre>{escape(chunk.text)}</pre></section>"
    )
