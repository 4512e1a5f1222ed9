"""Answers that a language model writes, on the page: shown as they stand, stopped, allowed."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.elements.lib.mutable_status_container import StatusContainer
from streamlit.testing.v1 import AppTest

from rag.config import Settings
from rag.errors import CitadelleError, InvalidFilter
from rag.history import ConversationStore, KeptExchange
from rag.types import Answer
from rag.writing import NOTICES, Event, Notice, Removed, Sentence
from tests.conftest import ROOT
from tests.ui.conftest import HOSTILE, FakeEngine, Start, document, quoting, read, shown
from tests.ui.test_reading import tell, told
from ui import written_answers
from ui.consent import CONSENT_FILE
from ui.texts import TEXTS
from ui.writing import Writing

FR, EN = TEXTS["fr"], TEXTS["en"]
QUESTION = "Que garde le fort ?"
LOCAL = {"llm": "openai:petit", "llm_base_url": "http://127.0.0.1:9/v1"}
REMOTE = {"llm": "openai:grand", "llm_base_url": "https://models.example.org/v1"}
PATIENCE = 10.0

FIRST = quoting(document(), "Il garde la Meuse.", key="1").citations[0]
SECOND = quoting(document(), "Fin.", key="2").citations[0]
SENTENCES = (
    Sentence("Le fort garde un fleuve, la Meuse [1].", (FIRST,)),
    Sentence("Le récit s’arrête là [2].", (SECOND,), before=" "),
)
TEXT = "Le fort garde un fleuve, la Meuse [1]. Le récit s’arrête là [2]."
WRITTEN = replace(
    quoting(document(), "Il garde la Meuse.", QUESTION),
    text=TEXT,
    citations=(FIRST, SECOND),
    mode="written",
    model="openai:petit",
    removed=("Il compte mille canons.", f"Il brille. {HOSTILE}"),
)


def held_back(more: threading.Event) -> Callable[[Callable[[], bool]], Iterator[Event]]:
    """Return an answer whose first sentence stands while the rest waits."""

    def events(_stopped: Callable[[], bool]) -> Iterator[Event]:
        yield SENTENCES[0]
        assert more.wait(PATIENCE)
        yield WRITTEN

    return events


def whole(_stopped: Callable[[], bool]) -> Iterator[Event]:
    yield SENTENCES[0]
    yield Removed(WRITTEN.removed[0], ("number",))
    yield SENTENCES[1]
    yield WRITTEN


def engine(settings: dict[str, str] = LOCAL, **more: Any) -> FakeEngine:
    """Return an engine with a language model, of the page's data folder."""
    kept = Settings(data=Path(os.environ["CITADELLE_DATA"]), **settings)
    return FakeEngine(**{"settings": kept, "events": whole, **more})


@pytest.fixture
def begin(start: Start, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """Return a function that opens the page on an engine, with its settings in force."""

    def open_page(given: FakeEngine) -> AppTest:
        monkeypatch.setenv("CITADELLE_LLM", given.settings.llm)
        monkeypatch.setenv("CITADELLE_LLM_BASE_URL", given.settings.llm_base_url)
        return start(given)

    return open_page


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the texts that are drawn while an answer is written."""
    texts: list[str] = []
    render = written_answers.written_html

    def record(text: str, *more: Any) -> str:
        texts.append(text)
        return render(text, *more)

    monkeypatch.setattr(written_answers, "written_html", record)
    return texts


def ask(page: AppTest, question: str = QUESTION) -> AppTest:
    return page.chat_input[0].set_value(question).run()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def keys(page: AppTest) -> set[str]:
    return {str(button.key).rsplit("-", 1)[0] for button in page.button}


def labels(page: AppTest) -> list[str]:
    return [box.label for box in page.expander]


@contextmanager
def clicked_when(monkeypatch: pytest.MonkeyPatch, ready: Callable[[], bool]) -> Iterator[None]:
    """End the run of the page as a click does, once what is drawn is as wished for."""
    wait = Writing.wait

    def interrupted(writing: Writing, seconds: float) -> bool:
        done = wait(writing, seconds)
        if ready():
            st.stop()
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Writing, "wait", interrupted)
        yield


# --- Shown as it is written ---------------------------------------------------------------


def test_sentences_are_shown_as_they_stand(
    begin: Start, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    update = StatusContainer.update

    def record(status: StatusContainer, *, label: str) -> None:
        said.append(label)
        update(status, label=label)

    def events(stopped: Callable[[], bool]) -> Iterator[Event]:
        until(lambda: said[-1:] == [FR.writing])
        yield SENTENCES[0]
        until(lambda: drawn[-1:] == ["Le fort garde un fleuve, la Meuse [1]."])
        yield SENTENCES[1]
        until(lambda: drawn[-1:] == [TEXT])
        yield WRITTEN

    monkeypatch.setattr(StatusContainer, "update", record)
    given = engine(events=events)
    page = ask(begin(given))
    assert drawn == ["Le fort garde un fleuve, la Meuse [1].", TEXT]
    markup = shown(page)
    assert (
        '<p>Le fort garde un fleuve, la Meuse<a class="cit-marker" '
        'href="?doc=note.md&amp;at=37-55&amp;hash=618657684437" data-open="1.1"' in markup
    )
    assert 'data-open="1.2"' in markup
    assert "Rédigé par openai:petit, chaque phrase vérifiée" in markup
    assert given.streamed == [(QUESTION, [])] and given.asked == []
    assert "stop" not in keys(page) and not page.status
    ask(page, "Et après ?")
    assert given.streamed[-1] == ("Et après ?", [QUESTION])


def test_what_stands_leads_into_the_source_while_the_rest_is_written(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    more = threading.Event()
    given = engine(events=held_back(more))
    page = begin(given)
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
    markup = shown(page)
    address = "?doc=note.md&amp;at=37-55&amp;hash=618657684437"
    assert f'la Meuse<a class="cit-marker" href="{address}" data-open="{address}"' in markup
    assert page.button(key="stop-1").label == FR.stop
    # Another click, and the same answer goes on.
    more.set()
    page.run()
    assert len(given.streamed) == 1
    assert "chaque phrase vérifiée" in shown(page)
    assert told(page)["quote"] == "1.1"


def test_what_was_opened_while_it_is_written_stays_open(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    more = threading.Event()
    page = begin(engine(events=held_back(more)))
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
        tell(page, "open", "?doc=note.md&at=2-9")
    assert '<mark data-keys="">Le fort</mark>' in shown(page)
    more.set()
    page.run()
    assert "chaque phrase vérifiée" in shown(page)
    assert '<mark data-keys="">Le fort</mark>' in shown(page) and told(page)["quote"] == ""
    # The next answer opens its own again.
    ask(page, "Et après ?")
    assert told(page)["quote"] == "2.1"


def test_what_stands_stays_when_its_document_is_removed(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    more = threading.Event()
    given = engine(events=held_back(more))
    page = begin(given)
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
        there = given.documents.pop("note.md")
        page.run()
        assert "Le fort garde un fleuve, la Meuse" in read(shown(page))[0]
    given.documents["note.md"] = there
    more.set()
    page.run()
    assert "Le récit" in shown(page)


def test_stopping_keeps_what_stands(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    ended = NOTICES["ended"]["fr"]

    def events(stopped: Callable[[], bool]) -> Iterator[Event]:
        yield SENTENCES[0]
        until(stopped)
        yield Notice("ended", ended)
        yield replace(WRITTEN, text=SENTENCES[0].text, citations=(FIRST,), removed=(), notice=ended)

    given = engine(events=events)
    page = begin(given)
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
    page.button(key="stop-1").click().run()
    text, _ = read(shown(page))
    assert len(given.streamed) == 1
    assert "Le fort garde un fleuve" in text and "Le récit" not in text
    assert text.index(ended) < text.index("Le fort garde un fleuve")
    assert "stop" not in keys(page)
    # Kept as it was stopped.
    assert ended in read(shown(another(page)))[0]


def test_one_that_nobody_looks_at_is_stopped_and_begun_again(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    monkeypatch.setattr(written_answers, "Writing", lambda stream: Writing(stream, patience=0.5))
    left = threading.Event()

    def events(stopped: Callable[[], bool]) -> Iterator[Event]:
        if len(given.streamed) == 1:
            yield SENTENCES[0]
            until(stopped)
            left.set()
            yield replace(WRITTEN, text="Coupé [1].")
        else:
            yield WRITTEN

    given = engine(events=events)
    page = begin(given)
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
    assert left.wait(PATIENCE)
    page.run()
    assert len(given.streamed) == 2
    assert "Coupé" not in shown(page) and "Le récit" in shown(page)


def test_a_page_that_is_loaded_again_goes_on_with_it(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    more = threading.Event()
    given = engine(events=held_back(more))
    page = begin(given)
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
    more.set()
    again = another(page)
    assert len(given.streamed) == 1
    assert "Le récit" in shown(again)


def test_one_that_was_left_is_begun_again_when_the_page_is_back(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    left = threading.Event()

    def events(stopped: Callable[[], bool]) -> Iterator[Event]:
        yield SENTENCES[0]
        if len(given.streamed) == 1:
            until(stopped)
            left.set()
        yield WRITTEN

    given = engine(events=events)
    page = begin(given)
    monkeypatch.setattr(written_answers, "Writing", lambda stream: Writing(stream, patience=0.5))
    with clicked_when(monkeypatch, lambda: bool(drawn)):
        ask(page)
    assert left.wait(PATIENCE)
    again = another(page)
    assert [question for question, _ in given.streamed] == [QUESTION, QUESTION]
    assert "Le récit" in shown(again)


def test_the_page_is_drawn_again_meanwhile(
    begin: Start, monkeypatch: pytest.MonkeyPatch, drawn: list[str]
) -> None:
    monkeypatch.setattr(written_answers, "_REDRAW_SECONDS", 0.3)
    given = engine()

    def events(stopped: Callable[[], bool]) -> Iterator[Event]:
        yield SENTENCES[0]
        # What stands is drawn in each run.
        until(lambda: len(drawn) >= 3)
        yield WRITTEN

    given.events = events
    page = ask(begin(given))
    assert len(given.streamed) == 1
    assert set(drawn) == {"Le fort garde un fleuve, la Meuse [1]."}
    assert "Le récit" in shown(page)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CitadelleError("The index <b>is</b> gone."), "The index <b>is</b> gone."),
        (InvalidFilter("no"), FR.filters_none),
        (ZeroDivisionError("x"), FR.unexpected_error),
    ],
)
def test_what_goes_wrong_in_the_thread_is_said(
    begin: Start, error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def events(stopped: Callable[[], bool]) -> Iterator[Event]:
        yield SENTENCES[0]
        raise error

    page = ask(begin(engine(events=events)))
    text, tags = read(shown(page))
    assert words in text and "b" not in tags


# --- Beside it ----------------------------------------------------------------------------


def test_what_was_taken_away_can_be_looked_at(begin: Start) -> None:
    page = ask(begin(engine()))
    assert labels(page)[0] == FR.removed_many.format(count=2)
    inside = "\n".join(each.value for each in page.expander[0].html)
    assert inside.count("<li><del>") == 2 == inside.count(FR.not_supported)
    assert "<del>Il compte mille canons.</del>" in inside
    text, tags = read(inside)
    assert HOSTILE in text and tags == {"ul", "li", "del", "span"}


def test_the_answer_by_quotes_is_made_when_it_is_looked_at(begin: Start) -> None:
    given = engine()
    page = ask(begin(given))
    assert labels(page)[1] == FR.quotes_instead and given.asked == []
    assert "D'après le document" not in read(shown(page))[0]
    page.session_state["quotes-1"] = True
    page.run()
    assert given.asked == [(QUESTION, [])]
    inside = "\n".join(each.value for each in page.expander[1].html)
    assert "D'après le document" in read(inside)[0]
    # Its numbers are not those of the answer above: they lead by address.
    assert (
        'data-open="?doc=note.md&amp;at=37-55&amp;hash=618657684437"' in inside
        and 'data-open="1.1"' not in inside
    )
    page.run()
    assert len(given.asked) == 1 and len(given.streamed) == 1


@pytest.mark.parametrize("kind", ["slow", "unsupported"])
def test_why_the_passages_are_quoted_is_said_in_the_language_of_the_page(
    begin: Start, kind: Any
) -> None:
    found = quoting(document(), "Il garde la Meuse.", QUESTION)
    answer = replace(found, notice=NOTICES[kind]["en"], removed=("Mille canons.",))
    page = ask(begin(engine(events=lambda stopped: iter([answer]))))
    text, _ = read(shown(page))
    assert text.index(NOTICES[kind]["fr"]) < text.index("D'après le document")
    assert NOTICES[kind]["en"] not in text
    # It was written by nobody, and there is nothing to compare it with.
    assert FR.written_by.partition("{")[0] not in text
    assert labels(page) == [FR.removed_one]


def test_a_written_answer_is_found_again(begin: Start) -> None:
    given = engine()
    page = ask(begin(given))
    again = another(page)
    markup = shown(again)
    assert len(given.streamed) == 1
    assert "openai:petit" in markup and 'data-open="1.2"' in markup
    assert labels(again) == [FR.removed_many.format(count=2), FR.quotes_instead]


def test_what_a_model_writes_is_text(begin: Start) -> None:
    hostile = Sentence(f"{HOSTILE} [1].", (FIRST,))
    answer = replace(WRITTEN, text=hostile.text, model=HOSTILE, notice=HOSTILE)
    page = ask(begin(engine(events=lambda stopped: iter([hostile, answer]))))
    text, tags = read(shown(page))
    assert text.count(HOSTILE) >= 3
    assert not tags & {"script", "img", "iframe", "a href", "object"}
    assert all(HOSTILE not in each.label for each in [*page.button, *page.expander])
    assert not [each.value for each in page.markdown if "example.org" in each.value]


# --- Whether a model writes ---------------------------------------------------------------


def test_without_a_model_nothing_changes(start: Start) -> None:
    given = FakeEngine()
    page = ask(start(given))
    assert given.asked == [(QUESTION, [])] and given.streamed == []
    assert not page.expander
    assert not [each for each in page.segmented_control if each.key == "answer-mode"]
    assert not keys(page) & {"stop", "consent-yes", "consent-no"}
    assert FR.footnote.format(here=FR.this_computer) in shown(page)


def test_quotes_only_is_chosen_for_a_conversation(begin: Start) -> None:
    given = engine()
    page = begin(given)
    page.segmented_control(key="answer-mode").set_value("quoted").run()
    ask(page)
    assert given.streamed == [] and given.asked == [(QUESTION, [])]
    # Not forgotten when the page is loaded again, and not taken along to another conversation.
    again = another(page)
    assert again.segmented_control(key="answer-mode").value == "quoted"
    again.button(key="new").click().run()
    assert again.segmented_control(key="answer-mode").value == "written"
    ask(again)
    assert given.streamed == [(QUESTION, [])]


def test_a_question_for_quotes_only_stays_one_when_it_was_interrupted(begin: Start) -> None:
    given = engine()
    page = begin(given)
    store = ConversationStore(given.settings.data)
    store.add("c0", [KeptExchange("e0", QUESTION, quoted=True)])
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20)
    page.query_params["c"] = "c0"
    page.run()
    assert given.streamed == [] and given.asked == [(QUESTION, [])]


def another(page: AppTest) -> AppTest:
    """Open the conversation of a page in another window."""
    again = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20)
    again.query_params["c"] = page.query_params["c"]
    return again.run()


# --- A model elsewhere --------------------------------------------------------------------


def test_a_model_elsewhere_gets_nothing_before_a_person_agreed(begin: Start) -> None:
    given = engine(REMOTE)
    page = ask(begin(given))
    markup = shown(page)
    text, _ = read(markup)
    assert given.streamed == []
    assert FR.consent_title.format(host="models.example.org") in text
    assert "openai:grand" in text
    assert "<li>Le fort</li>" in markup and f"<li>{QUESTION}</li>" in markup
    assert FR.footnote_remote.format(here=FR.this_computer, host="models.example.org") in text
    assert "D'après le document" not in text
    page.button(key="consent-yes-1").click().run()
    assert given.streamed == [(QUESTION, [])]
    assert "Le récit" in shown(page) and FR.consent_yes not in [b.label for b in page.button]
    # Asked once: not of the next question, and not when the page is loaded again.
    ask(page, "Et après ?")
    page.button(key="new").click().run()
    ask(page)
    again = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run()
    ask(again)
    assert len(given.streamed) == 4
    kept = json.loads((given.settings.data / CONSENT_FILE).read_text(encoding="utf-8"))
    assert list(kept) == ["openai:grand models.example.org conversation"]


def test_who_refuses_gets_quotes_in_this_conversation(begin: Start) -> None:
    given = engine(REMOTE)
    page = ask(begin(given))
    page.button(key="consent-no-1").click().run()
    text, _ = read(shown(page))
    # What was found to ask with is not searched for again.
    assert given.asked == [(QUESTION, [])] and given.streamed == []
    assert "D'après le document" in text
    assert page.segmented_control(key="answer-mode").value == "quoted"
    ask(page, "Et après ?")
    assert len(given.asked) == 2 and "consent-yes" not in keys(page)
    page.button(key="new").click().run()
    ask(page)
    assert "consent-yes" in keys(page) and given.streamed == []
    assert not (given.settings.data / CONSENT_FILE).exists()


def test_who_asks_on_is_answered_by_quotes(begin: Start) -> None:
    given = engine(REMOTE)
    page = ask(begin(given))
    ask(page, "Et après ?")
    assert given.streamed == []
    assert [each.key for each in page.button if "consent-yes" in (each.key or "")] == [
        "consent-yes-2"
    ]
    assert read(shown(page))[0].count("D'après le document") == 1


def test_it_is_still_asked_when_what_was_found_is_removed(begin: Start) -> None:
    given = engine(REMOTE)
    page = ask(begin(given))
    given.documents.clear()
    page.run()
    markup = shown(page)
    assert "consent-yes" in keys(page)
    assert f"<li>{QUESTION}</li>" in markup and "<li>Le fort</li>" not in markup
    assert FR.consent_passages not in markup
    page.button(key="consent-no-1").click().run()
    assert FR.index_changed in read(shown(page))[0]


def test_what_was_asked_for_quotes_only_is_kept_from_a_model_elsewhere(begin: Start) -> None:
    given = engine(REMOTE)
    page = begin(given)
    page.segmented_control(key="answer-mode").set_value("quoted").run()
    ask(page, "Un secret ?")
    page.segmented_control(key="answer-mode").set_value("written").run()
    ask(page, "Et après ?")
    page.button(key="consent-yes-2").click().run()
    ask(page, "Et ensuite ?")
    # The rules may use it.
    assert given.streamed == [
        ("Et après ?", ["Un secret ?"]),
        ("Et ensuite ?", ["Un secret ?", "Et après ?"]),
    ]
    assert given.private == ["Un secret ?", "Un secret ?"]


def test_a_model_here_may_get_every_earlier_question(begin: Start) -> None:
    given = engine()
    page = begin(given)
    page.segmented_control(key="answer-mode").set_value("quoted").run()
    ask(page, "Un secret ?")
    page.segmented_control(key="answer-mode").set_value("written").run()
    ask(page, "Et après ?")
    assert given.streamed == [("Et après ?", ["Un secret ?"])] and given.private == []


def test_nobody_is_asked_where_nothing_would_be_sent(begin: Start) -> None:
    abstention = Answer(
        question=QUESTION,
        language="fr",
        text="Les documents ne répondent pas.",
        short_answer="",
        citations=(),
        passages=(),
        abstained=True,
        confidence=0.1,
        mode="abstention",
    )
    page = ask(begin(engine(REMOTE, gives=abstention)))
    assert "consent-yes" not in keys(page)
    assert abstention.text in shown(page)


def test_each_visitor_agrees_for_themselves(begin: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor = ["ada"]
    monkeypatch.setattr(written_answers, "own_folder", lambda data: data / visitor[0])
    given = engine(REMOTE)
    page = ask(begin(given))
    page.button(key="consent-yes-1").click().run()
    assert len(given.streamed) == 1
    visitor[0] = "bob"
    other = ask(AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run())
    assert "consent-yes" in keys(other) and len(given.streamed) == 1


def test_another_host_is_another_question(begin: Start) -> None:
    given = engine(REMOTE)
    page = ask(begin(given))
    page.button(key="consent-yes-1").click().run()
    given.settings = engine({**REMOTE, "llm_base_url": "https://other.example.org/v1"}).settings
    ask(page, "Et après ?")
    assert "consent-yes" in keys(page) and len(given.streamed) == 1


def test_a_consent_that_cannot_be_kept_holds_for_the_visit(begin: Start) -> None:
    given = engine(REMOTE)
    page = ask(begin(given))
    (given.settings.data / CONSENT_FILE).mkdir()
    page.button(key="consent-yes-1").click().run()
    text, _ = read(shown(page))
    assert len(given.streamed) == 1 and "Le récit" in text
    assert FR.consent_unkept in text and CONSENT_FILE in text
    ask(page, "Et après ?")
    assert len(given.streamed) == 2 and FR.consent_unkept not in read(shown(page))[0]


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '"openai:grand models.example.org"',
        # From before earlier questions were sent too.
        '{"openai:grand models.example.org": "2026-10-01T08:00:00+00:00"}',
    ],
)
def test_a_damaged_or_a_narrower_consent_is_none(begin: Start, content: str) -> None:
    given = engine(REMOTE)
    given.settings.data.mkdir(parents=True)
    (given.settings.data / CONSENT_FILE).write_text(content, encoding="utf-8")
    page = ask(begin(given))
    assert given.streamed == [] and "consent-yes" in keys(page)
