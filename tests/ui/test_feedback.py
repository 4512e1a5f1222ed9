"""What a person says of an answer, from the click to the store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from rag import __version__
from rag.errors import FeedbackError
from rag.feedback import FEEDBACK_FILE, Feedback, FeedbackStore
from rag.types import Answer, Passage
from tests.ui.conftest import CANONICAL, HOSTILE, NOTE, FakeEngine, Start, shown
from ui.texts import TEXTS

FR = TEXTS["fr"]
THANKS = FR.feedback_thanks.format(here=FR.this_computer)
ABSTENTION = Answer(
    question="Quel temps fait-il ?",
    language="fr",
    text="Les documents ne répondent pas à cette question.",
    short_answer="",
    citations=(),
    passages=(Passage(NOTE, 0, len(CANONICAL), CANONICAL, 0.2, False),),
    abstained=True,
    confidence=0.1,
    mode="abstention",
)


def stored(page: AppTest) -> tuple[Feedback, ...]:
    assert not page.exception
    return FeedbackStore(Path(os.environ["CITADELLE_DATA"])).list()


def asked(start: Start, engine: FakeEngine | None = None) -> AppTest:
    return start(engine or FakeEngine()).chat_input[0].set_value("Que garde le fort ?").run()


def judge(page: AppTest, verdict: str | None, number: int = 1) -> AppTest:
    return page.button_group(key=f"verdict-{number}").set_value(verdict).run()


def keys(page: AppTest) -> set[str]:
    return {button.key or "" for button in page.button}


def test_nothing_is_stored_without_a_click(start: Start, tmp_path: Path) -> None:
    page = asked(start)
    assert page.button_group(key="verdict-1").value is None
    assert THANKS not in shown(page)
    assert not (tmp_path / "data" / FEEDBACK_FILE).exists()


def test_a_thumb_up_is_stored_with_what_it_is_about(start: Start) -> None:
    page = judge(asked(start), "right")
    (feedback,) = stored(page)
    assert (feedback.verdict, feedback.question) == ("right", "Que garde le fort ?")
    assert feedback.answer["citations"][0]["quote"] == "Il garde la Meuse."
    assert (feedback.corpus_hash, feedback.version) == ("c0", __version__)
    assert THANKS in shown(page)
    assert "save-1" not in keys(page)


def test_a_thumb_down_can_be_explained(start: Start) -> None:
    page = judge(asked(start), "wrong")
    assert stored(page)[0].verdict == "wrong"
    page.button_group(key="reasons-1").set_value(["not_true", "incomplete"])
    page.text_area(key="expected-1").set_value(" La Sambre. ")
    page.text_area(key="comment-1").set_value(HOSTILE)
    page.button(key="save-1").click().run()
    (feedback,) = stored(page)
    assert feedback.reasons == ("not_true", "incomplete")
    assert (feedback.expected, feedback.comment) == ("La Sambre.", HOSTILE)
    assert THANKS in shown(page)
    # The form is closed, and opens again with what was said.
    assert "save-1" not in keys(page)
    page.button(key="more-1").click().run()
    assert page.text_area(key="expected-1").value == "La Sambre."
    assert page.button_group(key="reasons-1").value == ["not_true", "incomplete"]


def test_a_change_of_mind_replaces(start: Start) -> None:
    page = judge(asked(start), "wrong")
    page.text_area(key="comment-1").set_value("Non.")
    page.button(key="save-1").click().run()
    judge(page, "right")
    (feedback,) = stored(page)
    assert (feedback.verdict, feedback.comment) == ("right", "")
    assert "more-1" not in keys(page)
    judge(page, None)
    assert stored(page) == ()
    assert THANKS not in shown(page)


def test_an_abstention_is_judged_without_reasons_that_cannot_be(start: Start) -> None:
    page = judge(asked(start, FakeEngine(gives=ABSTENTION)), "wrong")
    assert not [group for group in page.button_group if group.key == "reasons-1"]
    page.text_area(key="expected-1").set_value("La Meuse.")
    page.button(key="save-1").click().run()
    (feedback,) = stored(page)
    assert feedback.answer["abstained"] and feedback.expected == "La Meuse."


def test_a_follow_up_is_stored_with_the_questions_before_it(start: Start) -> None:
    page = asked(start)
    page.chat_input[0].set_value("Depuis quand ?").run()
    judge(page, "right", 2)
    (feedback,) = stored(page)
    assert (feedback.question, feedback.history) == ("Depuis quand ?", ("Que garde le fort ?",))
    assert page.button_group(key="verdict-1").value is None


def test_a_verdict_is_still_shown_after_another_view(start: Start) -> None:
    page = judge(asked(start), "right")
    page.button_group(key="view").set_value("documents").run()
    page.button_group(key="view").set_value("questions").run()
    assert page.button_group(key="verdict-1").value == "right"


def test_a_new_conversation_begins_unjudged(start: Start) -> None:
    page = judge(asked(start), "wrong")
    page.button(key="new").click().run()
    page.chat_input[0].set_value("Et le phare ?").run()
    assert page.button_group(key="verdict-1").value is None
    assert "save-1" not in keys(page)


def test_an_error_of_the_question_has_nothing_to_judge(start: Start) -> None:
    page = asked(start, FakeEngine(gives=FeedbackError("odd")))
    assert not [group for group in page.button_group if group.key == "verdict-1"]


def test_a_store_that_cannot_be_written_is_said_and_loses_nothing(
    start: Start, tmp_path: Path
) -> None:
    page = asked(start)
    broken = tmp_path / "data" / FEEDBACK_FILE
    broken.write_bytes(b"no database" * 100)
    judge(page, "right")
    markup = shown(page)
    assert FR.feedback_failed in markup and str(broken) in markup
    assert "Il garde la Meuse." in markup and THANKS not in markup
    # The thumb does not say what is not stored, and can be pressed again.
    assert page.button_group(key="verdict-1").value is None
    broken.unlink()
    judge(page, "right")
    assert FR.feedback_failed not in shown(page)
    assert stored(page)[0].verdict == "right"


def test_an_explanation_that_cannot_be_stored_stays_in_its_form(
    start: Start, tmp_path: Path
) -> None:
    page = judge(asked(start), "wrong")
    file = tmp_path / "data" / FEEDBACK_FILE
    kept = file.read_bytes()
    file.write_bytes(b"no database" * 100)
    page.text_area(key="comment-1").set_value("Il manque la date.")
    page.button(key="save-1").click().run()
    assert FR.feedback_failed in shown(page)
    assert page.text_area(key="comment-1").value == "Il manque la date."
    file.write_bytes(kept)
    page.button(key="save-1").click().run()
    assert stored(page)[0].comment == "Il manque la date."


def test_a_defect_while_storing_shows_no_traceback(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(FeedbackStore, "add", fail)
    page = judge(asked(start), "right")
    markup = shown(page)
    assert FR.feedback_failed in markup and FR.server_log in markup
    assert "secret detail" not in markup and "Il garde la Meuse." in markup
