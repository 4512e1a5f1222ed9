"""Documents and passages as JSON lines, the part of a generation that is not vectors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rag.errors import Message
from rag.types import Block, Chunk, Document, OffsetMap, Segment, Skipped

__all__ = [
    "read_chunks",
    "read_documents",
    "read_skipped",
    "skipped_record",
    "write_chunks",
    "write_documents",
]


def write_documents(path: Path, found: Iterable[Document]) -> None:
    """Write documents, one JSON object a line."""
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for document in found:
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
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_documents(path: Path) -> Iterator[Document]:
    """Yield what `write_documents` wrote; a damaged file raises `ValueError` or `KeyError`."""
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            record = json.loads(line)
            record["metadata"] = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in record["metadata"].items()
            }
            record["blocks"] = tuple(Block(*values) for values in record["blocks"])
            record["offsets"] = OffsetMap(tuple(Segment(*v) for v in record["offsets"]))
            yield Document(**record)


def write_chunks(path: Path, chunks: Iterable[Chunk]) -> None:
    """Write where the passages stand; their text is that of their document."""
    with path.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for chunk in chunks:
            record = [chunk.doc_id, chunk.start, chunk.end, list(chunk.heading_path)]
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_chunks(path: Path, known: Mapping[str, Document]) -> Iterator[Chunk]:
    """Yield what `write_chunks` wrote, with the text taken from the documents."""
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            doc_id, start, end, heading_path = json.loads(line)
            document = known[doc_id]
            yield Chunk(
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
