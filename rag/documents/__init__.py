"""Turn files into documents: decode, repair, understand.

One pipeline for every format: the reader of a format gives drafts of blocks over
the canonical text, and what follows is the same for all.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from rag.documents.encoding import decode
from rag.documents.formats import read_docx, read_html, read_pdf
from rag.documents.understanding import understand, understand_extract
from rag.errors import Message, UnreadableDocument
from rag.types import Document, Skipped

__all__ = [
    "MAX_BYTES",
    "SUFFIXES",
    "files",
    "find_file",
    "parse",
    "read",
    "read_files",
    "read_folder",
    "unforeseen",
]

MAX_BYTES = 50 * 1024 * 1024

Known = TypeVar("Known")
Format = Literal["markdown", "text", "html", "pdf", "docx"]
SUFFIXES: dict[str, Format] = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".html": "html",
    ".htm": "html",
    ".pdf": "pdf",
    ".docx": "docx",
}

# Notes lie among pictures and other attachments, which nobody takes for documents.
_ATTACHMENTS = frozenset(
    f".{suffix}"
    for group in (
        ("avif", "bmp", "gif", "heic", "ico", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"),
        ("m4a", "mov", "mp3", "mp4", "ogg", "wav", "webm"),
        ("css", "js", "json", "otf", "ttf", "woff", "woff2", "zip"),
    )
    for suffix in group
)


def parse(source: str, doc_id: str, *, format: Literal["markdown", "text"]) -> Document:
    """Understand a text that was already decoded. Never raises, whatever the text."""
    return understand(source, doc_id, format)


def read(path: Path, doc_id: str, *, max_bytes: int = MAX_BYTES) -> Document:
    """Read one file of a supported format (`SUFFIXES`).

    Raises `UnreadableDocument`, with a reason for a person, when the file is missing,
    is no file, is empty, is larger than `max_bytes`, is damaged or holds no text.
    """
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise UnreadableDocument(str(path), _unsupported(path))
    data = _load(path, max_bytes)
    if kind == "html":
        extract = read_html(data, str(path))
    elif kind == "docx":
        extract = read_docx(data, str(path))
    elif kind == "pdf":
        extract = read_pdf(data, str(path))
    else:
        text = decode(data, str(path))
        if not text.strip("\ufeff \t\r\n\0"):
            raise UnreadableDocument(str(path), Message("is empty"))
        return understand(text, doc_id, kind)
    return understand_extract(extract, doc_id, kind)


def read_folder(
    paths: Sequence[Path], *, max_bytes: int = MAX_BYTES
) -> Iterator[Document | Skipped]:
    """Read files and folders, one after the other, without ever raising for one of them.

    Folders are walked in the order of their documents' identifiers; hidden files and
    folders are left out. A document is identified by its path below the folder given,
    a file given directly by its name.
    """
    for _, result in read_files(paths, max_bytes=max_bytes):
        yield result


def read_files(
    paths: Sequence[Path],
    known: Callable[[Path, str], Known | None] = lambda _path, _doc_id: None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Iterator[tuple[Path, Document | Skipped | Known]]:
    """Yield what `read_folder` does, with the file that each was read from.

    What `known` gives for a file and its identifier stands for the document, and the file is
    not read.
    """
    seen: dict[str, Path] = {}
    for root in paths:
        for path, doc_id, problem in _walk(root):
            if problem is not None:
                yield path, Skipped(doc_id, problem)
            elif doc_id in seen:
                reason = Message(
                    "has the same name as {other}, which was read first", other=seen[doc_id]
                )
                yield path, Skipped(doc_id, reason)
            else:
                result = known(path, doc_id) or _read_safely(path, doc_id, max_bytes)
                if not isinstance(result, Skipped):
                    seen[doc_id] = path
                yield path, result


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that `read_folder` would read, in its order."""
    for root in paths:
        for path, _, problem in _walk(root):
            if problem is None and path.is_file():
                yield path


def find_file(paths: Sequence[Path], doc_id: str) -> tuple[Path, Path] | None:
    """Return the file that `read_folder` reads a document from, and which of `paths` led to it."""
    found = [
        (path, root)
        for root in paths
        for path, name, problem in _walk(root)
        if name == doc_id and problem is None
    ]
    if len(found) > 1:
        # The first that can be read was taken for the document.
        found = [
            (path, root)
            for path, root in found
            if isinstance(_read_safely(path, doc_id, MAX_BYTES), Document)
        ]
    return found[0] if found else None


def unforeseen(error: Exception) -> Message:
    """Return why a file was not read, where a reader's library failed as nobody foresaw."""
    kind = type(error).__name__
    return Message("could not be read ({kind}: {problem})", kind=kind, problem=str(error))


def _read_safely(path: Path, doc_id: str, max_bytes: int) -> Document | Skipped:
    try:
        return read(path, doc_id, max_bytes=max_bytes)
    except UnreadableDocument as error:
        return Skipped(doc_id, error.reason)
    except Exception as error:
        # A corpus of thousands of files must not stop at the one that nobody foresaw.
        return Skipped(doc_id, unforeseen(error))


def _walk(root: Path) -> Iterator[tuple[Path, str, str | None]]:
    """Yield the path, identifier and problem, if any, of every file of `root`."""
    if not root.is_dir():
        problem = None if root.suffix.lower() in SUFFIXES else _unsupported(root)
        if not root.exists():
            broken = root.is_symlink()
            problem = Message("is a broken link") if broken else Message("does not exist")
        yield root, _identifier(Path(root.name)), problem
        return
    found: list[tuple[str, Path, str | None]] = []

    def report(error: OSError) -> None:
        path = Path(os.fsdecode(error.filename))
        name = "." if path == root else _identifier(path.relative_to(root))
        found.append((name, path, _explain(error)))

    for folder, folders, files in os.walk(root, onerror=report):
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in folders:
            path = Path(folder, name)
            if path.is_symlink():
                # Followed, a link to a parent folder would never end.
                reason = Message("is a link to a folder")
                found.append((_identifier(path.relative_to(root)), path, reason))
        for name in files:
            path = Path(folder, name)
            if not _is_hidden(name) and path.suffix.lower() not in _ATTACHMENTS:
                problem = None if path.suffix.lower() in SUFFIXES else _unsupported(path)
                found.append((_identifier(path.relative_to(root)), path, problem))
    for doc_id, path, wrong in sorted(found, key=lambda entry: entry[0]):
        yield path, doc_id, wrong


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "~$"))


def _identifier(path: Path) -> str:
    # Some systems store accents decomposed, and names need not even be text.
    name = os.fsencode(path.as_posix()).decode("utf-8", errors="replace")
    return unicodedata.normalize("NFC", name)


def _load(path: Path, max_bytes: int) -> bytes:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableDocument(str(path), Message("is a folder"))
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableDocument(str(path), Message("is not a regular file"))
        if status.st_size > max_bytes:
            size, limit = status.st_size / 2**20, max_bytes / 2**20
            reason = Message(
                "is too large: {size:.1f} MB, the limit is {limit:.1f} MB", size=size, limit=limit
            )
            raise UnreadableDocument(str(path), reason)
        data = path.read_bytes()
    except OSError as error:
        broken = path.is_symlink() and error.errno == errno.ENOENT
        why = Message("is a broken link") if broken else _explain(error)
        raise UnreadableDocument(str(path), why) from error
    if not data:
        raise UnreadableDocument(str(path), Message("is empty"))
    return data


def _explain(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return Message("permission denied")
    if isinstance(error, FileNotFoundError):
        return Message("does not exist")
    return (error.strerror or str(error)).lower()


def _unsupported(path: Path) -> Message:
    known = ", ".join(SUFFIXES)
    if not path.suffix:
        return Message("no file suffix (supported: {known})", known=known)
    return Message(
        "unsupported format {suffix} (supported: {known})", suffix=path.suffix, known=known
    )
