"""What `citadelle doctor` finds out about an index: each finding with what to do."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rag.config import Settings
from rag.embeddings import examine_cache
from rag.errors import CitadelleError
from rag.generations import (
    REPAIR,
    current_generation,
    damage,
    earlier_generations,
    read_manifest,
    writer_of,
)
from rag.index import Index
from rag.indexing import are_elsewhere, is_stale
from rag.store import ServerStore, open_store

__all__ = [
    "Finding",
    "examine_disk",
    "examine_files",
    "examine_index",
    "examine_server",
    "files_below",
]

# A new generation stands beside the live one and the one before it.
_ROOM = 2
_SMALLEST_ROOM = 200 << 20
_BACK = "'citadelle index --rollback' goes back to the one before"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `detail` says what to do where it is not in order, or slow."""

    name: str
    ok: bool
    detail: str
    slow: bool = False


def examine_files(settings: Settings) -> Iterator[Finding]:
    """Check what can be checked without opening the index: files, writer, generations."""
    root = settings.index
    holder = writer_of(root)
    yield Finding(
        "Writer", True, f"{holder}; it holds the index" if holder is not None else "none at work"
    )
    live = current_generation(root)
    if live is None:
        return
    try:
        manifest = read_manifest(live)
    except CitadelleError as error:
        yield Finding("Files", False, str(error))
        return
    wrong = damage(live, manifest, thorough=True)
    count = len(manifest["files"])
    yield Finding(
        "Files",
        wrong is None,
        f"{wrong}. {REPAIR}" if wrong else f"{count} files, each as it was written",
    )
    detail = f"{live.name} of {_when(manifest['created'])}, {_size(live)}"
    if not settings.chroma_url:
        detail += f"; {_BACK if earlier_generations(root) else 'none before it'}"
    yield Finding("Generation", True, detail)


def examine_server(settings: Settings) -> Iterator[Finding]:
    """Check the server that holds the index, where the settings name one."""
    store = open_store(settings)
    if not isinstance(store, ServerStore):
        return
    try:
        server = store.server
        pointer, holder = server.pointer(), server.writer()
        answers = f"{server.url} answers, version {server.version()}"
    except CitadelleError as error:
        yield Finding("Server", False, str(error))
        return
    writes = f"{holder}; it holds the index" if holder is not None else "none writes"
    if pointer is None:
        yield Finding("Server", True, f"{answers}; no index yet, {writes}")
        return
    here = current_generation(settings.index)
    agrees = here is not None and here.name == pointer.live
    yield Finding(
        "Server",
        True,
        f"{answers}; generation {pointer.live}, "
        + ("the one that is here" if agrees else "which this machine fetches when it is asked")
        + f"; {_BACK if pointer.before else 'none before it'}; {writes}",
    )


def examine_index(settings: Settings, opened: Index) -> Iterator[Finding]:
    """Check that the parts of an open index agree, and whether it follows the files."""
    manifest = opened.manifest
    counts = {"manifest": int(manifest["chunks"]), **opened.counts()}
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    agree = len(set(counts.values())) == 1
    yield Finding(
        "Counts", agree, f"passages: {said}" + ("" if agree else f"; they differ. {REPAIR}")
    )
    if settings.chroma_url and are_elsewhere(manifest):
        yield Finding("Sources", True, "the documents are on another machine")
        yield Finding("Index", True, _extent(opened))
        return
    missing = [path for path in manifest["paths"] if not Path(path).exists()]
    if missing:
        yield Finding(
            "Sources",
            False,
            f"{', '.join(missing)} is gone; the index keeps what it held. Put it back, or name "
            "other folders with 'citadelle index PATH'.",
        )
        return
    stale = is_stale(manifest)
    changed = "; source files have changed since, run 'citadelle index'"
    yield Finding("Index", True, _extent(opened) + (changed if stale else ", up to date"))


def _extent(opened: Index) -> str:
    return f"{len(opened.documents)} documents, {len(opened.chunks)} passages"


def examine_disk(settings: Settings) -> Iterator[Finding]:
    """Say how much the index and the cache take, and whether there is room for a rebuild."""
    live = current_generation(settings.index)
    yield Finding("Cache", True, f"{_size(settings.cache)} in {settings.cache}")
    yield Finding("Embeddings", True, examine_cache(settings))
    folder = settings.index
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    needed = max(_bytes(live) * _ROOM if live is not None else 0, _SMALLEST_ROOM)
    yield Finding(
        "Disk",
        free >= needed,
        f"{_mib(free)} free for {settings.index}"
        + ("" if free >= needed else f"; indexing again may need {_mib(needed)}, free some space"),
    )


def _when(created: str) -> str:
    return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")


def _size(folder: Path) -> str:
    return _mib(_bytes(folder))


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, without those of folders that go meanwhile."""
    # Unlike `Path.rglob`, this passes over a folder that another process has just removed.
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _bytes(folder: Path) -> int:
    total = 0
    for path in files_below(folder):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            # Gone since it was listed.
            continue
    return total


def _mib(count: int) -> str:
    return f"{count / (1 << 20):,.1f} MiB"
