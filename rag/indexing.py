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
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from rag import documents as sources
from rag.aliases import Aliases, names
from rag.chunking import chunk_document, passage_text
from rag.config import Settings
from rag.embeddings import Embedding, EmbeddingCache
from rag.encoder import Encoder, Progress, encoder_name
from rag.errors import CitadelleError, IndexDamaged, IndexLoss, Message, NothingToIndex
from rag.generations import (
    FORMAT,
    earlier_generations,
    read_manifest,
    read_record,
    remove_old,
    seal,
)
from rag.index import identity, identity_without
from rag.late import Codebook, LateWriter
from rag.lexical import LexicalIndex, Words, words_of
from rag.storage import (
    chunk_line,
    document_line,
    read_chunk,
    read_document,
    skipped_record,
    write_lines,
)
from rag.store import FolderStore, Store, open_store
from rag.takeover import Held, Live, Passage, Stamps, code
from rag.types import Document, Skipped

__all__ = [
    "Changes",
    "IndexReport",
    "Loss",
    "are_elsewhere",
    "build_index",
    "is_stale",
    "plan_index",
    "unchanged",
]

Loss = Literal["all", "most", "half"]

# What a killed run loses is at most this many passages: a second or two of work.
_KEPT_AT_ONCE = 32
_LOOKED_UP_AT_ONCE = 256


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
    return bool(manifest["signature"] != Stamps(wanted).signature)


def plan_index(paths: Sequence[Path], settings: Settings) -> Changes:
    """Return what `build_index` would do; nothing is written.

    A path that does not exist holds no document. Raises `IndexDamaged` and `IndexMismatch`
    where the live generation does not say what it holds.
    """
    store = open_store(settings)
    folder = store.live()
    before = read_manifest(folder)["documents"] if folder is not None else {}
    live = Live.open(folder, {"code": code()}, store)
    read = _read([path for path in paths if path.exists()], live, None)
    return _changes(before, _hashes(read.found), read.skipped)


def build_index(
    paths: Sequence[Path],
    settings: Settings,
    encoder: Encoder,
    progress: Progress | None = None,
    *,
    may_lose: Loss = "most",
) -> IndexReport:
    """Make the index hold exactly the documents below `paths`, and say what changed.

    What has not changed is taken over from the live generation, and what was embedded before
    from the cache.
    `may_lose` is how many documents may leave: all, any but the last, or up to a half.
    Raises `IndexLoss` when more would, `NothingToIndex` when a path does not exist or no
    document can be read, and `IndexBusy` when another process is writing.
    """
    store = open_store(settings)
    with _explained(settings.index), store.writing() as live:
        return _build(paths, settings, encoder, progress, may_lose, store, live)


def unchanged(paths: Sequence[Path], settings: Settings) -> IndexReport | None:
    """Return what `build_index` would report where it has nothing to do, None where it has.

    Needs no encoder, which takes longer to load than all files to be looked at.
    """
    depends = {**identity_without(settings, encoder_name(settings)), "code": code()}
    store = open_store(settings)
    try:
        live = Live.open(store.live(), depends, store)
    except IndexDamaged:
        # Building mends it.
        return None
    if live is None or not all(path.exists() for path in paths):
        return None
    with suppress(OSError):
        read = _read(paths, live, None)
        if read.found and live.matches(_wanted(paths, read, depends)):
            hashes = _hashes(read.found)
            return _report(_changes(hashes, hashes, read.skipped), int(live.manifest["chunks"]))
    return None


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


class _Read(NamedTuple):
    """What the source files hold; `stamps` holds their documents and stamps, by whole name."""

    found: list[Document | Held]
    skipped: list[Skipped]
    stamps: dict[str, list[Any]]
    signature: str


def _read(paths: Sequence[Path], live: Live | None, progress: Progress | None) -> _Read:
    # Taken first: a file that changes while it is read makes the index stale, not wrong.
    stamps = Stamps(paths)
    read = _Read([], [], {}, stamps.signature)
    files: Iterable[tuple[Path, Document | Skipped | Held]]
    files = sources.read_files(paths) if live is None else live.read(paths, stamps)
    for path, item in files:
        if isinstance(item, Skipped):
            read.skipped.append(item)
        else:
            read.found.append(item)
            if (stamp := stamps.of(path)) is not None:
                read.stamps[stamp[0]] = [item.doc_id, *stamp[1]]
        if progress is not None:
            progress("documents", len(read.found), 0)
    return read


def _details(skipped: Sequence[Skipped]) -> str:
    """Return why files were skipped, a sentence each after a space."""
    said = ""
    for entry in skipped:
        said = Message(
            "{before} {file}: {reason}.", before=said, file=entry.path, reason=entry.reason
        )
    return said


def _hashes(found: Sequence[Document | Held]) -> dict[str, str]:
    return {document.doc_id: document.content_hash for document in found}


def _build(
    paths: Sequence[Path],
    settings: Settings,
    encoder: Encoder,
    progress: Progress | None,
    may_lose: Loss,
    store: Store,
    folder: Path | None,
) -> IndexReport:
    known = _known_documents(folder)
    for path in paths:
        if not path.exists() and (may_lose == "most" or not known):
            raise NothingToIndex(
                "There is no file or folder {path}; nothing was indexed.", path=path
            )
    root = settings.index
    depends = {**identity(settings, encoder), "code": code()}
    live = Live.open(folder, depends, store)
    read = _read([path for path in paths if path.exists()], live, progress)
    found, skipped = read.found, read.skipped
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
        may_lose != "all" and changes.removed and store.shared and _is_from_elsewhere(folder)
    ):
        raise IndexLoss(
            "{lost} of the {known} documents in the index in {folder} would leave it, as they are "
            "not in {paths}; give --yes if they should.",
            lost=len(changes.removed),
            known=len(known),
            folder=str(store),
            paths=", ".join(map(str, paths)),
        )
    wanted = _wanted(paths, read, depends)
    if live is not None and live.matches(wanted):
        # Another generation of the same would push out the one to go back to.
        remove_old(root, keep=[*earlier_generations(root)[-1:], live.folder])
        return _report(changes, int(live.manifest["chunks"]))
    name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    generation = root / name
    generation.mkdir()
    try:
        documents = _Documents(found, live)
        kept = _kept(documents, hashes, live)
        passages = _passages(hashes, documents, kept, live, settings, encoder)
        cache = EmbeddingCache(settings, encoder)
        deleted = _write(
            generation, hashes, documents, kept, passages, live, encoder, cache, store, progress
        )
        manifest = {
            **wanted,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "chunks": len(passages),
            "deleted": deleted,
            "stamps": read.stamps,
        }
        seal(generation, manifest)
        store.publish(generation)
    except BaseException:
        shutil.rmtree(generation, ignore_errors=True)
        raise
    remove_old(root, keep=[generation] if folder is None else [generation, folder])
    return _report(changes, len(passages))


class _Documents(dict[str, Document]):
    """The documents by identifier; those of the live generation are read where they are needed."""

    def __init__(self, found: Iterable[Document | Held], live: Live | None) -> None:
        super().__init__((d.doc_id, d) for d in found if isinstance(d, Document))
        self._live = live

    def __missing__(self, doc_id: str) -> Document:
        if self._live is None:
            raise KeyError(doc_id)
        self[doc_id] = document = read_document(self._live.lines[doc_id])
        return document


def _kept(
    documents: Mapping[str, Document], hashes: Mapping[str, str], live: Live | None
) -> frozenset[str]:
    """Return which documents the live generation has just as they are, title and all."""
    if live is None:
        return frozenset()
    # Of those that were read again the text may be the same and the title another.
    return frozenset(
        doc_id
        for doc_id, content in hashes.items()
        if live.holds(doc_id, content)
        and (doc_id not in documents or document_line(documents[doc_id]) == live.lines[doc_id])
    )


def _passages(
    hashes: Mapping[str, str],
    documents: Mapping[str, Document],
    kept: Container[str],
    live: Live | None,
    settings: Settings,
    encoder: Encoder,
) -> list[Passage]:
    passages: list[Passage] = []
    for doc_id in hashes:
        if live is not None and doc_id in kept:
            passages += live.passages.get(doc_id, ())
            continue
        for chunk in chunk_document(
            documents[doc_id], max_tokens=settings.chunk_tokens, count_tokens=encoder.count_tokens
        ):
            digest = _digest(passage_text(documents[doc_id], chunk))
            passages.append(Passage(doc_id, chunk_line(chunk, digest), digest))
    return passages


def _write(
    generation: Path,
    hashes: Mapping[str, str],
    documents: Mapping[str, Document],
    kept: Container[str],
    passages: Sequence[Passage],
    live: Live | None,
    encoder: Encoder,
    cache: EmbeddingCache,
    store: Store,
    progress: Progress | None,
) -> int:
    """Write the files of a generation; return how many rows of its Chroma are deleted ones."""
    codebook = cache.codebook()
    same = live if live is not None and live.has_codes_of(codebook) else None
    base = same if same is not None and same.can_go_on(passages) else None
    writer = LateWriter(generation / "late", codebook, base.late if base is not None else None)
    added = []
    for i, passage in enumerate(passages):
        if base is not None and passage.place is not None:
            writer.keep(i, passage.place)
        else:
            added.append(i)
    chunks = [read_chunk(passages[i].line, documents) for i in added]
    texts = [passage_text(documents[chunk.doc_id], chunk) for chunk in chunks]
    vectors = np.empty((len(added), encoder.dimension), dtype=np.float32)
    wanted = [(passages[i].digest, text) for i, text in zip(added, texts, strict=True)]
    for n, embedding in _embeddings(wanted, same, encoder, codebook, cache, progress):
        vectors[n] = embedding.vector
        writer.add(added[n], embedding.codes, embedding.spans)
    writer.close()
    _write_texts(generation, hashes, documents, kept, passages, live)
    if base is None or not isinstance(store, FolderStore):
        store.write_vectors(generation, chunks, vectors)
        return 0
    store.change_vectors(generation, base.folder, base.gone(passages), chunks, vectors)
    return base.deleted(passages)


def _write_texts(
    generation: Path,
    hashes: Mapping[str, str],
    documents: Mapping[str, Document],
    kept: Container[str],
    passages: Sequence[Passage],
    live: Live | None,
) -> None:
    """Write documents, passages, their words, and the names of things."""
    lines, found = [], {}
    for doc_id in hashes:
        if live is not None and doc_id in kept:
            lines.append(live.lines[doc_id])
            found[doc_id] = live.aliases.found[doc_id]
        else:
            lines.append(document_line(documents[doc_id]))
            found[doc_id] = names(documents[doc_id])
    write_lines(generation / "documents.jsonl", lines)
    write_lines(generation / "chunks.jsonl", [passage.line for passage in passages])
    Aliases.of(found).save(generation / "aliases.json")
    stemmed, surface, languages = [], [], []
    for passage in passages:
        if live is not None and passage.place is not None:
            language = live.languages[passage.place]
            own = (live.words.stemmed[passage.place], live.words.surface[passage.place])
        else:
            document = documents[passage.doc_id]
            language = document.language
            text = passage_text(document, read_chunk(passage.line, documents))
            own = words_of(text, language)
        stemmed.append(own[0])
        surface.append(own[1])
        languages.append(language)
    words = Words(stemmed, surface)
    words.save(generation / "lexical")
    LexicalIndex.of(words, languages).save(generation / "lexical")


def _embeddings(
    wanted: Sequence[tuple[str, str]],
    live: Live | None,
    encoder: Encoder,
    codebook: Codebook,
    cache: EmbeddingCache,
    progress: Progress | None,
) -> Iterator[tuple[int, Embedding]]:
    """Yield the place in `wanted`, digests and texts, and the embedding of each passage.

    The live generation is asked first, as it has what moved within it though the cache be off
    or too small for it; then the cache; then the encoder.
    """
    missing = list(range(len(wanted)))
    places = live.places([digest for digest, _ in wanted]) if live is not None else {}
    if live is not None and places:
        held = [n for n in missing if wanted[n][0] in places]
        try:
            vectors = live.vectors([places[wanted[n][0]] for n in held])
        except (CitadelleError, OSError, ValueError, KeyError):
            # Where Chroma does not open, the cache is left.
            held = []
        for n, vector in zip(held, vectors if held else (), strict=True):
            place = places[wanted[n][0]]
            yield n, Embedding(vector, live.late.codes(place), live.late.spans(place))
        missing = sorted(set(missing).difference(held))
    unknown = []
    for begin in range(0, len(missing), _LOOKED_UP_AT_ONCE):
        part = missing[begin : begin + _LOOKED_UP_AT_ONCE]
        found = cache.find([wanted[n][0] for n in part])
        unknown += [n for n in part if wanted[n][0] not in found]
        yield from ((n, found[wanted[n][0]]) for n in part if wanted[n][0] in found)
    made: dict[str, Embedding] = {}
    for at, vector, tokens in encoder.read_passages([wanted[n][1] for n in unknown], progress):
        spans = np.stack([tokens.starts, tokens.ends], axis=1).astype(np.int32)
        embedding = Embedding(vector, codebook.pack(tokens.vectors), spans)
        made[wanted[unknown[at]][0]] = embedding
        if len(made) >= _KEPT_AT_ONCE:
            cache.keep(made)
            made = {}
        yield unknown[at], embedding
    if made:
        cache.keep(made)


def _wanted(paths: Sequence[Path], read: _Read, depends: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the manifest of an index of these files has."""
    hashes = _hashes(read.found)
    return {
        "format": FORMAT,
        **depends,
        "corpus_hash": _digest(json.dumps(hashes, sort_keys=True)),
        "paths": [str(path.resolve()) for path in paths],
        "signature": read.signature,
        "documents": hashes,
        "skipped": [skipped_record(entry) for entry in read.skipped],
    }


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
    documents = read_record(live).get("documents")
    return documents if isinstance(documents, dict) else {}


def _digest(text: str) -> str:
    # A file name on Linux need not be UTF-8.
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
