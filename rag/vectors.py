"""The vectors of the passages, in Chroma."""

from __future__ import annotations

import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rag.encoder import Vectors
from rag.generations import Copy, private_copy
from rag.types import Chunk

__all__ = ["VectorStore", "add_vectors", "change_vectors", "write_vectors"]

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

    def close(self) -> None:
        """Release the files; nothing can be found afterwards."""
        self._release()


def write_vectors(path: Path, chunks: Sequence[Chunk], vectors: Vectors) -> None:
    """Write the vectors of passages, (len(chunks), dimension), with what finds them again.

    Raises `OSError` where they cannot be written.
    """
    with _client(path) as client:
        add_vectors(client, _COLLECTION, chunks, vectors)


def add_vectors(client: Any, name: str, chunks: Sequence[Chunk], vectors: Vectors) -> None:
    """Write the vectors of passages, as `write_vectors` does, into a new collection of a client.

    Raises what Chroma raises.
    """
    # Looking at 600 passages instead of 200 costs a millisecond or two, and finds nearly all of
    # the nearest fifty (`benchmarks/scaling.py`).
    collection = client.create_collection(
        name,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 600}},
    )
    _add(client, collection, chunks, vectors)


def change_vectors(
    path: Path, live: Path, gone: Sequence[str], chunks: Sequence[Chunk], vectors: Vectors
) -> None:
    """Write what `write_vectors` wrote into `live`, without some passages and with others.

    `gone` are identifiers of passages. Raises `OSError` where that cannot be written.
    """
    shutil.copytree(live, path, copy_function=shutil.copyfile)
    with _client(path) as client:
        collection = client.get_collection(_COLLECTION, embedding_function=None)
        step = _step(client)
        for begin in range(0, len(gone), step):
            collection.delete(ids=list(gone[begin : begin + step]))
        _add(client, collection, chunks, vectors)


def _add(client: Any, collection: Any, chunks: Sequence[Chunk], vectors: Vectors) -> None:
    step = _step(client)
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
                }
                for chunk in chunks[part]
            ],
        )


def _step(client: Any) -> int:
    return min(int(client.get_max_batch_size()), _BATCH)


@contextmanager
def _client(path: Path) -> Iterator[Any]:
    """Yield a client that is closed afterwards; raises `OSError` for what Chroma raises."""
    from chromadb.errors import ChromaError

    try:
        with closing(_connect(path)) as client:
            yield client
    except (ChromaError, RuntimeError) as error:
        raise OSError(str(error)) from error


def _connect(path: Path) -> Any:
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
        client = _connect(path)
        return client, client.get_collection(_COLLECTION, embedding_function=None)
    except (ChromaError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def _release(copy: Copy, client: Any) -> None:
    client.close()
    copy.remove()


def _nothing() -> None:
    pass
