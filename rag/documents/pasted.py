"""Read bare text: a page copied from a browser, the text of a PDF, a plain file.

Nothing is marked in it, so headings, lists and rows are told by how lines look and
where they stand. Where there is doubt a line stays a paragraph.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rag.documents.inline import pieces_of, scan, split_cells
from rag.documents.plain import Body, Draft, Piece, inserted
from rag.documents.rows import is_row
from rag.language import detect, likelihoods
from rag.types import Language

__all__ = ["read_text"]

_BULLET = re.compile(r"[-*+•◦‣▪●○·►➤–—][ \t\u00a0]+(?=\S)")
_NUMBER = re.compile(r"(?:\(?\d{1,2}[.)]|[a-z]\))[ \t\u00a0]+(?=\S)")
_SECTION = re.compile(r"(?P<number>\d{1,2}(?:\.\d{1,2})*)\.?[ \t\u00a0]+(?=\S)")
_DATE = re.compile(r"(?:le )?\d{1,2}(?:er)?[ ./-][\w.]+[ ./-]\d{2,4}", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]{2,}")
_RULE = re.compile(r"(?:[-*_] ?){3,}")
_DRAWN = re.compile(r"[\W_]*")

# Longer lines hold whole paragraphs: no one wraps text there.
_WIDEST_WRAP = 130
_NARROWEST_WRAP = 40
_WRAPPED_SHARE = 0.7

_LONGEST_HEADING = 90
_HEADING_WORDS = 12
# A section title over its subsection's; at the top of a page also the page's own.
_STACKED_HEADINGS = 2

# What a browser copies above the text of a page.
_LONGEST_BANNER = 120
_BANNER_ADDRESS = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_BANNER_WORDS = re.compile(
    r"\blogo (?:of|de|du|van)\b|\bskip to\b|\b(?:aller|passer) au contenu\b|\bcookies?\b"
    r"|\b(?:over)?slaan en naar\b|\bnaar de inhoud\b|\bmain navigation\b|\bfil d['’]ariane\b",
    re.IGNORECASE,
)
# Two words in one of the three languages reach 0.93; names and loans stay below.
_FOREIGN, _NATIVE = 0.9, 0.1


@dataclass(frozen=True, slots=True)
class _Unit:
    """Lines that belong together, with what the first one looks like."""

    ranges: tuple[tuple[int, int], ...]
    text: str
    alone: bool
    shape: str  # "bullet", "number", "cells" or "text"
    indent: int = 0


def read_text(text: str, start: int = 0, *, marks: bool = False) -> Body:
    """Return the drafts of bare text from `start` on.

    `marks` also reads the marks of Markdown inside the lines. Without, `2*3*4`,
    `_x_` and `<b>` are what the author wrote.
    """
    units = list(_units(text, start))
    kinds = _headings(units, detect(text[start : start + 12_000]))
    drafts, tags = [], []
    for number, unit in enumerate(units):
        if marks and _RULE.fullmatch(unit.text):
            continue
        draft, found = _draft(text, unit, number, units, kinds, marks)
        drafts.append(draft)
        tags += found
    return Body(tuple(drafts), tuple(dict.fromkeys(tags)))


# --- lines to units -------------------------------------------------------------------


def _units(text: str, start: int) -> Iterator[_Unit]:
    groups = list(_groups(text, start))
    lines = sum(map(len, groups))
    # A page pasted without any blank line: every line is a paragraph of its own.
    bare = len(groups) <= 1 + lines // 20 and lines > 2
    for group in groups:
        ranges: list[tuple[int, int]] = []
        width = max(high - low for low, high in group)
        for low, high in group:
            if ranges and not _continues(text, ranges[-1], (low, high), width):
                yield _unit(text, ranges, bare or len(group) == 1)
                ranges = []
            ranges.append((low, high))
        yield _unit(text, ranges, bare or ranges == group)


def _groups(text: str, start: int) -> Iterator[list[tuple[int, int]]]:
    group: list[tuple[int, int]] = []
    position = start
    while position <= len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        line = text[position:end]
        stripped = line.strip()
        if stripped:
            low = position + len(line) - len(line.lstrip())
            group.append((low, low + len(stripped)))
        elif group:
            yield group
            group = []
        position = end + 1
    if group:
        yield group


def _continues(text: str, above: tuple[int, int], below: tuple[int, int], width: int) -> bool:
    """Tell whether the line `below` goes on with the sentence of the line `above`."""
    first, second = text[slice(*above)], text[slice(*below)]
    if _DRAWN.fullmatch(first) or _DRAWN.fullmatch(second):
        return False
    if width > _WIDEST_WRAP or _shape(second) != "text" or _shape(first) == "cells":
        return False
    if is_row(first) and is_row(second):
        return False
    unfinished = first[-1] not in ".!?:;…»"
    if second[0].islower() and unfinished:
        return True
    if width < _NARROWEST_WRAP:
        return False
    # A short last line ends its paragraph.
    full = len(first) >= _WRAPPED_SHARE * width
    return full and (unfinished or len(first) >= 0.85 * width)


def _shape(line: str) -> str:
    if _BULLET.match(line):
        return "bullet"
    if _NUMBER.match(line):
        return "number"
    return "cells" if "\t" in line else "text"


def _unit(text: str, ranges: Sequence[tuple[int, int]], alone: bool) -> _Unit:
    low, high = ranges[0]
    line_start = text.rfind("\n", 0, low) + 1
    return _Unit(
        tuple(ranges),
        text[low : ranges[-1][1]],
        alone and len(ranges) == 1,
        _shape(text[low:high]),
        low - line_start,
    )


# --- units to headings ----------------------------------------------------------------


def _headings(units: Sequence[_Unit], language: Language) -> dict[int, tuple[str, int]]:
    """Return the kind and level of the units that are headings or noise, by number."""
    candidates = [_looks_like_heading(unit) for unit in units]
    kinds: dict[int, tuple[str, int]] = {}
    _mark_banners(units, candidates, kinds)
    seen = False  # a heading
    number = 0
    while number < len(units):
        if not candidates[number]:
            number += 1
            continue
        stop = number
        while stop < len(units) and candidates[stop]:
            stop += 1
        stack = list(range(number, stop))
        if stop < len(units) and _heads(units[stack[-1]], units[stop]):
            foreign = [
                each for each in stack[:-1] if each and _is_foreign(units[each].text, language)
            ]
            kinds |= {each: ("noise", 0) for each in foreign if seen or each != stack[0]}
            stack = [each for each in stack if each not in kinds]
            top = not any(each not in kinds for each in range(number))
            # A longer stack is a menu or a list of words.
            heads = stack if len(stack) <= _STACKED_HEADINGS + top else stack[-1:]
            for each in heads:
                level = 1 if top and not seen else _level(units[each].text)
                kinds[each] = ("heading", level)
                seen = True
        number = stop
    return kinds


def _mark_banners(
    units: Sequence[_Unit], candidates: list[bool], kinds: dict[int, tuple[str, int]]
) -> None:
    for number, unit in enumerate(units):
        line = unit.text
        if len(line) > _LONGEST_BANNER or len(unit.ranges) > 1 or line[-1] in ".!?:;":
            break
        if _BANNER_ADDRESS.match(line) or _BANNER_WORDS.search(line):
            if any(candidates[number + 1 :]):
                kinds[number] = ("noise", 0)
            candidates[number] = False
        elif not candidates[number]:
            break


def _looks_like_heading(unit: _Unit) -> bool:
    line = unit.text
    if not unit.alone or len(line) > _LONGEST_HEADING or len(line.split()) > _HEADING_WORDS:
        return False
    if unit.shape in ("bullet", "cells") or line[-1] in ".,;:!…" or line[0].islower():
        return False
    if _DATE.fullmatch(line) or _BANNER_ADDRESS.match(line) or "@" in line or is_row(line):
        return False
    return _WORD.search(line) is not None


def _heads(heading: _Unit, below: _Unit) -> bool:
    if below.shape != "text" or is_row(below.text):
        # Two numbered lines in a row are a list.
        return heading.shape != "number" or below.shape != "number"
    return len(below.text) > len(heading.text) and (
        len(below.text) >= 60 or below.text[-1] in ".!?…"
    )


def _is_foreign(line: str, language: Language) -> bool:
    if language == "unknown":
        return False
    chances = likelihoods(line)
    return max(chances.values()) >= _FOREIGN and chances[language] <= _NATIVE


def _level(line: str) -> int:
    section = _SECTION.match(line)
    return min(6, 2 + section["number"].count(".")) if section else 2


# --- units to drafts ------------------------------------------------------------------


def _draft(
    text: str,
    unit: _Unit,
    number: int,
    units: Sequence[_Unit],
    kinds: dict[int, tuple[str, int]],
    marks: bool,
) -> tuple[Draft, list[str]]:
    neighbours = [units[each] for each in (number - 1, number + 1) if 0 <= each < len(units)]
    if number in kinds:
        kind, level = kinds[number]
        draft = Draft("heading" if kind == "heading" else "noise", (), level)
    elif unit.shape == "cells" and any(_same_cells(unit, each) for each in neighbours):
        return Draft("table", tuple(_cell_pieces(text, unit))), []
    elif unit.shape == "bullet" or (
        unit.shape == "number" and any(each.shape == "number" for each in neighbours)
    ):
        bullet = _BULLET.match(unit.text) or _NUMBER.match(unit.text)
        shift = bullet.end() if bullet else 0
        (low, high), *rest = unit.ranges
        unit = replace(unit, ranges=((low + shift, high), *rest))
        draft = Draft("item", (), min(6, 1 + unit.indent // 2))
    else:
        # "=====" and the like are drawn, not written.
        drawn = len(unit.text) >= 3 and unit.text.isascii() and _DRAWN.fullmatch(unit.text)
        draft = Draft("noise" if drawn else "paragraph", ())
    if not marks:
        return replace(draft, pieces=pieces_of(text, unit.ranges, [])), []
    found = scan("\n".join(text[low:high] for low, high in unit.ranges))
    return replace(draft, pieces=pieces_of(text, unit.ranges, found.edits)), found.tags


def _same_cells(unit: _Unit, other: _Unit) -> bool:
    return other.shape == "cells" and unit.text.count("\t") == other.text.count("\t")


def _cell_pieces(text: str, unit: _Unit) -> Iterator[Piece]:
    low = unit.ranges[0][0]
    for number, (first, last) in enumerate(split_cells(unit.text, r"\t")):
        if number:
            yield inserted(" | ")
        yield from pieces_of(text, [(low + first, low + last)], [])
