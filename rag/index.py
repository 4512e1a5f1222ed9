"""The index, opened for reading: documents, passages, BM25, token vectors and Chroma together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rag.aliases import Aliases
from rag.chunking import CHUNKING_VERSION
from rag.config import Settings
from rag.encoder import Encoder, Vectors
from rag.errors import CitadelleError, IndexDamaged, IndexMismatch, IndexMissing
from rag.generations import REPAIR, damage, generations, read_manifest
from rag.late import LateIndex
from rag.lexical import LexicalIndex
from rag.storage import read_chunks, read_documents, read_skipped
from rag.store import Store, open_store
from rag.types import Chunk, Skipped, Source

__all__ = ["Index", "identity", "identity_without"]

# How often an opening is tried again when the generation goes away under it.
_OPENINGS = 5


class Index:
    """A generation opened for reading.

    `documents` by identifier, `chunks` in document order, `lexical` and `late` over the same
    order; `aliases` are the names that the documents give to the same things.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any], store: Store) -> None:
        self.folder = folder
        self.manifest = manifest
        wrong = damage(folder, manifest)
        if wrong is not None:
            raise IndexDamaged(
                "The index in {folder} is damaged: {problem}. {repair}",
                folder=folder.parent,
                problem=wrong,
                repair=REPAIR,
            )
        try:
            self.documents = {d.doc_id: d for d in read_documents(folder / "documents.jsonl")}
            self.chunks = tuple(read_chunks(folder / "chunks.jsonl", self.documents))
            self.lexical = LexicalIndex.load(folder / "lexical")
            self.late = LateIndex(folder / "late")
            self.aliases = Aliases.load(folder / "aliases.json")
            self._vectors = store.vectors(folder)
            stored = len(self._vectors)
        except (OSError, ValueError, KeyError, TypeError) as error:
            thorough = damage(folder, manifest, thorough=True)
            raise IndexDamaged(
                "The index in {folder} cannot be read ({problem}). {repair}",
                folder=folder.parent,
                problem=thorough or str(error),
                repair=REPAIR,
            ) from error
        if not stored == len(self.chunks) == len(self.late) == manifest["chunks"]:
            raise IndexDamaged(
                "The index in {folder} should hold {expected} passages and holds {found}. {repair}",
                folder=folder.parent,
                expected=manifest["chunks"],
                found=min(stored, len(self.chunks), len(self.late)),
                repair=REPAIR,
            )
        self._order = {chunk.chunk_id: i for i, chunk in enumerate(self.chunks)}

    @classmethod
    def open(cls, settings: Settings, encoder: Encoder) -> Index:
        """Open the live generation.

        Raises `IndexMissing`, `IndexMismatch` when it was made with another encoder,
        chunking or size of passages, `IndexDamaged`, and `IndexUnreachable` when the server
        that holds it does not answer.
        """
        store = open_store(settings)
        for attempt in range(_OPENINGS):
            folder = store.live()
            if folder is None:
                raise _no_index(settings, store)
            try:
                return cls._open(folder, settings, encoder, store)
            except CitadelleError as error:
                if isinstance(error, IndexDamaged) and attempt == 0 and store.mend(folder):
                    continue
                # It may be removed while it is read, when two others follow it.
                if store.live() == folder:
                    raise
        raise IndexDamaged(
            "The index in {folder} changes faster than it can be opened; try again.",
            folder=settings.index,
        )

    @classmethod
    def _open(cls, folder: Path, settings: Settings, encoder: Encoder, store: Store) -> Index:
        manifest = read_manifest(folder)
        for name, value in identity(settings, encoder).items():
            if manifest.get(name) != value:
                raise IndexMismatch(
                    "The index in {folder} was made with {name} = {found}, the settings say "
                    "{wanted}. {repair}",
                    folder=str(store),
                    name=name,
                    found=manifest.get(name),
                    wanted=value,
                    repair=REPAIR,
                )
        return cls(folder, manifest, store)

    def counts(self) -> dict[str, int]:
        """Return how many passages each part holds."""
        return {
            "passages": len(self.chunks),
            "Chroma": len(self._vectors),
            "BM25": len(self.lexical),
            "late": len(self.late),
        }

    def close(self) -> None:
        """Release the files of the generation; the index cannot be searched afterwards."""
        self._vectors.close()

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The source files that could not be read when this generation was built."""
        return tuple(read_skipped(entry) for entry in self.manifest["skipped"])

    def sources(self) -> tuple[Source, ...]:
        """Return what the list of sources shows, by identifier."""
        counts: dict[str, int] = {}
        for chunk in self.chunks:
            counts[chunk.doc_id] = counts.get(chunk.doc_id, 0) + 1
        return tuple(
            Source(
                doc_id=d.doc_id,
                title=d.title,
                language=d.language,
                metadata=d.metadata,
                chunks=counts.get(d.doc_id, 0),
                characters=len(d.text),
            )
            for d in self.documents.values()
        )

    def dense(
        self, vector: Vectors, k: int, doc_ids: Sequence[str] | None = None
    ) -> list[tuple[int, float]]:
        """Return the positions in `chunks` and cosines of the nearest passages, best first.

        `vector` is a unit vector of shape (dimension,); `doc_ids` limits the search.
        """
        if not self.chunks:
            return []
        found = self._vectors.nearest(vector, min(k, len(self.chunks)), doc_ids)
        return [(self._order[chunk_id], cosine) for chunk_id, cosine in found]

    def position(self, chunk: Chunk) -> int:
        """Return the place of a passage in `chunks`; raises `KeyError`."""
        return self._order[chunk.chunk_id]

    def vectors(self, positions: Sequence[int]) -> Vectors:
        """Return the stored vectors of some passages: float32, (len(positions), dimension)."""
        ids = [self.chunks[i].chunk_id for i in positions]
        if not ids:
            return np.empty((0, int(self.manifest["dimension"])), dtype=np.float32)
        return self._vectors.get(ids)


def identity(settings: Settings, encoder: Encoder) -> dict[str, Any]:
    """Return what an index depends on besides its documents, as its manifest has it."""
    return {**identity_without(settings, encoder.name), "dimension": encoder.dimension}


def identity_without(settings: Settings, encoder: str) -> dict[str, Any]:
    """Return what of `identity` is known without an encoder, by its name."""
    return {
        "encoder": encoder,
        "chunking": CHUNKING_VERSION,
        "chunk_tokens": settings.chunk_tokens,
    }


def _no_index(settings: Settings, store: Store) -> CitadelleError:
    root = settings.index
    # A generation without the pointer to it, or a pointer without what it points to.
    if not store.shared and ((root / "CURRENT").exists() or generations(root)):
        return IndexDamaged(
            "The index in {folder} has lost its live generation. {repair}",
            folder=root,
            repair=REPAIR,
        )
    return IndexMissing(
        "There is no index in {folder}. Run 'citadelle index' to build it.", folder=str(store)
    )
