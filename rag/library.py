"""The files behind the index: add some, take one away, put it back.

The page uses it like this; afterwards the index is brought in step with `library.paths`:

    library = Library(settings, index_paths)
    library.add([Upload("note.md", data)], existing="replace")
    library.remove("note.md")
    library.restore(library.removed()[0].key)

Nothing is ever lost: what is taken away or replaced is moved to `TRASH` below the folder
`settings.data`, one folder for each file. A file is written under a hidden name, read to see
that it can be, and renamed at the end: no reader ever meets half of one.
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from filelock import FileLock, Timeout

from rag.config import Settings
from rag.documents import MAX_BYTES, SUFFIXES, find_file, read, unforeseen
from rag.errors import LibraryError, Message, UnreadableDocument

__all__ = [
    "TRASH",
    "Added",
    "Existing",
    "FolderState",
    "Library",
    "Problem",
    "Removed",
    "Status",
    "Upload",
    "safe_name",
]

# Hidden, because `data` may lie among the documents, where it must not be read again.
TRASH: Final = ".trash"

Existing = Literal["replace", "rename", "skip"]
Status = Literal["added", "replaced", "unchanged", "refused"]
# Why a file was refused: no usable name, a format that is not read, too large, a name that is
# taken, nothing in it that can be read, or a disk that does not take it.
Problem = Literal["", "name", "format", "size", "exists", "unreadable", "disk"]
FolderState = Literal["writable", "missing", "unreadable", "read-only", "file"]
Progress = Callable[[str, int, int], None]

_DRAFT: Final = ".citadelle-"
_DRAFT_SECONDS: Final = 24 * 3600
# How long one change waits for another; moving a file takes milliseconds.
_PATIENCE: Final = 10.0
_NAME_BYTES: Final = 180
_ENTRY: Final = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")
_ORIGIN: Final = "origin.json"
# Names that Windows keeps for devices, whatever follows the first dot.
_DEVICES: Final = frozenset(
    (
        *("con", "prn", "aux", "nul", "conin$", "conout$"),
        *(f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"),
    )
)
_UNUSABLE: Final = re.compile(r'[<>:"|?*]')
# What lets one name pass for another: controls, marks of direction, line ends, half characters.
_INVISIBLE: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_REFUSALS: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody gives: the name that it came with, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a file that was given.

    `doc_id` is the document that it is now, or would have been; `detail` says more of a
    `problem`, in words for a person.
    """

    name: str
    status: Status
    doc_id: str = ""
    problem: Problem = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Removed:
    """A file in the trash: `key` puts it back, `when` is UTC.

    `file` is where it lies; it was `replaced` by another one, or taken away.
    """

    key: str
    doc_id: str
    when: datetime
    replaced: bool
    file: Path


def safe_name(name: str) -> str:
    """Return the last part of `name` as every system can store it, empty when nothing is left.

    It is NFC, not hidden, no name of a device, and at most 180 bytes long.
    """
    last = re.split(r"[\\/]", name)[-1]
    text = unicodedata.normalize("NFC", last)
    text = "".join(" " if c in "\t\n\r" else c for c in text)
    text = "".join(c for c in text if unicodedata.category(c) not in _INVISIBLE)
    text = " ".join(_UNUSABLE.sub("_", text).split())
    text = re.sub(r"^(?:\.|~\$|\s)+", "", text).rstrip(". ")
    stem, dot, suffix = text.rpartition(".")
    if not dot:
        stem, suffix = text, ""
    stem = stem.rstrip(". ")
    if not stem:
        return ""
    if stem.partition(".")[0].strip().casefold() in _DEVICES:
        stem = f"_{stem}"
    ending = f"{dot}{suffix}"
    return _cut(stem, max(_NAME_BYTES - len(ending.encode()), 1)) + ending


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore").rstrip(". ")


class Library:
    """The files below the paths that an index was built from.

    Threads and processes may share the folders. Every change raises `LibraryError` when the
    setting `allow_changes` is off, and when a folder cannot be written.
    """

    def __init__(self, settings: Settings, paths: Sequence[Path] | None = None) -> None:
        self.paths = tuple(path.resolve() for path in paths or (settings.corpus,))
        self.trash = settings.data / TRASH
        self._settings = settings

    @property
    def folder(self) -> Path:
        """Where files are added: the setting `corpus`, else the first folder of the index."""
        corpus = self._settings.corpus.resolve()
        folders = [path for path in self.paths if not path.is_file()]
        return corpus if corpus in folders or not folders else folders[0]

    def state(self) -> FolderState:
        """Return what can be done with the folder."""
        folder = self.folder
        if folder.is_file():
            return "file"
        if not folder.is_dir():
            return "missing"
        if not os.access(folder, os.R_OK | os.X_OK):
            return "unreadable"
        return "writable" if os.access(folder, os.W_OK) else "read-only"

    def taken(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return those of the names, made safe, that a file of the folder has already."""
        there = self._names()
        return tuple(name for name in map(safe_name, names) if name in there)

    def changed(self, doc_id: str) -> datetime | None:
        """Return when the file of a document was last written, None when it is not found."""
        for path in self.paths:
            # A file that was named by itself is the document of its name alone.
            file = path if path.name == doc_id and path.is_file() else path / doc_id
            try:
                return datetime.fromtimestamp(file.stat().st_mtime, UTC)
            except (OSError, ValueError):
                continue
        return None

    def add(
        self,
        uploads: Sequence[Upload],
        existing: Existing = "skip",
        progress: Progress | None = None,
    ) -> tuple[Added, ...]:
        """Write the files that can be read into the folder, and say what became of each.

        `existing` says what to do with a name that is taken. Raises `LibraryError` when none
        can be written.
        """
        self._check_allowed()
        folder = self._writable_folder()
        added = []
        for number, upload in enumerate(uploads):
            if progress is not None:
                progress("files", number, len(uploads))
            added.append(self._add(upload, folder, existing))
        if progress is not None:
            progress("files", len(uploads), len(uploads))
        return tuple(added)

    def remove(self, doc_id: str) -> Removed:
        """Move the file of a document to the trash."""
        self._check_allowed()
        with self._alone():
            file, root = self._file(doc_id)
            return self._discard(file, root, doc_id, replaced=False)

    def removed(self) -> tuple[Removed, ...]:
        """Return what is in the trash, the newest first."""
        try:
            names = sorted(path.name for path in self.trash.iterdir())
        except OSError:
            return ()
        found = (self._entry(name) for name in reversed(names) if _ENTRY.fullmatch(name))
        return tuple(removed for removed, _, _ in filter(None, found))

    def restore(self, key: str) -> Removed:
        """Put a file back where it was; what has its name by now goes to the trash instead."""
        self._check_allowed()
        with self._alone():
            entry = self._entry(key) if _ENTRY.fullmatch(key) else None
            if entry is None:
                raise LibraryError("This file is no longer in the trash; nothing was put back.")
            removed, root, relative = entry
            target = self._inside(root, relative)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if os.path.lexists(target):
                    self._exchange(removed.file, target, root, removed.doc_id)
                else:
                    _move(removed.file, target)
            except OSError as error:
                raise LibraryError(
                    "{file} cannot be put back into {folder} ({problem}); it still lies in "
                    "{place}.",
                    file=relative,
                    folder=root,
                    problem=_why(error),
                    place=removed.file.parent,
                ) from error
            shutil.rmtree(self.trash / key, ignore_errors=True)
            return removed

    # --- Adding ---------------------------------------------------------------------------

    def _add(self, upload: Upload, folder: Path, existing: Existing) -> Added:
        name = safe_name(upload.name)
        problem, detail = _refuse(name, len(upload.data))
        if problem:
            return Added(upload.name, "refused", name, problem, detail)
        draft = folder / f"{_DRAFT}{secrets.token_hex(8)}{Path(name).suffix}"
        try:
            _write(draft, upload.data)
            read(draft, name)
            with self._alone():
                return self._place(draft, folder, name, upload, existing)
        except UnreadableDocument as error:
            return Added(upload.name, "refused", name, "unreadable", error.reason)
        except OSError as error:
            return Added(upload.name, "refused", name, "disk", _why(error))
        except LibraryError as error:
            return Added(upload.name, "refused", name, "disk", error.message)
        except Exception as error:
            # A reader's library met a file that nobody foresaw; the others are still added.
            return Added(upload.name, "refused", name, "unreadable", unforeseen(error))
        finally:
            _forget(draft)

    def _place(
        self, draft: Path, folder: Path, name: str, upload: Upload, existing: Existing
    ) -> Added:
        names = self._names()
        # A system that does not tell a from A finds a file whose name is not among them.
        if name not in names and not os.path.lexists(folder / name):
            draft.replace(folder / name)
            return Added(upload.name, "added", name)
        there = folder / names.get(name, name)
        if not there.is_symlink() and there.is_file() and there.read_bytes() == upload.data:
            return Added(upload.name, "unchanged", name)
        if existing == "skip" or there.is_dir():
            return Added(upload.name, "refused", name, "exists")
        if existing == "rename":
            free = _free_name(folder, name)
            draft.replace(folder / free)
            return Added(upload.name, "added", free)
        self._exchange(draft, there, folder, name)
        return Added(upload.name, "replaced", name)

    def _names(self) -> dict[str, str]:
        """Return the names in the folder by their NFC form."""
        try:
            entries = [path.name for path in self.folder.iterdir()]
        except OSError:
            return {}
        return {unicodedata.normalize("NFC", name): name for name in entries}

    def _writable_folder(self) -> Path:
        folder = self.folder
        if folder.is_file():
            raise LibraryError(
                "The documents are the single file {file}, beside which nothing is read; "
                "name a folder with the setting 'corpus'.",
                file=folder,
            )
        probe = folder / f"{_DRAFT}{secrets.token_hex(8)}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
            _write(probe, b"")
        except OSError as error:
            if error.errno in _REFUSALS:
                raise LibraryError(
                    "The folder {folder} cannot be written ({problem}), so nothing was "
                    "added; ask whoever looks after it for the right to write there.",
                    folder=folder,
                    problem=_why(error),
                ) from error
            raise LibraryError(
                "Nothing can be written into {folder} ({problem}); nothing was added.",
                folder=folder,
                problem=_why(error),
            ) from error
        finally:
            _forget(probe)
        return folder

    # --- Taking away ----------------------------------------------------------------------

    def _file(self, doc_id: str) -> tuple[Path, Path]:
        """Return the file of a document, and the folder of `paths` that it is in."""
        found = find_file(self.paths, doc_id)
        if found is None:
            raise LibraryError(
                "The file of {document} is no longer there; bring the index in step to see "
                "what there is.",
                document=doc_id,
            )
        file, root = found
        if file == root:
            raise LibraryError(
                "{file} was indexed by its own name, not as part of a folder; to leave it out, "
                "run 'citadelle index' with the other names.",
                file=file,
            )
        return file, root

    def _discard(self, file: Path, root: Path, doc_id: str, *, replaced: bool) -> Removed:
        when = datetime.now(UTC)
        key = f"{when:%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"
        entry = self.trash / key
        origin = {
            "doc_id": doc_id,
            "folder": str(root),
            "name": file.relative_to(root).as_posix(),
            "replaced": replaced,
        }
        try:
            entry.mkdir(parents=True)
            (entry / _ORIGIN).write_text(json.dumps(origin), encoding="ascii")
            _move(file, entry / file.name)
        except OSError as error:
            shutil.rmtree(entry, ignore_errors=True)
            raise LibraryError(
                "{file} cannot be moved to {folder} ({problem}); it stays where it is.",
                file=file,
                folder=self.trash,
                problem=_why(error),
            ) from error
        return Removed(key, doc_id, when, replaced, entry / file.name)

    def _exchange(self, new: Path, target: Path, root: Path, doc_id: str) -> None:
        """Put a file in the place of another, which goes to the trash; or leave both alone."""
        old = self._discard(target, root, doc_id, replaced=True)
        try:
            _move(new, target)
        except OSError:
            _move(old.file, target)
            shutil.rmtree(self.trash / old.key, ignore_errors=True)
            raise

    def _entry(self, key: str) -> tuple[Removed, Path, str] | None:
        """Return what lies in a folder of the trash, with where it belongs."""
        folder = self.trash / key
        try:
            origin = json.loads((folder / _ORIGIN).read_text(encoding="ascii"))
            root, relative = Path(origin["folder"]), str(origin["name"])
            file = folder / PurePosixPath(relative).name
            if not os.path.lexists(file):
                return None
            when = datetime.strptime(key.partition("-")[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
            removed = Removed(key, str(origin["doc_id"]), when, bool(origin["replaced"]), file)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return removed, root, relative

    def _inside(self, root: Path, relative: str) -> Path:
        """Return a place below a folder of documents; raises `LibraryError` for any other."""
        parts = PurePosixPath(relative).parts
        target = root.joinpath(*parts)
        safe = bool(parts) and ".." not in parts and not PurePosixPath(relative).is_absolute()
        # Resolved, because a folder on the way may have become a link to elsewhere.
        if root not in self.paths or not safe or not _within(target.parent.resolve(), root):
            raise LibraryError(
                "{file} was in {folder}, which is no longer a folder of the documents; "
                "take it from {trash} by hand.",
                file=relative,
                folder=root,
                trash=self.trash,
            )
        return target

    # --- Rights and order -----------------------------------------------------------------

    def _check_allowed(self) -> None:
        if not self._settings.allow_changes:
            raise LibraryError(
                "Changing the documents from the page is switched off here "
                "(the setting 'allow_changes')."
            )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = FileLock(self._settings.index / "library.lock", timeout=_PATIENCE)
        try:
            self._settings.index.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout as error:
            raise LibraryError(
                "Another program is changing the documents; try again when it is done."
            ) from error
        except OSError as error:
            raise LibraryError(
                "The folder {folder} cannot be written ({problem}); nothing was changed.",
                folder=self._settings.index,
                problem=_why(error),
            ) from error
        try:
            yield
        finally:
            lock.release()


def _refuse(name: str, size: int) -> tuple[Problem, str]:
    """Return what speaks against a file before it is read, and more about it."""
    if not name:
        return "name", ""
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        return "format", suffix
    if size > MAX_BYTES:
        return "size", f"{size / 2**20:.1f}"
    return "", ""


def _free_name(folder: Path, name: str) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    number = 2
    while os.path.lexists(folder / f"{stem} ({number}){suffix}"):
        number += 1
    return f"{stem} ({number}){suffix}"


def _write(path: Path, data: bytes) -> None:
    # Not through a link that somebody put there, and never over what is there.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, 0o666), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _move(source: Path, target: Path) -> None:
    """Rename a file, or copy it where the target is on another disk; links stay links."""
    try:
        source.rename(target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    draft = target.with_name(f"{_DRAFT}{secrets.token_hex(8)}")
    try:
        shutil.copy2(source, draft, follow_symlinks=False)
        draft.replace(target)
    finally:
        _forget(draft)
    try:
        source.unlink()
    except OSError:
        # In both places it would be taken away and still be there.
        target.unlink()
        raise


def _sweep(folder: Path) -> None:
    """Delete what a process that was killed while adding has left."""
    for path in folder.glob(f"{_DRAFT}*"):
        try:
            if time.time() - path.lstat().st_mtime > _DRAFT_SECONDS:
                path.unlink()
        except OSError:
            continue


def _forget(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return


def _within(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError) and error.errno == errno.EACCES:
        return Message("permission denied")
    return (error.strerror or str(error)).lower()
