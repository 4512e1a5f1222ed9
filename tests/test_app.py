"""The page, driven without a browser, with an engine a person can hold in their head."""

from __future__ import annotations

import re
import string
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from rag.config import Settings
from rag.errors import (
    CitadelleError,
    DocumentNotFound,
    IndexDamaged,
    IndexMissing,
    NothingToIndex,
)
from rag.types import (
    Answer,
    Block,
    Citation,
    Document,
    OffsetMap,
    Passage,
    Segment,
    Skipped,
    Source,
)
from ui.engine import ProgressCallback
from ui.rendering import (
    Mark,
    answer_html,
    document_html,
    evidence,
    evidence_html,
    nearest,
    notice_html,
    question_html,
    skipped_html,
    source_html,
)
from ui.texts import EXAMPLES, LANGUAGE_NAMES, TEXTS, Texts

ROOT = Path(__file__).parent.parent
NOTE = "note.md"
HOSTILE = (
    '<script>alert(1)</script> <img src=x onerror="alert(2)"> ![x](http://example.org/x.png) '
    '[a](javascript:alert(3)) $x^2$ :material/home: :red[rouge] </mark></section> & "guillemets"'
)
# All that the page's scripts may hold of their own: an anchor and an occasion, a language.
OWN_SCRIPT = re.compile(
    r"<div class=\"cit-(?:unseen\" role=\"alert|footnote)\">[\w .’]*</div><script>"
    r"(?:/\* [\w ]+ \*/ setTimeout\(\(\) => document\.getElementById\('[a-z\d-]+'\)"
    r"\?\.scrollIntoView\(\), 50\); innerWidth < 768 [^<]*\.click\(\)"
    r"|document\.documentElement\.lang = '(?:fr|en|nl)')</script>"
)

# Canonical text with Markdown marks; the plain text is the same without "# " and "**".
CANONICAL = "# Le fort\n\nLe fort date de **1872**. Il garde la Meuse.\n\nFin."
PLAIN = "Le fort\n\nLe fort date de 1872. Il garde la Meuse.\n\nFin."
OFFSETS = OffsetMap(
    (
        Segment(0, 7, 2, 9),  # Le fort
        Segment(9, 25, 11, 27),  # "Le fort date de "
        Segment(25, 29, 29, 33),  # 1872
        Segment(29, 49, 35, 55),  # ". Il garde la Meuse."
        Segment(51, 55, 57, 61),  # Fin.
    )
)


def document(text: str = "", doc_id: str = NOTE) -> Document:
    """Return the note of the fort, or a document that is one paragraph of `text`."""
    if text:
        return Document(
            doc_id=doc_id,
            title=text,
            text=text,
            plain=text,
            metadata={"tags": (text,), "aliases": text},
            language="fr",
            content_hash="1",
            blocks=(Block("paragraph", 0, len(text)),),
            offsets=OffsetMap((Segment(0, len(text), 0, len(text)),)),
        )
    return Document(
        doc_id=doc_id,
        title="Le fort",
        text=CANONICAL,
        plain=PLAIN,
        metadata={"tags": ("histoire", "fortifications"), "aliases": ("Le vieux fort",)},
        language="fr",
        content_hash="0",
        blocks=(
            Block("heading", 0, 7, 1),
            Block("paragraph", 9, 49),
            Block("paragraph", 51, 55),
        ),
        offsets=OFFSETS,
    )


def quoting(source: Document, quote: str, question: str = "?", key: str = "1") -> Answer:
    """Return an answer that quotes `quote`, from a passage which is the whole document."""
    start = source.text.index(quote)
    return Answer(
        question=question,
        language="fr",
        text=f"D'après le document :\n{quote} [{key}]",
        short_answer="1872" if "1872" in quote else "",
        citations=(
            Citation(
                key,
                source.doc_id,
                source.content_hash,
                start,
                start + len(quote),
                quote,
                source.title,
                ("Le fort", "Histoire"),
            ),
        ),
        passages=(Passage(source.doc_id, 0, len(source.text), source.text, 1.0, True),),
        abstained=False,
        confidence=0.9,
        mode="extractive",
        timings={"total_ms": 412.0},
    )


@dataclass
class FakeEngine:
    """Quotes the same sentence whatever is asked, and remembers what it was asked."""

    documents: dict[str, Document] = field(default_factory=lambda: {NOTE: document()})
    answer: Answer | Exception | None = None
    skipped: tuple[Skipped, ...] = ()
    settings: Settings = field(default_factory=Settings)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    refreshed: int = 0
    damage: str = ""

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
    ) -> Answer:
        self.asked.append((question, list(history)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or quoting(self.documents[NOTE], "Il garde la Meuse.", question)

    def document(self, doc_id: str) -> Document:
        try:
            return self.documents[doc_id]
        except KeyError as error:
            raise DocumentNotFound(f"No document is called {doc_id}.") from error

    def sources(self) -> tuple[Source, ...]:
        return tuple(
            Source(item.doc_id, item.title, item.language, item.metadata, 1, len(item.text))
            for item in self.documents.values()
        )

    def refresh(self) -> bool:
        self.refreshed += 1
        if self.damage:
            raise IndexDamaged(self.damage)
        return False


Start = Callable[..., AppTest]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Return a function that opens the page on an engine, or on a failure to open one."""
    st.cache_resource.clear()
    monkeypatch.chdir(ROOT)

    def open_page(engine: FakeEngine | Exception) -> AppTest:
        def opener(progress: ProgressCallback) -> FakeEngine:
            progress("embed", 1, 2)
            if isinstance(engine, Exception):
                raise engine
            return engine

        monkeypatch.setattr("ui.engine.open_engine", opener)
        return AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run()

    return open_page


def shown(page: AppTest) -> str:
    """Return all the HTML of the page, without its style sheet and its own script."""
    assert not page.exception
    bodies = []
    for element in page.html:
        if element.proto.unsafe_allow_javascript:
            assert OWN_SCRIPT.fullmatch(element.value)
        else:
            bodies.append(element.value)
    return "\n".join(body for body in bodies if not body.startswith("<style>"))


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.data: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "src"]
        links = [value or "" for name, value in attrs if name == "href"]
        assert all(link.startswith("#") for link in links)

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def read(markup: str) -> tuple[str, set[str]]:
    """Return the text a browser would show, and the names of the tags around it."""
    parser = _Text()
    parser.feed(markup)
    parser.close()
    return "".join(parser.data), parser.tags


# --- Strings --------------------------------------------------------------------------------


def test_every_language_has_a_name_and_every_string() -> None:
    assert set(TEXTS) == set(LANGUAGE_NAMES) == {"fr", "en", "nl"}
    for texts in TEXTS.values():
        for item in fields(texts):
            assert getattr(texts, item.name).strip() or item.name == "thousands_mark"


@pytest.mark.parametrize("name", [item.name for item in fields(Texts)])
def test_languages_fill_in_the_same_words(name: str) -> None:
    found = [
        sorted(word for _, word, _, _ in string.Formatter().parse(getattr(texts, name)) if word)
        for texts in TEXTS.values()
    ]
    assert found[0] == found[1] == found[2]


def test_french_spaces_do_not_break() -> None:
    for item in fields(Texts):
        text = getattr(TEXTS["fr"], item.name)
        assert not re.search(r"(?<![\u00a0\u202f])[?!;:»]|«(?!\u00a0)", text), item.name
        assert "'" not in text, item.name


def test_numbers_are_written_as_each_language_does() -> None:
    assert [TEXTS[code].count(20000) for code in ("fr", "en", "nl")] == [
        "20\u202f000",
        "20,000",
        "20.000",
    ]


def test_examples_are_about_documents_of_the_corpus() -> None:
    assert len(EXAMPLES) == 6
    assert {example.language for example in EXAMPLES} == {"fr", "en", "nl"}
    assert all((ROOT / "corpus" / example.doc_id).is_file() for example in EXAMPLES)


# --- Rendering ------------------------------------------------------------------------------


def test_quote_is_highlighted_within_its_passage_as_it_reads() -> None:
    source = document()
    answer = quoting(source, "Le fort date de **1872**.")
    (found,) = evidence(answer, {NOTE: source})
    # "Le fort date de 1872." is plain[9:30], without the asterisks.
    assert found.marks == (Mark(9, 30, "1"),)
    markup = evidence_html(found, "a")
    assert '<mark data-number="1">Le fort date de 1872.</mark> Il garde la Meuse.' in markup
    assert 'id="a-1"' in markup
    assert "Histoire" in markup and "**" not in markup


def test_quotes_of_one_passage_share_it() -> None:
    source = document()
    first = quoting(source, "Il garde la Meuse.", key="2")
    answer = replace(
        first, citations=(quoting(source, "Le fort date").citations[0], *first.citations)
    )
    (found,) = evidence(answer, {NOTE: source})
    assert found.keys == ("1", "2")
    assert evidence_html(found, "a").count("<mark") == 2


def test_overlapping_quotes_are_each_highlighted() -> None:
    markup = document_html(document(), [Mark(9, 20, "1"), Mark(14, 30, "2")], "a")
    assert (
        '<span class="cit-anchor" id="a-1"></span><mark data-number="1">Le fo</mark>'
        '<span class="cit-anchor" id="a-2"></span><mark data-number="2">rt dat</mark>'
        "<mark>e de 1872.</mark>" in markup
    )


def test_quote_without_context_is_shown_with_the_blocks_next_to_it() -> None:
    source = document()
    answer = quoting(source, "Fin.")
    start = CANONICAL.index("Fin.")
    passage = Passage(NOTE, start, start + 4, "Fin.", 1.0, True)
    (found,) = evidence(replace(answer, passages=(passage,)), {NOTE: source})
    # The paragraph before, which begins at 9; not the heading before that.
    assert (found.start, found.end) == (9, 55)


def test_changed_document_shows_the_quote_alone() -> None:
    source = document()
    answer = quoting(source, "Il garde la Meuse.")
    (found,) = evidence(answer, {NOTE: replace(source, content_hash="other")})
    assert found.document is None
    assert read(evidence_html(found, "a"))[0].endswith("Il garde la Meuse.")


def test_whole_document_shows_all_its_text_even_outside_blocks() -> None:
    source = replace(document(), blocks=(Block("heading", 0, 7, 1),))
    assert read(document_html(source))[0].split() == PLAIN.split()


def test_markers_link_to_citations_and_other_brackets_do_not() -> None:
    answer = replace(quoting(document(), "Il garde la Meuse."), text="Voir [7].\n- Il garde [1]")
    markup = answer_html(answer, "p", TEXTS["fr"])
    assert "<p>Voir [7].</p>" in markup
    assert '<ul><li>Il garde<a class="cit-marker" href="#p-1"' in markup
    assert 'aria-label="Aller au passage 1"' in markup


def test_short_answer_is_bold_once() -> None:
    answer = replace(
        quoting(document(), "Le fort date de **1872**."), text="1872, oui 1872 [1]\n1872 [1]"
    )
    assert answer_html(answer, "p", TEXTS["fr"]).count("<strong>1872</strong>") == 1


def test_hostile_text_is_shown_as_text() -> None:
    source = document(HOSTILE)
    answer = quoting(source, HOSTILE)
    (found,) = evidence(answer, {NOTE: source})
    (close,) = nearest(answer, {NOTE: source})
    source_record = Source(HOSTILE, HOSTILE, "fr", source.metadata, 2, 9)
    for markup in (
        question_html(HOSTILE, "q"),
        answer_html(replace(answer, short_answer=HOSTILE), "p", TEXTS["fr"]),
        evidence_html(found, "p"),
        evidence_html(close, ""),
        document_html(source, found.marks, "p"),
        notice_html(HOSTILE, "error", detail=HOSTILE),
        source_html(source_record, TEXTS["fr"]),
        skipped_html([Skipped(HOSTILE, HOSTILE)], TEXTS["fr"]),
    ):
        text, tags = read(markup)
        assert HOSTILE in text
        assert not tags & {"script", "img", "iframe", "form", "input", "style", "link"}


# --- The page -------------------------------------------------------------------------------


def test_question_is_answered_with_its_passage(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    assert TEXTS["fr"].welcome_title in shown(page)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    markup = shown(page)
    assert engine.asked == [("Que garde le fort ?", [])]
    assert "Que garde le fort ?" in markup
    assert '<a class="cit-marker" href="#passage-1-1"' in markup
    assert 'id="passage-1-1"' in markup
    assert '<mark data-number="1">Il garde la Meuse.</mark>' in markup
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
    assert 'href="#passage-2-1"' in markup


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


def test_whole_document_is_sent_when_opened(start: Start) -> None:
    page = start(FakeEngine())
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "cit-document" not in shown(page)
    page.session_state["whole-1-0"] = True
    page.run()
    markup = shown(page)
    assert "cit-document" in markup and "Fin." in markup
    assert markup.count("<mark") == 2


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
    page = start(FakeEngine(answer=abstention))
    page.chat_input[0].set_value("Quel temps fait-il ?").run()
    markup = shown(page)
    assert "cit-notice-info" in markup and abstention.text in markup
    assert "Confiance" not in markup and "<mark" not in markup
    assert [box.label for box in page.expander] == ["Peut-être dans ces passages"]


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
    engine.answer = CitadelleError("The index is being rebuilt; ask again in a minute.")
    page.chat_input[0].set_value("Depuis quand ?").run()
    markup = shown(page)
    assert "The index is being rebuilt; ask again in a minute." in markup
    assert "Il garde la Meuse." in markup
    engine.answer = None
    page.chat_input[0].set_value("Et maintenant ?").run()
    assert engine.asked[-1] == ("Et maintenant ?", ["Que garde le fort ?"])


def test_index_damaged_since_the_opening_is_said_and_the_old_one_answers(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    engine.damage = "The index is incomplete."
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "The index is incomplete." in shown(page)
    assert "Il garde la Meuse." in shown(page)


def test_a_failure_that_nobody_foresaw_is_named_and_can_be_retried(start: Start) -> None:
    page = start(ValueError("odd"))
    assert "ValueError: odd" in shown(page)
    assert "Traceback" not in shown(page)
    st.cache_resource.clear()
    assert start(FakeEngine()).chat_input


def test_unexpected_error_shows_no_traceback(start: Start) -> None:
    page = start(FakeEngine(answer=RuntimeError("secret detail")))
    page.chat_input[0].set_value("Que garde le fort ?").run()
    markup = shown(page)
    assert TEXTS["fr"].unexpected_error in markup
    assert "secret detail" not in markup and "Traceback" not in markup


@pytest.mark.parametrize(
    "failure",
    [
        IndexMissing("There is no index in .citadelle/index."),
        NothingToIndex("There is no file or folder corpus."),
    ],
)
def test_failure_to_open_says_what_to_do_and_can_be_retried(
    start: Start, failure: Exception
) -> None:
    page = start(failure)
    markup = shown(page)
    assert str(failure) in markup
    assert "citadelle index" in markup and "corpus" in markup
    assert not page.chat_input
    st.cache_resource.clear()
    page = start(FakeEngine())
    assert page.chat_input


def test_opening_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.chdir(ROOT)
    drawn: list[str] = []
    seen = threading.Semaphore(0)

    def opener(progress: ProgressCallback) -> FakeEngine:
        for stage in (("documents", 7, 0), ("embed", 3, 1200)):
            progress(*stage)
            while not drawn or not drawn[-1].endswith(str(stage[2] or stage[1])[-3:]):
                seen.acquire(timeout=5)
        return FakeEngine()

    def record(_bar: DeltaGenerator, value: float, text: str = "") -> None:
        drawn.append(f"{value:.4f} {text}")
        seen.release()

    monkeypatch.setattr("ui.engine.open_engine", opener)
    monkeypatch.setattr(DeltaGenerator, "progress", record)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run()
    assert list(dict.fromkeys(drawn))[-2:] == [
        "0.0000 Lecture des documents · 7",
        "0.0025 Indexation des passages · 3 / 1\u202f200",
    ]
    assert page.chat_input


@pytest.mark.parametrize(("language", "word"), [("en", "Ask your"), ("nl", "Bevraag uw")])
def test_interface_speaks_the_chosen_language(start: Start, language: str, word: str) -> None:
    page = start(FakeEngine())
    page.button_group(key="language").set_value(language).run()
    assert word in shown(page)
    assert TEXTS["fr"].welcome_title not in shown(page)


def test_documents_are_listed_and_read(start: Start) -> None:
    engine = FakeEngine(skipped=(Skipped("vide.pdf", "no text"),))
    page = start(engine)
    page.button_group(key="view").set_value("documents").run()
    markup = shown(page)
    for expected in ("note.md", "français", "1 passage", "Le vieux fort", "fortifications"):
        assert expected in markup
    assert "1 document n’a pas pu être lu" in markup and "vide.pdf" in markup
    page.button(key="read-note.md").click().run()
    assert "cit-document" in shown(page) and "Fin." in shown(page)
    page.button(key="back").click().run()
    assert "cit-document" not in shown(page)


def test_many_documents_are_paged_and_filtered(start: Start) -> None:
    documents = {f"{n}.md": document(f"Texte {n}", f"{n}.md") for n in range(45)}
    page = start(FakeEngine(documents))
    page.button_group(key="view").set_value("documents").run()
    assert shown(page).count('"cit-source"') == 20
    page.text_input(key="find").set_value("texte 44").run()
    assert shown(page).count('"cit-source"') == 1
    page.text_input(key="find").set_value("rien").run()
    assert TEXTS["fr"].documents_none in shown(page)


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
    page = start(FakeEngine(documents={NOTE: newer}, answer=old))
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert TEXTS["fr"].index_changed in shown(page)
    assert not page.exception
