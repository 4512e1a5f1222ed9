"""Conversations as they were held, kept in one SQLite file.

The page uses it like this:

    store = ConversationStore(settings.data)
    asked = KeptExchange(new_identifier(), "Où siège le BCC ?")
    store.add(conversation := new_identifier(), [asked])        # before it is answered
    store.settle(replace(asked, answer=answer))
    store.list("bruxelles")
    store.delete(conversation); store.restore(conversation)

A conversation is a row, and so is each of its exchanges: whoever else writes at the same
time adds rows and replaces none. An answer is kept whole, and comes back equal.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final

from filelock import Timeout
from pydantic import TypeAdapter, ValidationError

from rag.datafile import DataFile
from rag.errors import HistoryError, Message
from rag.lexical import fold
from rag.types import Answer

__all__ = [
    "HISTORY_FILE",
    "LONGEST_TITLE",
    "ConversationStore",
    "KeptConversation",
    "KeptExchange",
    "new_identifier",
    "title_of",
]

HISTORY_FILE: Final = "conversations.sqlite3"
# A line of the list; what a person writes may be longer than what is taken from a question.
_TITLE_FROM_QUESTION: Final = 60
LONGEST_TITLE: Final = 200
# How long what was deleted can still be brought back.
KEPT_AFTER_DELETION: Final = timedelta(days=1)

_FORMAT: Final = 2
# How long one writer waits for another, in seconds; a write takes milliseconds.
_PATIENCE: Final = 10.0
_TABLES: Final = (
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY,
        title TEXT NOT NULL,
        created TEXT NOT NULL,
        updated TEXT NOT NULL,
        deleted TEXT NOT NULL DEFAULT '',
        folded TEXT NOT NULL
    )
    """,
    # AUTOINCREMENT: a number is never given twice, so that what comes later stands later.
    """
    CREATE TABLE exchanges (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        conversation TEXT NOT NULL,
        created TEXT NOT NULL,
        question TEXT NOT NULL,
        filters TEXT NOT NULL,
        alone INTEGER NOT NULL,
        settled TEXT NOT NULL DEFAULT '',
        answer TEXT NOT NULL DEFAULT '',
        error TEXT NOT NULL DEFAULT '',
        hints TEXT NOT NULL DEFAULT '[]',
        history TEXT NOT NULL DEFAULT '[]',
        corpus_hash TEXT NOT NULL DEFAULT '',
        version TEXT NOT NULL DEFAULT '',
        folded TEXT NOT NULL,
        quoted INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX exchanges_of ON exchanges (conversation, number)",
    "CREATE INDEX newest ON conversations (updated)",
)
# What a file of the format before has not.
_ADDED: Final = "ALTER TABLE exchanges ADD COLUMN quoted INTEGER NOT NULL DEFAULT 0"
_LISTED: Final = """
SELECT id, title, created, updated, deleted,
       (SELECT count(*) FROM exchanges WHERE conversation = conversations.id) AS questions
FROM conversations
"""
# Each word somewhere in the conversation: in its title, in a question or in an answer.
_HAS_WORD: Final = """
(instr(folded, ?) OR EXISTS (
    SELECT 1 FROM exchanges
    WHERE conversation = conversations.id AND instr(exchanges.folded, ?)))
"""


@dataclass(frozen=True, slots=True)
class KeptExchange:
    """A question and what came of it: an answer, an error, or nothing yet.

    `filters` are pairs of names and values with the label that a person reads; `alone` is a
    question asked without the ones before it, `quoted` one that no language model may answer.
    `history` are the earlier questions that the
    answer was made with, `corpus_hash` stands for the documents as they were, `version` is that
    of Citadelle. `created` and `settled` are in UTC and ISO 8601. `unreadable` tells of an answer
    that was kept and cannot be understood any more.
    """

    id: str
    question: str
    filters: tuple[tuple[str, str, str], ...] = ()
    alone: bool = False
    quoted: bool = False
    answer: Answer | None = None
    error: str = ""
    hints: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    corpus_hash: str = ""
    version: str = ""
    created: str = ""
    settled: str = ""
    unreadable: bool = False

    @property
    def pending(self) -> bool:
        return self.answer is None and not self.error and not self.unreadable


@dataclass(frozen=True, slots=True)
class KeptConversation:
    """What a list says of a conversation; `deleted` is empty, or when it was deleted."""

    id: str
    title: str
    created: str
    updated: str
    deleted: str = ""
    questions: int = 0


def new_identifier() -> str:
    """Return 16 hexadecimal digits that nobody can guess."""
    return secrets.token_hex(8)


def title_of(question: str) -> str:
    """Return what a conversation is called that begins with a question: its first words."""
    text = " ".join(_clean(question).split())
    if len(text) <= _TITLE_FROM_QUESTION:
        return text
    cut = text[:_TITLE_FROM_QUESTION]
    # At a word, unless that leaves next to nothing of it.
    words, space, _ = cut.rpartition(" ")
    kept = words if space and len(words) > _TITLE_FROM_QUESTION // 2 else cut
    return kept.rstrip(" ,;:.!?…") + "…"


class ConversationStore:
    """Keep conversations in a file below `folder`; threads and processes may share it.

    Every call opens the file and closes it again. Every method raises `HistoryError`, in one
    sentence, when the file cannot be read or written or comes from a newer version. A
    damaged file is set aside under another name, so that the next call begins a new one.
    """

    def __init__(self, folder: Path, *, patience: float = _PATIENCE) -> None:
        self.path = folder / HISTORY_FILE
        self._file = DataFile(
            self.path,
            purpose=Message("conversations"),
            tables=_TABLES,
            format=_FORMAT,
            failure=HistoryError,
            damaged=self._set_aside,
            patience=patience,
            upgrades={1: _ADDED},
            ahead=True,
        )

    # --- Exchanges --------------------------------------------------------------------

    def add(self, conversation: str, exchanges: Sequence[KeptExchange]) -> None:
        """Keep those exchanges of a conversation that are not kept yet.

        The conversation begins with its first, after which it is called.
        """
        if not exchanges:
            return
        now = _now()
        title = title_of(exchanges[0].question)
        with self._file.write() as connection:
            connection.execute(
                "INSERT INTO conversations (id, title, created, updated, folded) "
                "VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET updated = excluded.updated",
                (conversation, title, now, now, _folded(title)),
            )
            for exchange in exchanges:
                connection.execute(
                    "INSERT INTO exchanges "
                    "(id, conversation, created, question, filters, alone, quoted, folded) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                    (
                        exchange.id,
                        conversation,
                        exchange.created or now,
                        _clean(exchange.question),
                        json.dumps(exchange.filters),
                        exchange.alone,
                        exchange.quoted,
                        _folded(exchange.question),
                    ),
                )
                if not exchange.pending:
                    _settle(connection, exchange, now)

    def settle(self, exchange: KeptExchange) -> bool:
        """Keep what came of an exchange; what was kept first stays.

        Returns whether it was kept: not if it was there already, or if the exchange is gone.
        """
        if not self._file.there():
            return False
        with self._file.write() as connection:
            return _settle(connection, exchange, _now())

    def settled(self, conversation: str) -> dict[str, bool]:
        """Return the identifiers of the exchanges in order, and whether each is settled."""
        with self._file.read() as connection:
            rows = _rows(
                connection,
                "SELECT id, settled FROM exchanges WHERE conversation = ? ORDER BY number",
                (conversation,),
            )
        return {row["id"]: bool(row["settled"]) for row in rows}

    def is_settled(self, exchange: str) -> bool:
        """Tell whether anything is kept of what came of an exchange."""
        with self._file.read() as connection:
            rows = _rows(connection, "SELECT settled FROM exchanges WHERE id = ?", (exchange,))
        return bool(rows and rows[0]["settled"])

    def exchanges(
        self, conversation: str, wanted: Sequence[str] | None = None
    ) -> tuple[KeptExchange, ...]:
        """Return the exchanges of a conversation in order: all, or those that are wanted."""
        with self._file.read() as connection:
            rows = _rows(
                connection,
                "SELECT * FROM exchanges WHERE conversation = ? ORDER BY number",
                (conversation,),
            )
        return tuple(_exchange(row) for row in rows if wanted is None or row["id"] in wanted)

    # --- Conversations ----------------------------------------------------------------

    def get(self, conversation: str) -> KeptConversation | None:
        """Return a conversation, deleted or not; None when there is none."""
        with self._file.read() as connection:
            rows = _rows(connection, f"{_LISTED} WHERE id = ?", (conversation,))
        return KeptConversation(**rows[0]) if rows else None

    def list(self, search: str = "", limit: int | None = None) -> tuple[KeptConversation, ...]:
        """Return the conversations that are not deleted, newest first.

        Those that are searched for hold every word, in whatever case and with whatever accents.
        """
        words = _folded(search).split()
        conditions = " AND ".join(["deleted = ''", *[_HAS_WORD] * len(words)])
        values = [word for word in words for _ in range(2)]
        with self._file.read() as connection:
            rows = _rows(
                connection,
                f"{_LISTED} WHERE {conditions} ORDER BY updated DESC, rowid DESC LIMIT ?",
                (*values, -1 if limit is None else limit),
            )
        return tuple(KeptConversation(**row) for row in rows)

    def rename(self, conversation: str, title: str) -> None:
        """Call a conversation otherwise; an empty title changes nothing."""
        title = " ".join(_clean(title).split())
        if len(title) > LONGEST_TITLE:
            raise HistoryError(
                "The title has {length} characters; at most {longest} are kept. Shorten it.",
                length=len(title),
                longest=LONGEST_TITLE,
            )
        if title:
            self._change(conversation, {"title": title, "folded": _folded(title)})

    def delete(self, conversation: str) -> None:
        """Hide a conversation; it can be restored until it is purged."""
        self._change(conversation, {"deleted": _now()})

    def restore(self, conversation: str) -> None:
        """Bring back a deleted conversation."""
        self._change(conversation, {"deleted": ""})

    def purge(self, older_than: timedelta = KEPT_AFTER_DELETION) -> int:
        """Erase what was deleted that long ago, also from the disk; return how many there were."""
        limit = _stamp(datetime.now(UTC) - older_than)
        with self._file.read() as connection:
            # Looked up first, so that nothing is locked where nothing is to be done.
            if not _rows(
                connection, f"{_LISTED} WHERE deleted <> '' AND deleted <= ? LIMIT 1", (limit,)
            ):
                return 0
        with self._file.write() as connection:
            connection.execute(
                "DELETE FROM exchanges WHERE conversation IN "
                "(SELECT id FROM conversations WHERE deleted <> '' AND deleted <= ?)",
                (limit,),
            )
            gone = connection.execute(
                "DELETE FROM conversations WHERE deleted <> '' AND deleted <= ?", (limit,)
            )
            return gone.rowcount

    def _change(self, conversation: str, changed: Mapping[str, str]) -> None:
        if self._file.there():
            with self._file.write() as connection:
                columns = ", ".join(f"{name} = ?" for name in changed)
                found = connection.execute(
                    f"UPDATE conversations SET {columns} WHERE id = ?",  # noqa: S608
                    (*changed.values(), conversation),
                )
                if found.rowcount:
                    return
        raise HistoryError(
            "There is no conversation '{conversation}' in {file} any more.",
            conversation=conversation,
            file=self.path,
        )

    # --- The file ---------------------------------------------------------------------

    def _set_aside(self, error: sqlite3.Error) -> HistoryError:
        """Give a damaged file another name, and say which."""
        aside = self.path.with_name(
            f"{self.path.stem}-damaged-{_now():.19}.sqlite3".replace(":", "")
        )
        try:
            if not self._file.set_aside(aside):
                return HistoryError(
                    "{file} was damaged and is replaced; try again.", file=self.path
                )
        except (OSError, Timeout) as failure:
            return HistoryError(
                "{file} is damaged ({problem}) and cannot be set aside ({failure}); move it "
                "away, so that conversations are kept again.",
                file=self.path,
                problem=str(error),
                failure=str(failure),
            )
        return HistoryError(
            "{file} was damaged ({problem}); it is set aside as {aside}, and conversations are "
            "kept in a new file from now on.",
            file=self.path,
            problem=str(error),
            aside=aside.name,
        )


def _rows(
    connection: sqlite3.Connection | None, query: str, values: Sequence[object]
) -> Sequence[Mapping[str, Any]]:
    if connection is None:
        return []
    return [dict(row) for row in connection.execute(query, values)]


def _settle(connection: sqlite3.Connection, exchange: KeptExchange, now: str) -> bool:
    answer = exchange.answer
    # ASCII: names of files may hold what is no text, which SQLite refuses.
    written = json.dumps(asdict(answer)) if answer is not None else ""
    said = f"{exchange.question} {answer.text if answer is not None else ''}"
    changed = connection.execute(
        "UPDATE exchanges SET settled = ?, answer = ?, error = ?, hints = ?, history = ?, "
        "quoted = ?, corpus_hash = ?, version = ?, folded = ? WHERE id = ? AND settled = ''",
        (
            exchange.settled or now,
            written,
            _clean(exchange.error),
            json.dumps(exchange.hints),
            json.dumps(exchange.history),
            exchange.quoted,
            exchange.corpus_hash,
            exchange.version,
            _folded(said),
            exchange.id,
        ),
    )
    connection.execute(
        "UPDATE conversations SET updated = ? "
        "WHERE id = (SELECT conversation FROM exchanges WHERE id = ?)",
        (now, exchange.id),
    )
    return bool(changed.rowcount)


@cache
def _answers() -> TypeAdapter[Answer]:
    return TypeAdapter(Answer)


def _exchange(row: Mapping[str, Any]) -> KeptExchange:
    answer, unreadable = None, False
    try:
        if row["answer"]:
            answer = _answers().validate_python(json.loads(row["answer"]))
    except (ValueError, ValidationError):
        unreadable = True
    return KeptExchange(
        id=row["id"],
        question=row["question"],
        filters=tuple((name, value, label) for name, value, label in json.loads(row["filters"])),
        alone=bool(row["alone"]),
        # A file of the format before is read without being written.
        quoted=bool(row.get("quoted", 0)),
        answer=answer,
        error=row["error"],
        hints=tuple(json.loads(row["hints"])),
        history=tuple(json.loads(row["history"])),
        corpus_hash=row["corpus_hash"],
        version=row["version"],
        created=row["created"],
        settled=row["settled"],
        unreadable=unreadable,
    )


def _now() -> str:
    return _stamp(datetime.now(UTC))


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _folded(text: str) -> str:
    """Return what is compared when something is searched for."""
    return fold(_clean(text)).replace("’", "'")


def _clean(text: str) -> str:
    """Replace what is no character (half of a surrogate pair), which SQLite refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
