"""Read Markdown, Obsidian's in particular, into drafts of blocks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from rag.documents.inline import pieces_of, scan, split_cells
from rag.documents.plain import Body, Draft, Piece, inserted, kept
from rag.types import BlockKind

__all__ = ["has_structure", "mask", "read_markdown", "structure_of"]

# Deep enough for any outline, and far from Python's own limit on nested calls.
_DEEPEST = 60
_NOT_LINE_END = re.compile(r"[^\n]")
_CALLOUT = re.compile(r"\[!(?P<type>\w[\w-]*)(?:\|[^\]\n]*)?\][+-]?[ \t]*")
_TASK = re.compile(r"\[.\](?=\s)")
_FOOTNOTE = re.compile(r"\[\^[^\s\[\]]+\]:[ \t]*")
_REFERENCE = re.compile(
    r"""\[(?!\^)(?P<label>[^\[\]\n]+)\]:[ \t]*(?:<[^<>\s]*>|(?=[^\s]*[/.\#])[^\s<]\S*)"""
    r"""(?:[ \t]+(?:"[^"\n]*"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*"""
)
_FIELD = re.compile(r"(?P<key>[^\W\d_][\w -]{0,40}?)[ \t]*(?P<colons>::)[ \t]+(?=\S)")
_KEY_VALUE = re.compile(
    r"\s*(?:\*\*|__)?[^\W\d_][^:*\n]{0,50}?(?:\*\*|__)?[ \u00a0]?:(?:\*\*|__)?\s+\S"
)
_LABELLED = re.compile(r"\s*(?:\*\*|__)[^*_\n]{1,60}?(?:\s?:\s*(?:\*\*|__)|(?:\*\*|__)\s*:)")
_ONLY_TAGS = re.compile(r"(?:\s*#[\w/-]+)+\s*")


def mask(text: str, start: int = 0, blank: Sequence[tuple[int, int]] = ()) -> str:
    """Blank out what no reader sees: all before `start`, comments, scripts and styles.

    The stretches `blank` are left out too. The result has the length and the lines of
    `text`, so that places stay the same. An opened comment that is never
    closed hides nothing.
    """
    head = _NOT_LINE_END.sub(" ", text[:start])
    parts: list[str] = []
    position = start
    for low, high in sorted((*_hidden(text, start), *blank)):
        if low < position:
            continue
        parts += [text[position:low], _NOT_LINE_END.sub(" ", text[low:high])]
        position = high
    return head + "".join(parts) + text[position:]


_OPENING = re.compile(
    r"(?P<fence>^[ >\t]*(?:`{3,}|~{3,}))|(?P<run>`+)|(?P<open><!--|%%|<(?:script|style)\b)",
    re.MULTILINE | re.IGNORECASE,
)
_CLOSING = {
    "<!--": re.compile(r"-->"),
    "%%": re.compile(r"%%"),
    "<script": re.compile(r"</script\s*>", re.IGNORECASE),
    "<style": re.compile(r"</style\s*>", re.IGNORECASE),
}


def _hidden(text: str, start: int) -> list[tuple[int, int]]:
    """Return the spans of comments, scripts and styles outside code."""
    spans: list[tuple[int, int]] = []
    unclosed: set[str] = set()
    position = start
    while match := _OPENING.search(text, position):
        position = match.end()
        if match["fence"]:
            position = _after_fence(text, match)
        elif match["run"]:
            line_end = text.find("\n", position)
            closing = text.find(match["run"], position, line_end if line_end >= 0 else len(text))
            position = closing + len(match["run"]) if closing >= 0 else position
        else:
            opening = match["open"].lower()
            if opening in unclosed:
                continue
            closing_match = _CLOSING[opening].search(text, position)
            if closing_match is None:
                unclosed.add(opening)
                continue
            position = closing_match.end()
            spans.append((match.start(), position))
    return spans


def _after_fence(text: str, match: re.Match[str]) -> int:
    fence = match["fence"].lstrip(" >\t")
    closing = re.compile(rf"^[ >\t]*{re.escape(fence)}{fence[0]}*[ \t]*$", re.MULTILINE)
    found = closing.search(text, text.find("\n", match.end()) + 1 or len(text))
    return found.end() if found else len(text)


def structure_of(masked: str) -> list[Token]:
    """Parse the blocks of a text whose hidden parts are blanked out."""
    parser = MarkdownIt("commonmark", {"maxNesting": _DEEPEST}).enable("table")
    # Marks inside lines are found by `inline`; HTML blocks would hide the Markdown in
    # them; a run of link definitions is parsed in quadratic time.
    parser.disable(["inline", "text_join", "html_block", "reference"])
    return parser.parse(masked)


def has_structure(tokens: Sequence[Token]) -> bool:
    """Tell whether the author structured the text with more than paragraphs and lists."""
    return any(
        token.type in {"heading_open", "table_open", "blockquote_open", "fence"} for token in tokens
    )


def read_markdown(text: str, masked: str, tokens: Sequence[Token]) -> Body:
    """Return the drafts of the body parsed into `tokens`.

    `masked` is `text` with the hidden parts blanked out (see `mask`).
    """
    return _Reader(text, masked, tokens).read()


class _Reader:
    def __init__(self, text: str, masked: str, tokens: Sequence[Token]) -> None:
        self._text = text
        self._masked = masked
        self._tokens = tokens
        self._lines = [0, *(match.end() for match in re.finditer("\n", masked))]
        self._references = frozenset(
            match["label"].strip().lower()
            for token in tokens
            if token.type == "inline" and token.content.startswith("[")
            for line in token.content.split("\n")
            if (match := _REFERENCE.fullmatch(line.strip()))
        )
        self._drafts: list[Draft] = []
        self._tags: list[str] = []
        self._level = 0
        self._lists = 0
        # One entry an open block quote: whether it is a callout.
        self._quotes: list[bool] = []
        # The kind of the next paragraph: the first one of a list item is the item.
        self._item = False

    def read(self) -> Body:
        for index, token in enumerate(self._tokens):
            self._visit(index, token)
        return Body(tuple(self._drafts), tuple(dict.fromkeys(self._tags)))

    def _visit(self, index: int, token: Token) -> None:
        name = token.type
        if name in ("bullet_list_open", "ordered_list_open"):
            self._lists += 1
        elif name in ("bullet_list_close", "ordered_list_close"):
            self._lists -= 1
        elif name == "list_item_open":
            self._item = True
        elif name == "list_item_close":
            self._item = False
        elif name == "blockquote_open":
            self._quotes.append(self._is_callout(index))
        elif name == "blockquote_close":
            self._quotes.pop()
        elif name == "tr_open":
            self._row(token)
        elif name in ("fence", "code_block"):
            self._code(token)
        elif name == "inline":
            self._inline(index, token)

    def _inline(self, index: int, token: Token) -> None:
        opening = self._tokens[index - 1]
        ranges = self._ranges(token)
        if not ranges:
            return
        if opening.type == "heading_open":
            self._level = int(opening.tag[1])
            self._add("heading", ranges, self._level)
        elif opening.type == "paragraph_open":
            if (
                self._quotes
                and self._quotes[-1]
                and self._tokens[index - 2].type == ("blockquote_open")
            ):
                self._callout(index - 2, ranges)
            else:
                self._paragraph(ranges)

    def _is_callout(self, index: int) -> bool:
        following = self._tokens[index + 1 : index + 3]
        return (
            len(following) == 2
            and following[1].type == "inline"
            and _CALLOUT.match(following[1].content) is not None
        )

    def _callout(self, index: int, ranges: list[tuple[int, int]]) -> None:
        low, high = ranges[0]
        tag = _CALLOUT.match(self._masked, low, high)
        title = (tag.end() if tag else low, high)
        if title[0] < title[1]:
            level = min(6, max(1, self._level) + len(self._quotes))
            # Text behind the callout belongs to the section, not to the callout: only a
            # callout that closes its section can head what follows it.
            heads = self._closes_section(index)
            self._add("heading" if heads else "paragraph", [title], level if heads else 0)
        if ranges[1:]:
            self._paragraph(ranges[1:])

    def _closes_section(self, index: int) -> bool:
        depth = 0
        for token in self._tokens[index:]:
            if token.type == "blockquote_open":
                depth += 1
            elif token.type == "blockquote_close":
                depth -= 1
            elif depth <= 0:
                return token.type == "heading_open"
        return True

    def _paragraph(self, ranges: list[tuple[int, int]]) -> None:
        kind: BlockKind = "item" if self._item else "paragraph"
        level = self._lists if self._item else 0
        if self._item:
            low, high = ranges[0]
            task = _TASK.match(self._masked, low, high)
            if task:
                ranges = [(task.end(), high), *ranges[1:]]
        self._item = False
        for group in self._split(ranges):
            self._add(kind, group, level)
            kind, level = "paragraph", 0

    def _split(self, ranges: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
        """Part a paragraph where its lines stand for themselves.

        Definitions of footnotes and links need no blank line between them, and lines
        that are all `Key : value` are rows of a card.
        """
        lines = [self._masked[low:high] for low, high in ranges]
        if len(lines) > 1 and all(_KEY_VALUE.match(line) or _FIELD.match(line) for line in lines):
            return [[each] for each in ranges]
        groups: list[list[tuple[int, int]]] = [[]]
        for line, (low, high) in zip(lines, ranges, strict=True):
            footnote = _FOOTNOTE.match(line)
            if footnote:
                groups.append([(low + footnote.end(), high)])
            elif _REFERENCE.fullmatch(line.strip()):
                groups.append([])
            else:
                groups[-1].append((low, high))
        return [group for group in groups if group]

    def _add(self, kind: BlockKind, ranges: list[tuple[int, int]], level: int = 0) -> None:
        content = "\n".join(self._masked[low:high] for low, high in ranges)
        found = scan(content, self._references)
        self._tags += found.tags
        edits = found.edits
        pieces: tuple[Piece, ...]
        low, high = ranges[0]
        dataview = _FIELD.match(self._masked, low, high) if len(ranges) == 1 else None
        pieces = pieces_of(self._masked, ranges, edits)
        if dataview:
            # Obsidian's inline property reads like any row of a card.
            first, last = dataview.span("colons")
            value = [edit for edit in edits if edit.start >= last - low]
            moved = [
                edit._replace(start=edit.start - (last - low), end=edit.end - (last - low))
                for edit in value
            ]
            pieces = (
                kept(self._masked, low, dataview.end("key")),
                inserted(" "),
                kept(self._masked, first, first + 1),
                *pieces_of(self._masked, [(last, high)], moved),
            )
        if kind == "paragraph" and found.tags and _ONLY_TAGS.fullmatch(content):
            kind = "noise"
        labelled = bool(dataview or _LABELLED.match(content))
        self._drafts.append(Draft(kind, pieces, level, labelled=labelled))

    def _row(self, token: Token) -> None:
        if not token.map:
            return
        low, high = self._line(token.map[0])
        line = self._masked[low:high].lstrip("> \t")
        low = high - len(line)
        pieces: list[Piece] = []
        for number, (first, last) in enumerate(split_cells(line)):
            if number and pieces:
                pieces.append(inserted(" | "))
            cell = line[first:last]
            found = scan(cell)
            self._tags += found.tags
            pieces += pieces_of(self._masked, [(low + first, low + last)], found.edits)
        while pieces and not pieces[-1].source:
            pieces.pop()
        if pieces:
            self._drafts.append(Draft("table", tuple(pieces)))

    def _code(self, token: Token) -> None:
        if not token.map:
            return
        first, last = token.map
        number = first + 1 if token.type == "fence" else first
        pieces: list[Piece] = []
        for content in token.content.split("\n"):
            if number >= last:
                break
            low, high = self._line(number)
            # What markdown-it took off the line is the indentation of a list or a quote.
            start = max(low, high - len(content))
            pieces.append(kept(self._text, start, high))
            number += 1
        while pieces and not pieces[-1].text.strip():
            pieces.pop()
        while pieces and not pieces[0].text.strip():
            pieces.pop(0)
        if pieces:
            self._drafts.append(Draft("code", tuple(pieces), verbatim=True))

    def _line(self, number: int) -> tuple[int, int]:
        start = self._lines[number]
        end = self._lines[number + 1] - 1 if number + 1 < len(self._lines) else len(self._masked)
        return start, end

    def _ranges(self, token: Token) -> list[tuple[int, int]]:
        """Return where the lines of an inline token stand, trimmed."""
        if not token.map:
            return []
        ranges = []
        for number, content in enumerate(token.content.split("\n"), token.map[0]):
            wanted = content.strip()
            if not wanted or number >= len(self._lines):
                continue
            low, high = self._line(number)
            # Quote marks and bullets come before the content, closing #s behind it.
            place = self._masked.rfind(wanted, low, high)
            if place >= 0:
                ranges.append((place, place + len(wanted)))
        return ranges
