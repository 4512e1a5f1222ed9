"""Assemble a document from its text: properties, blocks, title, language, identity."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal, cast

from rag.documents import markdown
from rag.documents.encoding import canonical
from rag.documents.frontmatter import Frontmatter, read_frontmatter
from rag.documents.pasted import read_text
from rag.documents.plain import Draft, assemble
from rag.documents.rows import mark_rows
from rag.language import detect
from rag.types import Block, Document, Language

__all__ = ["Extract", "understand", "understand_extract"]

Properties = Mapping[str, str | tuple[str, ...]]

# Names that note takers use for the same thing, and whether it is a list.
_SYNONYMS = {"alias": "aliases", "tag": "tags"}
_LISTS = ("aliases", "tags")
_TITLES = ("title", "titre", "titel")


@dataclass(frozen=True, slots=True)
class Extract:
    """What the reader of a binary or marked-up format found.

    `drafts` are over `text`, which is canonical. Without drafts it is read as bare text.
    """

    text: str
    drafts: tuple[Draft, ...] | None = None
    title: str = ""
    language: str = ""
    properties: Properties = field(default_factory=dict)


def understand(source: str, doc_id: str, format: Literal["markdown", "text"]) -> Document:
    """Return the document of a decoded text."""
    text = canonical(source)
    if format == "text":
        return _document(text, doc_id, format, read_text(text).drafts, {})
    head = read_frontmatter(text)
    masked = markdown.mask(text, head.end, head.rules)
    tokens = markdown.structure_of(masked)
    if markdown.has_structure(tokens):
        body = markdown.read_markdown(text, masked, tokens)
    else:
        body = read_text(masked, head.end, marks=True)
    properties = _properties(head, body.tags)
    return _document(text, doc_id, format, (*head.drafts, *body.drafts), properties)


def understand_extract(extract: Extract, doc_id: str, format: str) -> Document:
    """Return the document of an extracted text."""
    drafts = extract.drafts if extract.drafts is not None else read_text(extract.text).drafts
    return _document(
        extract.text,
        doc_id,
        format,
        drafts,
        extract.properties,
        title=extract.title,
        language=extract.language,
    )


def _document(
    text: str,
    doc_id: str,
    format: str,
    drafts: Sequence[Draft],
    properties: Properties,
    *,
    title: str = "",
    language: str = "",
) -> Document:
    plain, blocks, offsets = assemble(text, mark_rows(drafts))
    return Document(
        doc_id=doc_id,
        title=_title(plain, blocks, properties, title, doc_id),
        text=text,
        plain=plain,
        metadata={**properties, "path": doc_id, "format": format},
        language=_language(plain, blocks, language),
        content_hash=hashlib.sha256(text.encode()).hexdigest(),
        blocks=blocks,
        offsets=offsets,
    )


def _properties(head: Frontmatter, tags: tuple[str, ...]) -> dict[str, str | tuple[str, ...]]:
    properties: dict[str, str | tuple[str, ...]] = {}
    for key, value in head.properties.items():
        name = _SYNONYMS.get(key.lower(), key.lower() if key.lower() in _LISTS else key)
        if name in _LISTS:
            before = properties.get(name, ())
            value = (*before, *_items(name, value))
        if value:
            properties[name] = value
    known = properties.get("tags", ())
    merged = tuple(dict.fromkeys((*known, *tags)))
    if merged:
        properties["tags"] = merged
    if head.problem:
        properties["problems"] = (head.problem,)
    return properties


def _items(name: str, value: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the list that a note taker typed as a list or as one line."""
    separator = r"[,;\s]+" if name == "tags" else r"\s*[,;]\s*"
    items = re.split(separator, value) if isinstance(value, str) else value
    if name == "tags":
        items = [item.lstrip("#") for item in items]
    return tuple(dict.fromkeys(item for item in items if item))


def _title(
    plain: str, blocks: Sequence[Block], properties: Properties, title: str, doc_id: str
) -> str:
    for key, value in properties.items():
        if key.lower() in _TITLES and isinstance(value, str):
            return value
    headings = [block for block in blocks if block.kind == "heading"]
    top = next((block for block in headings if block.level == 1), None)
    if top is None and title:
        return title
    first = top or next(iter(headings), None)
    if first:
        return plain[first.start : first.end]
    name = re.sub(r"[-_\s]+", " ", PurePosixPath(doc_id).stem).strip()
    return name[:1].upper() + name[1:] if name else doc_id


def _language(plain: str, blocks: Sequence[Block], declared: str) -> Language:
    body = "\n".join(
        plain[block.start : block.end]
        for block in blocks
        if block.kind not in ("property", "noise", "code")
    )
    language = detect(body)
    code = declared.lower()[:2]
    if language == "unknown" and code in ("fr", "en", "nl"):
        return cast(Language, code)
    return language
