"""Read the YAML properties at the head of a note, as text and with their places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from frontmatter.default_handlers import YAMLHandler

from rag.documents.plain import Draft, Piece, inserted, kept, replaced

__all__ = ["Frontmatter", "read_frontmatter"]

# YAML is parsed slowly, and no note has more properties than this many characters.
_LONGEST = 100_000
# Settings of the note taker's screen, of no interest to a reader.
_DISPLAY_KEYS = frozenset({"cssclass", "cssclasses"})
# What follows may begin with a comment, a quoted key or a flow mapping. A space before
# the colon is only taken behind one word: "Un paragraphe : ceci" is prose.
_FIRST_KEY = re.compile(
    r"(?:[ \t]*(?:#[^\n]*)?\n)*[ \t]*"
    r"(?:\{|\?|['\"]|[^\W\d][\w.-]*(?:[ \t]?|(?:[ ][\w.-]+){1,3}):(?:\s|$))"
)
_BLOCK_SCALAR = re.compile(r"[|>][-+\d]*[^\n]*\n?")


class _TextLoader(yaml.BaseLoader):
    """Load every scalar as the text that was typed: `NO`, `12:30` and `0123` stay so."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        # A few nested aliases can stand for gigabytes.
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases are not supported")
        return super().compose_node(parent, index)


class _TextHandler(YAMLHandler):  # type: ignore[misc, unused-ignore]
    """Find the fences without eating the blank lines behind them, and keep text as text."""

    FM_BOUNDARY = re.compile(r"^-{3,}[ \t]*$", re.MULTILINE)

    def load(self, fm: str, **kwargs: object) -> Any:
        return super().load(fm, Loader=_TextLoader)

    def compose(self, fm: str) -> Any:
        """Return the tree of nodes, which know their places."""
        return yaml.compose(fm, Loader=_TextLoader)


@dataclass(frozen=True, slots=True)
class Frontmatter:
    """What stands before the body.

    `end` is where the body begins. `properties` are flat: the key of a nested one is
    `outer.inner`. `drafts` show them one per block. `problem` says why they could not
    be read; they are noise then. `rules` are the lines that look like fences around
    something that is no properties: only drawn, they say nothing about the body.
    """

    end: int = 0
    rules: tuple[tuple[int, int], ...] = ()
    properties: dict[str, str | tuple[str, ...]] = field(default_factory=dict)
    drafts: tuple[Draft, ...] = ()
    problem: str | None = None


def read_frontmatter(text: str) -> Frontmatter:
    """Read the properties at the head of `text`, where there are any.

    A pair of rules around a paragraph is no frontmatter. Properties that are not
    valid YAML are reported in `problem`; nothing is raised.
    """
    handler = _TextHandler()
    if not handler.detect(text):
        return Frontmatter()
    boundaries = handler.FM_BOUNDARY.finditer(text)
    opening, closing = next(boundaries), next(boundaries, None)
    if closing is None:
        return Frontmatter()
    start, stop = opening.end(), closing.start()
    end = min(closing.end() + 1, len(text))
    source = text[start:stop]
    if not source.strip():
        return Frontmatter(end)
    if len(source) > _LONGEST or not _FIRST_KEY.match(source):
        return Frontmatter(rules=(opening.span(), closing.span()))
    try:
        loaded = handler.load(source)
        node = handler.compose(source)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Frontmatter(end, drafts=_noise(text, start, stop), problem=_explain(error))
    if not isinstance(loaded, dict):
        return Frontmatter(rules=(opening.span(), closing.span()))
    properties = dict(_flatten(loaded))
    drafts = tuple(_property_drafts(text, start, node))
    return Frontmatter(end, properties=properties, drafts=drafts)


def _explain(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f" on line {mark.line + 1}" if mark is not None else ""
    what = getattr(error, "problem", None) or str(error) or "too deeply nested"
    return f"frontmatter is not valid YAML{where}: {' '.join(str(what).split())}"


def _noise(text: str, start: int, stop: int) -> tuple[Draft, ...]:
    lines = re.compile(r"[^\n]+").finditer(text, start, stop)
    return tuple(Draft("noise", (kept(text, *line.span()),)) for line in lines)


def _flatten(
    mapping: dict[Any, Any], prefix: str = ""
) -> Iterator[tuple[str, str | tuple[str, ...]]]:
    for key, value in mapping.items():
        name = f"{prefix}{' '.join(str(key).split())}"
        if isinstance(value, dict):
            yield from _flatten(value, f"{name}.")
        elif isinstance(value, list):
            items = tuple(item for item in map(_scalar, value) if item)
            if items:
                yield name, items
        elif _scalar(value):
            yield name, _scalar(value)


def _scalar(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} : {_scalar(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(_scalar(each) for each in value)
    text = " ".join(str(value).split())
    return "" if text in {"~", "null"} else text


def _property_drafts(text: str, offset: int, node: yaml.MappingNode) -> Iterator[Draft]:
    for key, value in node.value:
        pieces = _node_pieces(text, offset, value)
        if pieces:
            hidden = str(key.value).strip().lower() in _DISPLAY_KEYS
            yield Draft(
                "noise" if hidden else "property",
                (*_node_pieces(text, offset, key), inserted(" : "), *pieces),
            )


def _node_pieces(text: str, offset: int, node: yaml.Node) -> list[Piece]:
    if isinstance(node, yaml.ScalarNode):
        return _scalar_pieces(text, offset, node)
    groups: list[list[Piece]] = []
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = _node_pieces(text, offset, value)
            if below:
                groups.append([*_node_pieces(text, offset, key), inserted(" : "), *below])
    elif isinstance(node, yaml.SequenceNode):
        groups = [_node_pieces(text, offset, each) for each in node.value]
    pieces: list[Piece] = []
    for group in filter(None, groups):
        pieces += [inserted(", "), *group] if pieces else group
    return pieces


def _scalar_pieces(text: str, offset: int, node: yaml.ScalarNode) -> list[Piece]:
    words = str(node.value).split()
    if not words or words in (["~"], ["null"]):
        return []
    start, end = offset + node.start_mark.index, offset + node.end_mark.index
    if node.style in ("'", '"'):
        start, end = start + 1, end - 1
    elif node.style in ("|", ">"):
        header = _BLOCK_SCALAR.match(text, start, end)
        start = header.end() if header else start
    if text[start:end].split() == words:
        return [kept(text, start, end)]
    # Escapes of quoted scalars: the value stands for its source as a whole.
    return [replaced(str(node.value), start, end)]
