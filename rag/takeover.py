"""What a new generation of an index takes over from the live one instead of making it again.

Documents of files that have not changed are not read again; their passages keep their words, and
their places among the token vectors and in Chroma. `benchmarks/indexing.py` prints what that gives.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rag import documents as sources
from rag.aliases import Aliases
from rag.encoder import Vectors
from rag.errors import CitadelleError
from rag.generations import damage, read_manifest
from rag.late import Codebook, LateIndex
from rag.lexical import Words, read_languages
from rag.storage import read_lines
from rag.store import Store
from rag.types import Document, Language, Skipped

__all__ = ["Held", "Live", "Passage", "Stamps", "code"]

# What decides what a file becomes, besides the file itself.
_MODULES = ("aliases", "chunking", "language", "lexical", "sentences", "storage", "types")
_LIBRARIES = (
    "ftfy",
    "mammoth",
    "markdown-it-py",
    "py3langid",
    "pypdfium2",
    "PyStemmer",
    "python-frontmatter",
    "selectolax",
)
# A clock's step: what was written within it may be written again and look the same.
_TICK = 50_000_000
_COARSE_TICK = 2_000_000_000
# Rows that were deleted slow Chroma's graph down and are never given back; with more of them
# than this share, it and the token vectors are written anew.
_WORN = 0.25
_VECTORS_AT_ONCE = 2000


class Passage(NamedTuple):
    """A passage of the new generation: its document, its line, the digest of its text.

    `place` is where the live generation has it, where its document has not changed.
    """

    doc_id: str
    line: str
    digest: str
    place: int | None = None


class Held(NamedTuple):
    """A document of the live generation whose file has not changed."""

    doc_id: str
    content_hash: str


class Stamps:
    """What the file system says of each source file: size, times, number.

    Taken before the files are read: one that changes meanwhile is read again the next time.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        now = time.time_ns()
        self._stamps: dict[Path, tuple[str, list[int]]] = {}
        entries = []
        folders: dict[str, Path] = {}
        for path in sources.files(paths):
            # Resolving each path by itself would take longer than all the rest.
            parent = str(path.parent)
            if parent not in folders:
                folders[parent] = path.parent.resolve()
            try:
                stat = path.stat()
            except FileNotFoundError:
                # Gone since it was listed.
                continue
            name = str(folders[parent] / path.name)
            entries.append(f"{name}\t{stat.st_size}\t{stat.st_mtime_ns}")
            changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
            tick = _TICK if changed % 1_000_000_000 else _COARSE_TICK
            if changed < now - tick:
                stamp = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
                self._stamps[path] = (name, stamp)
        # Names and times alone, which `is_stale` compares.
        text = "\n".join(entries)
        self.signature = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()

    def of(self, path: Path) -> tuple[str, list[int]] | None:
        """Return the whole name and the stamp of a file; None for one that was just written."""
        return self._stamps.get(path)


class Live:
    """The live generation, whole and made as the next one will be."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], store: Store) -> None:
        self.folder = folder
        self.manifest = manifest
        self._store = store

    @classmethod
    def open(cls, folder: Path | None, depends: Mapping[str, Any], store: Store) -> Live | None:
        """Return the live generation, None where there is none, or none that can be trusted."""
        # A damaged generation has nothing to give; the new one is built from the sources.
        with suppress(CitadelleError, OSError, ValueError, KeyError, TypeError, AttributeError):
            if folder is None:
                return None
            manifest = read_manifest(folder)
            live, count = cls(folder, manifest, store), int(manifest["chunks"])
            whole = live.matches(depends) and damage(folder, manifest, thorough=True) is None
            if whole and store.has(folder, count):
                return live
        return None

    def read(
        self, paths: Sequence[Path], stamps: Stamps
    ) -> Iterator[tuple[Path, Document | Skipped | Held]]:
        """Yield what `sources.read_files` does, and what is here where a file has not changed."""
        known: Mapping[str, list[Any]] = self.manifest["stamps"]
        hashes: Mapping[str, str] = self.manifest["documents"]

        def taken(path: Path, doc_id: str) -> Held | None:
            name, stamp = stamps.of(path) or ("", [])
            unchanged = name and known.get(name) == [doc_id, *stamp]
            return Held(doc_id, hashes[doc_id]) if unchanged else None

        return sources.read_files(paths, taken)

    def matches(self, wanted: Mapping[str, Any]) -> bool:
        """Return whether it is what is wanted, by what its manifest says."""
        return all(self.manifest.get(name) == value for name, value in wanted.items())

    def holds(self, doc_id: str, content_hash: str) -> bool:
        """Return whether it has this document, as it is."""
        return bool(self.manifest["documents"].get(doc_id) == content_hash)

    @cached_property
    def lines(self) -> Mapping[str, str]:
        """The documents as they are stored, by identifier."""
        lines = read_lines(self.folder / "documents.jsonl")
        return dict(zip(self.manifest["documents"], lines, strict=True))

    @cached_property
    def passages(self) -> Mapping[str, Sequence[Passage]]:
        """The passages, by document."""
        found: dict[str, list[Passage]] = {}
        for passage in self._passages:
            found.setdefault(passage.doc_id, []).append(passage)
        return found

    @cached_property
    def languages(self) -> Sequence[Language]:
        """The languages of the passages."""
        return tuple(read_languages(self.folder / "lexical"))

    @cached_property
    def late(self) -> LateIndex:
        """The token vectors."""
        return LateIndex(self.folder / "late")

    @cached_property
    def words(self) -> Words:
        """The words of the passages."""
        return Words.load(self.folder / "lexical")

    @cached_property
    def aliases(self) -> Aliases:
        """The names that the documents give to the same things."""
        return Aliases.load(self.folder / "aliases.json")

    def has_codes_of(self, codebook: Codebook) -> bool:
        """Return whether its codes mean what those of a code book mean."""
        return bool(np.allclose(self.late.codebook.low, codebook.low, atol=1e-4))

    def deleted(self, passages: Sequence[Passage]) -> int:
        """Return how many rows of Chroma are deleted ones when only these passages stay."""
        staying = sum(passage.place is not None for passage in passages)
        return int(self.manifest["deleted"]) + len(self._passages) - staying

    def can_go_on(self, passages: Sequence[Passage]) -> bool:
        """Return whether its token vectors and Chroma are to be changed, not written anew.

        Not with a server, which would have to copy them, nor where too much would be deleted.
        """
        in_folder = (self.folder / "chroma").is_dir() and not self._store.shared
        return in_folder and self.deleted(passages) <= _WORN * len(passages)

    def gone(self, passages: Sequence[Passage]) -> list[str]:
        """Return the identifiers of the passages that do not stay."""
        staying = {passage.place for passage in passages}
        return [_id(p) for p in self._passages if p.place not in staying]

    def places(self, digests: Sequence[str]) -> dict[str, int]:
        """Return where passages with these texts stand, by digest; those that there are."""
        wanted = set(digests)
        return {p.digest: place for place, p in enumerate(self._passages) if p.digest in wanted}

    def vectors(self, places: Sequence[int]) -> Vectors:
        """Return the vectors of some passages: float32, (len(places), dimension).

        Raises `CitadelleError`, `OSError`, `ValueError` and `KeyError` where Chroma does not open.
        """
        rows = {place: row for row, place in enumerate(dict.fromkeys(places))}
        ids = [_id(self._passages[place]) for place in rows]
        with closing(self._store.vectors(self.folder)) as store:
            starts = range(0, len(ids), _VECTORS_AT_ONCE)
            found = np.concatenate([store.get(ids[i : i + _VECTORS_AT_ONCE]) for i in starts])
        # Several passages may say the same.
        vectors: Vectors = found[[rows[place] for place in places]]
        return vectors

    @cached_property
    def _passages(self) -> Sequence[Passage]:
        found = []
        for place, line in enumerate(read_lines(self.folder / "chunks.jsonl")):
            doc_id, *_, digest = json.loads(line)
            found.append(Passage(doc_id, line, digest, place))
        return found


def _id(passage: Passage) -> str:
    doc_id, start, end, *_ = json.loads(passage.line)
    return f"{doc_id}:{start}-{end}"


@cache
def code() -> str:
    """Return the digest of the code that turns files into passages and words.

    What another version made is not taken over, whether or not somebody thought of a number.
    """
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in (
        *sorted((folder / "documents").glob("*.py")),
        *(folder / f"{m}.py" for m in _MODULES),
    ):
        digest.update(path.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()
