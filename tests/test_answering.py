"""The extractive answer: its words, markers and citations, and when it abstains."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import get_args

import pytest

from rag.answering import ABSTENTION, NEAREST, REPLIES, Composer, hints, join, reply, short_answers
from rag.chunking import chunk_document
from rag.courtesies import Courtesy, CourtesyKind
from rag.documents import parse
from rag.types import Answer, Document, Language, Reading, ScoredChunk, Span

OFFICE = parse(
    "# Le bureau\n\nLe **bureau** est à Bruxelles. Il date de 2022.\n", "o.md", format="markdown"
)
CARD = parse("# La carte\n\nElle a :\n- un *point* ;\n- une\nligne.\n", "c.md", format="markdown")
DOCUMENTS: Mapping[str, Document] = {"o.md": OFFICE, "c.md": CARD}
COMPOSER = Composer(default_language="fr", threshold=0.5)


def hits() -> tuple[ScoredChunk, ...]:
    chunks = [
        chunk
        for document in (OFFICE, CARD)
        for chunk in chunk_document(
            document, max_tokens=64, count_tokens=lambda text: len(text.split())
        )
    ]
    return tuple(
        ScoredChunk(chunk, score=0.123456, rank=rank) for rank, chunk in enumerate(chunks, start=1)
    )


def span(document: Document, text: str) -> Span:
    start = document.plain.index(text)
    return Span(start, start + len(text), 1.0)


def reading(
    office: tuple[str, ...] = (),
    card: tuple[str, ...] = (),
    *,
    sure: float = 0.9,
    short: str | None = None,
) -> Reading:
    passages = hits()
    assert [hit.chunk.doc_id for hit in passages] == ["o.md", "c.md"]
    return Reading(
        passages=passages,
        spans=(
            tuple(span(OFFICE, text) for text in office),
            tuple(span(CARD, text) for text in card),
        ),
        answerability=sure,
        short=(0, span(OFFICE, short)) if short else None,
    )


def compose(read: Reading, language: Language = "fr", question: str = "Où ?") -> Answer:
    return COMPOSER.compose(question, language, read, DOCUMENTS)


SENTENCE = "Le bureau est à Bruxelles."


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr", "Selon « Le bureau » :\n« Le bureau est à Bruxelles. » [1]"),
        ("en", "According to “Le bureau”:\n“Le bureau est à Bruxelles.” [1]"),
        ("nl", "Volgens “Le bureau”:\n“Le bureau est à Bruxelles.” [1]"),
        ("unknown", "Selon « Le bureau » :\n« Le bureau est à Bruxelles. » [1]"),
    ],
)
def test_one_quote(language: Language, text: str) -> None:
    answer = compose(reading((SENTENCE,)), language)
    # A non-breaking space reads as a space here.
    assert answer.text.replace("\u00a0", " ").replace("\u202f", " ") == text
    assert answer.language == language
    assert (answer.mode, answer.abstained, answer.confidence) == ("extractive", False, 0.9)
    (citation,) = answer.citations
    assert citation.quote == "Le **bureau** est à Bruxelles."
    assert citation.heading_path == ("Le bureau",)


@pytest.mark.parametrize(
    ("language", "lead"),
    [
        ("fr", "Selon les documents :"),
        ("en", "According to the documents:"),
        ("nl", "Volgens de documenten:"),
    ],
)
def test_quotes_of_several_documents(language: Language, lead: str) -> None:
    answer = compose(reading((SENTENCE,), ("un point ;",)), language)
    first, *quotes = answer.text.splitlines()
    assert first.replace("\u00a0", " ") == lead
    assert [line[:2] + line[-4:] for line in quotes] == ["-  [1]", "-  [2]"]
    assert [(c.key, c.doc_id) for c in answer.citations] == [("1", "o.md"), ("2", "c.md")]


def test_several_quotes_of_one_document_are_a_list_on_one_line_each() -> None:
    answer = compose(reading(card=("un point ;", CARD.plain[CARD.plain.index("une") :])), "en")
    # The second item runs over two lines in the source.
    assert answer.text == "According to “La carte”:\n- “un point ;” [1]\n- “une ligne.” [2]"
    assert [c.quote for c in answer.citations] == ["un *point* ;", "une\nligne."]


def test_every_marker_has_its_citation_and_every_quote_is_verbatim() -> None:
    answer = compose(reading((SENTENCE, "Il date de 2022."), ("un point ;",)))
    assert [c.key for c in answer.citations] == ["1", "2", "3"]
    for citation in answer.citations:
        document = DOCUMENTS[citation.doc_id]
        assert document.text[citation.start : citation.end] == citation.quote
        assert answer.text.count(f"[{citation.key}]") == 1


def test_passages_are_those_read_and_used_are_those_quoted() -> None:
    answer = compose(reading((SENTENCE,)))
    assert [(p.doc_id, p.used) for p in answer.passages] == [("o.md", True), ("c.md", False)]
    for passage in answer.passages:
        assert DOCUMENTS[passage.doc_id].text[passage.start : passage.end] == passage.text
        assert passage.score == 0.1235
    for citation in answer.citations:
        assert any(
            p.used and p.doc_id == citation.doc_id and p.start <= citation.start < p.end
            for p in answer.passages
        )


def test_the_short_answer_is_within_the_text() -> None:
    answer = compose(reading(("Il date de 2022.",), short="2022"))
    assert answer.short_answer == "2022"
    assert answer.short_answer in answer.text
    assert compose(reading((SENTENCE,))).short_answer == ""


@pytest.mark.parametrize("language", ["fr", "en", "nl"])
@pytest.mark.parametrize(
    "read",
    [
        reading((SENTENCE,), sure=0.49, short="Bruxelles"),
        reading(sure=0.9),
        Reading(passages=(), spans=(), answerability=0.0),
    ],
    ids=["unsure", "no span", "nothing found"],
)
def test_abstention(language: Language, read: Reading) -> None:
    answer = compose(read, language)
    assert answer.text == ABSTENTION[language]
    assert (answer.mode, answer.abstained) == ("abstention", True)
    assert (answer.citations, answer.short_answer) == ((), "")
    # What was read is still shown, and none of it counts as used.
    assert len(answer.passages) == len(read.passages)
    assert not any(passage.used for passage in answer.passages)
    assert answer.confidence == read.answerability


def test_abstention_of_an_unclear_language_is_in_the_default_one() -> None:
    unsure = reading((SENTENCE,), sure=0.1)
    for language in ("fr", "en", "nl"):
        composer = Composer(default_language=language, threshold=0.5)
        answer = composer.compose("BCC", "unknown", unsure, DOCUMENTS)
        assert (answer.language, answer.text) == ("unknown", ABSTENTION[language])


@pytest.mark.parametrize(
    ("language", "lead"),
    [
        ("fr", "Les documents ne disent pas la même chose\u00a0:"),
        ("en", "The documents do not say the same:"),
        ("nl", "De documenten zeggen niet hetzelfde:"),
    ],
)
def test_documents_that_differ_are_said_to(language: Language, lead: str) -> None:
    read = replace(reading((SENTENCE,), ("une ligne.",)), differ=True)
    assert compose(read, language).text.splitlines()[0] == lead


def test_the_threshold_is_not_below() -> None:
    assert not compose(reading((SENTENCE,), sure=0.5)).abstained
    never = Composer(default_language="fr", threshold=0.0)
    assert not never.compose("?", "fr", reading((SENTENCE,), sure=0.0), DOCUMENTS).abstained


def test_markup_in_a_title_is_left_alone() -> None:
    document = parse("---\ntitle: '{title} <b> [1]'\n---\nUne phrase.", "t.md", format="markdown")
    chunks = chunk_document(document, max_tokens=64, count_tokens=len)
    hit = next(ScoredChunk(c, 1.0, 1) for c in chunks if "phrase" in c.text)
    read = Reading((hit,), ((span(document, "Une phrase."),),), 0.9)
    answer = COMPOSER.compose("?", "en", read, {"t.md": document})
    assert answer.text == "According to “{title} <b> [1]”:\n“Une phrase.” [1]"


ANSWER_KEYS = [
    "question",
    "language",
    "text",
    "short_answer",
    "abstained",
    "confidence",
    "mode",
    "citations",
    "passages",
    "timings",
]


@pytest.mark.parametrize("sure", [0.9, 0.1])
def test_the_object_of_an_answer(sure: float) -> None:
    answer = compose(reading((SENTENCE,), sure=sure), question="Où est le bureau ?")
    value = answer.to_dict()
    assert json.loads(json.dumps(value)) == value
    assert list(value) == ANSWER_KEYS
    assert value["question"] == "Où est le bureau ?"
    for citation in value["citations"]:
        assert set(citation) == {
            "key",
            "doc_id",
            "title",
            "heading_path",
            "start",
            "end",
            "quote",
        }
    for passage in value["passages"]:
        assert set(passage) == {"doc_id", "start", "end", "text", "score", "used"}
    assert len(value["citations"]) == (1 if sure > 0.5 else 0)


# --- Courtesies, and hints ----------------------------------------------------------------


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize("kind", get_args(CourtesyKind))
@pytest.mark.parametrize("language", ["fr", "en", "nl"])
def test_a_courtesy_rests_on_nothing(kind: CourtesyKind, language: Language) -> None:
    answer = reply("Salut", Courtesy(kind, language), [OFFICE, CARD])
    assert (answer.mode, answer.abstained, answer.confidence) == ("courtesy", False, 1.0)
    assert (answer.citations, answer.passages, answer.short_answer) == ((), (), "")
    assert (answer.question, answer.language) == ("Salut", language)
    assert answer.text == REPLIES[kind][language] or kind == "corpus"
    assert "{" not in answer.text


@pytest.mark.parametrize(
    ("language", "count", "text"),
    [
        ("fr", 0, "Aucun document n’est indexé."),
        ("fr", 1, "Je réponds à partir d’un seul document : « Le bureau »."),
        ("en", 1, "I answer from one document: “Le bureau”."),
        ("nl", 1, "Ik antwoord op basis van één document: “Le bureau”."),
        ("en", 2, "I answer from 2 documents: “Le bureau”, “Le bureau”."),
        ("en", 7, f"I answer from 7 documents: {', '.join(['“Le bureau”'] * 5)}, and others."),
    ],
)
def test_the_documents_are_counted_and_five_are_named(
    language: Language, count: int, text: str
) -> None:
    answer = reply("?", Courtesy("corpus", language), [OFFICE] * count)
    assert plain(answer.text) == text


def test_hints_name_what_stood_in_the_way() -> None:
    assert plain("\n".join(hints("fr", ["zèbre", "rayé"], 1, 2))).splitlines() == [
        "Un filtre a limité la recherche à 1 des 2 documents ; essayez sans lui.",
        "Aucun document ne contient « zèbre » ni « rayé ».",
        "Nommez en entier ce que vous cherchez, et ne demandez qu’une chose à la fois.",
    ]
    assert hints("en", ["a", "b", "c", "d"], 2, 2) == (
        "No document contains “a” or “b” or “c”.",
        "Name what you are looking for in full, and ask for one thing at a time.",
    )
    assert len(hints("nl", [], 2, 2)) == 1


def test_every_text_is_there_in_every_language() -> None:
    for texts in (ABSTENTION, NEAREST, *REPLIES.values()):
        assert set(texts) == {"fr", "en", "nl"}


def test_the_answers_to_two_parts_stand_under_their_parts() -> None:
    where = compose(reading((SENTENCE,), short="Bruxelles"))
    when = compose(reading(("Il date de 2022.",), ("un point ;",), sure=0.7, short="2022"))
    both = join("Où et quand ?", "fr", ("Où ?", "Quand ?"), (where, when))
    lines = both.text.split("\n")
    assert lines[0] == "Où ?"
    assert lines[1].endswith("[1]") or lines[2].endswith("[1]")
    assert "Quand ?" in lines
    assert [citation.key for citation in both.citations] == ["1", "2", "3"]
    assert [line.rpartition(" ")[2] for line in lines if line.endswith("]")] == [
        "[1]",
        "[2]",
        "[3]",
    ]
    assert both.short_answer == "Bruxelles\u00a0; 2022"
    assert short_answers(both) == ("Bruxelles", "2022")
    assert short_answers(where) == ("Bruxelles",)
    assert short_answers(reply("?", Courtesy("greeting", "fr"), ())) == ()
    assert both.confidence == 0.7
    assert not both.abstained
    assert [passage.used for passage in both.passages] == [True, True]


def test_a_passage_quoted_for_both_parts_is_cited_once() -> None:
    answer = compose(reading((SENTENCE,), short="Bruxelles"))
    both = join("Où et où ?", "en", ("Where?", "In which city?"), (answer, answer))
    assert [citation.key for citation in both.citations] == ["1"]
    assert both.text.count("[1]") == 2
    assert both.short_answer == "Bruxelles"


def test_a_part_without_an_answer_says_so() -> None:
    where, nothing = compose(reading((SENTENCE,))), compose(reading(sure=0.1))
    both = join("Où et quand ?", "fr", ("Où ?", "Quand ?"), (where, nothing))
    assert both.text.endswith(f"Quand ?\n{ABSTENTION['fr']}")
    assert not both.abstained
    assert both.confidence == 0.9


def test_where_no_part_has_an_answer_the_whole_abstains() -> None:
    both = join("Où et quand ?", "fr", ("Où ?", "Quand ?"), [compose(reading(sure=0.1))] * 2)
    assert both.abstained
    assert both.question == "Où et quand ?"
    assert both.text == ABSTENTION["fr"]
    assert not both.citations
