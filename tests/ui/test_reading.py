"""The source beside the conversation: opening it, turning to another quote, and addresses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from rag.types import Answer, Document
from tests.ui.conftest import HOSTILE, NOTE, FakeEngine, Start, document, quoting, read, shown
from ui.texts import TEXTS

FRENCH = TEXTS["fr"]
MILL = "moulin.md"
# The first digits of the SHA-256 of "Il garde la Meuse."
MEUSE = "618657684437"


def component(page: AppTest) -> Any:
    """Return what the page gave to its script, as the browser gets it."""
    protos = [found.proto for found in page.get("bidi_component")]
    (script,) = [proto for proto in protos if proto.component_name == "citadelle-reading"]
    return script


def told(page: AppTest) -> dict[str, Any]:
    """Return what the page says to its script is open."""
    data: dict[str, Any] = json.loads(component(page).json)
    return data


def tell(page: AppTest, event: str, value: object) -> None:
    """Do what the script does when a link is followed or Escape is pressed."""
    states = page._tree.get_widget_states()
    trigger = states.widgets.add()
    trigger.id = f"$$STREAMLIT_INTERNAL_KEY_{component(page).id}__events"
    trigger.json_trigger_value = json.dumps({"event": event, "value": value})
    page._run(states)


def quoting_twice() -> Answer:
    """Return an answer with a quote of the fort and one of the mill."""
    first = quoting(document(), "Le fort date de **1872**.")
    second = quoting(document("Le moulin tourne.", MILL), "Le moulin tourne.", key="2")
    return replace(
        first,
        text=f"{first.text}\n{second.text}",
        citations=first.citations + second.citations,
        passages=first.passages + second.passages,
    )


def two_documents() -> FakeEngine:
    mill = replace(document("Le moulin tourne.", MILL), title="Le moulin", metadata={})
    return FakeEngine({NOTE: document(), MILL: mill}, quoting_twice())


@pytest.fixture
def answered(start: Start) -> AppTest:
    page = start(two_documents())
    page.chat_input[0].set_value("Que dit-on ?").run()
    return page


def test_an_answer_opens_its_first_quote_where_there_is_room(answered: AppTest) -> None:
    markup = shown(answered)
    assert "cit-unasked" in markup
    assert FRENCH.quote_place.format(place=1, count=2) in markup
    assert '<article class="cit-text cit-document" lang="fr" data-view="1.0">' in markup
    assert '<dl class="cit-properties">' in markup
    assert told(answered)["quote"] == "1.1" and told(answered)["view"] == "1.0"


def test_a_marker_opens_its_quote_in_its_document(answered: AppTest) -> None:
    before = told(answered)["turn"]
    tell(answered, "open", "1.2")
    markup = shown(answered)
    # A person asked for it: on a narrow screen it is shown too.
    assert "cit-unasked" not in markup
    assert FRENCH.quote_place.format(place=2, count=2) in markup
    assert '<h2 class="cit-title" id="source-title">Le moulin</h2>' in markup
    assert 'data-copy="?doc=moulin.md&amp;at=0-17&amp;hash=eea84057ca9c"' in markup
    assert told(answered)["key"] == "2" and told(answered)["turn"] == before + 1


def test_quotes_are_turned_round_and_round(answered: AppTest) -> None:
    for button, place in (("next", 2), ("next", 1), ("previous", 2), ("previous", 1)):
        answered.button(key=f"quote-{button}").click().run()
        assert told(answered)["key"] == str(place)
        assert FRENCH.quote_place.format(place=place, count=2) in shown(answered)


def test_a_single_quote_has_none_before_or_after_it(start: Start) -> None:
    page = start(FakeEngine())
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "cit-document" in shown(page)
    assert not [button for button in page.button if "quote" in (button.key or "")]


@pytest.mark.parametrize("by", ["button", "key"])
def test_the_source_is_closed(answered: AppTest, by: str) -> None:
    if by == "button":
        answered.button(key="source-close").click().run()
    else:
        tell(answered, "close", True)
    assert "cit-document" not in shown(answered)
    assert told(answered)["open"] is False
    assert "Que dit-on ?" in shown(answered)


def test_with_the_switch_off_answers_open_nothing(answered: AppTest) -> None:
    answered.toggle(key="beside_switch").set_value(False).run()
    # It is open, and follows while it is.
    answered.chat_input[0].set_value("Et encore ?").run()
    assert told(answered)["quote"] == "2.1"
    answered.button(key="source-close").click().run()
    answered.chat_input[0].set_value("Et puis ?").run()
    assert told(answered)["open"] is False and told(answered)["beside"] is False
    tell(answered, "open", "3.1")
    assert answered.toggle(key="beside_switch").value is False


def test_the_browser_recalls_the_switch(start: Start) -> None:
    page = start(two_documents())
    tell(page, "beside", False)
    page.chat_input[0].set_value("Que dit-on ?").run()
    assert told(page)["open"] is False


def test_a_new_conversation_closes_the_source(answered: AppTest) -> None:
    answered.button(key="new").click().run()
    assert "cit-document" not in shown(answered)
    assert told(answered)["open"] is False


@pytest.mark.parametrize(
    "link", ["9.1", "1.7", "0.1", "1.x", "", "?", "?at=1-2", "javascript:alert(1)", 7, None, [1]]
)
def test_a_link_to_nothing_changes_nothing(answered: AppTest, link: object) -> None:
    before = told(answered)
    tell(answered, "open", link)
    assert told(answered) == before
    assert not answered.exception


def test_an_answer_that_is_gone_is_not_shown(answered: AppTest) -> None:
    answered.session_state["conversation"] = []
    answered.run()
    assert told(answered)["open"] is False
    assert "cit-document" not in shown(answered)


# --- Addresses ----------------------------------------------------------------------------


def opened_at(start: Start, engine: FakeEngine, **address: str) -> AppTest:
    """Open the page at an address."""
    page = start(engine)
    for name, value in address.items():
        page.query_params[name] = value
    return page.run()


def test_an_address_opens_its_place_beside_no_conversation(start: Start) -> None:
    page = opened_at(start, FakeEngine(), doc=NOTE, at="37-55")
    markup = shown(page)
    assert FRENCH.welcome_title in markup
    assert '<mark data-keys="">Il garde la Meuse.</mark>' in markup
    assert markup.count("<mark") == 1
    assert FRENCH.place_given in markup
    assert 'data-copy="?doc=note.md&amp;at=37-55&amp;hash=618657684437"' in markup
    assert told(page)["open"] is True and told(page)["quote"] == ""
    # A question goes on beside it, and closing leaves the address.
    page.button(key="source-close").click().run()
    assert "cit-document" not in shown(page)
    assert not page.query_params
    page.run()
    assert "cit-document" not in shown(page)


def test_an_address_is_left_for_what_is_opened_next(start: Start) -> None:
    page = opened_at(start, FakeEngine(), doc=NOTE, at="37-55")
    page.chat_input[0].set_value("Que garde le fort ?").run()
    tell(page, "open", "1.1")
    # What is left is that of the conversation.
    assert set(page.query_params) == {"c"}
    tell(page, "open", f"?doc={NOTE}&at=0-9")
    assert '<mark data-keys="">Le fort</mark>' in shown(page)


def test_an_address_without_a_place_opens_the_document(start: Start) -> None:
    page = opened_at(start, FakeEngine(), doc=NOTE)
    markup = shown(page)
    assert "cit-document" in markup
    assert "<mark" not in markup and "cit-notice" not in markup


# Past the end (61 characters), before nothing, of no text (the "# " of the heading), malformed.
@pytest.mark.parametrize("at", ["37-62", "55-55", "0-2", "37", "a-b", "-1-4"])
def test_a_place_that_does_not_fit_shows_the_document_and_says_so(start: Start, at: str) -> None:
    page = opened_at(start, FakeEngine(), doc=NOTE, at=at)
    markup = shown(page)
    assert FRENCH.place_gone in markup
    assert "cit-document" in markup and "Fin." in markup
    assert "<mark" not in markup and "data-copy" not in markup


@pytest.mark.parametrize(
    ("source", "moved"),
    [(document(), False), (document("Ajout. Il garde la Meuse. Et plus.", NOTE), True)],
)
def test_an_address_finds_its_words_in_a_document_edited_since(
    start: Start, source: Document, moved: bool
) -> None:
    page = opened_at(start, FakeEngine({NOTE: source}), doc=NOTE, at="37-55", hash=MEUSE)
    markup = shown(page)
    assert '<mark data-keys="">Il garde la Meuse.</mark>' in markup
    assert FRENCH.place_given in markup and (FRENCH.place_moved in markup) == moved
    at = source.text.index("Il garde")
    # The address that is offered leads there without searching.
    assert f'data-copy="?doc=note.md&amp;at={at}-{at + 18}&amp;hash={MEUSE}"' in markup
    page.button(key="source-close").click().run()
    assert not page.query_params


@pytest.mark.parametrize("text", ["x" * 36 + " Il garde la Sambre. Et plus.", "Court."])
def test_words_that_have_changed_are_not_marked(start: Start, text: str) -> None:
    source = document(text, NOTE)
    page = opened_at(start, FakeEngine({NOTE: source}), doc=NOTE, at="37-55", hash=MEUSE)
    markup = shown(page)
    assert FRENCH.place_changed in markup and FRENCH.place_gone not in markup
    assert "cit-document" in markup and "<mark" not in markup and "data-copy" not in markup


def test_a_document_that_is_not_there_is_named(start: Start) -> None:
    page = opened_at(start, FakeEngine(), doc="absent.md", at="1-2")
    assert FRENCH.source_gone.format(doc="absent.md") in shown(page)
    assert "cit-document" not in shown(page)
    page.button(key="source-close").click().run()
    assert "absent.md" not in shown(page)


def test_a_hostile_address_is_shown_as_text(start: Start) -> None:
    page = opened_at(start, FakeEngine(), doc=HOSTILE, at=HOSTILE)
    text, tags = read(shown(page))
    assert HOSTILE in text and not tags & {"script", "img", "iframe"}


def test_a_hostile_document_is_read_as_text(start: Start) -> None:
    source = document(HOSTILE)
    page = opened_at(start, FakeEngine({NOTE: source}), doc=NOTE, at=f"0-{len(HOSTILE)}")
    text, tags = read(shown(page))
    # Its title, twice its properties, and all of it.
    assert text.count(HOSTILE) == 4
    assert not tags & {"script", "img", "iframe"}
