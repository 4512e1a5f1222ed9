"""Keep an index in step with its source files while they change."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from rag import documents as sources
from rag.config import Settings
from rag.encoder import Encoder
from rag.errors import CitadelleError
from rag.generations import read_manifest
from rag.indexing import IndexReport, Loss, build_index, is_stale
from rag.store import open_store

__all__ = ["watch"]

# Editors save in several steps; what comes within this time is one change.
_DEBOUNCE_MS = 800
# How often files are compared though nothing was told: folders of a network tell nothing.
_LOOK_MS = 5000


def watch(
    paths: Sequence[Path],
    settings: Settings,
    encoder: Encoder,
    stop: threading.Event,
    *,
    may_lose: Loss = "half",
    look_ms: int = _LOOK_MS,
) -> Iterator[IndexReport | CitadelleError]:
    """Yield what each indexing did, or why there was none, until `stop` is set.

    An error is yielded once for as long as it stays the same; the next change of a file, or
    the end of what hindered, tries again.
    """
    said = ""
    for _ in _changes(paths, stop, look_ms):
        try:
            if not _is_behind(paths, settings):
                said = ""
                continue
            report = build_index(paths, settings, encoder, may_lose=may_lose)
        except CitadelleError as error:
            if str(error) != said:
                said = str(error)
                yield error
        else:
            said = ""
            yield report


def _is_behind(paths: Sequence[Path], settings: Settings) -> bool:
    try:
        live = open_store(settings).live()
        return live is None or is_stale(read_manifest(live), paths)
    except CitadelleError:
        return True
    except OSError:
        # A file that went away while it was looked at.
        return True


def _changes(paths: Sequence[Path], stop: threading.Event, look_ms: int) -> Iterator[None]:
    """Yield when something may have changed, and once in a while."""
    from watchfiles import watch as changes

    while not stop.is_set():
        # A file is replaced by renaming, which only its folder is told.
        folders = {path if path.is_dir() else path.absolute().parent for path in paths}
        there = [folder for folder in folders if folder.is_dir()]
        yield None
        if not there:
            stop.wait(look_ms / 1000)
            continue
        try:
            for _ in changes(
                *there,
                watch_filter=_is_source,
                debounce=_DEBOUNCE_MS,
                rust_timeout=look_ms,
                yield_on_timeout=True,
                stop_event=stop,
                raise_interrupt=True,
            ):
                yield None
                if any(not folder.is_dir() for folder in folders) or len(there) < len(folders):
                    # A folder that went away and came back must be watched anew.
                    break
        except OSError:
            stop.wait(look_ms / 1000)


def _is_source(_: object, path: str) -> bool:
    # A folder that is moved in or out tells of itself alone.
    return Path(path).suffix.lower() in sources.SUFFIXES or not Path(path).suffix
