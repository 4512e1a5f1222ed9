"""Citations that are verbatim by construction."""

from __future__ import annotations

from collections.abc import Sequence

from rag.types import Citation, Document

__all__ = ["cite", "marker"]


def cite(document: Document, start: int, end: int, *, key: str, path: Sequence[str]) -> Citation:
    """Cite plain[start:end] of a document.

    The span is translated to canonical offsets, where the quote is taken, so that
    `document.text[citation.start:citation.end] == citation.quote` always holds.
    """
    low, high = document.offsets.to_canonical(start, end)
    quote = document.text[low:high]
    if not quote.strip():
        raise ValueError(f"plain[{start}:{end}] of {document.doc_id} comes from no source text")
    return Citation(
        key=key,
        doc_id=document.doc_id,
        content_hash=document.content_hash,
        start=low,
        end=high,
        quote=quote,
        title=document.title,
        heading_path=tuple(path),
    )


def marker(citation: Citation) -> str:
    """Return the marker that stands for a citation in an answer's text."""
    return f"[{citation.key}]"
