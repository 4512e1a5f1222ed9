"""Find the marks inside a paragraph of Markdown, with Obsidian's additions.

markdown-it gives no places for what it finds inside a line, and a citation needs
them. This scanner goes once over a paragraph and says which stretches a reader does
not see, and what is seen instead.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from rag.documents.plain import Piece, inserted, kept, replaced

__all__ = ["BLOCK_TAGS", "Edit", "Scan", "pieces_of", "scan", "split_cells"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Tags that end a word: without a space, the cells of a raw table run together.
BLOCK_TAGS = _set(
    "address article aside blockquote br caption center dd details div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hr legend li main nav ol option p pre section "
    "select summary table tbody td tfoot th thead tr ul"
)
_INLINE_TAGS = _set(
    "a abbr acronym b bdi bdo big button cite code col colgroup data del dfn em font i iframe img "
    "input ins kbd label mark meter object picture progress q rp rt ruby s samp script small "
    "source span strike strong style sub sup svg template time tt u var video audio wbr"
)

_SPECIAL = re.compile(
    r"""
      \\(?P<escape>[!-/:-@\[-`{-~]|(?=\n))
    | (?P<ticks>`+)
    | <(?P<address>(?:https?|mailto|ftp):[^\s<>]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)>
    | </?(?P<tag>[A-Za-z][A-Za-z0-9]*)(?:[\s/][^<>]*)?>
    | (?P<embed>!?)\[\[(?P<wiki>[^\[\]\n]+)\]\]
    | \[\^(?P<note>[^\s\[\]]+)\]
    | (?P<open>!\[|\^\[|\[)
    | (?P<close>\])
    | (?P<marks>\*+|_+|~~+|==+)
    | &(?P<entity>\#[0-9]{1,7}|\#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});
    | (?P<url>(?<![\w@])(?:https?://|www\.)[^\s<>\[\]|`]+)
    | (?P<hash>(?<![\w/&\#;])\#(?P<name>[\w/-]+))
    """,
    re.VERBOSE,
)
_DESTINATION = re.compile(
    r"""\(\s{0,4}(?:<[^<>\n]*>|[^\s()<]*(?:\([^\s()]*\)[^\s()]*)*)"""
    r"""(?:\s{1,4}(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s{0,4}\)"""
)
_REFERENCE = re.compile(r"\[[^\[\]\n]*\]")
_SIZE = re.compile(r"\d+(?:x\d+)?")
_URL_TAIL = "_*~=.,;:!?)\"'»"
_ANCHOR = re.compile(r"[ \t]\^(?=[\w-]*[A-Za-z])[\w-]{2,}\s*$")


class Edit(NamedTuple):
    """Show `text` for content[start:end]; nothing where it is empty."""

    start: int
    end: int
    text: str = ""


@dataclass(slots=True)
class Scan:
    """What the marks of a paragraph are: edits in order, and Obsidian's tags."""

    edits: list[Edit] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


class _Mark(NamedTuple):
    start: int
    end: int


def scan(content: str, references: frozenset[str] = frozenset()) -> Scan:
    """Find the marks in the text of one paragraph, in time linear in its length.

    `references` are the labels, in lower case, that the document defines links for.
    """
    scanner = _Scanner(content, references)
    scanner.run()
    return Scan(scanner.edits(), scanner.tags)


def pieces_of(
    canonical: str, ranges: Sequence[tuple[int, int]], edits: Sequence[Edit]
) -> tuple[Piece, ...]:
    """Return the pieces of a paragraph made of the stretches `ranges` of `canonical`.

    The content that `edits` speak of is those stretches joined by line ends.
    """
    starts: list[int] = []
    length = 0
    for low, high in ranges:
        starts.append(length)
        length += high - low + 1

    def place(offset: int) -> int:
        index = bisect_right(starts, offset) - 1
        low, high = ranges[index]
        return min(low + offset - starts[index], high)

    pieces: list[Piece] = []

    def keep(low: int, high: int) -> None:
        for index in range(max(0, bisect_right(starts, low) - 1), len(ranges)):
            first, last = ranges[index]
            if starts[index] >= high:
                break
            begin = max(low, starts[index]) - starts[index] + first
            finish = min(high - starts[index] + first, last)
            if finish > begin:
                pieces.append(kept(canonical, begin, finish))
            if high > starts[index] + last - first:
                # The line end between two lines of a paragraph reads as a space.
                space = canonical[last : last + 1].isspace()
                pieces.append(kept(canonical, last, last + 1) if space else inserted(" "))

    position = 0
    for edit in edits:
        keep(position, edit.start)
        if edit.text:
            pieces.append(replaced(edit.text, place(edit.start), place(edit.end)))
        position = edit.end
    keep(position, length - 1 if ranges else 0)
    return tuple(pieces)


class _Scanner:
    def __init__(self, content: str, references: frozenset[str]) -> None:
        self.content = content
        self._references = references
        self.tags: list[str] = []
        self._edits: list[Edit] = []
        # Open delimiters by character, open brackets, and closing back-tick runs by length.
        self._open: dict[str, list[_Mark]] = defaultdict(list)
        self._brackets: list[re.Match[str]] = []
        self._ticks: dict[int, list[int]] | None = None

    def edits(self) -> list[Edit]:
        """Return the edits sorted and free of overlap: the outer one wins."""
        result: list[Edit] = []
        for edit in sorted(self._edits, key=lambda each: (each.start, -each.end)):
            if not result or edit.start >= result[-1].end:
                result.append(edit)
        return result

    def run(self) -> None:
        anchor = _ANCHOR.search(self.content, max(0, len(self.content) - 80))
        if anchor:
            self._drop(anchor.start(), len(self.content))
        position = 0
        while match := _SPECIAL.search(self.content, position):
            position = self._handle(match)

    def _drop(self, start: int, end: int, text: str = "") -> None:
        if end > start:
            self._edits.append(Edit(start, end, text))

    def _handle(self, match: re.Match[str]) -> int:
        start, end = match.span()
        if match["escape"] is not None:
            self._drop(start, start + 1)
        elif match["ticks"]:
            return self._code(start, end)
        elif match["address"]:
            self._drop(start, start + 1)
            self._drop(end - 1, end)
        elif match["tag"]:
            return self._tag(match)
        elif match["wiki"]:
            self._wikilink(match)
        elif match["note"]:
            self._drop(start, end)
        elif match["open"]:
            self._brackets.append(match)
        elif match["close"]:
            return self._close_bracket(end)
        elif match["marks"]:
            self._delimiters(start, end)
        elif match["entity"]:
            self._entity(start, end)
        elif match["url"]:
            return start + len(match["url"].rstrip(_URL_TAIL))
        elif match["hash"] and not match["name"].strip("/-").isdigit():
            self.tags.append(match["name"].strip("/-"))
        return end

    def _code(self, start: int, end: int) -> int:
        if self._ticks is None:
            self._ticks = defaultdict(list)
            for run in re.finditer("`+", self.content):
                self._ticks[run.end() - run.start()].append(run.start())
            for places in self._ticks.values():
                places.reverse()
        length = end - start
        places = self._ticks.get(length, [])
        while places and places[-1] < end:
            places.pop()
        if not places:
            return end
        closing = places.pop()
        self._drop(start, end)
        self._drop(closing, closing + length)
        return closing + length

    def _tag(self, match: re.Match[str]) -> int:
        name = match["tag"].lower()
        if name in BLOCK_TAGS:
            self._drop(*match.span(), " ")
        elif name in _INLINE_TAGS:
            self._drop(*match.span())
        else:
            # "<nom>" is a blank to fill in, not HTML.
            return match.start() + 1
        return match.end()

    def _wikilink(self, match: re.Match[str]) -> None:
        start, end = match.span()
        low, high = match.span("wiki")
        target, bar, label = match["wiki"].partition("|")
        shown = low + len(target) + 1 if bar else low
        if match["embed"] and (not bar or _SIZE.fullmatch(label.strip())):
            self._drop(start, end)
            return
        if bar and not label.strip():
            shown, high = low, low + len(target)
        if not bar and "#" in target:
            # A link to a heading reads as the note, or as the heading of the same note.
            note = target.partition("#")[0].rstrip()
            if note:
                high = low + len(note)
            else:
                shown = low + len(target) - len(target.lstrip("#^"))
        self._drop(start, shown)
        self._drop(high, end)

    def _close_bracket(self, end: int) -> int:
        if not self._brackets:
            return end
        opening = self._brackets.pop()
        if opening["open"] == "^[":
            self._drop(*opening.span(), " (")
            self._drop(end - 1, end, ")")
            return end
        stop = self._link_end(self.content[opening.end() : end - 1], end)
        if stop is None:
            return end
        self._drop(*opening.span())
        self._drop(end - 1, stop)
        return stop

    def _link_end(self, text: str, end: int) -> int | None:
        """Return where the link ends whose text closes at `end`; None for mere brackets."""
        target = _DESTINATION.match(self.content, end)
        if target:
            return target.end()
        target = _REFERENCE.match(self.content, end)
        if target and (target.group()[1:-1] or text).strip().lower() in self._references:
            return target.end()
        return end if text.strip().lower() in self._references else None

    def _entity(self, start: int, end: int) -> None:
        text = html.unescape(self.content[start:end])
        if text != self.content[start:end]:
            clean = "".join(each for each in text if each.isprintable() or each.isspace())
            self._drop(start, end, clean)

    def _delimiters(self, start: int, end: int) -> None:
        """Pair emphasis marks by the rules of CommonMark for what may open and close."""
        mark, length = self.content[start], end - start
        before = self.content[start - 1] if start else " "
        after = self.content[end] if end < len(self.content) else " "
        opens = not after.isspace() and (
            not _punctuation(after) or before.isspace() or _punctuation(before)
        )
        closes = not before.isspace() and (
            not _punctuation(before) or after.isspace() or _punctuation(after)
        )
        if mark == "_":
            opens, closes = (
                opens and (not closes or _punctuation(before)),
                closes and (not opens or _punctuation(after)),
            )
        elif mark in "~=" and length != 2:
            return
        elif before.isdigit() and after.isdigit():
            return  # 2*3*4 is a product
        elif mark == "*" and length >= 2:
            # Two asterisks are never typed for anything else: "**Nom :**suite" is bold.
            opens, closes = not after.isspace(), not before.isspace()
        stack = self._open[mark]
        if closes:
            while stack and start < end:
                opening = stack.pop()
                used = min(opening.end - opening.start, end - start)
                self._drop(opening.end - used, opening.end)
                self._drop(start, start + used)
                start += used
                if opening.end - used > opening.start:
                    stack.append(_Mark(opening.start, opening.end - used))
        if opens and start < end:
            stack.append(_Mark(start, end))


def _punctuation(character: str) -> bool:
    return not character.isalnum() and not character.isspace() and character != "\\"


def split_cells(line: str, bar: str = r"(?<!\\)\|") -> Iterator[tuple[int, int]]:
    """Yield the spans of the cells of a table row, trimmed, without the outer bars."""
    bars = [-1, *(match.start() for match in re.finditer(bar, line)), len(line)]
    cells = list(pairwise(bars))
    if len(cells) > 1 and not line[: cells[0][1]].strip():
        cells = cells[1:]
    if len(cells) > 1 and not line[cells[-1][0] + 1 :].strip():
        cells = cells[:-1]
    for low, high in cells:
        text = line[low + 1 : high]
        start = low + 1 + len(text) - len(text.lstrip())
        yield start, start + len(text.strip())
