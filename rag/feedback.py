"""What people said of answers, kept in one SQLite file.

The page and the command line use it like this:

    store = FeedbackStore(settings.data)
    identifier = store.add(answer, "wrong", history=["Qu'est-ce que le BCC ?"])
    store.update(identifier, reasons=("incomplete",), comment="Il manque la date.")
    store.add(answer, "right", history=["Qu'est-ce que le BCC ?"])   # a change of mind
    store.remove(identifier)

Only what a person gives is kept: a question without feedback is written nowhere, and
neither folder nor file is there before the first `add`.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from rag.datafile import DataFile
from rag.errors import FeedbackError, Message
from rag.types import Answer

__all__ = [
    "FEEDBACK_FILE",
    "REASONS",
    "VERDICTS",
    "Feedback",
    "FeedbackStore",
    "Reason",
    "Verdict",
    "identify",
]

Verdict = Literal["right", "wrong"]
# What is said is false; it answers another question; part of it is missing; the document
# that ought to be quoted is not.
Reason = Literal["not_true", "not_asked", "incomplete", "missing_source"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
REASONS: tuple[Reason, ...] = get_args(Reason)

FEEDBACK_FILE = "feedback.sqlite3"
# The longest comment or expected answer, in characters: a page of text.
LONGEST = 10_000

_FORMAT = 1
# How long a writer waits for another one, in seconds; a write takes milliseconds.
_PATIENCE = 10.0
_ID_DIGITS = 12
_TABLE = """
CREATE TABLE feedback (
    id TEXT PRIMARY KEY,
    created TEXT NOT NULL,
    question TEXT NOT NULL,
    history TEXT NOT NULL,
    language TEXT NOT NULL,
    answer TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reasons TEXT NOT NULL,
    comment TEXT NOT NULL,
    expected TEXT NOT NULL,
    corpus_hash TEXT NOT NULL,
    version TEXT NOT NULL,
    harvested TEXT NOT NULL DEFAULT ''
)
"""
# On conflict the answer is the same one. When it was first judged, and whether a gold
# question was made of it, stay as they are.
_UPSERT = """
INSERT INTO feedback (id, created, question, history, language, answer, verdict, reasons,
                      comment, expected, corpus_hash, version)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    answer = excluded.answer, verdict = excluded.verdict, reasons = excluded.reasons,
    comment = excluded.comment, expected = excluded.expected,
    corpus_hash = excluded.corpus_hash, version = excluded.version
"""


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person said of an answer.

    `created` is when it was first said, in UTC and ISO 8601. `history` holds the user's
    earlier questions, oldest first. `answer` is what `Answer.to_dict` gives, with the
    `content_hash` of its document in each citation. An abstention is `right` when the
    documents do not answer. `expected` is what ought to have been said, in the user's
    words. `harvested` is the gold question made of it, empty while there is none.
    """

    id: str
    created: str
    question: str
    history: tuple[str, ...]
    language: str
    answer: Mapping[str, Any]
    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    comment: str = ""
    expected: str = ""
    corpus_hash: str = ""
    version: str = ""
    harvested: str = ""


class FeedbackStore:
    """Keep feedback in a file below `folder`; threads and processes may share it.

    Every call opens the file and closes it again, so that a store costs nothing and can be
    made wherever it is needed. Every method raises `FeedbackError`, in one sentence, when
    the file cannot be read or written, is damaged, or comes from a newer version; such a
    file is left as it is.
    """

    def __init__(self, folder: Path, *, patience: float = _PATIENCE) -> None:
        self.path = folder / FEEDBACK_FILE
        self._file = DataFile(
            self.path,
            purpose=Message("feedback"),
            tables=(_TABLE,),
            format=_FORMAT,
            failure=FeedbackError,
            damaged=self._damaged,
            patience=patience,
        )

    def add(
        self,
        answer: Answer,
        verdict: Verdict,
        *,
        history: Sequence[str] = (),
        reasons: Sequence[Reason] = (),
        comment: str = "",
        expected: str = "",
        corpus_hash: str = "",
        version: str = "",
    ) -> str:
        """Keep what a person says of an answer, and return its identifier.

        The same answer to the same question has the same identifier: what was said of it
        before is replaced, however often a page is drawn or a button is pressed.
        """
        identifier = identify(answer, history)
        record = answer.to_dict()
        for shown, citation in zip(record["citations"], answer.citations, strict=True):
            shown["content_hash"] = citation.content_hash
        row = (
            identifier,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            _clean(answer.question),
            json.dumps(list(history)),
            answer.language,
            # ASCII: names of files may hold what is no text, which SQLite refuses.
            json.dumps(record),
            _verdict(verdict),
            json.dumps(_reasons(reasons)),
            _bounded(Message("comment"), comment),
            _bounded(Message("expected answer"), expected),
            corpus_hash,
            version,
        )
        with self._file.write() as connection:
            connection.execute(_UPSERT, row)
        return identifier

    def update(
        self,
        identifier: str,
        *,
        verdict: Verdict | None = None,
        reasons: Sequence[Reason] | None = None,
        comment: str | None = None,
        expected: str | None = None,
    ) -> Feedback:
        """Change the fields that are given, and return the whole; the others stay."""
        changed: dict[str, str] = {}
        if verdict is not None:
            changed["verdict"] = _verdict(verdict)
        if reasons is not None:
            changed["reasons"] = json.dumps(_reasons(reasons))
        if comment is not None:
            changed["comment"] = _bounded(Message("comment"), comment)
        if expected is not None:
            changed["expected"] = _bounded(Message("expected answer"), expected)
        return self._change(identifier, changed)

    def remove(self, identifier: str) -> bool:
        """Delete what was said, also from the disk; return whether there was anything."""
        if not self._file.there():
            return False
        with self._file.write() as connection:
            deleted = connection.execute("DELETE FROM feedback WHERE id = ?", (identifier,))
            return deleted.rowcount > 0

    def get(self, identifier: str) -> Feedback:
        """Return what has this identifier, or alone begins with it."""
        with self._file.read() as connection:
            rows = self._matching(connection, identifier)
        if not rows:
            raise self._unknown(identifier)
        if len(rows) > 1:
            raise FeedbackError(
                "{count} feedbacks begin with '{identifier}'; give more of it.",
                count=len(rows),
                identifier=identifier,
            )
        return self._feedback(rows[0])

    def find(self, answer: Answer, history: Sequence[str] = ()) -> Feedback | None:
        """Return what was said of this very answer before, None when nothing was."""
        with self._file.read() as connection:
            rows = _select(connection, "WHERE id = ?", (identify(answer, history),))
        return self._feedback(rows[0]) if rows else None

    def list(
        self, verdict: Verdict | None = None, *, pending: bool = False
    ) -> tuple[Feedback, ...]:
        """Return all feedback, oldest first: of one verdict, or not harvested yet, if wanted."""
        conditions, values = ["1"], []
        if verdict is not None:
            conditions.append("verdict = ?")
            values.append(_verdict(verdict))
        if pending:
            conditions.append("harvested = ''")
        with self._file.read() as connection:
            rows = _select(connection, f"WHERE {' AND '.join(conditions)}", values)
        return tuple(self._feedback(row) for row in rows)

    def mark_harvested(self, identifier: str, item_id: str) -> Feedback:
        """Note the gold question that was made of a feedback, and return the feedback."""
        return self._change(identifier, {"harvested": item_id})

    def _change(self, identifier: str, changed: Mapping[str, str]) -> Feedback:
        if not self._file.there():
            raise self._unknown(identifier)
        with self._file.write() as connection:
            for column, value in changed.items():
                connection.execute(
                    f"UPDATE feedback SET {column} = ? WHERE id = ?",  # noqa: S608
                    (value, identifier),
                )
            rows = _select(connection, "WHERE id = ?", (identifier,))
        if not rows:
            raise self._unknown(identifier)
        return self._feedback(rows[0])

    @staticmethod
    def _matching(connection: sqlite3.Connection | None, identifier: str) -> Sequence[sqlite3.Row]:
        exact = _select(connection, "WHERE id = ?", (identifier,))
        if exact or not identifier:
            return exact
        return _select(connection, "WHERE substr(id, 1, ?) = ?", (len(identifier), identifier))

    def _unknown(self, identifier: str) -> FeedbackError:
        return FeedbackError(
            "There is no feedback '{identifier}' in {file}; "
            "'python -m eval feedback' lists what there is.",
            identifier=identifier,
            file=self.path,
        )

    def _feedback(self, row: sqlite3.Row) -> Feedback:
        values = dict(row)
        try:
            values["history"] = tuple(json.loads(values["history"]))
            values["reasons"] = tuple(json.loads(values["reasons"]))
            values["answer"] = json.loads(values["answer"])
            return Feedback(**values)
        except (ValueError, TypeError, KeyError) as error:
            raise FeedbackError(
                "The feedback '{identifier}' in {file} is damaged ({problem}); "
                "remove it from there to read the others.",
                identifier=values.get("id"),
                file=self.path,
                problem=str(error),
            ) from error

    # --- The file ---------------------------------------------------------------------

    def _damaged(self, error: sqlite3.Error) -> FeedbackError:
        return FeedbackError(
            "{file} is damaged ({problem}); move it away and keep it, a new one is made "
            "with the next feedback.",
            file=self.path,
            problem=str(error),
        )


def identify(answer: Answer, history: Sequence[str] = ()) -> str:
    """Return 12 hexadecimal digits that stand for an answer to a question.

    They depend on the questions, the text and the quoted places, and neither on the time
    taken nor on the confidence.
    """
    places = [(cited.doc_id, cited.quote) for cited in answer.citations]
    said = json.dumps([answer.question, list(history), answer.text, places])
    return hashlib.sha256(said.encode()).hexdigest()[:_ID_DIGITS]


def _select(
    connection: sqlite3.Connection | None, condition: str, values: Sequence[object]
) -> Sequence[sqlite3.Row]:
    if connection is None:
        return []
    # `rowid` is the order in which they came; the clock may have been set back.
    query = f"SELECT * FROM feedback {condition} ORDER BY rowid"  # noqa: S608
    return connection.execute(query, values).fetchall()


def _verdict(verdict: str) -> Verdict:
    if verdict not in VERDICTS:
        raise FeedbackError(
            "The verdict {verdict!r} is none of {known}.",
            verdict=verdict,
            known=", ".join(VERDICTS),
        )
    return verdict


def _reasons(reasons: Sequence[str]) -> tuple[str, ...]:
    for reason in reasons:
        if reason not in REASONS:
            raise FeedbackError(
                "The reason {reason!r} is none of {known}.",
                reason=reason,
                known=", ".join(REASONS),
            )
    return tuple(dict.fromkeys(reasons))


def _bounded(name: Message, text: str) -> str:
    if len(text) > LONGEST:
        raise FeedbackError(
            "The {name} has {length} characters; at most {longest} are kept. Shorten it.",
            name=name,
            length=len(text),
            longest=LONGEST,
        )
    return _clean(text.strip())


def _clean(text: str) -> str:
    """Replace what is no character (half of a surrogate pair), which SQLite refuses."""
    return text.encode("utf-8", "replace").decode("utf-8")
