"""Conversations on the page: found again, listed, renamed, deleted, brought back."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rag.errors import CitadelleError
from rag.feedback import FeedbackStore
from rag.history import HISTORY_FILE, ConversationStore, KeptConversation, KeptExchange
from rag.types import Answer
from tests.conftest import ROOT
from tests.ui.conftest import HOSTILE, NOTE, FakeEngine, Start, document, quoting, shown
from tests.ui.test_feedback import ABSTENTION
from ui.exchange import Exchange
from ui.history import _age, _exported, turn_to_answer
from ui.texts import TEXTS

FR = TEXTS["fr"]
QUESTION = "Que garde le fort ?"
MARKED = '<mark data-number="1" data-keys="1">Il garde la Meuse.</mark>'
CARD = '<section class="cit-card">'


def kept() -> ConversationStore:
    return ConversationStore(Path(os.environ["CITADELLE_DATA"]))


def ask(page: AppTest, question: str = QUESTION) -> AppTest:
    return page.chat_input[0].set_value(question).run()


def another(identifier: str = "") -> AppTest:
    """Open the page in another window, at the address of a conversation."""
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20)
    if identifier:
        page.query_params["c"] = identifier
    return page.run()


def address(page: AppTest) -> str:
    value = page.query_params.get("c", "")
    return value if isinstance(value, str) else value[0]


def listed(page: AppTest) -> list[str]:
    return [button.key for button in page.button if (button.key or "").startswith("open-")]


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button if (button.key or "").startswith("open-")]


# --- Found again --------------------------------------------------------------------------


def test_nothing_is_kept_before_a_question(start: Start, tmp_path: Path) -> None:
    page = start(FakeEngine())
    assert address(page) == "" and listed(page) == []
    assert FR.history not in shown(page)
    assert not (tmp_path / "data").exists()


def test_a_conversation_has_an_address_and_is_found_there_again(start: Start) -> None:
    engine = FakeEngine()
    page = ask(ask(start(engine)), "Depuis quand ?")
    identifier = address(page)
    assert len(identifier) == 16
    again = another(identifier)
    markup = shown(again)
    assert address(again) == identifier
    assert markup.index(QUESTION) < markup.index("Depuis quand ?")
    assert markup.count(MARKED) == 2
    assert FR.welcome_title not in markup
    assert len(engine.asked) == 2
    # It goes on: with its earlier questions, and at the same address.
    ask(again, "Et où ?")
    assert engine.asked[-1] == ("Et où ?", [QUESTION, "Depuis quand ?"])
    assert address(again) == identifier
    assert [exchange.question for exchange in kept().exchanges(identifier)] == [
        QUESTION,
        "Depuis quand ?",
        "Et où ?",
    ]


def test_a_question_that_was_interrupted_is_answered_when_the_page_is_back(start: Start) -> None:
    engine = FakeEngine()
    start(engine)
    kept().add("c0", [KeptExchange("e0", QUESTION, (("tag", "histoire", "histoire"),))])
    page = another("c0")
    assert engine.asked == [(QUESTION, [])]
    assert engine.filtered == [{"tag": "histoire"}]
    assert MARKED in shown(page)
    (exchange,) = kept().exchanges("c0")
    assert exchange.answer is not None and exchange.corpus_hash == "c0"
    another("c0")
    assert len(engine.asked) == 1


def test_an_earlier_question_that_was_interrupted_is_answered_in_its_turn(start: Start) -> None:
    engine = FakeEngine()
    start(engine)
    kept().add("c0", [KeptExchange("a", "Un fort ?"), KeptExchange("b", "Deux forts ?")])
    another("c0")
    assert engine.asked == [("Un fort ?", []), ("Deux forts ?", ["Un fort ?"])]


def test_a_question_that_was_asked_alone_still_is_when_the_page_is_back(start: Start) -> None:
    engine = FakeEngine()
    start(engine)
    first = KeptExchange("a", "Un fort ?", answer=quoted("Un fort ?"))
    kept().add("c0", [first, KeptExchange("b", "Et lui ?", alone=True)])
    ask(another("c0"), "Et après ?")
    assert engine.asked == [("Et lui ?", []), ("Et après ?", ["Et lui ?"])]


def test_errors_and_hints_are_found_again(start: Start) -> None:
    engine = FakeEngine(gives=ABSTENTION)
    page = ask(start(engine), "Quel temps fait-il ?")
    engine.gives = CitadelleError("The index is being rebuilt.")
    ask(page, "Et demain ?")
    markup = shown(another(address(page)))
    assert "<li>Dites-le &lt;b&gt;autrement&lt;/b&gt;.</li>" in markup
    assert "The index is being rebuilt." in markup
    # What came close is looked up again.
    assert FR.perhaps_help in markup


def test_an_answer_of_a_document_that_changed_shows_the_quote_alone(start: Start) -> None:
    engine = FakeEngine()
    page = ask(start(engine))
    engine.documents = {NOTE: replace(document(), content_hash="1", plain="Tout autre chose.")}
    markup = shown(another(address(page)))
    assert MARKED in markup
    assert "Tout autre chose." not in markup
    engine.documents = {"autre.md": document("Texte.", "autre.md")}
    assert MARKED in shown(another(address(page)))


def test_an_abstention_does_not_show_what_a_passage_says_now(start: Start) -> None:
    engine = FakeEngine(gives=ABSTENTION)
    page = ask(start(engine), "Quel temps fait-il ?")
    engine.documents = {NOTE: replace(document(), text="x" * 100)}
    again = another(address(page))
    assert not [box for box in again.expander if box.label == FR.perhaps]


def test_an_answer_that_cannot_be_read_says_so(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(FakeEngine())
    kept().add("c0", [KeptExchange("e0", QUESTION, answer=ABSTENTION)])
    read = ConversationStore.exchanges

    def unreadable(*arguments: object) -> tuple[KeptExchange, ...]:
        found = read(*arguments)  # type: ignore[arg-type]
        return tuple(replace(exchange, answer=None, unreadable=True) for exchange in found)

    monkeypatch.setattr(ConversationStore, "exchanges", unreadable)
    assert FR.history_unreadable in shown(another("c0"))


@pytest.mark.parametrize("identifier", ["0123456789abcdef", "<script>", "' OR 1=1"])
def test_an_address_that_leads_nowhere_begins_a_new_conversation(
    start: Start, identifier: str
) -> None:
    ask(start(FakeEngine()))
    page = another(identifier)
    markup = shown(page)
    assert FR.history_gone in markup and FR.welcome_title in markup
    assert "<script>" not in markup and address(page) == ""
    ask(page)
    assert FR.history_gone not in shown(page)


# --- Feedback -----------------------------------------------------------------------------


def test_what_was_said_of_an_answer_is_found_again_and_can_be_changed(start: Start) -> None:
    page = ask(ask(start(FakeEngine())), "Depuis quand ?")
    page.button_group(key="verdict-2").set_value("right").run()
    again = another(address(page))
    assert again.button_group(key="verdict-1").value is None
    assert again.button_group(key="verdict-2").value == "right"
    again.button_group(key="verdict-2").set_value("wrong").run()
    again.text_area(key="comment-2").set_value("Non.")
    again.button(key="save-2").click().run()
    store = FeedbackStore(Path(os.environ["CITADELLE_DATA"]))
    # The same answer: what was said first is replaced.
    (feedback,) = store.list()
    assert (feedback.verdict, feedback.comment) == ("wrong", "Non.")
    assert (feedback.history, feedback.corpus_hash) == ((QUESTION,), "c0")


def test_widgets_of_one_conversation_say_nothing_of_another(start: Start) -> None:
    page = ask(start(FakeEngine()), "Le premier fort ?")
    page.button_group(key="verdict-1").set_value("right").run()
    assert "cit-document" in shown(page)
    kept().add("c0", [KeptExchange("e0", "Le second fort ?", answer=quoted("Le second fort ?"))])
    page.run()
    page.button(key="open-c0").click().run()
    assert "Le second fort ?" in shown(page)
    verdicts = [group for group in page.button_group if (group.key or "").startswith("verdict-")]
    assert [group.value for group in verdicts] == [None]
    assert "cit-document" not in shown(page)
    (feedback,) = FeedbackStore(Path(os.environ["CITADELLE_DATA"])).list()
    assert feedback.question == "Le premier fort ?"


def quoted(question: str) -> Answer:
    return quoting(document(), "Il garde la Meuse.", question)


# --- Two windows --------------------------------------------------------------------------


def test_two_windows_do_not_mix(start: Start) -> None:
    engine = FakeEngine()
    one = start(engine)
    two = another()
    ask(one, "Une question ?")
    ask(two, "Une autre ?")
    ask(one, "La suite de l’une ?")
    ask(two, "La suite de l’autre ?")
    assert address(one) != address(two)
    assert engine.asked[2:] == [
        ("La suite de l’une ?", ["Une question ?"]),
        ("La suite de l’autre ?", ["Une autre ?"]),
    ]
    assert "Une autre ?" not in shown(one) and "Une question ?" not in shown(two)
    # Each is in the other's list.
    assert len(listed(two)) == 2


def test_one_conversation_in_two_windows_loses_nothing(start: Start) -> None:
    one = ask(start(FakeEngine()), "Un ?")
    two = another(address(one))
    ask(two, "Deux ?")
    ask(one, "Trois ?")
    markup = shown(one)
    places = [markup.index(f">{question}<") for question in ("Un ?", "Deux ?", "Trois ?")]
    assert places == sorted(places)
    two.run()
    assert "Trois ?" in shown(two)
    assert [exchange.question for exchange in kept().exchanges(address(one))] == [
        "Un ?",
        "Deux ?",
        "Trois ?",
    ]


def test_two_windows_answer_a_question_once(tmp_path: Path) -> None:
    exchange = Exchange("Un fort ?")
    inside = threading.Barrier(2)
    order: list[str] = []

    def window(name: str) -> None:
        if name == "second":
            inside.wait(5)
        with turn_to_answer(exchange, tmp_path) as wanted:
            order.append(f"{name} {wanted}")
            if wanted:
                inside.wait(5)
                store = ConversationStore(tmp_path)
                store.add("c0", [KeptExchange(exchange.identifier, "Un fort ?", error="Non.")])
                order.append(f"{name} done")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(window, ["first", "second"]))
    assert order == ["first True", "first done", "second False"]


# --- The list -----------------------------------------------------------------------------


def test_a_conversation_is_opened_from_the_list_and_marked(start: Start) -> None:
    page = ask(start(FakeEngine()), "La première ?")
    first = address(page)
    page.button(key="new").click().run()
    assert address(page) == "" and FR.welcome_title in shown(page)
    ask(page, "La seconde ?")
    assert listed(page) == [f"open-{address(page)}", f"open-{first}"]
    assert [button.icon for button in page.button if button.key in listed(page)] == [
        ":material/arrow_right:",
        "",
    ]
    page.button(key=f"open-{first}").click().run()
    assert address(page) == first
    assert "La première ?" in shown(page) and "La seconde ?" not in shown(page)


def test_opening_a_conversation_leaves_the_documents(start: Start) -> None:
    page = ask(start(FakeEngine()))
    page.button_group(key="view").set_value("documents").run()
    page.button(key=listed(page)[0]).click().run()
    assert QUESTION in shown(page)


def test_many_conversations_are_searched_and_shown_bit_by_bit(start: Start) -> None:
    page = start(FakeEngine())
    for number in range(18):
        question = f"Le fort numéro {number} ?"
        kept().add(f"c{number}", [KeptExchange(f"e{number}", question, answer=quoted(question))])
    page.run()
    assert listed(page) == [f"open-c{number}" for number in range(17, 2, -1)]
    page.button(key="history-more").click().run()
    assert len(listed(page)) == 18
    assert "history-more" not in {button.key for button in page.button}
    page.text_input(key="history-search").set_value("NUMERO 7 meuse").run()
    assert listed(page) == ["open-c7", "open-c17"] or listed(page) == ["open-c17", "open-c7"]
    page.text_input(key="history-search").set_value("numéro 70").run()
    assert listed(page) == [] and FR.history_none in shown(page)


def test_few_conversations_need_no_search(start: Start) -> None:
    page = ask(start(FakeEngine()))
    assert not [box for box in page.text_input if box.key == "history-search"]
    assert FR.history_today in shown(page)


@pytest.mark.parametrize(
    ("updated", "age"),
    [
        ("2026-11-22T00:30:00.000+00:00", 0),
        ("2026-11-23T09:00:00.000+00:00", 0),  # The clock was set back.
        ("2026-11-21T23:30:00.000+00:00", 1),
        ("2026-11-15T00:00:00.000+00:00", 2),
        ("2026-11-14T23:59:59.000+00:00", 3),
    ],
)
def test_conversations_are_grouped_by_day(updated: str, age: int) -> None:
    entry = KeptConversation("c", "t", updated, updated)
    assert _age(entry, date(2026, 11, 22), UTC) == age


def test_a_hostile_title_is_a_label_that_is_not_interpreted(start: Start) -> None:
    page = ask(start(FakeEngine()), "![x](http://a.example/x.png) :material/home: $x$ :red[r] <b>")
    (label,) = labels(page)
    assert "](" not in label and ":material" not in label and "http:/" not in label
    assert label.replace("\\", "").replace("\u2060", "") == (
        "![x](http://a.example/x.png) :material/home: $x$ :red[r] <b>"
    )


# --- Renamed, deleted, brought back -------------------------------------------------------


def opened_menu(page: AppTest) -> str:
    identifier = address(page)
    page.session_state[f"actions-{identifier}"] = True
    page.run()
    return identifier


def test_a_conversation_is_renamed(start: Start) -> None:
    page = ask(start(FakeEngine()))
    identifier = opened_menu(page)
    box = page.text_input(key=f"title-{identifier}")
    assert box.value == QUESTION
    box.set_value("Le vieux fort")
    page.button(key=f"FormSubmitter:rename-{identifier}-{FR.history_rename}").click().run()
    assert labels(page) == ["Le vieux fort"]
    assert page.session_state[f"actions-{identifier}"] is False
    assert QUESTION in shown(page)


def test_a_deleted_conversation_can_be_brought_back(start: Start) -> None:
    page = ask(start(FakeEngine()))
    identifier = opened_menu(page)
    page.button(key=f"delete-{identifier}").click().run()
    markup = shown(page)
    assert listed(page) == [] and address(page) == ""
    assert FR.welcome_title in markup
    assert FR.history_deleted.format(title=QUESTION) in markup
    page.button(key=f"undo-{identifier}").click().run()
    assert address(page) == identifier and len(listed(page)) == 1
    assert MARKED in shown(page)
    assert not [button for button in page.button if (button.key or "").startswith("undo-")]


def test_several_deletions_are_undone_from_the_last(start: Start) -> None:
    page = ask(start(FakeEngine()), "Un fort ?")
    first = opened_menu(page)
    page.button(key=f"delete-{first}").click().run()
    ask(page, "Deux forts ?")
    second = opened_menu(page)
    page.button(key=f"delete-{second}").click().run()
    page.button(key=f"undo-{second}").click().run()
    page.button(key=f"undo-{first}").click().run()
    assert set(listed(page)) == {f"open-{first}", f"open-{second}"}


def test_a_conversation_deleted_in_another_window_can_be_brought_back_here(start: Start) -> None:
    page = ask(start(FakeEngine()))
    identifier = address(page)
    kept().delete(identifier)
    page.run()
    assert FR.history_gone in shown(page) and address(page) == ""
    page.button(key=f"undo-{identifier}").click().run()
    assert QUESTION in shown(page) and FR.history_gone not in shown(page)


@pytest.mark.parametrize(("deleted", "there"), [("2026-01-01", False), ("2999-01-01", True)])
def test_what_was_deleted_before_yesterday_is_purged_at_the_next_opening(
    start: Start, deleted: str, there: bool
) -> None:
    start(FakeEngine())
    kept().add("c0", [KeptExchange("e0", QUESTION, answer=ABSTENTION)])
    with sqlite3.connect(kept().path) as connection:
        connection.execute("UPDATE conversations SET deleted = ?", (deleted,))
    connection.close()
    another()
    assert (kept().get("c0") is not None) is there


# --- Files --------------------------------------------------------------------------------


def test_a_conversation_is_exported_in_three_forms(start: Start) -> None:
    engine = FakeEngine()
    page = ask(start(engine))
    identifier = opened_menu(page)
    names = {button.proto.label for button in page.get("download_button")}
    assert names == {FR.export_markdown, FR.export_html, FR.export_json}
    store = kept()
    entry = store.get(identifier)
    assert entry is not None
    for suffix, sign in (("md", "> Il garde la Meuse."), ("html", "<!doctype"), ("json", "{")):
        made = _exported(
            suffix, entry, store, engine, "http://host/", date(2026, 1, 1), FR, "fr"
        ).decode()
        assert sign in made and "http://host/?doc=note.md" in made.replace("&amp;", "&")


# --- A file that cannot be used -----------------------------------------------------------


def test_a_damaged_file_is_said_once_and_the_page_goes_on(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    broken = tmp_path / "data" / HISTORY_FILE
    broken.write_bytes(b"no database" * 100)
    page = start(FakeEngine())
    markup = shown(page)
    assert (
        FR.history_unkept in markup and "mis de côté sous le nom conversations-damaged-" in markup
    )
    (aside,) = broken.parent.glob("conversations-damaged-*")
    assert aside.read_bytes() == b"no database" * 100
    ask(page)
    assert FR.history_unkept in shown(page)
    ask(page, "Depuis quand ?")
    assert FR.history_unkept not in shown(page)
    assert [entry.questions for entry in kept().list()] == [2]


def test_a_conversation_outlives_the_file_it_was_kept_in(start: Start) -> None:
    page = ask(start(FakeEngine()), "Un fort ?")
    kept().path.write_bytes(b"no database" * 100)
    ask(page, "Deux forts ?")
    markup = shown(page)
    assert FR.history_unkept in markup
    assert "Un fort ?" in markup and markup.count(CARD) == 2
    ask(page, "Trois forts ?")
    questions = [exchange.question for exchange in kept().exchanges(address(page))]
    assert questions == ["Un fort ?", "Deux forts ?", "Trois forts ?"]
    assert not any(exchange.pending for exchange in kept().exchanges(address(page)))


def test_a_folder_that_cannot_be_written_does_not_keep_from_asking(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "data").write_text("not a folder")
    engine = FakeEngine()
    page = ask(ask(start(engine)), "Depuis quand ?")
    markup = shown(page)
    assert FR.history_unkept in markup and str(tmp_path / "data") in markup
    assert markup.count(CARD) == 2
    assert engine.asked[-1] == ("Depuis quand ?", [QUESTION])


def test_a_hostile_conversation_is_found_again_as_text(start: Start) -> None:
    source = document(HOSTILE)
    page = ask(start(FakeEngine({NOTE: source}, quoting(source, HOSTILE))), HOSTILE)
    markup = shown(another(address(page)))
    assert "<img" not in markup and "&lt;img src=x" in markup


def test_dates_are_written_as_each_language_does() -> None:
    day, other = date(2026, 8, 1), date(2026, 11, 22)
    assert [TEXTS[code].date(day) for code in ("fr", "en", "nl")] == [
        "1er août 2026",
        "1 August 2026",
        "1 augustus 2026",
    ]
    assert FR.date(other) == "22 novembre 2026"
