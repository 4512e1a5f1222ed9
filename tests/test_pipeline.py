"""Questions from end to end, on the documents of the project and on toy ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rag import Citadelle
from rag.answering import ABSTENTION, REPLIES
from rag.config import Settings
from rag.errors import (
    CitadelleError,
    ConfigurationError,
    DocumentNotFound,
    IndexMismatch,
    InvalidFilter,
    InvalidQuestion,
    ModelError,
    NothingToIndex,
)
from rag.index import Index
from rag.indexing import build_index
from rag.types import Answer, Ranking, Turn
from rag.verification import TrainedVerifier
from rag.writing import open_writer
from tests.conftest import CORPUS, ToyEncoder

COMMAND = "belgian-cyber-command.md"
RELATIONS = "ccb-relations-internationales.txt"


@pytest.fixture(scope="module")
def citadelle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Citadelle]:
    with Citadelle.open(corpus=CORPUS, index=tmp_path_factory.mktemp("index") / "i") as opened:
        yield opened


def verbatim(citadelle: Citadelle, answer: Answer) -> bool:
    return all(
        citadelle.text(c.doc_id)[c.start : c.end] == c.quote
        and citadelle.document(c.doc_id).content_hash == c.content_hash
        and f"[{c.key}]" in answer.text
        for c in answer.citations
    )


# --- The documents of the project, with the bundled encoder -------------------------------


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Who represents Belgium in ECCG?", "en"),
        ("Qui représente la Belgique à l'ECCG ?", "fr"),
        ("qui represente la belgique a l'eccg", "fr"),
        ("Wie vertegenwoordigt België in de ECCG?", "nl"),
    ],
)
def test_one_sentence_is_cited(citadelle: Citadelle, question: str, language: str) -> None:
    answer = citadelle.ask(question)
    assert (answer.language, answer.abstained) == (language, False)
    (citation,) = answer.citations
    assert citation.doc_id == RELATIONS
    assert citation.quote.startswith("L'Autorité nationale belge de certification")
    assert "(NCCA-BE)" in citation.quote
    assert citation.quote.rstrip().endswith("sont préparés.")
    assert verbatim(citadelle, answer)


def test_a_list_is_cited_item_by_item(citadelle: Citadelle) -> None:
    answer = citadelle.ask("Quelles sont les missions principales du BCC ?")
    assert [c.key for c in answer.citations] == ["1", "2", "3", "4"]
    assert {c.doc_id for c in answer.citations} == {COMMAND}
    starts = [c.quote.lstrip("*").split("*", 1)[0] for c in answer.citations]
    assert starts == [
        "Défense des réseaux militaires",
        "Conduite d'opérations cyber",
        "Renseignement et Expertise",
        "Soutien aux opérations",
    ]
    assert len(answer.text.splitlines()) == 5
    assert verbatim(citadelle, answer)


@pytest.mark.parametrize(
    ("question", "short", "quoted"),
    [
        ("Où siège le Belgian Cyber Command ?", "Bruxelles, Belgique", "Siège"),
        ("Where is the Belgian Cyber Command based?", "Bruxelles, Belgique", "Siège"),
        ("Waar is het Belgian Cyber Command gevestigd?", "Bruxelles, Belgique", "Siège"),
        (
            "What is BCC also called?",
            "Belgian Cyber Command, BCC, Commandement Cyber Belge, Cyber Commandement Belge",
            "aliases",
        ),
    ],
)
def test_cards_and_properties_answer(
    citadelle: Citadelle, question: str, short: str, quoted: str
) -> None:
    answer = citadelle.ask(question)
    assert answer.short_answer == short
    assert answer.short_answer in answer.text
    assert quoted in answer.citations[0].quote
    assert answer.citations[0].doc_id == COMMAND
    assert verbatim(citadelle, answer)


@pytest.mark.parametrize(
    ("earlier", "question", "short"),
    [
        (
            "Where is the Belgian Cyber Command based?",
            "What is its role?",
            "Défense Militaire Cyber, Opérations Cyber Offensives et Défensives",
        ),
        ("Où siège le Belgian Cyber Command ?", "Et quand a-t-il été créé ?", "2022"),
    ],
)
def test_a_follow_up_is_understood_from_what_came_before(
    citadelle: Citadelle, earlier: str, question: str, short: str
) -> None:
    answer = citadelle.ask(question, history=[earlier])
    assert answer.question == question
    assert answer.understood and answer.to_dict()["understood"] == answer.understood
    assert "understood" not in citadelle.ask(earlier).to_dict()
    assert (answer.short_answer, answer.abstained) == (short, False)
    # What the assistant said is not taken for a question.
    turns = [Turn("user", earlier), Turn("assistant", "Le Niger et l'OSCE.")]
    assert citadelle.ask(question, history=turns).text == answer.text


@pytest.mark.parametrize(
    ("turns", "understood", "language", "said"),
    [
        (
            ["Que fait le CCB à l'ENISA ?", "Merci", "Et à l'OCDE ?"],
            "Que fait le CCB à l'OCDE ?",
            "fr",
            "(OCDE)",
        ),
        (
            ["Où siège le Belgian Cyber Command ?", "When was it created?"],
            "When was the Belgian Cyber Command created?",
            "en",
            "2022",
        ),
        (
            ["Waar is het Belgian Cyber Command gevestigd?", "depuis quand ?"],
            "Sinds wanneer is het Belgian Cyber Command gevestigd?",
            "fr",
            "2022",
        ),
        (
            ["What is the Belgian Cyber Command?", "since when?", "thanks", "Where is it based?"],
            "Where is the Belgian Cyber Command based?",
            "en",
            "Bruxelles, Belgique",
        ),
        (
            ["C'est quoi le Belgian Cyber Command ?", "il dépend de quel ministère ?"],
            "Le Belgian Cyber Command dépend de quel ministère ?",
            "fr",
            "Ministère de la Défense belge",
        ),
        (
            ["Qui représente la Belgique à l'ECCG ?", "Et à l'OTAN ?"],
            "Qui représente la Belgique à l'OTAN ?",
            "fr",
            "l'Organisation du Traité de l'Atlantique Nord (OTAN)",
        ),
        (
            ["Quelle loi a désigné le CCB ?", "Et qui organise Cyber Europe ?"],
            "",
            "fr",
            "l'ENISA",
        ),
    ],
)
def test_the_understood_question_is_what_is_answered(
    citadelle: Citadelle, turns: list[str], understood: str, language: str, said: str
) -> None:
    *history, question = turns
    answer = citadelle.ask(question, history=history)
    assert (answer.understood, answer.language, answer.abstained) == (understood, language, False)
    assert said in answer.text
    assert verbatim(citadelle, answer)
    assert citadelle.search(question, history=history).query == (understood or question)


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Quelle est la recette de la tarte aux pommes ?", "fr"),
        ("What is the best recipe for apple pie?", "en"),
        ("Wat is het beste recept voor appeltaart?", "nl"),
    ],
)
def test_nonsense_is_declined_in_the_language_of_the_question(
    citadelle: Citadelle, question: str, language: str
) -> None:
    answer = citadelle.ask(question)
    assert (answer.text, answer.citations) == (ABSTENTION[language], ())
    assert (answer.mode, answer.confidence < 0.5) == ("abstention", True)


def test_every_citation_is_verbatim(citadelle: Citadelle) -> None:
    answers = [
        citadelle.ask(question)
        for question in (
            "BCC",
            "Que signifie CSIRT ?",
            "Dans quelle ville est le Centre d'excellence européen ?",
            "Which organisations does the CCB work with?",
            "Welke wetten volgt het CCB?",
            "À quoi contribue le Belgian Cyber Command ?",
        )
    ]
    assert all(verbatim(citadelle, answer) for answer in answers)
    assert sum(len(answer.citations) for answer in answers) >= 4


def test_filters_limit_what_is_read(citadelle: Citadelle) -> None:
    answer = citadelle.ask("Où siège le BCC ?", filters={"tag": "militaire"})
    assert {passage.doc_id for passage in answer.passages} == {COMMAND}
    hits = citadelle.search("BCC", k=50, filters={"doc": "ccb"}).hits
    assert {hit.chunk.doc_id for hit in hits} == {RELATIONS}
    with pytest.raises(InvalidFilter):
        citadelle.ask("Où siège le BCC ?", filters={"tag": "civil"})


def test_search_ranks_the_passages(citadelle: Citadelle) -> None:
    hits = citadelle.search("coopération avec le Niger", k=3).hits
    assert len(hits) == 3
    assert "Niger" in hits[0].chunk.text
    ranking = citadelle.search("coopération avec le Niger", k=3)
    found = citadelle.evidence("coopération avec le Niger", ranking)
    assert found[0].hit.chunk.doc_id == RELATIONS


def test_threads_get_what_one_gets(citadelle: Citadelle) -> None:
    questions = [
        "Who represents Belgium in ECCG?",
        "Quelles sont les missions principales du BCC ?",
        "Où siège le Belgian Cyber Command ?",
        "What is BCC also called?",
    ] * 4

    alone = [citadelle.ask(question) for question in questions]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(citadelle.ask, questions))
    for one, other in zip(alone, together, strict=True):
        assert (one.text, one.short_answer) == (other.text, other.short_answer)
        assert one.citations == other.citations
        # How texts are padded into batches moves the last digits.
        assert one.confidence == pytest.approx(other.confidence, abs=0.02)


def test_timings_add_up(citadelle: Citadelle) -> None:
    timings = citadelle.ask("Où siège le BCC ?").timings
    assert list(timings) == ["retrieve_ms", "read_ms", "total_ms"]
    assert min(timings.values()) > 0
    assert timings["total_ms"] >= timings["retrieve_ms"] + timings["read_ms"] - 1e-6


# --- Courtesies, and what was not answered ------------------------------------------------


def test_the_steps_of_an_answer_are_told(citadelle: Citadelle) -> None:
    steps: list[tuple[str, int, int]] = []

    def note(stage: str, done: int, total: int) -> None:
        steps.append((stage, done, total))

    answer = citadelle.ask("Who represents Belgium in ECCG?", progress=note)
    assert steps == [("search", 0, 0), ("read", 0, len(answer.passages))]
    steps.clear()
    citadelle.ask("Bonjour !", progress=note)
    assert steps == []


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("Qui représente la Belgique à l'ECCG ?", 1),
        ("Où siège le BCC et depuis quand existe-t-il ?", 2),
        ("Bonjour !", 0),
    ],
)
def test_what_is_found_is_given_before_it_is_read(
    citadelle: Citadelle, question: str, parts: int
) -> None:
    given: list[tuple[Ranking, ...]] = []
    answer = citadelle.ask(question, found=given.append)
    rankings = [ranking for found in given for ranking in found]
    assert (len(given), len(rankings)) == (min(parts, 1), parts)
    hits = [hit for ranking in rankings for hit in ranking.hits]
    assert all(hit.relevance is None and hit.rerank is None for hit in hits)
    places = {(hit.chunk.doc_id, hit.chunk.start) for hit in hits}
    assert {(passage.doc_id, passage.start) for passage in answer.passages} <= places


@pytest.mark.parametrize(
    ("message", "language", "said"),
    [
        ("Bonjour", "fr", REPLIES["greeting"]["fr"]),
        ("what can you do?", "en", REPLIES["assistant"]["en"]),
        ("Bedankt!", "nl", REPLIES["thanks"]["nl"]),
    ],
)
def test_a_courtesy_gets_a_short_reply(
    citadelle: Citadelle, message: str, language: str, said: str
) -> None:
    answer = citadelle.ask(message, history=["Où siège le BCC ?"])
    assert (answer.text, answer.language, answer.mode) == (said, language, "courtesy")
    assert (answer.citations, answer.passages, answer.abstained) == ((), (), False)
    assert list(answer.timings) == ["retrieve_ms", "read_ms", "total_ms"]
    assert citadelle.hints(answer) == ()


def test_the_corpus_is_named_as_far_as_filters_let_it_through(citadelle: Citadelle) -> None:
    both = citadelle.ask("Wat zijn je bronnen?")
    titles = [source.title for source in citadelle.sources()]
    assert len(titles) == 2 and all(f"“{title}”" in both.text for title in titles)
    assert both.text.startswith("Ik antwoord op basis van 2 documenten")
    one = citadelle.ask("Quels documents as-tu ?", filters={"tag": "militaire"})
    assert "un seul document" in one.text and "Belgian Cyber Command" in one.text
    with pytest.raises(InvalidFilter):
        citadelle.ask("Quels documents as-tu ?", filters={"tag": "civil"})


def test_a_greeting_before_a_question_changes_nothing(citadelle: Citadelle) -> None:
    bare = citadelle.ask("Qui représente la Belgique à l'ECCG ?")
    greeted = citadelle.ask("Bonjour, qui représente la Belgique à l'ECCG ? Merci !")
    assert greeted.question.startswith("Bonjour")
    assert (greeted.text, greeted.mode) == (bare.text, "extractive")


def test_courtesies_are_no_part_of_what_a_follow_up_follows(citadelle: Citadelle) -> None:
    first = "Où siège le Belgian Cyber Command ?"
    alone = citadelle.search("Et quand a-t-il été créé ?", history=[first])
    polite = citadelle.search(
        "Merci ! Et quand a-t-il été créé ?", history=[f"Bonjour, {first}", "Merci beaucoup", "ok"]
    )
    assert alone.query == "Quand le Belgian Cyber Command a-t-il été créé ?"
    assert polite.query == alone.query


def test_hints_say_how_to_ask_again(citadelle: Citadelle) -> None:
    answer = citadelle.ask("Quelle est la recette de la tarte aux pommes ?")
    assert answer.abstained
    words, general = citadelle.hints(answer)
    assert "tarte" in words and "pommes" in words
    assert general.startswith("Nommez")
    limited, *rest = citadelle.hints(answer, {"tag": "militaire"})
    assert "1 des 2 documents" in limited
    assert rest == [words, general]


# --- What is refused ----------------------------------------------------------------------


@pytest.mark.parametrize("question", ["", "   ", "\n\t", "?", "… !", "\u00a0\u200b"])
def test_an_empty_question(citadelle: Citadelle, question: str) -> None:
    with pytest.raises(InvalidQuestion, match="empty"):
        citadelle.ask(question)
    with pytest.raises(InvalidQuestion):
        citadelle.search(question)


def test_a_question_of_20000_characters(citadelle: Citadelle) -> None:
    with pytest.raises(InvalidQuestion, match="20000 characters; at most 2000"):
        citadelle.ask("a" * 20_000)
    # The longest that is accepted; blanks around and between words do not count.
    assert citadelle.ask("a" * 2000 + " " * 5000).abstained
    assert citadelle.ask("où " + "\n" * 18_000 + "siège le BCC ?").short_answer


@pytest.mark.parametrize("doc_id", ["absent.md", "", "Belgian", "../corpus"])
def test_an_unknown_document(citadelle: Citadelle, doc_id: str) -> None:
    with pytest.raises(DocumentNotFound, match=r"There is no document.*citadelle sources"):
        citadelle.text(doc_id)


def test_a_document_goes_by_a_unique_beginning(citadelle: Citadelle) -> None:
    assert citadelle.document("belgian").doc_id == COMMAND
    assert citadelle.text("ccb") == citadelle.text(RELATIONS)
    assert {source.doc_id for source in citadelle.sources()} == {COMMAND, RELATIONS}


# --- Opening and refreshing, with the toy encoder -----------------------------------------


@pytest.fixture
def toy_encoder(monkeypatch: pytest.MonkeyPatch) -> ToyEncoder:
    encoder = ToyEncoder()
    monkeypatch.setattr("rag.pipeline.open_encoder", lambda settings, progress=None: encoder)
    return encoder


@pytest.fixture
def opening(folder: Path, tmp_path: Path, toy_encoder: ToyEncoder) -> dict[str, Any]:
    return {"corpus": folder, "index": tmp_path / "index", "chunk_tokens": 64}


def doc_ids(citadelle: Citadelle) -> list[str]:
    return [source.doc_id for source in citadelle.sources()]


def test_an_ambiguous_beginning(opening: dict[str, Any], folder: Path) -> None:
    (folder / "bureau").mkdir()
    shutil.copy(folder / "bureau.md", folder / "bureau" / "deux.md")
    citadelle = Citadelle.open(**opening)
    with pytest.raises(DocumentNotFound, match="2 documents begin with 'bureau'; give more"):
        citadelle.text("bureau")
    assert citadelle.document("bureau/").doc_id == "bureau/deux.md"
    # The whole name is never ambiguous.
    (folder / "bureau.md.txt").write_text("Autre chose.", encoding="utf-8")
    assert Citadelle.open(**opening).document("bureau.md").doc_id == "bureau.md"


def test_opening_with_a_corpus_indexes_what_changed(
    opening: dict[str, Any], folder: Path, toy_encoder: ToyEncoder
) -> None:
    assert doc_ids(Citadelle.open(**opening)) == ["bureau.md", "projet.md"]
    toy_encoder.encoded.clear()
    assert doc_ids(Citadelle.open(**opening)) == ["bureau.md", "projet.md"]
    assert toy_encoder.encoded == []
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    (folder / "projet.md").unlink()
    assert doc_ids(Citadelle.open(**opening)) == ["bureau.md", "neuf.txt"]
    assert toy_encoder.encoded == ["Neuf\nUn document neuf."]


def test_opening_without_a_corpus_takes_the_index_as_it_is(
    opening: dict[str, Any], folder: Path
) -> None:
    Citadelle.open(**opening)
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    rest = {name: value for name, value in opening.items() if name != "corpus"}
    assert doc_ids(Citadelle.open(**rest)) == ["bureau.md", "projet.md"]
    assert doc_ids(Citadelle.open(update=True, **rest)) == ["bureau.md", "neuf.txt", "projet.md"]


def test_opening_with_another_corpus_follows_it(opening: dict[str, Any], tmp_path: Path) -> None:
    Citadelle.open(**opening)
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("Une phrase.", encoding="utf-8")
    assert doc_ids(Citadelle.open(**{**opening, "corpus": other})) == ["a.txt"]


def test_an_index_made_otherwise_is_refused_unless_the_corpus_is_given(
    opening: dict[str, Any],
) -> None:
    Citadelle.open(**opening)
    with pytest.raises(IndexMismatch, match=r"chunk_tokens = 64.*citadelle index"):
        Citadelle.open(index=opening["index"], chunk_tokens=128)
    assert Citadelle.open(**{**opening, "chunk_tokens": 128}).manifest["chunk_tokens"] == 128


def test_an_index_made_otherwise_is_made_again_from_its_own_folders(
    opening: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Citadelle.open(**opening)
    default = tmp_path / "corpus-of-the-settings"
    default.mkdir()
    (default / "autre.txt").write_text("Un autre document.", encoding="utf-8")
    monkeypatch.setenv("CITADELLE_CORPUS", str(default))
    rest = {name: value for name, value in opening.items() if name != "corpus"}
    again = Citadelle.open(**{**rest, "chunk_tokens": 128}, update=True)
    assert doc_ids(again) == ["bureau.md", "projet.md"]


def test_refresh_takes_up_a_new_generation(opening: dict[str, Any], folder: Path) -> None:
    citadelle = Citadelle.open(**opening)
    assert not citadelle.refresh()
    (folder / "neuf.txt").write_text("Un zèbre dort.", encoding="utf-8")
    # Another process would do this.
    settings = Settings(corpus=folder, index=opening["index"], chunk_tokens=64)
    build_index([folder], settings, ToyEncoder())
    assert "neuf.txt" not in doc_ids(citadelle)
    assert citadelle.refresh()
    assert not citadelle.refresh()
    assert "neuf.txt" in doc_ids(citadelle)
    assert citadelle.search("zèbre").hits[0].chunk.doc_id == "neuf.txt"
    assert citadelle.retriever.invoke("zèbre", k=1)[0].metadata["doc_id"] == "neuf.txt"


def test_index_reports_and_is_used_at_once(opening: dict[str, Any], folder: Path) -> None:
    citadelle = Citadelle.open(**opening)
    (folder / "vide.md").write_text("", encoding="utf-8")
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    report = citadelle.index()
    assert (report.added, [s.path for s in report.skipped]) == (("neuf.txt",), ["vide.md"])
    assert citadelle.skipped == report.skipped
    assert citadelle.text("neuf") == "Un document neuf."


def test_a_corpus_that_does_not_exist(opening: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(CitadelleError, match=r"no file or folder .*absent"):
        Citadelle.open(**{**opening, "corpus": tmp_path / "absent"})


def test_settings_are_checked(opening: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Unknown setting 'colour'"):
        Citadelle.open(**opening, colour="blue")
    with pytest.raises(ConfigurationError, match="abstain_below"):
        Citadelle.open(**opening, abstain_below=2)
    always = Citadelle.open(**opening, abstain_below=0.0)
    assert not always.ask("Quelle certification ?").abstained


def test_two_questions_in_one_are_answered_each(citadelle: Citadelle) -> None:
    answer = citadelle.ask("When was the Belgian Cyber Command created and where is it based?")
    assert not answer.abstained
    assert answer.text.startswith("When was the Belgian Cyber Command created?\n")
    assert "\nWhere is it based?\n" in answer.text
    assert answer.short_answer == "2022; Bruxelles, Belgique"
    assert [citation.key for citation in answer.citations] == ["1", "2"]
    again = citadelle.answer(answer.question, citadelle.search(answer.question, 8))
    assert again.text.count("?\n") == 2


def test_the_asked_row_of_a_card_answers_in_each_language(citadelle: Citadelle) -> None:
    for question in (
        "Quand le BCC a-t-il été créé ?",
        "When was the BCC created?",
        "Wanneer werd het BCC opgericht?",
    ):
        answer = citadelle.ask(question)
        assert not answer.abstained, question
        assert answer.short_answer == "2022"


# --- A language model ---------------------------------------------------------------------


def test_without_a_model_the_answer_is_all_that_happens(settings: Settings) -> None:
    toy = ToyEncoder()
    build_index([settings.corpus], settings, toy)
    with Citadelle(settings, toy, Index.open(settings, toy)) as citadelle:
        assert citadelle.model == ""
        (answer,) = citadelle.stream("Pourquoi la certification ?")
        assert isinstance(answer, Answer)
        told: list[str] = []
        asked = citadelle.ask(
            "Pourquoi la certification ?", progress=lambda stage, done, total: told.append(stage)
        )
        assert replace(asked, timings={}) == replace(answer, timings={})
        assert told == ["search", "read"]


def test_a_model_that_cannot_be_opened_is_said_at_once(settings: Settings) -> None:
    with pytest.raises(ModelError, match="'acme'"):
        open_writer(settings.model_copy(update={"llm": "acme:large"}), ToyEncoder(), unopened)
    assert open_writer(settings, ToyEncoder(), unopened) is None


def unopened() -> TrainedVerifier:
    raise AssertionError("No model is configured: nothing is to be checked.")


def test_the_last_document_may_leave_when_that_is_said(
    opening: dict[str, Any], folder: Path
) -> None:
    with Citadelle.open(**opening) as citadelle:
        for file in folder.iterdir():
            file.unlink()
        with pytest.raises(NothingToIndex):
            citadelle.index([folder])
        report = citadelle.index([folder], may_empty=True)
        assert (len(report.removed), report.chunks) == (2, 0)
        assert citadelle.sources() == () and citadelle.facets() == ()
        assert citadelle.ask("Où est le bureau ?").abstained
    index = {name: value for name, value in opening.items() if name != "corpus"}
    # What is empty opens again, and takes in what is added.
    with Citadelle.open(**index, update=True) as citadelle:
        assert citadelle.sources() == ()
        (folder / "neuf.md").write_text("Le bureau est à Bruxelles.\n", encoding="utf-8")
        citadelle.index([folder])
        assert [source.doc_id for source in citadelle.sources()] == ["neuf.md"]
