"""Build the index, beside the live one, and bring it in step with its source files.

::

    index/
      CURRENT           the name of the live generation, replaced in one step
      20261122T…/       a generation: manifest.json, documents.jsonl, chunks.jsonl,
                        aliases.json, chroma/, lexical/, late/

A generation is built beside the live one and `CURRENT` is renamed over at the very end:
a process killed at any point leaves the last complete generation in place
(`generations.py`).
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rag import documents as sources
from rag.aliases import Aliases
from rag.chunking import chunk_document, passage_text
from rag.config import Settings
from rag.encoder import Encoder, Progress, Vectors
from rag.errors import CitadelleError, IndexLoss, Message, NothingToIndex
from rag.generations import (
    FORMAT,
    damage,
    earlier_generations,
    read_manifest,
    remove_old,
    seal,
)
from rag.index import identity
from rag.late import Codebook, LateIndex, LateWriter, calibrate
from rag.lexical import LexicalIndex
from rag.storage import skipped_record, write_chunks, write_documents
from rag.store import Store, open_store
from rag.types import Document, Skipped

__all__ = [
    "Changes",
    "IndexReport",
    "Loss",
    "are_elsewhere",
    "build_index",
    "is_stale",
    "plan_index",
]

Loss = Literal["all", "most", "half"]


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs between the index and its source files, by document identifier.

    `renamed` holds the old and the new name of documents whose text is the same.
    """

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]
    skipped: tuple[Skipped, ...]

    @property
    def loses_most(self) -> bool:
        """Return whether more than half of the documents in the index would leave it."""
        kept = len(self.replaced) + len(self.renamed) + len(self.unchanged)
        return len(self.removed) > kept

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `citadelle index --dry-run --json` prints."""
        return {
            "added": list(self.added),
            "replaced": list(self.replaced),
            "renamed": [{"from": old, "to": new} for old, new in self.renamed],
            "removed": list(self.removed),
            "unchanged": list(self.unchanged),
            "skipped": [{"path": s.path, "reason": s.reason} for s in self.skipped],
        }


@dataclass(frozen=True, slots=True)
class IndexReport(Changes):
    """What a run of indexing did; `chunks` counts the passages of the index."""

    chunks: int

    def to_dict(self) -> dict[str, Any]:
        """Return the object that `citadelle index --json` prints."""
        # `super()` without arguments fails in a dataclass with slots.
        return {**Changes.to_dict(self), "chunks": self.chunks}


def are_elsewhere(manifest: Mapping[str, Any]) -> bool:
    """Return whether none of the files that an index was built from is on this machine."""
    return not any(Path(path).exists() for path in manifest["paths"])


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


def plan_index(paths: Sequence[Path], settings: Settings) -> Changes:
    """Return what `build_index` would do; nothing is written.

    A path that does not exist holds no document. Raises `IndexDamaged` and `IndexMismatch`
    where the live generation does not say what it holds.
    """
    found, skipped = _read([path for path in paths if path.exists()], None)
    folder = open_store(settings).live()
    before = read_manifest(folder)["documents"] if folder is not None else {}
    return _changes(before, _hashes(found), skipped)


def build_index(
    paths: Sequence[Path],
    settings: Settings,
    encoder: Encoder,
    progress: Progress | None = None,
    *,
    may_lose: Loss = "most",
) -> IndexReport:
    """Make the index hold exactly the documents below `paths`, and say what changed.

    Vectors of passages that have not changed are taken over from the live generation.
    `may_lose` is how many documents may leave: all, any but the last, or up to a half.
    Raises `IndexLoss` when more would, `NothingToIndex` when a path does not exist or no
    document can be read, and `IndexBusy` when another process is writing.
    """
    store = open_store(settings)
    with _explained(settings.index), store.writing() as live:
        return _build(paths, settings, encoder, progress, may_lose, store, live)


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CitadelleError(
            "The index in {folder} cannot be written ({problem}); nothing was changed.",
            folder=root,
            problem=error.strerror or str(error),
        ) from error


def _read(paths: Sequence[Path], progress: Progress | None) -> tuple[list[Document], list[Skipped]]:
    found: list[Document] = []
    skipped: list[Skipped] = []
    for item in sources.read_folder(paths):
        if isinstance(item, Skipped):
            skipped.append(item)
        else:
            found.append(item)
        if progress is not None:
            progress("documents", len(found), 0)
    return found, skipped


def _details(skipped: Sequence[Skipped]) -> str:
    """Return why files were skipped, a sentence each after a space."""
    said = ""
    for entry in skipped:
        said = Message(
            "{before} {file}: {reason}.", before=said, file=entry.path, reason=entry.reason
        )
    return said


def _hashes(found: Sequence[Document]) -> dict[str, str]:
    return {document.doc_id: document.content_hash for document in found}


def _build(
    paths: Sequence[Path],
    settings: Settings,
    encoder: Encoder,
    progress: Progress | None,
    may_lose: Loss,
    store: Store,
    live: Path | None,
) -> IndexReport:
    known = _known_documents(live)
    for path in paths:
        if not path.exists() and (may_lose == "most" or not known):
            raise NothingToIndex(
                "There is no file or folder {path}; nothing was indexed.", path=path
            )
    # Taken first: a file that changes while it is read makes the index stale, not wrong.
    there = [path for path in paths if path.exists()]
    signature = _signature(there)
    found, skipped = _read(there, progress)
    root = settings.index
    if not found and (may_lose == "most" or not known):
        raise NothingToIndex(
            "No document could be read in {paths}.{details} Put {suffixes} files there.",
            paths=", ".join(map(str, paths)),
            details=_details(skipped[:3]),
            suffixes=", ".join(sorted(sources.SUFFIXES)),
        )
    hashes = _hashes(found)
    changes = _changes(known, hashes, skipped)
    if (may_lose == "half" and changes.loses_most) or (
        may_lose != "all" and changes.removed and store.shared and _is_from_elsewhere(live)
    ):
        raise IndexLoss(
            "{lost} of the {known} documents in the index in {folder} would leave it, as they are "
            "not in {paths}; give --yes if they should.",
            lost=len(changes.removed),
            known=len(known),
            folder=str(store),
            paths=", ".join(map(str, paths)),
        )
    depends = identity(settings, encoder)
    wanted = {
        "format": FORMAT,
        **depends,
        "corpus_hash": _digest(json.dumps(hashes, sort_keys=True)),
        "paths": [str(path.resolve()) for path in paths],
        "signature": signature,
        "documents": hashes,
        "skipped": [skipped_record(entry) for entry in skipped],
    }
    held = _held(live, wanted, store)
    if held is not None:
        # Another generation of the same would push out the one to go back to.
        remove_old(root, keep=[*earlier_generations(root)[-1:], *([live] if live else [])])
        return _report(changes, held)
    chunks = [
        chunk
        for document in found
        for chunk in chunk_document(
            document, max_tokens=settings.chunk_tokens, count_tokens=encoder.count_tokens
        )
    ]
    by_id = {document.doc_id: document for document in found}
    texts = [passage_text(by_id[chunk.doc_id], chunk) for chunk in chunks]
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    generation = root / name
    generation.mkdir()
    try:
        previous = _previous(live, depends, store)
        digests = [_digest(text) for text in texts]
        vectors = _embed(texts, digests, previous, encoder, generation / "late", progress)
        write_documents(generation / "documents.jsonl", found)
        write_chunks(generation / "chunks.jsonl", chunks)
        LexicalIndex.build(texts, [by_id[c.doc_id].language for c in chunks]).save(
            generation / "lexical"
        )
        Aliases.learn(found).save(generation / "aliases.json")
        store.write_vectors(generation, chunks, digests, vectors)
        manifest = {
            **wanted,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "chunks": len(chunks),
        }
        seal(generation, manifest)
        store.publish(generation)
    except BaseException:
        shutil.rmtree(generation, ignore_errors=True)
        raise
    remove_old(root, keep=[generation] if live is None else [generation, live])
    return _report(changes, len(chunks))


def _report(changes: Changes, chunks: int) -> IndexReport:
    return IndexReport(
        added=changes.added,
        replaced=changes.replaced,
        renamed=changes.renamed,
        removed=changes.removed,
        unchanged=changes.unchanged,
        skipped=changes.skipped,
        chunks=chunks,
    )


def _held(live: Path | None, wanted: Mapping[str, Any], store: Store) -> int | None:
    """Return the passages of the live generation if it is whole and just what is wanted."""
    if live is None:
        return None
    with suppress(CitadelleError, KeyError, TypeError, ValueError, AttributeError):
        manifest = read_manifest(live)
        same = all(manifest.get(name) == value for name, value in wanted.items())
        count = int(manifest["chunks"])
        if same and damage(live, manifest, thorough=True) is None and store.has(live, count):
            return count
    return None


def _changes(
    before: Mapping[str, str], after: Mapping[str, str], skipped: Sequence[Skipped]
) -> Changes:
    # Several documents may have one text; each gone name pairs with one new name.
    gone = defaultdict(list)
    for doc_id, content in before.items():
        if doc_id not in after:
            gone[content].append(doc_id)
    new = {
        doc_id: gone[content].pop(0)
        for doc_id, content in after.items()
        if doc_id not in before and gone[content]
    }
    renamed = set(new.values())
    return Changes(
        added=tuple(d for d in after if d not in before and d not in new),
        replaced=tuple(d for d in after if d in before and before[d] != after[d]),
        renamed=tuple((old, doc_id) for doc_id, old in new.items()),
        removed=tuple(d for d in before if d not in after and d not in renamed),
        unchanged=tuple(d for d in after if before.get(d) == after[d]),
        skipped=tuple(skipped),
    )


def _is_from_elsewhere(live: Path | None) -> bool:
    """Return whether the files that a generation was built from are on another machine."""
    return live is not None and are_elsewhere(read_manifest(live))


def _known_documents(live: Path | None) -> Mapping[str, str]:
    """Return the documents of the live generation; none where it cannot say."""
    if live is None:
        return {}
    try:
        return dict(read_manifest(live)["documents"])
    except (CitadelleError, KeyError, ValueError, TypeError):
        return {}


@dataclass(frozen=True, slots=True)
class _Previous:
    """What the live generation knows of a passage, by the digest of its text.

    Its vector, and its place in `late`.
    """

    passages: Mapping[str, tuple[Vectors, int]]
    late: LateIndex

    def has_codes_of(self, codebook: Codebook) -> bool:
        """Return whether its codes mean what those of a code book mean."""
        return bool(np.allclose(self.late.codebook.low, codebook.low, atol=1e-4))


def _previous(folder: Path | None, depends: Mapping[str, Any], store: Store) -> _Previous | None:
    """Return what the live generation knows, or None when it is missing or unusable."""
    if folder is None:
        return None
    # A damaged generation has nothing to give; the new one is built from the sources.
    with suppress(CitadelleError, OSError, ValueError, KeyError, TypeError):
        manifest = read_manifest(folder)
        same = all(manifest.get(name) == value for name, value in depends.items())
        if not same or damage(folder, manifest, thorough=True) is not None:
            return None
        late = LateIndex(folder / "late")
        with closing(store.vectors(folder)) as vectors:
            return _Previous(vectors.by_digest(), late)
    return None


def _embed(
    texts: Sequence[str],
    digests: Sequence[str],
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
    if previous is not None and not previous.has_codes_of(codebook):
        previous = None
    known = previous.passages if previous is not None else {}
    vectors = np.empty((len(texts), encoder.dimension), dtype=np.float32)
    writer = LateWriter(late, codebook)
    missing = [i for i, digest in enumerate(digests) if digest not in known]
    for place, vector, tokens in encoder.read_passages([texts[i] for i in missing], progress):
        vectors[missing[place]] = vector
        spans = np.stack([tokens.starts, tokens.ends], axis=1).astype(np.int32)
        writer.add(missing[place], codebook.pack(tokens.vectors), spans)
    for i, digest in enumerate(digests):
        if previous is not None and digest in known:
            vectors[i], place = known[digest]
            writer.add(i, previous.late.codes(place), previous.late.spans(place))
    writer.close()
    return vectors


def _digest(text: str) -> str:
    # A file name on Linux need not be UTF-8.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
