"""Documents and passages as JSON lines, the part of a generation that is not vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rag.errors import Message
from rag.types import Block, Chunk, Document, OffsetMap, Segment, Skipped

__all__ = [
    "chunk_line",
    "document_line",
    "read_chunk",
    "read_chunks",
    "read_document",
    "read_documents",
    "read_lines",
    "read_skipped",
    "skipped_record",
    "write_lines",
]


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write what `document_line` or `chunk_line` gave, or a file of them had."""
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="\n") as file:
        file.writelines(f"{line}\n" for line in lines)


def read_lines(path: Path) -> list[str]:
    """Return the lines that `write_lines` wrote."""
    text = path.read_text(encoding="utf-8", errors="surrogatepass")
    return text.split("\n")[:-1]


def document_line(document: Document) -> str:
    """Return a document as a JSON object."""
    record = {
        "doc_id": document.doc_id,
        "title": document.title,
        "text": document.text,
        "plain": document.plain,
        "metadata": document.metadata,
        "language": document.language,
        "content_hash": document.content_hash,
        "blocks": [[b.kind, b.start, b.end, b.level] for b in document.blocks],
        "offsets": [
            [s.plain_start, s.plain_end, s.start, s.end] for s in document.offsets.segments
        ],
    }
    return json.dumps(record, ensure_ascii=False)


def read_document(line: str) -> Document:
    """Return what `document_line` wrote; a damaged line raises `ValueError` or `KeyError`."""
    record = json.loads(line)
    record["metadata"] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in record["metadata"].items()
    }
    record["blocks"] = tuple(Block(*values) for values in record["blocks"])
    record["offsets"] = OffsetMap(tuple(Segment(*v) for v in record["offsets"]))
    return Document(**record)


def read_documents(path: Path) -> Iterator[Document]:
    """Yield the documents of a file; a damaged one raises `ValueError` or `KeyError`."""
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            yield read_document(line)


def chunk_line(chunk: Chunk, digest: str) -> str:
    """Return where a passage stands, and the digest of what is embedded, as a JSON list.

    Its text is that of its document.
    """
    record = [chunk.doc_id, chunk.start, chunk.end, list(chunk.heading_path), digest]
    return json.dumps(record, ensure_ascii=False)


def read_chunk(line: str, known: Mapping[str, Document]) -> Chunk:
    """Return what `chunk_line` wrote, with the text taken from the documents."""
    doc_id, start, end, heading_path, _ = json.loads(line)
    document = known[doc_id]
    return Chunk(
        chunk_id=f"{doc_id}:{start}-{end}",
        doc_id=doc_id,
        start=start,
        end=end,
        text=document.text[start:end],
        heading_path=tuple(heading_path),
        metadata={
            **document.metadata,
            "title": document.title,
            "language": document.language,
        },
    )


def read_chunks(path: Path, known: Mapping[str, Document]) -> Iterator[Chunk]:
    """Yield the passages of a file."""
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            yield read_chunk(line, known)


def skipped_record(entry: Skipped) -> dict[str, Any]:
    """Return a file that was skipped as a manifest keeps it, to be told in any language."""
    record: dict[str, Any] = {"path": entry.path, "reason": entry.reason}
    if isinstance(entry.reason, Message):
        record["template"] = entry.reason.template
        record["values"] = {
            name: value if isinstance(value, (int, float)) else str(value)
            for name, value in entry.reason.values.items()
        }
    return record


def read_skipped(record: Mapping[str, Any]) -> Skipped:
    """Return what `skipped_record` kept."""
    # Earlier generations kept the English reason alone.
    template = record.get("template", record["reason"])
    return Skipped(record["path"], Message(template, **record.get("values", {})))
