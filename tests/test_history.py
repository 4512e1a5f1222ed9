"""Conversations on disk: come back equal, shared by writers, never lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rag.errors import HistoryError
from rag.history import (
    HISTORY_FILE,
    LONGEST_TITLE,
    ConversationStore,
    KeptExchange,
    new_identifier,
    title_of,
)
from rag.types import Answer, Citation, Passage
from tests.conftest import ROOT

C = "c0"


def answer(question: str = "Où ?", text: str = "À Bruxelles [1].", **more: Any) -> Answer:
    return Answer(
        question=question,
        language="fr",
        text=text,
        short_answer="Bruxelles",
        citations=(Citation("1", "note.md", "abc", 0, 9, "Bruxelles", "Note", ("A", "B")),),
        passages=(Passage("note.md", 0, 30, "Bruxelles, depuis toujours.", 0.5, True),),
        abstained=False,
        confidence=0.9,
        mode="extractive",
        timings={"total_ms": 12.25},
        **more,
    )


def asked(question: str = "Où ?", identifier: str = "") -> KeptExchange:
    return KeptExchange(identifier or new_identifier(), question)


def answered(question: str = "Où ?", text: str = "À Bruxelles [1].") -> KeptExchange:
    return replace(asked(question), answer=answer(question, text))


@pytest.fixture
def store(tmp_path: Path) -> ConversationStore:
    return ConversationStore(tmp_path / "data", patience=5.0)


def test_nothing_is_there_before_the_first_question(store: ConversationStore) -> None:
    assert store.list() == ()
    assert store.get(C) is None
    assert store.settled(C) == {}
    assert store.exchanges(C) == ()
    assert store.purge() == 0
    assert store.settle(answered()) is False
    store.add(C, [])
    with pytest.raises(HistoryError, match="no conversation 'c0'"):
        store.delete(C)
    assert not store.path.parent.exists()
    store.add(C, [asked()])
    # Nothing is left beside the file once it is closed.
    assert [path.name for path in store.path.parent.iterdir()] == [HISTORY_FILE]


def test_a_question_is_kept_before_its_answer(store: ConversationStore) -> None:
    question = KeptExchange(
        "e1",
        "Où siège le BCC ?",
        filters=(("tag", "bureau", "bureau"), ("doc", "a.md", "Le [A]")),
        alone=True,
    )
    store.add(C, [question])
    (pending,) = store.exchanges(C)
    assert pending == replace(question, created=pending.created)
    assert pending.pending and pending.created.endswith("+00:00")
    assert store.settled(C) == {"e1": False}

    done = replace(
        pending,
        answer=answer(),
        hints=("Dites-le autrement.",),
        history=("Qui ?",),
        corpus_hash="f00",
        version="0.1.0",
    )
    assert store.settle(done) is True
    (kept,) = store.exchanges(C)
    assert kept == replace(done, settled=kept.settled)
    assert kept.settled >= kept.created
    assert store.settled(C) == {"e1": True}


def test_what_is_kept_first_stays(store: ConversationStore) -> None:
    question = asked()
    store.add(C, [question])
    assert store.settle(replace(question, answer=answer(text="Ici.")))
    # The same question, answered in another window too.
    assert not store.settle(replace(question, answer=answer(text="Là.")))
    assert not store.settle(replace(question, error="Non."))
    (kept,) = store.exchanges(C)
    assert kept.answer == answer(text="Ici.") and kept.error == ""


def test_an_error_is_kept_as_it_was_said(store: ConversationStore) -> None:
    question = asked()
    store.add(C, [question])
    assert store.settle(replace(question, error="Non \ud800."))
    (kept,) = store.exchanges(C)
    assert (kept.error, kept.answer, kept.pending) == ("Non ?.", None, False)


def test_what_is_missing_is_added_whole(store: ConversationStore) -> None:
    first, second, third = answered("Un ?"), answered("Deux ?"), asked("Trois ?")
    store.add(C, [first])
    store.add(C, [first, second, third])
    kept = store.exchanges(C)
    assert [exchange.question for exchange in kept] == ["Un ?", "Deux ?", "Trois ?"]
    assert [exchange.pending for exchange in kept] == [False, False, True]
    assert kept[1].answer == second.answer
    assert store.exchanges(C, [second.id]) == (kept[1],)


text = st.text(max_size=20)
any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=10)
floats = st.floats(allow_nan=False)
answers = st.builds(
    Answer,
    question=text,
    language=st.sampled_from(["fr", "en", "nl", "unknown"]),
    text=text,
    short_answer=text,
    citations=st.lists(
        st.builds(
            Citation,
            key=text,
            doc_id=any_text,
            content_hash=text,
            start=st.integers(0, 10**6),
            end=st.integers(0, 10**6),
            quote=any_text,
            title=any_text,
            heading_path=st.lists(text, max_size=3).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    passages=st.lists(
        st.builds(
            Passage,
            doc_id=any_text,
            start=st.integers(0, 10**6),
            end=st.integers(0, 10**6),
            text=any_text,
            score=floats,
            used=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
    abstained=st.booleans(),
    confidence=floats,
    mode=st.sampled_from(["extractive", "abstention", "courtesy"]),
    understood=text,
    timings=st.dictionaries(text, floats, max_size=3),
)


@given(given_answer=answers)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_answer_comes_back_equal(store: ConversationStore, given_answer: Answer) -> None:
    exchange = KeptExchange(new_identifier(), "?", answer=given_answer)
    conversation = new_identifier()
    store.add(conversation, [exchange])
    (kept,) = store.exchanges(conversation)
    assert kept.answer == given_answer


def test_an_answer_that_is_not_understood_does_not_hide_the_others(
    store: ConversationStore,
) -> None:
    store.add(C, [answered("Un ?"), answered("Deux ?")])
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE exchanges SET answer = '{\"text\": 1}' WHERE number = 1")
    connection.close()
    first, second = store.exchanges(C)
    assert first.unreadable and not first.pending and first.question == "Un ?"
    assert second.answer is not None


# --- Titles -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("Où siège le BCC ?", "Où siège le BCC ?"),
        (" Où\n siège\tle BCC ? ", "Où siège le BCC ?"),
        ("a" * 60, "a" * 60),
        ("a" * 61, "a" * 60 + "…"),
        (
            "Quelles sont les missions, les moyens et les responsables, à ce jour, du bureau ?",
            # 60 characters end within "responsables,".
            "Quelles sont les missions, les moyens et les responsables…",
        ),
    ],
)
def test_a_title_is_the_question_cut_at_a_word(question: str, title: str) -> None:
    assert title_of(question) == title


def test_a_conversation_is_renamed(store: ConversationStore) -> None:
    store.add(C, [asked()])
    store.rename(C, "  Le  bureau\n")
    store.rename(C, "   ")
    assert [found.title for found in store.list("BUREAU")] == ["Le bureau"]
    with pytest.raises(HistoryError, match="201 characters; at most 200"):
        store.rename(C, "x" * (LONGEST_TITLE + 1))
    # A later question does not take the name away.
    store.add(C, [asked("Quand ?")])
    assert store.list()[0].title == "Le bureau"


# --- Lists --------------------------------------------------------------------------------


def test_the_newest_is_first(store: ConversationStore) -> None:
    for name in ("a", "b", "c"):
        store.add(name, [asked(f"{name} ?")])
    store.add("a", [asked("encore ?")])
    assert [(found.id, found.questions) for found in store.list()] == [("a", 2), ("c", 1), ("b", 1)]
    assert [found.id for found in store.list(limit=2)] == ["a", "c"]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", "ba"),
        ("  ", "ba"),
        ("BRUXELLES", "a"),
        ("coeur", "b"),
        ("l'ete", "b"),
        ("noel  BRULE", "b"),
        # In different exchanges of one conversation.
        ("bruxelles depuis", "a"),
        ("bruxelles noël", ""),
        # Signs of SQL are text.
        ("%", ""),
        ("_", ""),
        ("' OR 1=1", ""),
        ("100 %", ""),
    ],
)
def test_search_goes_over_titles_questions_and_answers(
    store: ConversationStore, search: str, found: str
) -> None:
    store.add("a", [answered("Où siège le BCC ?"), answered("Depuis quand ?", "Depuis 2021.")])
    store.add("b", [answered("Que brûle-t-on à Noël ?", "Le cœur de l’été.")])
    assert "".join(conversation.id for conversation in store.list(search)) == found


# --- Deletion -----------------------------------------------------------------------------


def test_what_is_deleted_is_hidden_until_it_is_restored(store: ConversationStore) -> None:
    store.add(C, [answered()])
    store.delete(C)
    assert store.list() == ()
    conversation = store.get(C)
    assert conversation is not None and conversation.deleted
    assert store.purge() == 0
    store.restore(C)
    assert [found.id for found in store.list()] == [C]
    assert store.exchanges(C)[0].answer == answer()


def test_what_was_deleted_long_ago_is_erased_from_the_disk(store: ConversationStore) -> None:
    store.add(C, [answered("Question secrète ?")])
    store.add("other", [answered("Une autre ?")])
    store.delete(C)
    assert store.purge(timedelta(0)) == 1
    assert store.get(C) is None and store.exchanges(C) == ()
    assert [found.id for found in store.list()] == ["other"]
    assert b"secr" not in store.path.read_bytes()


# --- Writers at once ----------------------------------------------------------------------


def test_threads_lose_nothing(store: ConversationStore) -> None:
    def write(number: int) -> None:
        exchange = asked(f"Question {number} ?", f"e{number}")
        store.add(C, [exchange])
        assert store.settle(replace(exchange, answer=answer(exchange.question)))
        assert f"e{number}" in store.settled(C)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    kept = store.exchanges(C)
    assert sorted(exchange.id for exchange in kept) == sorted(f"e{n}" for n in range(40))
    assert all(kept_.answer == answer(kept_.question) for kept_ in kept)


_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
from rag.history import ConversationStore
from tests.test_history import C, answer, asked

folder, name = sys.argv[1:]
store = ConversationStore(Path(folder))
for number in range(15):
    exchange = asked(f"{name} {number}", f"{name}{number}")
    store.add(C, [exchange])
    assert store.settle(replace(exchange, answer=answer(exchange.question)))
    assert store.settled(C)[exchange.id]
"""


def test_processes_lose_nothing(tmp_path: Path) -> None:
    # The file is made by whichever comes first, while the others try to.
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path), name], cwd=ROOT)
        for name in "abc"
    ]
    assert [writer.wait(300) for writer in writers] == [0, 0, 0]
    kept = ConversationStore(tmp_path).exchanges(C)
    assert len(kept) == 45
    for name in "abc":
        own = [exchange.question for exchange in kept if exchange.id.startswith(name)]
        assert own == [f"{name} {number}" for number in range(15)]
    assert not any(exchange.pending for exchange in kept)


def test_one_process_reads_while_another_writes(store: ConversationStore) -> None:
    store.add(C, [asked()])
    writer = sqlite3.connect(store.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("UPDATE conversations SET title = 'x'")
    assert [found.title for found in store.list()] == ["Où ?"]
    hasty = ConversationStore(store.path.parent, patience=0.05)
    with pytest.raises(HistoryError, match="Another process is writing"):
        hasty.add(C, [asked()])
    writer.execute("ROLLBACK")
    writer.close()
    hasty.add(C, [asked()])
    assert len(store.exchanges(C)) == 2


# --- Files that are not as they ought to be -----------------------------------------------


def test_a_damaged_file_is_set_aside_and_a_new_one_begun(store: ConversationStore) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database" * 100)
    with pytest.raises(HistoryError, match=r"was damaged .* set aside as conversations-damaged-"):
        store.list()
    (aside,) = store.path.parent.glob("conversations-damaged-*.sqlite3")
    assert aside.read_bytes() == b"no database" * 100
    assert store.list() == ()
    store.add(C, [asked()])
    assert len(store.list()) == 1


def test_damage_within_the_file_is_found_and_loses_nothing(store: ConversationStore) -> None:
    store.add(C, [answered(f"Question {number} ?", "x" * 3000) for number in range(40)])
    whole = store.path.read_bytes()
    damaged = whole[:8192] + b"\xff" * (len(whole) - 8192)
    store.path.write_bytes(damaged)
    with pytest.raises(HistoryError, match="set aside"):
        store.exchanges(C)
    (aside,) = store.path.parent.glob("conversations-damaged-*.sqlite3")
    assert aside.read_bytes() == damaged


def test_of_two_that_find_damage_only_one_sets_the_file_aside(store: ConversationStore) -> None:
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database" * 100)
    with pytest.raises(HistoryError):
        store.list()
    store.add(C, [asked()])
    # The other one saw the damage before the new file was there.
    error = store._set_aside(_not_a_database())
    assert "was damaged and is replaced" in str(error)
    assert len(store.list()) == 1


def _not_a_database() -> sqlite3.Error:
    error = sqlite3.DatabaseError("file is not a database")
    error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
    return error


def test_an_empty_file_is_one_that_was_not_made_yet(store: ConversationStore) -> None:
    store.path.parent.mkdir()
    store.path.touch()
    assert store.list() == ()
    store.add(C, [asked()])
    assert len(store.list()) == 1
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_file_of_the_format_before_is_read_and_goes_on(store: ConversationStore) -> None:
    store.add(C, [asked("Où ?", "e1")])
    connection = sqlite3.connect(store.path)
    connection.execute("ALTER TABLE exchanges DROP COLUMN quoted")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    (kept,) = store.exchanges(C)
    assert kept.question == "Où ?" and kept.quoted is False
    store.add(C, [KeptExchange("e2", "Quand ?", quoted=True)])
    assert [exchange.quoted for exchange in store.exchanges(C)] == [False, True]
    store.settle(replace(kept, answer=answer(), quoted=True))
    assert [exchange.quoted for exchange in store.exchanges(C)] == [True, True]


def test_an_answer_of_a_language_model_comes_back_equal(store: ConversationStore) -> None:
    written = replace(
        answer(), mode="written", model="openai:m", removed=("Non.", "Si."), notice="Coupé."
    )
    store.add(C, [replace(asked(), answer=written)])
    (kept,) = store.exchanges(C)
    assert kept.answer == written


def test_a_newer_file_or_another_one_is_left_as_it_is(store: ConversationStore) -> None:
    store.path.parent.mkdir()
    connection = sqlite3.connect(store.path)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    with pytest.raises(HistoryError, match="a database of something else"):
        store.add(C, [asked()])
    connection.execute("PRAGMA user_version = 9")
    connection.close()
    with pytest.raises(HistoryError, match=r"newer version of Citadelle \(format 9"):
        store.list()
    assert [path.name for path in store.path.parent.iterdir()] == [HISTORY_FILE]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(HistoryError, match="the setting 'data'"):
        ConversationStore(tmp_path / "data").add(C, [asked()])
