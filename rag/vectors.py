"""The vectors of the passages, in Chroma."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoder import Vectors
from rag.generations import Copy, private_copy
from rag.types import Chunk

__all__ = ["VectorStore", "add_vectors", "write_vectors"]

_COLLECTION = "passages"
# Passages that are written at a time.
_BATCH = 2000


class VectorStore:
    """The vectors of a generation, in a collection of Chroma."""

    def __init__(self, collection: Any, release: Callable[[], None] | None = None) -> None:
        self._collection = collection
        # What was opened is released when nothing answers from it any more.
        self._release = weakref.finalize(self, release or _nothing)

    @classmethod
    def open(cls, folder: Path, cache: Path) -> VectorStore:
        """Open what `write_vectors` wrote, on a private copy of its folder.

        Raises `OSError` and `ValueError` where it is damaged, `CitadelleError` where there is
        no room for the copy.
        """
        if not folder.is_dir():
            raise OSError(f"{folder.name} is missing")
        copy = private_copy(folder, cache)
        try:
            client, collection = _open(copy.folder / "chroma")
        except BaseException:
            copy.remove()
            raise
        return cls(collection, partial(_release, copy, client))

    def __len__(self) -> int:
        return int(self._collection.count())

    def nearest(
        self, vector: Vectors, k: int, doc_ids: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return the identifiers and cosines of the nearest passages, best first.

        `vector` is a unit vector of shape (dimension,); `doc_ids` limits the search.
        """
        where: Any = None if doc_ids is None else {"doc_id": {"$in": list(doc_ids)}}
        found = self._collection.query(
            query_embeddings=[vector.tolist()], n_results=k, where=where, include=["distances"]
        )
        pairs = zip(found["ids"][0], found["distances"][0], strict=True)
        return [(chunk_id, 1.0 - distance) for chunk_id, distance in pairs]

    def get(self, chunk_ids: Sequence[str]) -> Vectors:
        """Return the vectors of some passages: float32, (len(chunk_ids), dimension).

        Raises `KeyError` for one that is not there.
        """
        stored = self._collection.get(ids=list(chunk_ids), include=["embeddings"])
        by_id = dict(zip(stored["ids"], stored["embeddings"], strict=True))
        return np.array([by_id[chunk_id] for chunk_id in chunk_ids], dtype=np.float32)

    def by_digest(self) -> Mapping[str, tuple[Vectors, int]]:
        """Return the vector and the place in the index of every passage, by its digest."""
        found = {}
        for begin in range(0, len(self), _BATCH):
            stored = self._collection.get(
                limit=_BATCH, offset=begin, include=["embeddings", "metadatas"]
            )
            for metadata, vector in zip(stored["metadatas"], stored["embeddings"], strict=True):
                found[metadata["digest"]] = (vector, int(metadata["position"]))
        return found

    def close(self) -> None:
        """Release the files; nothing can be found afterwards."""
        self._release()


def write_vectors(
    path: Path, chunks: Sequence[Chunk], digests: Sequence[str], vectors: Vectors
) -> None:
    """Write the vectors of passages, (len(chunks), dimension), with what finds them again.

    Raises `OSError` where they cannot be written.
    """
    from chromadb.errors import ChromaError

    try:
        client = _client(path)
        add_vectors(client, _COLLECTION, chunks, digests, vectors)
        client.close()
    except ChromaError as error:
        raise OSError(str(error)) from error


def add_vectors(
    client: Any, name: str, chunks: Sequence[Chunk], digests: Sequence[str], vectors: Vectors
) -> None:
    """Write the vectors of passages, as `write_vectors` does, into a new collection of a client.

    Raises what Chroma raises.
    """
    collection = client.create_collection(
        name,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}},
    )
    step = min(client.get_max_batch_size(), _BATCH)
    for begin in range(0, len(chunks), step):
        part = slice(begin, begin + step)
        collection.add(
            ids=[chunk.chunk_id for chunk in chunks[part]],
            embeddings=vectors[part],
            documents=[chunk.text for chunk in chunks[part]],
            metadatas=[
                {
                    "doc_id": chunk.doc_id,
                    "start": chunk.start,
                    "end": chunk.end,
                    "heading_path": " > ".join(chunk.heading_path),
                    "digest": digest,
                    "position": position,
                }
                for position, (chunk, digest) in enumerate(
                    zip(chunks[part], digests[part], strict=True), start=begin
                )
            ],
        )


def _client(path: Path) -> Any:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    # Given in full: Chroma also reads a `.env` from the current folder, and variables that would
    # have it send spans of its own.
    return chromadb.PersistentClient(
        path=str(path),
        settings=ChromaSettings(anonymized_telemetry=False, chroma_otel_granularity="none"),
    )


def _open(path: Path) -> tuple[Any, Any]:
    from chromadb.errors import ChromaError

    if not path.is_dir():
        raise OSError(f"{path.name} is missing")
    try:
        client = _client(path)
        return client, client.get_collection(_COLLECTION, embedding_function=None)
    except (ChromaError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def _release(copy: Copy, client: Any) -> None:
    client.close()
    copy.remove()


def _nothing() -> None:
    pass
