"""Generations of an index as folders: which one is live, who writes, whether files are whole.

::

    index/
      CURRENT           the name of the live generation, replaced in one step
      write.lock        held by the one process that writes
      writer.json       which process that is
      20261122T…/       a generation; its `manifest.json` holds the SHA-256 of its other files

A generation never changes once it is live. Chroma writes into a folder when it only reads, and
a damaged one ends the process (a few wrong bytes in its SQLite file abort it): so it is opened
on a private copy of files that were checked first.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rag.errors import (
    CitadelleError,
    IndexBusy,
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    Message,
)

__all__ = [
    "FORMAT",
    "REPAIR",
    "Copy",
    "Writer",
    "current_generation",
    "damage",
    "earlier_generations",
    "generations",
    "is_name",
    "private_copy",
    "read_manifest",
    "read_record",
    "remove_old",
    "roll_back",
    "seal",
    "switch",
    "this_writer",
    "writer_of",
    "writing",
]

FORMAT = 4
REPAIR = Message("Run 'citadelle index' to rebuild it.")
_MANIFEST = "manifest.json"
_GENERATION = re.compile(r"\d{8}T\d{12}Z")
# By far the largest file, never parsed: a wrong bit there moves one score a little.
_LARGE = frozenset({"late/codes.bin"})


# --- Which generation is live -------------------------------------------------------------


def current_generation(folder: Path) -> Path | None:
    """Return the folder of the live generation, or None when there is none."""
    try:
        name = (folder / "CURRENT").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return folder / name if _GENERATION.fullmatch(name) and (folder / name).is_dir() else None


def is_name(name: str) -> bool:
    """Return whether a generation may have this name, which comes from elsewhere."""
    return _GENERATION.fullmatch(name) is not None


def generations(folder: Path) -> list[Path]:
    """Return the folders of all generations, complete or not, oldest first."""
    try:
        return sorted(path for path in folder.iterdir() if _GENERATION.fullmatch(path.name))
    except OSError:
        return []


def earlier_generations(folder: Path) -> list[Path]:
    """Return the folders of the finished generations before the live one, oldest first."""
    live = current_generation(folder)
    return [
        path
        for path in generations(folder)
        if live is not None and path.name < live.name and (path / _MANIFEST).is_file()
    ]


def read_manifest(generation: Path) -> dict[str, Any]:
    """Return what the generation says of itself; raises `IndexDamaged` and `IndexMismatch`."""
    try:
        manifest = json.loads((generation / _MANIFEST).read_text(encoding="utf-8"))
        made_by = manifest.get("format")
    except (OSError, ValueError, AttributeError) as error:
        raise IndexDamaged(
            "The manifest of the index in {folder} cannot be read. {repair}",
            folder=generation.parent,
            repair=REPAIR,
        ) from error
    if made_by != FORMAT:
        raise IndexMismatch(
            "The index in {folder} was made by another version. {repair}",
            folder=generation.parent,
            repair=REPAIR,
        )
    return dict(manifest)


def read_record(generation: Path | None) -> dict[str, Any]:
    """Return what a generation says of itself, whatever its format; nothing where it cannot say.

    For what every format has: the `paths` it was built from, and its `documents`.
    """
    with suppress(OSError, ValueError):
        if generation is not None:
            found = json.loads((generation / _MANIFEST).read_text(encoding="utf-8"))
            return found if isinstance(found, dict) else {}
    return {}


def switch(root: Path, name: str) -> None:
    """Make a generation the live one, in one step."""
    draft = root / "CURRENT.new"
    with draft.open("w", encoding="utf-8") as file:
        file.write(name + "\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(root / "CURRENT")


def remove_old(root: Path, keep: Sequence[Path]) -> None:
    """Remove every other generation, and what a process that was killed left half done."""
    # Only what was made here: the folder may hold other things of its owner.
    names = {path.name for path in keep}
    for old in generations(root):
        if old.name not in names:
            shutil.rmtree(old, ignore_errors=True)


def roll_back(root: Path) -> tuple[Path, Path]:
    """Make the complete generation before the live one live; return both, the new one last.

    Raises `IndexMissing` where there is none to go back to, and `IndexBusy`.
    """
    if not root.is_dir():
        raise IndexMissing(
            "There is no index in {folder}. Run 'citadelle index' to build it.", folder=root
        )
    with writing(root):
        live = current_generation(root)
        earlier = [path for path in earlier_generations(root) if _is_whole(path)]
        if live is None or not earlier:
            raise IndexMissing(
                "There is no generation of the index in {folder} before the live one; "
                "'citadelle index' builds a new one.",
                folder=root,
            )
        switch(root, earlier[-1].name)
        return live, earlier[-1]


def _is_whole(generation: Path) -> bool:
    try:
        return damage(generation, read_manifest(generation), thorough=True) is None
    except CitadelleError:
        return False


# --- Whether its files are whole ----------------------------------------------------------


def seal(generation: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the manifest, with the size and SHA-256 of every file, as the last thing written."""
    files = {
        path.relative_to(generation).as_posix(): [path.stat().st_size, _sha256(path)]
        for path in sorted(generation.rglob("*"))
        if path.is_file()
    }
    sealed = {**manifest, "files": files}
    with (generation / _MANIFEST).open("w", encoding="ascii") as file:
        json.dump(sealed, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    return sealed


def damage(
    generation: Path, manifest: Mapping[str, Any], *, thorough: bool = False
) -> Message | None:
    """Return what is wrong with the files of a generation, or None.

    Sizes are compared for all, contents for all but the largest; `thorough` compares that too.
    """
    for name, (size, digest) in manifest["files"].items():
        path = generation / name
        try:
            found = path.stat().st_size
            if found != size:
                return Message(
                    "{file} has {found} bytes instead of {size}", file=name, found=found, size=size
                )
            if (thorough or name not in _LARGE) and _sha256(path) != digest:
                return Message("{file} has changed since it was written", file=name)
        except FileNotFoundError:
            return Message("{file} is missing", file=name)
        except OSError as error:
            problem = error.strerror or str(error)
            return Message("{file} cannot be read: {problem}", file=name, problem=problem)
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- A private copy -----------------------------------------------------------------------


class Copy:
    """A folder of one process, which another removes when that process was killed."""

    def __init__(self, folder: Path, lock: FileLock) -> None:
        self.folder = folder
        self._lock = lock

    def remove(self) -> None:
        """Remove the folder."""
        self._lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def private_copy(source: Path, cache: Path) -> Copy:
    """Copy a folder for this process alone, into the cache or, failing that, the system's.

    Raises `CitadelleError` when there is no room.
    """
    problem: OSError | None = None
    for base in (cache / "open", Path(tempfile.gettempdir()) / "citadelle-open"):
        try:
            base.mkdir(parents=True, exist_ok=True)
            with FileLock(base / "sweep.lock"):
                _sweep(base)
                folder = Path(tempfile.mkdtemp(dir=base))
                lock = FileLock(folder / "lock", thread_local=False)
                lock.acquire(timeout=0)
        except OSError as error:
            problem = error
            continue
        copy = Copy(folder, lock)
        try:
            shutil.copytree(source, folder / source.name, copy_function=shutil.copyfile)
        except (OSError, shutil.Error) as error:
            copy.remove()
            problem = error if not isinstance(error, shutil.Error) else OSError(str(error))
            continue
        return copy
    raise CitadelleError(
        "The index cannot be opened: its copy does not fit into {folder} ({problem}); free some "
        "space there, or set 'cache' (CITADELLE_CACHE) to another folder.",
        folder=cache,
        problem=(problem.strerror or str(problem)) if problem else Message("no folder"),
    ) from problem


def _sweep(base: Path) -> None:
    for folder in base.iterdir():
        if not folder.is_dir():
            continue
        lock = FileLock(folder / "lock")
        with suppress(Timeout, OSError):
            # Held by the process that uses the folder, for as long as it lives.
            lock.acquire(timeout=0)
            lock.release()
            shutil.rmtree(folder, ignore_errors=True)


# --- Who writes ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Writer:
    """The process that writes an index; `since` is a time in ISO 8601."""

    pid: int
    host: str
    since: str
    command: str

    @property
    def message(self) -> Message:
        """Who it is, in words for a person."""
        return Message(
            "process {pid} on {host}, since {since}: {command}",
            pid=self.pid,
            host=self.host,
            since=datetime.fromisoformat(self.since).astimezone().strftime("%Y-%m-%d %H:%M:%S"),
            command=self.command,
        )

    def __str__(self) -> str:
        return str(self.message)


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Be the one process that writes the index; raises `IndexBusy` and names the other.

    The system takes the lock from a process that dies.
    """
    lock = FileLock(root / "write.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        holder = _read_writer(root)
        if holder is None:
            raise IndexBusy(
                "Another process is writing the index in {folder}; try again when it is done.",
                folder=root,
            ) from error
        raise IndexBusy(
            "Another process ({process}) is writing the index in {folder}; try again when it is "
            "done.",
            process=holder.message,
            folder=root,
        ) from error
    try:
        _write_writer(root)
        yield
    finally:
        (root / "writer.json").unlink(missing_ok=True)
        lock.release()


def writer_of(root: Path) -> Writer | None:
    """Return the process that writes the index now, or None."""
    holder = _read_writer(root)
    if holder is None:
        return None
    try:
        with FileLock(root / "write.lock", timeout=0):
            # What it left behind says nothing any more.
            return None
    except Timeout:
        return holder
    except OSError:
        return None


def this_writer() -> Writer:
    """Return what this process says of itself when it writes."""
    command = " ".join(map(shlex.quote, [Path(sys.argv[0]).name, *sys.argv[1:]]))[:200]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return Writer(os.getpid(), socket.gethostname(), now, command)


def _write_writer(root: Path) -> None:
    draft = root / "writer.json.new"
    draft.write_text(json.dumps(asdict(this_writer())), encoding="ascii")
    draft.replace(root / "writer.json")


def _read_writer(root: Path) -> Writer | None:
    try:
        writer = Writer(**json.loads((root / "writer.json").read_text(encoding="ascii")))
        str(writer)
    except (OSError, ValueError, TypeError):
        return None
    return writer
