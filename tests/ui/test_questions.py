"""The view of the questions, driven without a browser."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.mutable_status_container import StatusContainer

from rag.answering import reply
from rag.courtesies import Courtesy
from rag.errors import CitadelleError, InvalidFilter
from rag.types import Answer, Chunk, Passage, Ranking, ScoredChunk
from tests.ui.conftest import (
    CANONICAL,
    HOSTILE,
    NOTE,
    FakeEngine,
    Start,
    document,
    quoting,
    read,
    shown,
)
from ui.texts import EXAMPLES, TEXTS


def test_question_is_answered_with_its_passage(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    assert TEXTS["fr"].welcome_title in shown(page)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    markup = shown(page)
    assert engine.asked == [("Que garde le fort ?", [])]
    assert "Que garde le fort ?" in markup
    link = 'href="?doc=note.md&amp;at=37-55&amp;hash=618657684437" data-open="1.1"'
    assert f'<a class="cit-marker" {link}' in markup
    assert 'id="passage-1-1"' in markup
    assert '<mark data-number="1" data-keys="1">Il garde la Meuse.</mark>' in markup
    assert "Confiance élevée" in markup and "0.9" not in markup
    assert "0,4 s" in markup
    assert TEXTS["fr"].welcome_title not in markup
    assert engine.refreshed > 0


def test_follow_up_carries_the_earlier_questions(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    page.chat_input[0].set_value("Depuis quand ?").run()
    assert engine.asked[-1] == ("Depuis quand ?", ["Que garde le fort ?"])
    markup = shown(page)
    assert markup.index("Que garde le fort ?") < markup.index("Depuis quand ?")
    assert 'data-open="2.1"' in markup


def test_a_follow_up_says_how_it_was_understood_and_is_asked_alone_by_a_click(
    start: Start,
) -> None:
    engine = FakeEngine()
    page = start(engine)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert not [button for button in page.button if "alone" in (button.key or "")]
    plain = quoting(engine.documents[NOTE], "Il garde la Meuse.", "Et lui ?")
    engine.gives = replace(plain, understood=f"Que garde le {HOSTILE} ?")
    page.chat_input[0].set_value("Et lui ?").run()
    text, tags = read(shown(page))
    assert f"Compris comme : « Que garde le {HOSTILE} ? »" in text.replace("\u00a0", " ")
    assert not tags & {"script", "img", "iframe"}
    engine.gives = plain
    page.button(key="alone-2").click().run()
    assert engine.asked[-1] == ("Et lui ?", [])
    assert [button.key for button in page.button if "alone" in (button.key or "")] == ["alone-2"]
    # What comes next follows the question as it was written, and nothing from before it.
    page.chat_input[0].set_value("Depuis quand ?").run()
    assert engine.asked[-1] == ("Depuis quand ?", ["Et lui ?"])


def test_new_conversation_forgets(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    page.button(key="new").click().run()
    assert "Que garde le fort ?" not in shown(page)
    page.chat_input[0].set_value("Et ici ?").run()
    assert engine.asked[-1] == ("Et ici ?", [])


def test_example_is_asked_by_a_click(start: Start) -> None:
    example = EXAMPLES[0]
    engine = FakeEngine({NOTE: document(), example.doc_id: document("Texte.", example.doc_id)})
    page = start(engine)
    page.button(key="example-0").click().run()
    assert engine.asked == [(example.question, [])]


def test_examples_about_other_documents_are_not_offered(start: Start) -> None:
    page = start(FakeEngine())
    assert not [button for button in page.button if "example" in (button.key or "")]


def test_what_is_being_done_is_said_until_the_answer_is_there(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    update = StatusContainer.update

    def record(status: StatusContainer, *, label: str) -> None:
        said.append(label)
        update(status, label=label)

    monkeypatch.setattr(StatusContainer, "update", record)
    page = start(FakeEngine())
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert said == ["8 passages trouvés\u202f; lecture en cours…"]
    assert not page.status


def test_the_best_passages_are_shown_until_the_answer_is_there(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    html = DeltaGenerator.html

    def record(place: DeltaGenerator, body: str, **more: Any) -> DeltaGenerator:
        drawn.append(str(body))
        return html(place, body, **more)

    monkeypatch.setattr(DeltaGenerator, "html", record)
    page = start(FakeEngine())
    page.chat_input[0].set_value("Que garde le fort ?").run()
    (place,) = [place for place, body in enumerate(drawn) if "cit-found" in body]
    assert "Le fort date de 1872. Il garde la Meuse." in drawn[place]
    assert not [body for body in drawn[:place] if "cit-answer" in body]
    markup = shown(page)
    assert "cit-answer" in markup and "cit-found" not in markup


def test_a_passage_that_is_gone_by_then_is_not_shown(start: Start) -> None:
    class Forgetful(FakeEngine):
        def search(self, *question: Any, **more: Any) -> Ranking:
            chunk = Chunk("x:0", "autre.md", 0, 5, "Autre", (), {})
            return Ranking("?", (ScoredChunk(chunk, 1.0, 1),))

    page = start(Forgetful())
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "cit-answer" in shown(page)


def test_abstention_shows_the_nearest_passages_as_perhaps(start: Start) -> None:
    abstention = Answer(
        question="?",
        language="fr",
        text="Les documents ne répondent pas à cette question.",
        short_answer="",
        citations=(),
        passages=(Passage(NOTE, 0, len(CANONICAL), CANONICAL, 0.2, False),),
        abstained=True,
        confidence=0.1,
        mode="abstention",
    )
    page = start(FakeEngine(gives=abstention))
    page.chat_input[0].set_value("Quel temps fait-il ?").run()
    markup = shown(page)
    assert "cit-notice-info" in markup and abstention.text in markup
    assert "Confiance" not in markup and "<mark" not in markup
    assert [box.label for box in page.expander] == [TEXTS["fr"].perhaps]
    assert "ne sont pas une réponse" in TEXTS["fr"].perhaps
    # How to ask again, as text.
    assert "<li>Dites-le &lt;b&gt;autrement&lt;/b&gt;.</li>" in markup


def test_a_courtesy_is_shown_without_what_belongs_to_answers(start: Start) -> None:
    courtesy = reply("Bonjour", Courtesy("greeting", "fr"), [])
    engine = FakeEngine(gives=courtesy)
    page = start(engine)
    page.chat_input[0].set_value("Bonjour").run()
    markup = shown(page)
    assert courtesy.text in markup
    assert "Confiance" not in markup and TEXTS["fr"].passages not in markup
    assert "cit-notice" not in markup and "cit-footer" not in markup
    assert not page.expander
    assert not [group for group in page.button_group if group.key == "verdict-1"]


@pytest.mark.parametrize("question", ["  ", "\n"])
def test_empty_question_is_refused(start: Start, question: str) -> None:
    engine = FakeEngine()
    page = start(engine)
    page.chat_input[0].set_value(question).run()
    assert TEXTS["fr"].question_empty in shown(page)
    assert engine.asked == []


def test_too_long_question_goes_back_to_the_box(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    page.chat_input[0].set_value("é" * 20_000).run()
    markup = shown(page)
    assert "20\u202f000 caractères" in markup and "2\u202f000" in markup
    assert page.chat_input[0].proto.value == "é" * 20_000
    assert engine.asked == []
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "20\u202f000" not in shown(page)


def test_engine_error_is_one_sentence_and_keeps_the_conversation(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    engine.gives = CitadelleError("The index is being rebuilt; ask again in a minute.")
    page.chat_input[0].set_value("Depuis quand ?").run()
    markup = shown(page)
    assert "The index is being rebuilt; ask again in a minute." in markup
    assert "Il garde la Meuse." in markup
    engine.gives = None
    page.chat_input[0].set_value("Et maintenant ?").run()
    assert engine.asked[-1] == ("Et maintenant ?", ["Que garde le fort ?"])


def test_unexpected_error_shows_no_traceback(start: Start) -> None:
    page = start(FakeEngine(gives=RuntimeError("secret detail")))
    page.chat_input[0].set_value("Que garde le fort ?").run()
    markup = shown(page)
    assert TEXTS["fr"].unexpected_error in markup
    assert "secret detail" not in markup and "Traceback" not in markup


def test_unexpected_error_has_a_number_that_is_in_the_log(start: Start, numbers: list[str]) -> None:
    page = start(FakeEngine(gives=RuntimeError("secret detail")))
    page.chat_input[0].set_value("Que garde le fort ?").run()
    (number,) = set(numbers)
    assert number and TEXTS["fr"].log_number.format(number=number) in shown(page)


def test_conversation_is_kept_while_documents_are_read(start: Start) -> None:
    page = start(FakeEngine())
    page.chat_input[0].set_value("Que garde le fort ?").run()
    page.button_group(key="view").set_value("documents").run()
    page.button_group(key="view").set_value("questions").run()
    assert "Que garde le fort ?" in shown(page)


def test_hostile_question_and_document_reach_no_widget_that_interprets(start: Start) -> None:
    source = document(HOSTILE)
    engine = FakeEngine({NOTE: source}, quoting(source, HOSTILE))
    page = start(engine)
    page.chat_input[0].set_value(HOSTILE).run()
    text, tags = read(shown(page))
    assert text.count(HOSTILE) >= 3
    assert not tags & {"script", "img", "iframe"}
    page.button_group(key="view").set_value("documents").run()
    labels = [item.label for item in (*page.button, *page.expander)]
    for written in (*labels, *(item.value for item in (*page.markdown, *page.text))):
        assert "example.org" not in written and ":material/home:" not in written


def test_a_quote_of_an_older_document_is_not_marked_in_a_newer_one(start: Start) -> None:
    old = quoting(document(), "Il garde la Meuse.", "Que garde le fort ?")
    newer = replace(document(), content_hash="another")
    page = start(FakeEngine(documents={NOTE: newer}, gives=old))
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert TEXTS["fr"].index_changed in shown(page)
    assert not page.exception


# --- Filters ------------------------------------------------------------------------------

MILL = "moulin.md"


def two_notes(**more: str | tuple[str, ...]) -> FakeEngine:
    """Return an engine with the note of the fort and one of a mill, which share no label."""
    mill = replace(
        document("Le moulin tourne.", MILL),
        title="Le moulin",
        metadata={"tags": ("eau",), "pays": "Niger", "type": "Public", **more},
    )
    return FakeEngine({NOTE: document(), MILL: mill})


def test_filters_are_offered_with_the_values_that_there_are(start: Start) -> None:
    page = start(two_notes())
    offered = {box.key: (box.label, box.options) for box in page.selectbox}
    assert offered == {
        "filter-doc": ("Document", ["Le fort", "Le moulin"]),
        "filter-type": ("Type", ["Public (1)"]),
        "filter-tag": ("Étiquette", ["eau (1)", "fortifications (1)", "histoire (1)"]),
        "filter-country": ("Pays", ["Niger (1)"]),
    }
    assert TEXTS["fr"].filters_in_force not in shown(page)


def test_nothing_to_filter_is_offered_over_one_document(start: Start) -> None:
    assert not start(FakeEngine()).selectbox


def test_filters_are_combined_apply_to_what_follows_and_are_kept(start: Start) -> None:
    engine = two_notes()
    page = start(engine)
    page.selectbox(key="filter-tag").set_value("histoire").run()
    page.selectbox(key="filter-doc").set_value(NOTE).run()
    page.chat_input[0].set_value("Que garde le fort ?").run()
    page.chat_input[0].set_value("Depuis quand ?").run()
    assert engine.filtered == [{"doc": NOTE, "tag": "histoire"}] * 2
    # Beside the box, and with each of the two questions.
    chip = '<span class="cit-chip">Étiquette\u00a0: histoire</span>'
    assert shown(page).count(chip) == 3
    # They survive another view and another language, and are cleared by one button.
    page.button_group(key="view").set_value("documents").run()
    page.button_group(key="view").set_value("questions").run()
    page.button_group(key="language").set_value("en").run()
    assert shown(page).count('<span class="cit-chip">Tag: histoire</span>') == 3
    page.button(key="filters-clear").click().run()
    assert shown(page).count('<span class="cit-chip">Tag: histoire</span>') == 2
    assert page.selectbox(key="filter-tag").value is None
    page.chat_input[0].set_value("Et maintenant ?").run()
    assert engine.filtered[-1] == {}


def test_a_new_conversation_begins_with_all_documents(start: Start) -> None:
    engine = two_notes()
    page = start(engine)
    page.selectbox(key="filter-country").set_value("Niger").run()
    page.chat_input[0].set_value("Que garde le fort ?").run()
    page.button(key="new").click().run()
    assert TEXTS["fr"].filters_in_force not in shown(page)
    page.chat_input[0].set_value("Et ici ?").run()
    assert engine.filtered == [{"country": "Niger"}, {}]


def test_filters_that_match_nothing_are_said_and_nothing_is_lost(start: Start) -> None:
    engine = two_notes()
    page = start(engine)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    engine.gives = InvalidFilter("No document matches the filter tag=eau, doc=note.md.")
    page.selectbox(key="filter-tag").set_value("eau").run()
    page.selectbox(key="filter-doc").set_value(NOTE).run()
    page.chat_input[0].set_value("Depuis quand ?").run()
    markup = shown(page)
    assert TEXTS["fr"].filters_none in markup and "No document" not in markup
    assert "Il garde la Meuse." in markup and "Depuis quand ?" in markup
    assert page.selectbox(key="filter-tag").value == "eau"
    # The same question is asked of all documents by one click; what is in force stays so.
    engine.gives = None
    page.button(key="everywhere-2").click().run()
    assert engine.asked[-1] == ("Depuis quand ?", ["Que garde le fort ?"])
    assert engine.filtered[-1] == {}
    assert page.selectbox(key="filter-tag").value == "eau"


def test_a_value_that_is_gone_is_no_longer_in_force(start: Start) -> None:
    engine = two_notes(tags=("eau", "vent"))
    page = start(engine)
    page.selectbox(key="filter-tag").set_value("vent").run()
    engine.documents = two_notes().documents
    page.run()
    assert page.selectbox(key="filter-tag").value is None
    assert TEXTS["fr"].filters_in_force not in shown(page)


def test_hostile_labels_of_filters_are_shown_as_text(start: Start) -> None:
    engine = two_notes(tags=(HOSTILE,))
    page = start(engine)
    page.selectbox(key="filter-tag").set_value(HOSTILE).run()
    page.chat_input[0].set_value("Que garde le fort ?").run()
    text, tags = read(shown(page))
    assert text.count(HOSTILE) == 2
    assert not tags & {"script", "img", "iframe"}
