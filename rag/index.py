"""The index on disk: Chroma, BM25, the documents and a manifest, one folder a generation.

::

    index/
      CURRENT           the name of the live generation, replaced in one step
      write.lock        held by the one process that writes
      20261122T…/       a generation: manifest.json, documents.jsonl, chunks.jsonl,
                        aliases.json, chroma/, lexical/, late/

A generation is built beside the live one and `CURRENT` is renamed over at the very end:
a process killed at any point leaves the last complete generation in place. Only this
module imports Chroma.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from rag import documents as sources
from rag.aliases import Aliases
from rag.chunking import CHUNKING_VERSION, chunk_document, passage_text
from rag.config import Settings
from rag.encoder import Encoder, Progress
from rag.errors import (
    CitadelleError,
    IndexBusy,
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    NothingToIndex,
)
from rag.late import Codebook, LateIndex, LateWriter, calibrate
from rag.lexical import LexicalIndex
from rag.storage import read_chunks, read_documents, write_chunks, write_documents
from rag.types import Chunk, Document, Skipped, Source

__all__ = [
    "Index",
    "IndexReport",
    "build_index",
    "current_generation",
    "is_stale",
    "read_manifest",
]

Vectors = NDArray[np.float32]

_FORMAT = 2
_COLLECTION = "passages"
_REPAIR = "Run 'citadelle index' to rebuild it."
# The live generation and the one before it, which readers may still have open.
_KEPT_GENERATIONS = 2
_GENERATION = re.compile(r"\d{8}T\d{12}Z")


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run of indexing did, by document identifier."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    chunks: int

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `citadelle index --json` prints."""
        return {
            "added": list(self.added),
            "replaced": list(self.replaced),
            "removed": list(self.removed),
            "unchanged": list(self.unchanged),
            "skipped": [{"path": s.path, "reason": s.reason} for s in self.skipped],
            "chunks": self.chunks,
        }


class Index:
    """A generation opened for reading.

    `documents` by identifier, `chunks` in document order, `lexical` and `late` over the same
    order; `aliases` are the names that the documents give to the same things.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder = folder
        self.manifest = manifest
        try:
            self.documents = {d.doc_id: d for d in read_documents(folder / "documents.jsonl")}
            self.chunks = tuple(read_chunks(folder / "chunks.jsonl", self.documents))
            self.lexical = LexicalIndex.load(folder / "lexical")
            self.late = LateIndex(folder / "late")
            self.aliases = Aliases.load(folder / "aliases.json")
            self._client, self._collection = _open_collection(folder / "chroma")
            stored = self._collection.count()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise IndexDamaged(
                f"The index in {folder.parent} is incomplete ({error}). {_REPAIR}"
            ) from error
        if not stored == len(self.chunks) == len(self.late) == manifest["chunks"]:
            raise IndexDamaged(
                f"The index in {folder.parent} should hold {manifest['chunks']} passages and holds "
                f"{min(stored, len(self.chunks), len(self.late))}. {_REPAIR}"
            )
        self._order = {chunk.chunk_id: i for i, chunk in enumerate(self.chunks)}

    @classmethod
    def open(cls, settings: Settings, encoder: Encoder) -> Index:
        """Open the live generation.

        Raises `IndexMissing`, `IndexMismatch` when it was made with another encoder,
        chunking or size of passages, and `IndexDamaged`.
        """
        folder = current_generation(settings.index)
        if folder is None:
            raise IndexMissing(
                f"There is no index in {settings.index}. Run 'citadelle index' to build it."
            )
        manifest = read_manifest(folder)
        for name, value in _identity(settings, encoder).items():
            if manifest.get(name) != value:
                raise IndexMismatch(
                    f"The index in {settings.index} was made with {name} = {manifest.get(name)}, "
                    f"the settings say {value}. {_REPAIR}"
                )
        return cls(folder, manifest)

    def close(self) -> None:
        """Release the files of the generation; the index cannot be searched afterwards."""
        self._client.close()

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The source files that could not be read when this generation was built."""
        return tuple(Skipped(**entry) for entry in self.manifest["skipped"])

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
        where: Any = None if doc_ids is None else {"doc_id": {"$in": list(doc_ids)}}
        found = self._collection.query(
            query_embeddings=[vector.tolist()],
            n_results=min(k, len(self.chunks)),
            where=where,
            include=["distances"],
        )
        return [
            (self._order[chunk_id], 1.0 - distance)
            for chunk_id, distance in zip(found["ids"][0], found["distances"][0], strict=True)
        ]

    def position(self, chunk: Chunk) -> int:
        """Return the place of a passage in `chunks`; raises `KeyError`."""
        return self._order[chunk.chunk_id]

    def vectors(self, positions: Sequence[int]) -> Vectors:
        """Return the stored vectors of some passages: float32, (len(positions), dimension)."""
        ids = [self.chunks[i].chunk_id for i in positions]
        if not ids:
            return np.empty((0, int(self.manifest["dimension"])), dtype=np.float32)
        stored = self._collection.get(ids=ids, include=["embeddings"])
        by_id = dict(zip(stored["ids"], stored["embeddings"], strict=True))
        return np.array([by_id[chunk_id] for chunk_id in ids], dtype=np.float32)


def current_generation(folder: Path) -> Path | None:
    """Return the folder of the live generation, or None when there is none."""
    try:
        name = (folder / "CURRENT").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return folder / name if name and (folder / name).is_dir() else None


def read_manifest(generation: Path) -> dict[str, Any]:
    """Return what the generation says of itself; raises `IndexDamaged`."""
    try:
        manifest = json.loads((generation / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexDamaged(
            f"The manifest of the index in {generation.parent} cannot be read. {_REPAIR}"
        ) from error
    if manifest.get("format") != _FORMAT:
        raise IndexMismatch(
            f"The index in {generation.parent} was made by another version. {_REPAIR}"
        )
    return dict(manifest)


def is_stale(manifest: Mapping[str, Any], paths: Sequence[Path] | None = None) -> bool:
    """Return whether the source files have changed since the index was built.

    Compares names, sizes and times of change, which is quick. `paths` are those wanted
    now, the ones it was built from when not given.
    """
    wanted = list(paths) if paths is not None else [Path(p) for p in manifest["paths"]]
    return bool(manifest["signature"] != _signature(wanted))


def _signature(paths: Sequence[Path]) -> str:
    entries = []
    for file in sources.files(paths):
        stat = file.stat()
        entries.append(f"{file.resolve()}\t{stat.st_size}\t{stat.st_mtime_ns}")
    return _digest("\n".join(entries))


def _identity(settings: Settings, encoder: Encoder) -> dict[str, Any]:
    return {
        "encoder": encoder.name,
        "dimension": encoder.dimension,
        "chunking": CHUNKING_VERSION,
        "chunk_tokens": settings.chunk_tokens,
    }


# --- Building -----------------------------------------------------------------------------


def build_index(
    paths: Sequence[Path],
    settings: Settings,
    encoder: Encoder,
    progress: Progress | None = None,
) -> IndexReport:
    """Make the index hold exactly the documents below `paths`, and say what changed.

    Vectors of passages that have not changed are taken over from the live generation.
    Raises `NothingToIndex` when a path does not exist or no document can be read, and
    `IndexBusy` when another process is writing.
    """
    for path in paths:
        if not path.exists():
            raise NothingToIndex(f"There is no file or folder {path}; nothing was indexed.")
    root = settings.index
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "write.lock", timeout=0):
            return _build(paths, settings, encoder, progress)
    except Timeout as error:
        raise IndexBusy(
            f"Another process is writing the index in {root}; try again when it is done."
        ) from error
    except OSError as error:
        raise CitadelleError(
            f"The index in {root} cannot be written ({error.strerror or error}); "
            "nothing was changed."
        ) from error


def _build(
    paths: Sequence[Path], settings: Settings, encoder: Encoder, progress: Progress | None
) -> IndexReport:
    # Taken first: a file that changes while it is read makes the index stale, not wrong.
    signature = _signature(paths)
    found: list[Document] = []
    skipped: list[Skipped] = []
    for item in sources.read_folder(paths):
        if isinstance(item, Skipped):
            skipped.append(item)
        else:
            found.append(item)
        if progress is not None:
            progress("documents", len(found), 0)
    if not found:
        details = "".join(f" {entry.path}: {entry.reason}." for entry in skipped[:3])
        raise NothingToIndex(
            f"No document could be read in {', '.join(map(str, paths))}.{details} "
            f"Put {', '.join(sorted(sources.SUFFIXES))} files there."
        )

    chunks = [
        chunk
        for document in found
        for chunk in chunk_document(
            document, max_tokens=settings.chunk_tokens, count_tokens=encoder.count_tokens
        )
    ]
    by_id = {document.doc_id: document for document in found}
    texts = [passage_text(by_id[chunk.doc_id], chunk) for chunk in chunks]
    identity = _identity(settings, encoder)
    previous = _previous(settings.index, identity)

    root = settings.index
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    generation = root / name
    generation.mkdir()
    try:
        vectors = _embed(texts, previous, encoder, generation / "late", progress)
        write_documents(generation / "documents.jsonl", found)
        write_chunks(generation / "chunks.jsonl", chunks)
        LexicalIndex.build(texts, [by_id[c.doc_id].language for c in chunks]).save(
            generation / "lexical"
        )
        Aliases.learn(found).save(generation / "aliases.json")
        _write_collection(generation / "chroma", chunks, texts, vectors)
        hashes = {document.doc_id: document.content_hash for document in found}
        manifest = {
            "format": _FORMAT,
            **identity,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "corpus_hash": _digest(json.dumps(hashes, sort_keys=True)),
            "paths": [str(path.resolve()) for path in paths],
            "signature": signature,
            "documents": hashes,
            "chunks": len(chunks),
            "skipped": [{"path": s.path, "reason": s.reason} for s in skipped],
        }
        (generation / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="ascii")
        _switch(root, name)
    except BaseException:
        shutil.rmtree(generation, ignore_errors=True)
        raise
    _remove_old(root, keep=name)
    return _report(_known_documents(previous), hashes, skipped, len(chunks))


def _switch(root: Path, name: str) -> None:
    draft = root / "CURRENT.new"
    draft.write_text(name + "\n", encoding="utf-8")
    draft.replace(root / "CURRENT")


def _remove_old(root: Path, keep: str) -> None:
    # Only what was made here: the folder may hold other things of its owner.
    generations = sorted(path for path in root.iterdir() if _GENERATION.fullmatch(path.name))
    for old in [path for path in generations if path.name != keep][: -(_KEPT_GENERATIONS - 1)]:
        shutil.rmtree(old, ignore_errors=True)


def _report(
    before: Mapping[str, str], after: Mapping[str, str], skipped: Sequence[Skipped], chunks: int
) -> IndexReport:
    return IndexReport(
        added=tuple(doc_id for doc_id in after if doc_id not in before),
        replaced=tuple(d for d in after if d in before and before[d] != after[d]),
        removed=tuple(doc_id for doc_id in before if doc_id not in after),
        unchanged=tuple(d for d in after if before.get(d) == after[d]),
        skipped=tuple(skipped),
        chunks=chunks,
    )


@dataclass(frozen=True, slots=True)
class _Previous:
    """What the live generation knows.

    Its documents; and for each passage, by the digest of its text, its vector and its place
    in `late`.
    """

    documents: Mapping[str, str]
    passages: Mapping[str, tuple[Vectors, int]]
    late: LateIndex | None

    def has_codes_of(self, codebook: Codebook) -> bool:
        """Return whether its codes mean what those of a code book mean."""
        return self.late is not None and bool(
            np.allclose(self.late.codebook.low, codebook.low, atol=1e-4)
        )


def _previous(root: Path, identity: Mapping[str, Any]) -> _Previous | None:
    """Return what the live generation knows, or None when it is missing or unusable."""
    folder = current_generation(root)
    if folder is None:
        return None
    try:
        manifest = read_manifest(folder)
        if any(manifest.get(name) != value for name, value in identity.items()):
            return _Previous(manifest["documents"], {}, None)
        client, collection = _open_collection(folder / "chroma")
        stored = collection.get(include=["embeddings", "metadatas"])
        client.close()
        places = {
            m["digest"]: (vector, int(m["position"]))
            for m, vector in zip(stored["metadatas"], stored["embeddings"], strict=True)
        }
        return _Previous(manifest["documents"], places, LateIndex(folder / "late"))
    except (CitadelleError, OSError, ValueError, KeyError, TypeError):
        # A damaged generation has nothing to give; the new one is built from the sources.
        return None


def _known_documents(previous: _Previous | None) -> Mapping[str, str]:
    return previous.documents if previous is not None else {}


def _embed(
    texts: Sequence[str],
    previous: _Previous | None,
    encoder: Encoder,
    late: Path,
    progress: Progress | None,
) -> Vectors:
    """Return the vectors of the passages, and write those of their tokens into `late`.

    What the live generation has is taken over: the codes of a passage depend on the encoder
    and its text alone.
    """
    codebook = calibrate(encoder)
    usable = previous is not None and previous.has_codes_of(codebook)
    known = previous.passages if previous is not None and usable else {}
    digests = [_digest(text) for text in texts]
    vectors = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    writer = LateWriter(late, codebook)
    missing = [i for i, digest in enumerate(digests) if digest not in known]
    for place, vector, tokens in encoder.read_passages([texts[i] for i in missing], progress):
        vectors[missing[place]] = vector
        spans = np.stack([tokens.starts, tokens.ends], axis=1).astype(np.int32)
        writer.add(missing[place], codebook.pack(tokens.vectors), spans)
    for i, digest in enumerate(digests):
        if digest in known and previous is not None and previous.late is not None:
            vectors[i], place = known[digest]
            writer.add(i, previous.late.codes(place), previous.late.spans(place))
    writer.close()
    return vectors


def _digest(text: str) -> str:
    # A file name on Linux need not be UTF-8.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# --- Chroma -------------------------------------------------------------------------------


def _client(path: Path) -> Any:
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    # Given in full: Chroma also reads a `.env` from the current folder.
    return chromadb.PersistentClient(
        path=str(path), settings=ChromaSettings(anonymized_telemetry=False)
    )


def _open_collection(path: Path) -> tuple[Any, Any]:
    from chromadb.errors import ChromaError

    if not path.is_dir():
        raise OSError(f"{path.name} is missing")
    try:
        client = _client(path)
        return client, client.get_collection(_COLLECTION, embedding_function=None)
    except (ChromaError, RuntimeError) as error:
        raise ValueError(str(error)) from error


def _write_collection(
    path: Path, chunks: Sequence[Chunk], texts: Sequence[str], vectors: Vectors
) -> None:
    client = _client(path)
    collection = client.create_collection(
        _COLLECTION,
        embedding_function=None,
        configuration={"hnsw": {"space": "cosine", "ef_construction": 200, "ef_search": 200}},
    )
    step = min(client.get_max_batch_size(), 2000)
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
                    "digest": _digest(text),
                    "position": position,
                }
                for position, (chunk, text) in enumerate(
                    zip(chunks[part], texts[part], strict=True), start=begin
                )
            ],
        )
    client.close()
