"""What the encoder made of a passage, kept for the next time that it is wanted.

A SQLite file in the cache that outlives indexes: a document that comes back, an index folder
that was deleted, a switch of encoder and back, and a run that was killed cost no second
embedding. Nothing depends on it: where it cannot be read or written, passages are embedded.
"""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
from filelock import Timeout

from rag.config import Settings
from rag.datafile import DataFile
from rag.encoder import Encoder, Vectors
from rag.errors import CitadelleError, Message
from rag.late import CODES_VERSION, Codebook, Codes, Spans, calibrate

__all__ = ["Embedding", "EmbeddingCache", "examine_cache"]

T = TypeVar("T")

_FILE: Final = "embeddings.sqlite3"

# What is looked up stands apart from what is large, so that marking a passage as wanted writes
# a few bytes. `text` is the SHA-256 of a passage, `used` a time in seconds.
_TABLES: Final = (
    "CREATE TABLE encoders (id INTEGER PRIMARY KEY, identity TEXT UNIQUE, codebook BLOB NOT NULL)",
    "CREATE TABLE passages (id INTEGER PRIMARY KEY, encoder INTEGER NOT NULL, text BLOB NOT NULL,"
    " used INTEGER NOT NULL, UNIQUE (encoder, text))",
    "CREATE INDEX by_use ON passages (used, id)",
    "CREATE TABLE contents (id INTEGER PRIMARY KEY, vector BLOB NOT NULL, codes BLOB NOT NULL,"
    " spans BLOB NOT NULL, checksum INTEGER NOT NULL)",
)
# Another process holds the file for as long as it writes some passages.
_PATIENCE: Final = 10.0
# Passages wanted again within this time are not marked again: an index of many is brought in
# step many times a day.
_MARKED: Final = 3600
# Passages that leave at a time.
_LEAVING: Final = 16


class Embedding(NamedTuple):
    """The unit vector of a passage (dimension,), and the codes and places of its tokens."""

    vector: Vectors
    codes: Codes
    spans: Spans


class EmbeddingCache:
    """The embeddings of one encoder. What goes wrong turns it off, and is told by no error."""

    def __init__(self, settings: Settings, encoder: Encoder) -> None:
        self._encoder = encoder
        self._limit = settings.embedding_cache_mib << 20
        self._off = not self._limit
        self._file = _file(settings.cache)

    def codebook(self) -> Codebook:
        """Return the code book that all codes here were made with; a new one where there is none.

        It depends on the encoder alone, but for the last digits.
        """
        stored = self._attempt(self._stored_codebook)
        if stored is not None:
            return stored
        made = calibrate(self._encoder)
        return self._attempt(lambda: self._store_codebook(made)) or made

    def find(self, digests: Sequence[str]) -> dict[str, Embedding]:
        """Return what is known of some passages, by the digest of their text."""
        return self._attempt(lambda: self._find(digests)) or {}

    def keep(self, made: Mapping[str, Embedding]) -> None:
        """Keep the embeddings of some passages, by the digest of their text."""
        self._attempt(lambda: self._keep(made))

    def _attempt(self, work: Callable[[], T]) -> T | None:
        """Do what needs the file; go on without it, from now on, where it cannot be used."""
        if self._off:
            return None
        try:
            return work()
        except (CitadelleError, sqlite3.Error, OSError, ValueError):
            self._off = True
            return None

    def _stored_codebook(self) -> Codebook | None:
        with self._file.read() as connection:
            row = self._row(connection) if connection is not None else None
            return _unpacked(row["codebook"]) if row is not None else None

    def _store_codebook(self, made: Codebook) -> Codebook:
        with self._file.write() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO encoders (identity, codebook) VALUES (?, ?)",
                (self._identity(), _packed(made)),
            )
            # Another process may have been first.
            return _unpacked(self._row(connection)["codebook"])

    def _find(self, digests: Sequence[str]) -> dict[str, Embedding]:
        found: dict[str, Embedding] = {}
        wanted: list[int] = []
        now = int(time.time())
        with self._file.read() as connection:
            own = self._row(connection) if connection is not None else None
            if connection is None or own is None:
                return {}
            for digest in digests:
                row = connection.execute(
                    "SELECT * FROM passages JOIN contents USING (id)"
                    " WHERE encoder = ? AND text = ?",
                    (own["id"], bytes.fromhex(digest)),
                ).fetchone()
                if row is None or _checksum(row) != row["checksum"]:
                    continue
                found[digest] = self._embedding(row)
                if row["used"] < now - _MARKED:
                    wanted.append(row["id"])
        if wanted:
            # Known is known, whether or not that can be written.
            with suppress(CitadelleError), self._file.write() as connection:
                connection.executemany(
                    "UPDATE passages SET used = ? WHERE id = ?", [(now, id_) for id_ in wanted]
                )
        return found

    def _keep(self, made: Mapping[str, Embedding]) -> None:
        now = int(time.time())
        with self._file.write() as connection:
            own = self._row(connection)
            if own is None:
                # Begun anew meanwhile: the last digits of a new code book may differ.
                return
            for digest, embedding in made.items():
                place = (own["id"], bytes.fromhex(digest))
                connection.execute(
                    "INSERT INTO passages (encoder, text, used) VALUES (?, ?, ?)"
                    " ON CONFLICT (encoder, text) DO UPDATE SET used = excluded.used",
                    (*place, now),
                )
                (number,) = connection.execute(
                    "SELECT id FROM passages WHERE encoder = ? AND text = ?", place
                ).fetchone()
                content = {
                    "vector": embedding.vector.astype("<f4").tobytes(),
                    "codes": embedding.codes.tobytes(),
                    "spans": embedding.spans.astype("<i4").tobytes(),
                }
                connection.execute(
                    "INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?)",
                    (number, *content.values(), _checksum(content)),
                )
            _shrink(connection, self._limit)

    def _row(self, connection: sqlite3.Connection) -> Any:
        """Return the row of the encoder, None where it has none."""
        return connection.execute(
            "SELECT * FROM encoders WHERE identity = ?", (self._identity(),)
        ).fetchone()

    def _identity(self) -> str:
        return f"{self._encoder.identity} codes {CODES_VERSION}"

    def _embedding(self, row: sqlite3.Row) -> Embedding:
        width = -(-self._encoder.dimension // 2)
        return Embedding(
            np.frombuffer(row["vector"], dtype="<f4"),
            np.frombuffer(row["codes"], dtype=np.uint8).reshape(-1, width),
            np.frombuffer(row["spans"], dtype="<i4").reshape(-1, 2),
        )


def examine_cache(settings: Settings) -> str:
    """Say what the cache holds, or what is wrong with it; a damaged file is set aside."""
    file = _file(settings.cache)
    limit = settings.embedding_cache_mib
    if not limit:
        left = f"; {file.path} is of no use now, and can be removed" if file.there() else ""
        return f"kept none, as 'embedding_cache_mib' is 0{left}"
    try:
        if file.is_damaged():
            raise _set_aside(settings.cache)
        with file.read() as connection:
            if connection is None:
                return "none kept yet"
            (count,) = connection.execute("SELECT COUNT(*) FROM passages").fetchone()
            used = _used(connection) / (1 << 20)
    except (CitadelleError, sqlite3.Error, OSError) as error:
        return f"{error}"
    return f"{count} passages kept, {used:,.1f} of at most {limit:,} MiB in {file.path}"


def _file(cache: Path) -> DataFile:
    return DataFile(
        path=cache / _FILE,
        purpose=Message("embedded passages"),
        tables=_TABLES,
        format=1,
        failure=CitadelleError,
        damaged=lambda _: _set_aside(cache),
        patience=_PATIENCE,
        ahead=True,
        durable=False,
        setting="cache",
    )


def _set_aside(cache: Path) -> CitadelleError:
    """Move a damaged file away; the next that is kept begins a new one."""
    file = _file(cache)
    aside = file.path.with_suffix(".damaged")
    try:
        file.set_aside(aside)
    except (CitadelleError, OSError, Timeout) as error:
        return CitadelleError(
            "{file} is damaged and cannot be moved away ({failure}); remove it, so that embedded "
            "passages are kept again.",
            file=file.path,
            failure=str(error),
        )
    return CitadelleError(
        "{file} was damaged and is now {aside}; a new one is begun when passages are embedded.",
        file=file.path,
        aside=aside.name,
    )


def _shrink(connection: sqlite3.Connection, limit: int) -> None:
    """Let go of the passages that were not wanted for longest, until the rest fits."""
    while _used(connection) > limit:
        oldest = connection.execute(
            "SELECT id FROM passages ORDER BY used, id LIMIT ?", (_LEAVING,)
        ).fetchall()
        if not oldest:
            return
        for table in ("contents", "passages"):
            connection.executemany(f"DELETE FROM {table} WHERE id = ?", oldest)  # noqa: S608


def _used(connection: sqlite3.Connection) -> int:
    """Return the bytes of the file that hold something; the others are filled again first."""
    counts = [
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    ]
    return (counts[0] - counts[1]) * counts[2]


def _checksum(content: Any) -> int:
    # SQLite notices a broken page where it is part of its trees, not within a number.
    return zlib.crc32(b"".join(content[name] for name in ("vector", "codes", "spans")))


def _packed(book: Codebook) -> bytes:
    parts = np.stack([book.low, book.step, book.prior, book.question_mean]).astype("<f4").tobytes()
    return parts + zlib.crc32(parts).to_bytes(4, "little")


def _unpacked(stored: bytes) -> Codebook:
    """Return a code book; raises `ValueError` where it is not as it was written."""
    parts, checksum = stored[:-4], int.from_bytes(stored[-4:], "little")
    if zlib.crc32(parts) != checksum:
        raise ValueError("the code book is damaged")
    return Codebook(*np.frombuffer(parts, dtype="<f4").reshape(4, -1))
