"""Back and forward with the browser, which give the page an address that it had."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from tests.ui.conftest import NOTE, FakeEngine, Start, shown
from ui.exchange import Exchange
from ui.texts import TEXTS

FR = TEXTS["fr"]
QUESTION = "Que garde le fort ?"


def address(page: AppTest) -> dict[str, str]:
    """Return what the address names."""
    given = page.query_params.items()
    return {name: values if isinstance(values, str) else values[0] for name, values in given}


def go(page: AppTest, **named: str) -> AppTest:
    """Go back or forward to an address."""
    page.query_params.clear()
    for name, value in named.items():
        page.query_params[name] = value
    return page.run()


def test_back_and_forward_go_between_conversations(start: Start) -> None:
    page = start(FakeEngine())
    page.chat_input[0].set_value(QUESTION).run()
    first = address(page)
    page.button(key="new").click().run()
    assert address(page) == {}
    page.chat_input[0].set_value("Depuis quand ?").run()
    second = address(page)
    assert set(first) == set(second) == {"c"} and first != second

    assert FR.welcome_title in shown(go(page)) and address(page) == {}
    assert QUESTION in shown(go(page, **first)) and address(page) == first
    assert FR.welcome_title in shown(go(page)) and address(page) == {}
    markup = shown(go(page, **second))
    assert "Depuis quand ?" in markup and QUESTION not in markup
    # A question that is asked after going back begins a conversation of its own.
    go(page).chat_input[0].set_value("Et où ?").run()
    assert address(page) not in ({}, first, second)
    assert "Depuis quand ?" not in shown(page)


def test_back_and_forward_go_between_views(start: Start) -> None:
    page = start(FakeEngine())
    page.chat_input[0].set_value(QUESTION).run()
    conversation = address(page)
    page.button_group(key="view").set_value("documents").run()
    listed = address(page)
    assert listed == conversation | {"view": "documents"}
    page.button(key=f"read-{NOTE}").click().run()
    read = address(page)
    assert read == listed | {"read": NOTE}

    assert "cit-document" not in shown(go(page, **listed)) and FR.documents_title in shown(page)
    assert QUESTION in shown(go(page, **conversation)) and address(page) == conversation
    assert "cit-document" in shown(go(page, **read)) and address(page) == read
    # Opening a conversation leaves the view, in one step.
    page.button(key=f"open-{conversation['c']}").click().run()
    assert address(page) == conversation


@pytest.mark.parametrize("view", ["documents", "evaluation"])
def test_a_view_has_an_address(start: Start, view: str) -> None:
    page = go(start(FakeEngine()), view=view)
    assert page.session_state["view"] == view and address(page) == {"view": view}


def test_a_view_that_there_is_not_shows_the_questions(start: Start) -> None:
    page = go(start(FakeEngine()), view="<b>", read="absent.md")
    assert FR.welcome_title in shown(page) and address(page) == {}


def test_a_question_is_not_left_while_it_is_answered(start: Start) -> None:
    page = start(FakeEngine())
    page.chat_input[0].set_value(QUESTION).run()
    conversation = address(page)
    # As when a click comes before the browser has the address of the first question.
    page.session_state["conversation"].append(Exchange("Depuis quand ?"))
    markup = shown(go(page))
    assert QUESTION in markup and "Depuis quand ?" in markup
    assert markup.count('<div class="cit-answer">') == 2 and address(page) == conversation
