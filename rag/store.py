"""Where the live generation and its vectors are: in the folder of the index, or on a server.

With a server the folder is a mirror of it: it holds the files of generations, fetched when the
server names another one as live; the vectors stay on the server.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from rag import generations
from rag.chroma_server import ChromaServer, Hold, Pointer, connect
from rag.config import Settings
from rag.encoder import Vectors
from rag.errors import CitadelleError, IndexBusy, IndexDamaged, IndexMissing, IndexUnreachable
from rag.generations import (
    REPAIR,
    current_generation,
    damage,
    read_manifest,
    remove_old,
    switch,
    writing,
)
from rag.types import Chunk
from rag.vectors import VectorStore, change_vectors, write_vectors

__all__ = ["FolderStore", "ServerStore", "Store", "open_store"]

# How long one process of this machine waits for another that fetches a generation.
_PATIENCE_SECONDS = 60.0
_LOOK_SECONDS = 0.2
_ARRIVING = ".arriving-"


class FolderStore:
    """An index that is on this machine alone."""

    shared = False

    def __init__(self, settings: Settings) -> None:
        self._root = settings.index
        self._cache = settings.cache

    def __str__(self) -> str:
        return str(self._root)

    def live(self) -> Path | None:
        """Return the folder of the live generation, or None when there is none."""
        return current_generation(self._root)

    def has(self, generation: Path, count: int) -> bool:
        """Return whether the vectors of a generation are here too: a mirror has none."""
        return count == 0 or (generation / "chroma").is_dir()

    def vectors(self, generation: Path) -> VectorStore:
        """Open the vectors of a generation.

        Raises `OSError` and `ValueError` where they are damaged, and `CitadelleError`.
        """
        return VectorStore.open(generation / "chroma", self._cache)

    def mend(self, generation: Path) -> bool:
        """Return whether a damaged generation may be opened again: nothing can mend it here."""
        return False

    @contextmanager
    def writing(self) -> Iterator[Path | None]:
        """Be the one process that writes, and yield the live generation; raises `IndexBusy`."""
        self._root.mkdir(parents=True, exist_ok=True)
        with writing(self._root):
            yield self.live()

    def write_vectors(self, generation: Path, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Write the vectors of a generation that is being built; raises `OSError`."""
        write_vectors(generation / "chroma", chunks, vectors)

    def change_vectors(
        self,
        generation: Path,
        live: Path,
        gone: Sequence[str],
        chunks: Sequence[Chunk],
        vectors: Vectors,
    ) -> None:
        """Write the vectors of another generation, without some passages and with others.

        `gone` are identifiers of passages. Raises `OSError`.
        """
        change_vectors(generation / "chroma", live / "chroma", gone, chunks, vectors)

    def publish(self, generation: Path) -> None:
        """Make a sealed generation the live one, in one step."""
        switch(self._root, generation.name)

    def roll_back(self) -> tuple[Path, Path]:
        """Make the generation before the live one live; return both, the new one last."""
        return generations.roll_back(self._root)


class ServerStore:
    """An index that a Chroma server holds; everything raises `IndexUnreachable` without it."""

    shared = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.index
        self._hold: Hold | None = None

    def __str__(self) -> str:
        return self._settings.chroma_url

    @property
    def server(self) -> ChromaServer:
        """The server, connected to."""
        return connect(self._settings)

    def live(self) -> Path | None:
        """Return the folder of the live generation, fetched first where it is not here.

        Raises `IndexDamaged` where its files are incomplete, and `IndexBusy`.
        """
        try:
            pointer = self.server.pointer()
        except IndexMissing:
            return None
        if pointer is None:
            return None
        until = time.monotonic() + _PATIENCE_SECONDS
        with self._explained():
            while not self._is_current(pointer.live):
                self._root.mkdir(parents=True, exist_ok=True)
                try:
                    with writing(self._root):
                        before = current_generation(self._root)
                        self._mirror(pointer.live)
                        keep = [self._root / pointer.live, *([before] if before else [])]
                        remove_old(self._root, keep=keep)
                except IndexBusy:
                    # Another process of this machine may be fetching the same.
                    if time.monotonic() > until:
                        raise
                    time.sleep(_LOOK_SECONDS)
        return self._root / pointer.live

    def has(self, generation: Path, count: int) -> bool:
        """Return whether the server has all of a generation of so many passages."""
        return self.server.is_whole(generation.name, count)

    def vectors(self, generation: Path) -> VectorStore:
        """Open the vectors of a generation; raises `IndexDamaged` where the server lost them."""
        return self.server.vectors(generation.name)

    def mend(self, generation: Path) -> bool:
        """Remove a damaged generation from the mirror; return that it can be fetched again."""
        with self._explained(), writing(self._root):
            shutil.rmtree(generation, ignore_errors=True)
        return True

    @contextmanager
    def writing(self) -> Iterator[Path | None]:
        """Be the one process of all machines that writes, and yield the live generation.

        One whose files are incomplete counts as none. Raises `IndexBusy`.
        """
        server = connect(self._settings, make=True)
        self._root.mkdir(parents=True, exist_ok=True)
        with writing(self._root), server.writing() as self._hold:
            pointer = self._pointer()
            live = None
            if pointer is not None:
                server.sweep(keep=[pointer.live, pointer.before])
                with suppress(IndexDamaged):
                    self._mirror(pointer.live)
                    live = self._root / pointer.live
            yield live

    def write_vectors(self, generation: Path, chunks: Sequence[Chunk], vectors: Vectors) -> None:
        """Write the vectors of a generation that is being built."""
        self.server.write_vectors(generation.name, chunks, vectors)

    def publish(self, generation: Path) -> None:
        """Upload the files of a sealed generation, and make it the live one in one step."""
        server = self.server
        server.write_files(generation.name, generation)
        # Another that took over has removed what was half done.
        self._check()
        if not server.is_whole(generation.name, int(read_manifest(generation)["chunks"])):
            raise IndexUnreachable(
                "{server} kept only a part of the new index; try again.", server=str(self)
            )
        pointer = self._pointer()
        before = pointer.live if pointer is not None else ""
        self._point(Pointer(generation.name, before))
        # It is live whatever comes now; the next writer removes what stays.
        with suppress(CitadelleError):
            server.sweep(keep=[generation.name, before])

    def roll_back(self) -> tuple[Path, Path]:
        """Make the generation before the live one live; return both, the new one last.

        Raises `IndexMissing` where there is none to go back to, and `IndexBusy`.
        """
        with self._explained(), self.writing():
            pointer = self.server.pointer()
            if pointer is None or not pointer.before:
                raise IndexMissing(
                    "There is no generation of the index in {folder} before the live one; "
                    "'citadelle index' builds a new one.",
                    folder=str(self),
                )
            self._fetch(pointer.before)
            self._point(Pointer(pointer.before, ""))
            return self._root / pointer.live, self._root / pointer.before

    def _pointer(self) -> Pointer | None:
        """Return what the server names as live, for a writer: what it cannot read is none."""
        with suppress(IndexDamaged):
            return self.server.pointer()
        return None

    def _check(self) -> None:
        """Raise `IndexBusy` when this process may not write any more."""
        assert self._hold is not None
        self._hold.check()

    def _point(self, pointer: Pointer) -> None:
        self._check()
        self.server.point(pointer)
        switch(self._root, pointer.live)

    def _is_current(self, name: str) -> bool:
        current = current_generation(self._root)
        return current is not None and current.name == name

    def _mirror(self, name: str) -> None:
        """Make a generation of the server the live one of this folder."""
        if not self._is_current(name):
            self._fetch(name)
            switch(self._root, name)

    def _fetch(self, name: str) -> None:
        """Fetch the files of a generation unless they are here; raises `IndexDamaged`."""
        target = self._root / name
        if _problem(target) is None:
            return
        for left in self._root.glob(f"{_ARRIVING}*"):
            shutil.rmtree(left, ignore_errors=True)
        arriving = self._root / f"{_ARRIVING}{name}"
        try:
            arriving.mkdir()
            self.server.fetch_files(name, arriving)
            wrong = _problem(arriving)
            if wrong is not None:
                raise IndexDamaged(
                    "The index on {server} is incomplete: {wrong}. {repair}",
                    server=str(self),
                    wrong=wrong,
                    repair=REPAIR,
                )
            shutil.rmtree(target, ignore_errors=True)
            arriving.rename(target)
        finally:
            shutil.rmtree(arriving, ignore_errors=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CitadelleError(
                "The index on {server} cannot be kept in {folder} ({problem}); free some space, or "
                "name another folder with the setting 'index'.",
                server=str(self),
                folder=self._root,
                problem=error.strerror or str(error),
            ) from error


Store = FolderStore | ServerStore


def open_store(settings: Settings) -> Store:
    """Return where the index of the settings is; nothing is opened yet."""
    return ServerStore(settings) if settings.chroma_url else FolderStore(settings)


def _problem(generation: Path) -> str | None:
    """Return what is wrong with the files of a generation, or None."""
    try:
        return damage(generation, read_manifest(generation), thorough=True)
    except (CitadelleError, KeyError, TypeError, ValueError) as error:
        return error.message if isinstance(error, CitadelleError) else str(error)
