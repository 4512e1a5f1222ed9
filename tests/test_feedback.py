"""Feedback on disk: replaced when a mind is changed, shared by writers, never lost."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rag.errors import CitadelleError, FeedbackError
from rag.feedback import FEEDBACK_FILE, LONGEST, REASONS, FeedbackStore, identify
from rag.types import Answer, Citation

QUOTE = Citation("1", "note.md", "abc", 0, 9, "Bruxelles", "Note", ())


def answer(question: str = "Où ?", text: str = "Bruxelles [1]", **more: Any) -> Answer:
    return Answer(
        question=question,
        language="fr",
        text=text,
        short_answer="Bruxelles",
        citations=(QUOTE,),
        passages=(),
        abstained=False,
        confidence=0.9,
        mode="extractive",
        timings={"total_ms": 12.0},
        **more,
    )


@pytest.fixture
def store(tmp_path: Path) -> FeedbackStore:
    return FeedbackStore(tmp_path / "data", patience=5.0)


def test_nothing_is_there_before_the_first_feedback(store: FeedbackStore) -> None:
    assert store.list() == ()
    assert store.find(answer()) is None
    assert store.remove("abc") is False
    with pytest.raises(FeedbackError, match="no feedback 'abc'"):
        store.get("abc")
    with pytest.raises(FeedbackError, match="no feedback 'abc'"):
        store.update("abc", comment="x")
    assert not store.path.parent.exists()
    store.add(answer(), "right")
    assert [path.name for path in store.path.parent.iterdir()] == [FEEDBACK_FILE]


def test_a_record_holds_all_that_was_given(store: FeedbackStore) -> None:
    identifier = store.add(
        answer(),
        "wrong",
        history=["Qui ?", "Quoi ?"],
        reasons=["incomplete", "not_true", "incomplete"],
        comment="  Il manque la date.  ",
        expected="à Bruxelles depuis 2022",
        corpus_hash="f00",
        version="0.1.0",
    )
    found = store.get(identifier)
    assert found.id == identifier
    assert found.created.endswith("+00:00")
    assert datetime.now(UTC) - datetime.fromisoformat(found.created) < timedelta(minutes=1)
    assert (found.question, found.language, found.verdict) == ("Où ?", "fr", "wrong")
    assert found.history == ("Qui ?", "Quoi ?")
    assert found.reasons == ("incomplete", "not_true")
    assert found.comment == "Il manque la date."
    assert found.expected == "à Bruxelles depuis 2022"
    assert (found.corpus_hash, found.version, found.harvested) == ("f00", "0.1.0", "")
    # The answer as it is printed, and which contents were quoted.
    expected = answer().to_dict()
    expected["citations"][0]["content_hash"] = "abc"
    assert found.answer == expected


def test_a_change_of_mind_replaces_what_was_said(store: FeedbackStore) -> None:
    first = store.add(answer(), "wrong", reasons=["not_true"], comment="Non.")
    created = store.get(first).created
    store.mark_harvested(first, "u001")
    # The same answer, though it took another time and is of another confidence.
    again = store.add(replace(answer(), confidence=0.5, timings={}), "right")
    assert again == first
    (only,) = store.list()
    assert (only.verdict, only.reasons, only.comment) == ("right", (), "")
    assert (only.created, only.harvested) == (created, "u001")


@pytest.mark.parametrize(
    "other",
    [
        (answer("Quand ?"), ()),
        (answer(text="Bruxelles"), ()),
        (replace(answer(), citations=()), ()),
        (answer(), ("Qui ?",)),
    ],
    ids=["question", "text", "quotes", "history"],
)
def test_another_answer_is_another_feedback(
    store: FeedbackStore, other: tuple[Answer, Sequence[str]]
) -> None:
    given, history = other
    assert store.add(answer(), "right") != store.add(given, "right", history=history)
    assert len(store.list()) == 2


def test_update_changes_only_what_is_given(store: FeedbackStore) -> None:
    identifier = store.add(answer(), "wrong", reasons=["not_asked"], comment="Non.")
    changed = store.update(identifier, expected="Namur")
    assert (changed.verdict, changed.reasons) == ("wrong", ("not_asked",))
    assert (changed.comment, changed.expected) == ("Non.", "Namur")
    changed = store.update(identifier, verdict="right", reasons=(), comment="")
    assert (changed.verdict, changed.reasons, changed.comment) == ("right", (), "")
    assert store.get(identifier) == changed
    with pytest.raises(FeedbackError, match="no feedback 'other'"):
        store.update("other", comment="x")


def test_what_is_removed_is_gone_from_the_disk(store: FeedbackStore) -> None:
    identifier = store.add(answer("Quel est mon secret ?"), "right")
    assert b"mon secret" in store.path.read_bytes()
    assert store.remove(identifier) is True
    assert store.remove(identifier) is False
    assert store.list() == ()
    assert b"mon secret" not in store.path.read_bytes()


def test_lists_by_verdict_and_what_is_not_harvested(store: FeedbackStore) -> None:
    a = store.add(answer("A ?"), "right")
    b = store.add(answer("B ?"), "wrong")
    c = store.add(answer("C ?"), "wrong")
    assert [entry.id for entry in store.list()] == [a, b, c]
    assert [entry.id for entry in store.list("wrong")] == [b, c]
    assert store.mark_harvested(b, "u007").harvested == "u007"
    assert [entry.id for entry in store.list(pending=True)] == [a, c]
    assert [entry.id for entry in store.list("wrong", pending=True)] == [c]
    with pytest.raises(FeedbackError, match="no feedback 'x'"):
        store.mark_harvested("x", "u008")


def test_a_feedback_is_found_by_its_answer_or_the_beginning_of_its_id(
    store: FeedbackStore,
) -> None:
    identifier = store.add(answer(), "right", history=["Qui ?"])
    assert identifier == identify(answer(), ["Qui ?"])
    assert len(identifier) == 12
    assert store.get(identifier[:4]).id == identifier
    found = store.find(answer(), ["Qui ?"])
    assert found is not None and found.id == identifier
    assert store.find(answer()) is None
    with pytest.raises(FeedbackError, match="no feedback ''"):
        store.get("")
    # With 17 of them, two begin with the same of the 16 digits.
    for number in range(16):
        store.add(answer(f"{number} ?"), "right")
    firsts = [entry.id[0] for entry in store.list()]
    shared = next(digit for digit in firsts if firsts.count(digit) > 1)
    with pytest.raises(FeedbackError, match=f"begin with '{shared}'; give more"):
        store.get(shared)


def test_words_that_are_unknown_or_too_long_are_refused(store: FeedbackStore) -> None:
    bad: Any = "perhaps"
    with pytest.raises(FeedbackError, match="'perhaps' is none of right, wrong"):
        store.add(answer(), bad)
    with pytest.raises(FeedbackError, match=f"none of {', '.join(REASONS)}"):
        store.add(answer(), "wrong", reasons=[bad])
    with pytest.raises(FeedbackError, match="'perhaps' is none of"):
        store.list(bad)
    with pytest.raises(FeedbackError, match=r"comment has 10001 characters; at most 10000"):
        store.add(answer(), "wrong", comment="x" * (LONGEST + 1))
    assert not store.path.exists()
    identifier = store.add(answer(), "wrong", comment="x" * LONGEST)
    with pytest.raises(FeedbackError, match="expected answer has 10001"):
        store.update(identifier, expected="x" * (LONGEST + 1))


def test_any_text_can_be_kept(store: FeedbackStore) -> None:
    # Half of a surrogate pair cannot be written as UTF-8; a file's name may hold one.
    odd = replace(answer("Où \ud800 ?"), citations=(replace(QUOTE, doc_id="\udcff.md"),))
    comment = "'; DROP TABLE feedback; -- « é » 🏰 \ud800"
    found = store.get(store.add(odd, "wrong", comment=comment, history=["\ud800"]))
    assert found.question == "Où ? ?"
    assert found.comment == "'; DROP TABLE feedback; -- « é » 🏰 ?"
    assert found.answer["citations"][0]["doc_id"] == "\udcff.md"
    assert found.history == ("\ud800",)


# --- Several writers ----------------------------------------------------------------------


def test_threads_may_make_and_write_the_file_together(tmp_path: Path) -> None:
    start = threading.Barrier(8)

    def write(writer: int) -> None:
        start.wait()
        for number in range(5):
            FeedbackStore(tmp_path).add(answer(f"{writer}-{number} ?"), "right")
            FeedbackStore(tmp_path).add(answer("the same ?"), "wrong")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(write, range(8)))
    # 8 writers with 5 questions each, and one question that all share.
    assert len(FeedbackStore(tmp_path).list()) == 41


def test_a_writer_waits_for_another_one(tmp_path: Path, store: FeedbackStore) -> None:
    first = store.add(answer(), "right")
    # SQLite does not tell a connection of this process from one of another.
    other = sqlite3.connect(store.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    impatient = FeedbackStore(tmp_path / "data", patience=0.05)
    assert impatient.get(first).verdict == "right"  # Reading goes on.
    with pytest.raises(FeedbackError, match="Another process is writing"):
        impatient.add(answer("Quand ?"), "right")
    release = threading.Timer(0.2, lambda: other.execute("COMMIT"))
    release.start()
    store.add(answer("Quand ?"), "right")
    release.join()
    other.close()
    assert len(store.list()) == 2


# --- Files that are not as they should be -------------------------------------------------


def test_a_newer_file_is_left_alone(store: FeedbackStore) -> None:
    store.add(answer(), "right")
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 2")
    connection.close()
    before = store.path.read_bytes()
    for use in (store.list, lambda: store.add(answer("Quand ?"), "right")):
        with pytest.raises(FeedbackError, match=r"newer version .*format 2, this one reads 1"):
            use()
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("damage", ["text", "middle"])
def test_a_damaged_file_is_named_and_left_alone(store: FeedbackStore, damage: str) -> None:
    store.add(answer(), "right", comment="x" * 9000)
    if damage == "text":
        store.path.write_bytes(b"This is not a database at all. " * 100)
    else:
        content = store.path.read_bytes()
        store.path.write_bytes(content[:1000] + b"\xff" * (len(content) - 1000))
    before = store.path.read_bytes()
    for use in (store.list, lambda: store.add(answer("Quand ?"), "right")):
        with pytest.raises(FeedbackError, match=r"is damaged .*move it away and keep it") as raised:
            use()
        assert "\n" not in str(raised.value)
    assert store.path.read_bytes() == before


def test_a_damaged_record_is_named(store: FeedbackStore) -> None:
    identifier = store.add(answer(), "right")
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE feedback SET answer = '{'")
    connection.close()
    with pytest.raises(FeedbackError, match=f"feedback '{identifier}' in .* is damaged"):
        store.list()


def test_a_database_of_something_else_is_refused(store: FeedbackStore) -> None:
    store.path.parent.mkdir()
    with sqlite3.connect(store.path) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    for use in (store.list, lambda: store.add(answer(), "right")):
        with pytest.raises(FeedbackError, match="a database of something else"):
            use()


def test_an_empty_file_counts_as_none(store: FeedbackStore) -> None:
    store.path.parent.mkdir()
    store.path.touch()
    assert store.list() == ()
    store.add(answer(), "right")
    assert len(store.list()) == 1


def test_a_folder_that_cannot_be_made_names_the_setting(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(FeedbackError, match="setting 'data'"):
        FeedbackStore(tmp_path / "data").add(answer(), "right")
    # What can only be read as a folder cannot be opened as a file.
    (tmp_path / FEEDBACK_FILE).mkdir()
    with pytest.raises(CitadelleError, match="cannot be read or written"):
        FeedbackStore(tmp_path).list()
