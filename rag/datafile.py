"""A SQLite file of the data folder or the cache: opened for each call, made with the first write.

What can go wrong is told in one sentence, as the error of the store that keeps its rows there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from filelock import FileLock

from rag.errors import CitadelleError, Message

__all__ = ["DataFile", "is_damage"]

_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DAMAGE: Final = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that a file is no database, or a broken one."""
    return _code(error) in _DAMAGE


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file at `path` with some `tables`, in a `format` that counts up from 1.

    `purpose` names what it is for, such as "feedback". `upgrades` hold what makes each earlier
    format the next one. `failure` is the error that is raised, `damaged` makes it for a damaged
    file. A writer that is in the way is waited for, `patience` seconds. With `ahead` the file
    is written through a log, which lets others read meanwhile; without, it stands alone between
    two writes, to be copied or kept on a network's drive, where a log does not work. Where it is
    not `durable`, the last writes may be lost with the power: for what can be made again.
    `setting` is the one that names the folder.
    """

    path: Path
    purpose: Message
    tables: Sequence[str]
    format: int
    failure: type[CitadelleError]
    damaged: Callable[[sqlite3.Error], CitadelleError]
    patience: float
    upgrades: Mapping[int, str] = field(default_factory=dict)
    ahead: bool = False
    durable: bool = True
    setting: str = "data"

    def there(self) -> bool:
        """Return whether the file exists."""
        try:
            return self.path.exists()
        except OSError as error:
            raise self.failure(
                "{file} cannot be read ({problem}); change its permissions.",
                file=self.path,
                problem=error.strerror or str(error),
            ) from error

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection | None]:
        """Yield a connection, None while there is nothing to read."""
        if not self.there():
            yield None
            return
        with self._open("rw") as connection:
            yield connection if self._format_of(connection) else None

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in a transaction that holds the file's write lock."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.failure(
                "The folder {folder} for {purpose} cannot be made ({problem}); name another with "
                "the setting '{setting}'.",
                folder=self.path.parent,
                setting=self.setting,
                purpose=self.purpose,
                problem=error.strerror or str(error),
            ) from error
        with self._open("rwc") as connection:
            # What is removed is overwritten: it is somebody's question.
            connection.execute("PRAGMA secure_delete = ON")
            if not self.durable:
                connection.execute("PRAGMA synchronous = NORMAL")
            if self.ahead:
                _log_ahead(connection)
            connection.execute("BEGIN IMMEDIATE")
            try:
                self._bring_up_to_date(connection)
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def connect(self, mode: str) -> sqlite3.Connection:
        """Open the file in one of SQLite's modes, as it is."""
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=self.patience,
            isolation_level=None,
        )
        connection.row_factory = sqlite3.Row
        return connection

    def set_aside(self, aside: Path) -> bool:
        """Give a damaged file another name; return False where it is whole by now.

        Raises `OSError`, and `Timeout` of filelock.
        """
        # Of two that find the damage, the second must not move away what the first began.
        with FileLock(self.path.with_suffix(".lock"), timeout=self.patience):
            if not self.is_damaged():
                return False
            # The log first: what it holds belongs to this file and to no new one.
            for suffix in ("-wal", "-shm", ""):
                with suppress(FileNotFoundError):
                    Path(f"{self.path}{suffix}").replace(f"{aside}{suffix}")
        return True

    def is_damaged(self) -> bool:
        """Return whether the file is no database, or a broken one; reads it all."""
        if not self.there():
            return False
        try:
            with closing(self.connect("rw")) as connection:
                return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
        except sqlite3.Error as error:
            return is_damage(error)

    @contextmanager
    def _open(self, mode: str) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            connection = self.connect(mode)
            yield connection
        except sqlite3.Error as error:
            # Closed before what is done about damage: it may move the file away.
            if connection is not None:
                connection.close()
            raise self._translated(error) from error
        finally:
            if connection is not None:
                connection.close()

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        found = self._format_of(connection)
        if found == self.format:
            return
        steps = [self.upgrades[older] for older in range(found, self.format)] if found else []
        for statement in steps or self.tables:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {self.format}")

    def _format_of(self, connection: sqlite3.Connection) -> int:
        """Return the format of the file, 0 for an empty one; raises when it is not one of ours."""
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        if found > self.format:
            raise self.failure(
                "{file} was written by a newer version of Citadelle (format {found}, this one "
                "reads {known}); update Citadelle, nothing was changed.",
                file=self.path,
                found=found,
                known=self.format,
            )
        # An empty file is what a crash before the first write leaves.
        if not found and connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise self.failure(
                "{file} is a database of something else; move it away, or name another folder "
                "with the setting '{setting}'.",
                file=self.path,
                setting=self.setting,
            )
        return int(found)

    def _translated(self, error: sqlite3.Error) -> CitadelleError:
        if _code(error) in _BUSY:
            return self.failure("Another process is writing {file}; try again.", file=self.path)
        if is_damage(error):
            return self.damaged(error)
        return self.failure(
            "{file} cannot be read or written ({problem}).", file=self.path, problem=str(error)
        )


def _code(error: sqlite3.Error) -> int:
    """Return the primary of an extended code."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Let others read while one writes, from now on and for all that open the file."""
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            # Another process is at it. Without a log everything works too, one at a time.
            if _code(error) not in _BUSY:
                raise
