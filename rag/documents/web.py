"""Extract the text of an HTML page, with its headings, lists and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from selectolax.lexbor import LexborHTMLParser, LexborNode

from rag.documents.encoding import canonical
from rag.documents.inline import BLOCK_TAGS
from rag.documents.plain import Draft, Piece, kept
from rag.documents.rows import is_row
from rag.types import BlockKind

__all__ = ["Page", "extract_page"]

_DROPPED = frozenset(
    {"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "canvas"}
    | {"nav", "footer", "aside", "button", "select", "input", "textarea", "dialog", "head"}
    | {"audio", "video", "map", "datalist", "progress", "meter", "rp"}
)
_DROPPED_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "dialog", "menu"})
_DROPPED_NAMES = re.compile(r"cookie|breadcrumb|fil-?d?-?ariane|skip-?link|skip-?to", re.IGNORECASE)
_INVISIBLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_HEADING = re.compile(r"h[1-6]")
_BLANKS = re.compile(r"[ \t\n\r\f]+")
# Stands for `br` until a block is written; the parser lets no such control through.
_LINE_BREAK = "\x0b"
# A main element with less is a frame that scripts would fill.
_SHORTEST_MAIN = 100


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a page as light Markdown, its drafts, and what its head says."""

    text: str
    drafts: tuple[Draft, ...]
    title: str = ""
    language: str = ""


def extract_page(source: str) -> Page:
    """Return what a reader of the page came for: no scripts, menus, forms or footers.

    Marks of Markdown are written at the beginning of lines only; inside them the text
    is what the page shows.
    """
    tree = LexborHTMLParser(source)
    root = tree.root
    if root is None:
        return Page("", ())
    writer = _PageWriter()
    _Walker(writer).walk(_content_root(tree) or root)
    text, drafts = writer.finish()
    title = tree.css_first("head > title") or tree.css_first("title")
    return Page(
        text,
        drafts,
        " ".join(canonical(title.text()).split()) if title is not None else "",
        (root.attributes.get("lang") or "").strip(),
    )


def _content_root(tree: LexborHTMLParser) -> LexborNode | None:
    candidates = tree.css("main, [role=main]") or tree.css("article")
    if len(candidates) == 1 and len(_inline_text(candidates[0])) >= _SHORTEST_MAIN:
        return candidates[0]
    return tree.body


class _PageWriter:
    """Write lines, and note which part of each a reader sees."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._notes: list[tuple[BlockKind, int, bool, list[tuple[int, int]]]] = []
        self._last: BlockKind | None = None

    def line(
        self,
        kind: BlockKind,
        text: str,
        *,
        level: int = 0,
        before: str = "",
        after: str = "",
        labelled: bool = False,
    ) -> None:
        text = canonical(text).strip()
        if not text:
            return
        # Items and rows stand close together, everything else has a blank line above.
        self._break(1 if kind in ("item", "table") and kind == self._last else 2)
        self._last = kind
        self._put(before)
        start = self._length
        self._put(text)
        self._notes.append((kind, level, labelled, [(start, self._length)]))
        self._put(after)

    def code(self, text: str) -> None:
        text = canonical(text).strip("\n")
        if not text.strip():
            return
        self._break(2)
        self._last = "code"
        self._put("```")
        spans = []
        for each in text.split("\n"):
            self._put("\n")
            spans.append((self._length, self._length + len(each)))
            self._put(each)
        self._put("\n```")
        self._notes.append(("code", 0, False, spans))

    def finish(self) -> tuple[str, tuple[Draft, ...]]:
        text = "".join(self._parts)
        drafts = []
        for kind, level, labelled, spans in self._notes:
            pieces: tuple[Piece, ...] = tuple(kept(text, low, high) for low, high in spans)
            drafts.append(Draft(kind, pieces, level, labelled, verbatim=kind == "code"))
        return text, tuple(drafts)

    def _break(self, lines: int) -> None:
        if self._length:
            self._put("\n" * lines)

    def _put(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


class _Walker:
    """Go through the nodes without recursion: pages nest thousands of elements deep."""

    def __init__(self, writer: _PageWriter) -> None:
        self._writer = writer
        self._text: list[str] = []
        self._lists: list[tuple[str, int]] = []
        self._item = False
        self._heading = 0
        self._bold = False
        self._sections = 0
        self._quotes = 0
        self._term = ""

    def walk(self, root: LexborNode) -> None:
        stack: list[tuple[LexborNode, bool]] = [(root, True)]
        while stack:
            node, entering = stack.pop()
            if not entering:
                self._leave(node.tag or "")
            elif self._enter(node):
                stack.append((node, False))
                stack.extend((child, True) for child in reversed(list(_children(node))))
        self._flush()

    def _enter(self, node: LexborNode) -> bool:
        """Begin an element; return whether to go into it."""
        tag = node.tag or ""
        if tag == "-text":
            self._text.append(node.text_content or "")
            return False
        if tag.startswith(("-", "_", "!")) or self._is_dropped(node, tag):
            return False
        if tag == "br":
            self._text.append(_LINE_BREAK)
            return False
        if tag in ("b", "strong") and not "".join(self._text).strip():
            self._bold = True
        if tag not in BLOCK_TAGS:
            return True
        return self._enter_block(node, tag)

    def _enter_block(self, node: LexborNode, tag: str) -> bool:
        if tag == "p" and self._item and not "".join(self._text).strip():
            return True  # the first paragraph of an item is the item
        self._flush()
        if tag == "table" and _is_data(node):
            self._table(node)
            return False
        if tag == "pre":
            self._writer.code(node.text())
            return False
        if tag == "dt":
            self._term = _inline_text(node)
            if self._term.endswith("?") or not _has_definition(node):
                self._writer.line("paragraph", self._term)
                self._term = ""
            return False
        if tag == "dd" and self._term and not _has_blocks(node):
            text = f"{self._term.rstrip(' :')} : {_inline_text(node)}"
            row = is_row(text)
            if row:
                self._writer.line("item", text, level=1, before="- ", labelled=True)
            else:
                self._writer.line("paragraph", text)
            return False
        if tag == "dd" and self._term:
            self._writer.line("paragraph", self._term)
            self._term = ""
        if _HEADING.fullmatch(tag):
            self._heading = int(tag[1])
        elif tag in ("ul", "ol"):
            self._lists.append((tag, 0))
        elif tag == "li":
            self._item = True
            if self._lists:
                kind, count = self._lists[-1]
                self._lists[-1] = (kind, count + 1)
        elif tag in ("main", "article", "section"):
            self._sections += 1
        elif tag == "blockquote":
            self._quotes += 1
        return True

    def _leave(self, tag: str) -> None:
        if tag not in BLOCK_TAGS:
            return
        self._flush()
        if _HEADING.fullmatch(tag):
            self._heading = 0
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()
        elif tag == "li":
            self._item = False
        elif tag in ("main", "article", "section"):
            self._sections -= 1
        elif tag == "blockquote":
            self._quotes -= 1

    def _is_dropped(self, node: LexborNode, tag: str) -> bool:
        if tag in _DROPPED or (tag == "header" and not self._sections):
            return True
        if tag == "form" and node.css_first("p, h1, h2, h3, article, table") is None:
            return True
        if tag == "a" and node.text().strip() in ("↑", "¶", "#"):
            return True  # a link back to where one came from
        if tag == "sup" and node.css_first("a[href^='#']") is not None:
            return True  # a footnote's number
        attributes = node.attributes
        if not attributes:
            return False
        name = f"{attributes.get('id') or ''} {attributes.get('class') or ''}"
        return (
            "hidden" in attributes
            or attributes.get("aria-hidden") == "true"
            or (attributes.get("role") or "") in _DROPPED_ROLES
            or _INVISIBLE.search(attributes.get("style") or "") is not None
            or (tag not in ("body", "main", "html") and _DROPPED_NAMES.search(name) is not None)
        )

    def _flush(self) -> None:
        lines = _lines("".join(self._text))
        labelled, self._bold = self._bold, False
        self._text = []
        for line in lines:
            if self._heading:
                before = "#" * self._heading + " "
                self._writer.line("heading", line, level=self._heading, before=before)
            elif self._item:
                self._item = False
                kind, count = self._lists[-1] if self._lists else ("ul", 0)
                bullet = "- " if kind == "ul" else f"{count}. "
                depth = max(1, len(self._lists))
                before = "  " * (depth - 1) + bullet
                self._writer.line("item", line, level=depth, before=before, labelled=labelled)
            else:
                before = "> " if self._quotes else ""
                self._writer.line("paragraph", line, before=before, labelled=labelled)
            labelled = False

    def _table(self, table: LexborNode) -> None:
        caption = table.css_first("caption")
        if caption is not None:
            self._writer.line("paragraph", _inline_text(caption))
        for number, row in enumerate(table.css("tr")):
            cells = [_inline_text(cell) for cell in row.iter() if cell.tag in ("td", "th")]
            if not any(cells):
                continue
            after = " |"
            if number == 0 and row.css_first("td") is None:
                after += "\n|" + " --- |" * len(cells)
            self._writer.line("table", " | ".join(cells), before="| ", after=after)


def _children(node: LexborNode) -> Iterator[LexborNode]:
    return node.iter(include_text=True)


def _lines(text: str) -> list[str]:
    """Part text at the line breaks of the page, where they do not cut a sentence."""
    lines: list[str] = []
    for line in text.split(_LINE_BREAK):
        clean = _BLANKS.sub(" ", line).strip(" ")
        if clean and lines and clean[0].islower():
            lines[-1] += " " + clean
        elif clean:
            lines.append(clean)
    return lines


def _inline_text(node: LexborNode) -> str:
    parts: list[str] = []
    stack = [node]
    while stack:
        each = stack.pop()
        tag = each.tag or ""
        if tag == "-text":
            parts.append(each.text_content or "")
        elif tag not in _DROPPED:
            if tag in BLOCK_TAGS:
                parts.append(" ")
            stack.extend(reversed(list(_children(each))))
    return _BLANKS.sub(" ", "".join(parts)).strip()


def _is_data(table: LexborNode) -> bool:
    """Tell a table of data from one that lays out a page."""
    if table.css_first("table table, h1, h2, h3, ul, ol, form") is not None:
        return False
    return any(len([c for c in row.iter() if c.tag in ("td", "th")]) > 1 for row in table.css("tr"))


def _has_blocks(node: LexborNode) -> bool:
    return node.css_first("p, ul, ol, table, div, dl, pre, blockquote") is not None


def _has_definition(term: LexborNode) -> bool:
    following = term.next
    while following is not None and (following.tag or "").startswith("-"):
        following = following.next
    return following is not None and following.tag == "dd"
