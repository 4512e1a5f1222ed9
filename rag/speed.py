"""What `citadelle doctor` finds slow, and what to do about it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from rag.checkup import Finding, files_below
from rag.config import Settings
from rag.pipeline import Citadelle

__all__ = ["examine_machine", "examine_questions", "examine_reading", "opened_in"]

# Above these a person is told what to do. Each is about three times what a laptop with two free
# cores and a solid-state disk takes, on which an answer comes within a second.
_ENCODER_SECONDS = 15.0
_INDEX_SECONDS = 3.0
_SEARCH_MS = 500.0
_READ_MS_A_PASSAGE = 250.0
# A hard disk reads about 100 MiB in a second, a solid-state one five times that; a folder on a
# network, or a small virtual machine, often less than this.
_DISK_MIB_A_SECOND = 60.0
_MOST_READ = 64 << 20
_BLOCK = 1 << 20
# What is asked of the documents; the first time loads what the others find in memory.
_QUESTION = "Quel est le sujet du premier chapitre ?"
_TIMES = 3


def examine_machine() -> Finding:
    """Say how many cores there are and whether others are using them."""
    cores = os.cpu_count() or 1
    try:
        load = os.getloadavg()[0]
    except (OSError, AttributeError):
        # Windows has no such figure.
        return Finding("Machine", True, f"{cores} cores")
    busy = load > cores
    advice = "; other programs use them all, so that what is measured below is slower than it is"
    said = f"{cores} cores, load {load:.1f}"
    return Finding("Machine", True, said + (f"{advice}: stop them" if busy else ""), busy)


def opened_in(name: str, detail: str, seconds: float) -> Finding:
    """Judge how long the encoder or the index took to open."""
    limit, advice = {
        "Encoder": (
            _ENCODER_SECONDS,
            "close what takes the memory, and put the folder of the setting 'cache' on a disk of "
            "this machine; 'citadelle serve' loads it once for all questions",
        ),
        "Opening": (
            _INDEX_SECONDS,
            "put the folders of the settings 'index' and 'cache' on a disk of this machine; "
            "'citadelle serve' opens it once for all questions",
        ),
    }[name]
    slow = seconds > limit
    return Finding(name, True, detail + (f"; slow: {advice}" if slow else ""), slow)


def examine_reading(folder: Path) -> Iterator[Finding]:
    """Measure how fast the disk gives the largest file below a folder; nothing without one."""
    largest = max(files_below(folder), key=_size, default=folder)
    if _size(largest) < _BLOCK or not hasattr(os, "posix_fadvise"):
        return
    begin = time.perf_counter()
    count = 0
    try:
        with largest.open("rb", buffering=0) as file:
            # Or memory would answer in the place of the disk.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            while count < _MOST_READ and (block := file.read(_BLOCK)):
                count += len(block)
    except OSError as error:
        yield Finding("Reading", False, f"{largest} cannot be read: {error.strerror or error}")
        return
    speed = count / (1 << 20) / max(time.perf_counter() - begin, 1e-6)
    slow = speed < _DISK_MIB_A_SECOND
    advice = "; slow: set 'cache' (CITADELLE_CACHE) to a folder on a faster disk of this machine"
    yield Finding(
        "Reading", True, f"{speed:,.0f} MiB/s from {folder}" + (advice if slow else ""), slow
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() and not path.is_symlink() else 0
    except OSError:
        # Other processes keep files there for as long as they run.
        return 0


def examine_questions(citadelle: Citadelle) -> Iterator[Finding]:
    """Ask a question a few times, and judge how long searching and reading took at best."""
    settings = citadelle.settings
    answers = [citadelle.ask(_QUESTION, written=False) for _ in range(_TIMES)]
    search = min(answer.timings["retrieve_ms"] for answer in answers)
    read = min(answer.timings["read_ms"] for answer in answers)
    passages = len(answers[-1].passages)
    slow = search > _SEARCH_MS
    yield Finding(
        "Search",
        True,
        f"{search:.0f} ms in {len(citadelle.sources())} documents"
        + (f"; slow: {_faster_search(settings)}" if slow else ""),
        slow,
    )
    slow = read > _READ_MS_A_PASSAGE * max(passages, 1)
    yield Finding(
        "Answering",
        True,
        f"one question took {search + read:.0f} ms, of which {read:.0f} ms to read {passages} "
        "passages" + (f"; slow: {_faster_reading(settings)}" if slow else ""),
        slow,
    )


def _faster_search(settings: Settings) -> str:
    return f"lower 'candidates' ({settings.candidates}), or run on a machine with faster cores"


def _faster_reading(settings: Settings) -> str:
    if settings.reranker:
        return "leave the setting 'reranker' empty"
    return (
        f"lower 'read_passages' ({settings.read_passages}), or set reader = \"none\", which "
        "answers less well"
    )
