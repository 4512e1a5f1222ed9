"""Fusion, filters and the LangChain retriever, with scores derived by hand."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables import RunnableLambda

from rag.config import Settings
from rag.errors import InvalidFilter
from rag.index import Index
from rag.indexing import build_index
from rag.retrieval import HybridRetriever, facets, parse_filter
from rag.types import Document, Language, Ranking, ScoredChunk
from tests.conftest import ToyEncoder, cosine

# One passage each; the titles are single letters, which are no search words.
A = "Le bureau de Bruxelles est ouvert."  # bureau, bruxelles, ouvert
B = "Le projet du Niger est fini."  # projet, niger, fini
C = "Le projet de Bruxelles au Niger est en cours."  # projet, bruxelles, niger, cours

# What the retriever weighs the cosine, late interaction and BM25 by, the latter within a
# language and across two.
COSINE, LATE, WITHIN, ACROSS = 0.15, 0.4, 0.05, 0.025


def open_index(folder: Path, index: Path, encoder: ToyEncoder) -> Index:
    settings = Settings(corpus=folder, index=index, chunk_tokens=64)
    build_index([folder], settings, encoder)
    return Index.open(settings, encoder)


def bm25(frequency: int, words: int) -> float:
    """Return the BM25 of one word that `frequency` of the three passages have.

    The passages have 3, 3 and 4 words, 10/3 on average; k1 = 1.2 and b = 0.75.
    """
    idf = math.log(1 + (3 - frequency + 0.5) / (frequency + 0.5))
    return idf / (1 + 1.2 * (0.25 + 0.75 * words / (10 / 3)))


@pytest.fixture
def retriever(tmp_path: Path, toy: ToyEncoder) -> HybridRetriever:
    folder = tmp_path / "abc"
    folder.mkdir()
    for name, text in (("a", A), ("b", B), ("c", C)):
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return HybridRetriever(index=open_index(folder, tmp_path / "index", toy), encoder=toy)


@pytest.fixture
def notes(folder: Path, tmp_path: Path, toy: ToyEncoder) -> HybridRetriever:
    note = folder / "bureau.md"
    text = note.read_text(encoding="utf-8")
    note.write_text(text.replace("---\n", "---\ntype: [Militaire, Public]\n", 1), encoding="utf-8")
    return HybridRetriever(index=open_index(folder, tmp_path / "index", toy), encoder=toy)


def by_document(ranking: Ranking) -> dict[str, ScoredChunk]:
    return {hit.chunk.doc_id: hit for hit in ranking.hits}


def documents(ranking: Ranking) -> set[str]:
    return {hit.chunk.doc_id for hit in ranking.hits}


@pytest.mark.parametrize("language", ["fr", "unknown"])
def test_the_score_is_a_weighted_sum(retriever: HybridRetriever, language: Language) -> None:
    ranking = retriever.rank("projets", language=language)
    hits = by_document(ranking)
    # "projet" is no axis: the question is (0, …, 0.1), so its cosine with a passage of one
    # axis is 0.1 / √1.01 = 0.0995, with one of two axes 0.1 / √2.01 = 0.0705.
    assert hits["a.txt"].dense == pytest.approx(0.1 / math.sqrt(1.01), abs=1e-5)
    assert hits["b.txt"].dense == pytest.approx(0.1 / math.sqrt(1.01), abs=1e-5)
    assert hits["c.txt"].dense == pytest.approx(0.1 / math.sqrt(2.01), abs=1e-5)
    # b: ln 1.6 / 2.11 = 0.2228; c: ln 1.6 / 2.38 = 0.1975; a has no word of the question.
    assert hits["a.txt"].lexical is None
    assert hits["b.txt"].lexical == pytest.approx(bm25(2, 3), rel=1e-4)
    assert hits["c.txt"].lexical == pytest.approx(bm25(2, 4), rel=1e-4)
    for hit in ranking.hits:
        assert hit.dense is not None and hit.late is not None
        words = WITHIN * (hit.lexical or 0.0) / math.log(1 + 3)
        expected = COSINE * hit.dense + LATE * hit.late + words
        assert hit.score == pytest.approx(expected, abs=1e-5)
    assert [hit.rank for hit in ranking.hits] == [1, 2, 3]
    assert ranking.language == language


def test_across_languages_only_words_spelt_alike_vote_and_less(retriever: HybridRetriever) -> None:
    hits = by_document(retriever.rank("the Niger office", language="en"))
    # "Niger" is in 2 of 3 passages, as "projet" is; "office" is in none.
    assert hits["b.txt"].lexical == pytest.approx(bm25(2, 3), rel=1e-4)
    assert hits["b.txt"].weight == pytest.approx(ACROSS / math.log(4))
    assert hits["a.txt"].lexical is None


def test_what_one_retriever_proposes_the_other_scores_too(retriever: HybridRetriever) -> None:
    narrow = HybridRetriever(index=retriever.index, encoder=retriever.encoder, candidates=1)
    # "Bruxelles" is the only axis, so the cosine proposes a alone, 0.999; b has two of the
    # words, one of them rare, so BM25 proposes b alone. The better of the two by both is kept.
    question = "Bruxelles projet fini"
    first = {
        # a was not proposed by words, but its word "Bruxelles" counts.
        "a.txt": cosine(question, A) + 0.1 * bm25(2, 3) / math.log(4),
        # b was not proposed by its vector, but its cosine counts.
        "b.txt": cosine(question, B) + 0.1 * (bm25(2, 3) + bm25(1, 3)) / math.log(4),
    }
    (hit,) = narrow.rank(question, k=1, language="fr").hits
    assert hit.chunk.doc_id == max(first, key=lambda name: first[name]) == "a.txt"
    assert hit.dense == pytest.approx(cosine(question, A), abs=1e-5)


def test_as_many_are_found_as_are_asked_for(retriever: HybridRetriever) -> None:
    narrow = HybridRetriever(index=retriever.index, encoder=retriever.encoder, candidates=1)
    assert len(narrow.rank("Bruxelles", k=3).hits) == 3


@pytest.mark.parametrize("k", [1, 2, 3, 99])
def test_k_is_how_many(retriever: HybridRetriever, k: int) -> None:
    assert len(retriever.rank("Bruxelles", k=k).hits) == min(k, 3)


@pytest.mark.parametrize(
    "question",
    [
        "Bruxelles",
        "zèbre",
        "a" * 20_000,
        "Niger " * 3_500,
        "Niger\n\nNiger",
        "Ni\x00ger\x07",
        "Где находится бюро?",
        "办公室在哪里",
        "\ud800 Niger".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ],
)
def test_scores_fall_and_ranks_rise(retriever: HybridRetriever, question: str) -> None:
    hits = retriever.rank(question).hits
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.parametrize("question", ["", "   ", "?", "!!! …", "🙂🙂", "\x00\x07", "«»"])
def test_a_question_without_a_word_finds_nothing(retriever: HybridRetriever, question: str) -> None:
    assert retriever.rank(question).hits == ()


def test_a_passage_that_repeats_a_better_one_stands_back(tmp_path: Path, toy: ToyEncoder) -> None:
    folder = tmp_path / "repeats"
    folder.mkdir()
    long = "Le bureau de Bruxelles tient la liste des projets ouverts dans chaque pays voisin."
    (folder / "a.txt").write_text(long, encoding="utf-8")
    # 12 shingles of four words in a, all of them in b, which has one word and one shingle more:
    # 12 / 13 = 0.92 of what the two have together.
    (folder / "b.txt").write_text(long[:-1] + " aussi.", encoding="utf-8")
    (folder / "c.txt").write_text("La liste des projets.", encoding="utf-8")
    retriever = HybridRetriever(index=open_index(folder, tmp_path / "i", toy), encoder=toy)
    hits = by_document(retriever.rank("bureau de Bruxelles", language="fr"))
    assert [name for name, hit in hits.items() if hit.repeated] == [
        max(("a.txt", "b.txt"), key=lambda name: hits[name].rank)
    ]
    (held_back,) = (
        e for e in retriever.explain(retriever.rank("bureau de Bruxelles")) if e.hit.repeated
    )
    assert held_back.parts["repeated"] == -0.05
    assert sum(held_back.parts.values()) == pytest.approx(held_back.hit.score, abs=1e-5)


# --- Names, spellings, explanations -------------------------------------------------------


@pytest.fixture
def groups(tmp_path: Path, toy: ToyEncoder) -> HybridRetriever:
    folder = tmp_path / "groups"
    folder.mkdir()
    (folder / "long.txt").write_text(
        "Un expert suit le Groupe de travail horizontal sur les questions cybernétiques (GTHQC, "
        "en anglais HWPCI) chaque mois.",
        encoding="utf-8",
    )
    (folder / "short.txt").write_text("Le GTHQC prépare les positions.", encoding="utf-8")
    (folder / "other.txt").write_text("La cyber-attaque a duré 10 000 heures.", encoding="utf-8")
    return HybridRetriever(index=open_index(folder, tmp_path / "index", toy), encoder=toy)


def words_of(retriever: HybridRetriever, question: str, language: Language) -> dict[str, set[str]]:
    ranking = retriever.rank(question, language=language)
    return {
        e.hit.chunk.doc_id: {term.word for term, _ in e.terms}
        for e in retriever.explain(ranking)
        if e.terms
    }


def test_a_name_finds_passages_with_another_name_across_languages(
    groups: HybridRetriever,
) -> None:
    found = words_of(groups, "Who attends the HWPCI?", "en")
    assert "hwpci" in found["long.txt"]
    # This passage has no word of the question.
    assert found["short.txt"] == {"gthqc"}
    spelt_out = words_of(groups, "the Horizontal Working Party on Cyber Issues", "en")
    assert found["short.txt"] == spelt_out["short.txt"]


@pytest.mark.parametrize(
    "question",
    [
        "les cyberataques",
        "la cyber attaque",
        "une cyberattaque",
        "cyber-attaques",
        "10000",
        "10.000",
    ],
)
def test_other_spellings_find_the_passage(groups: HybridRetriever, question: str) -> None:
    assert set(words_of(groups, question, "fr")) == {"other.txt"}


def test_an_explanation_adds_up(groups: HybridRetriever) -> None:
    ranking = groups.rank("Que fait le GTHQC ?", language="fr")
    for explanation in groups.explain(ranking):
        hit = explanation.hit
        assert sum(explanation.parts.values()) == pytest.approx(hit.score, abs=1e-5)
        added = sum(value for _, value in explanation.terms)
        assert added == pytest.approx(hit.lexical or 0.0, rel=1e-4)


# --- The second stage ---------------------------------------------------------------------


class Backwards:
    """A second stage that likes what came last of the three passages that it reads."""

    depth = 3

    def __init__(self) -> None:
        self.read: list[str] = []

    def rerank(
        self, question: str, hits: Sequence[ScoredChunk], documents: Mapping[str, Document]
    ) -> list[ScoredChunk]:
        self.read.extend(documents[hit.chunk.doc_id].title for hit in hits)
        return [replace(hit, rank=rank) for rank, hit in enumerate(reversed(hits), start=1)]


def test_a_second_stage_orders_what_the_first_found(retriever: HybridRetriever) -> None:
    second = Backwards()
    both = HybridRetriever(index=retriever.index, encoder=retriever.encoder, second=second)
    before, after = retriever.rank("projets").hits, both.rank("projets").hits
    assert [hit.chunk for hit in after] == [hit.chunk for hit in reversed(before)]
    assert [hit.rank for hit in after] == [1, 2, 3]
    # It reads more than are asked for.
    assert len(both.rank("projets", k=1).hits) == 1
    assert len(second.read) == 6


# --- Filters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"tag": "bureau"}, {"bureau.md"}),
        ({"tags": "bureau"}, {"bureau.md"}),
        ({"tag": "BUREAU"}, {"bureau.md"}),
        ({"tag": "bùreau"}, {"bureau.md"}),
        ({"aliases": "bcx"}, {"bureau.md"}),
        ({"pays": "niger"}, {"projet.md"}),
        ({"language": "fr"}, {"bureau.md", "projet.md"}),
        ({"doc": "proj"}, {"projet.md"}),
        ({"doc_id": "bureau.md"}, {"bureau.md"}),
        ({"document": "bureau"}, {"bureau.md"}),
        ({"country": "niger"}, {"projet.md"}),
        ({"Pays": "Niger"}, {"projet.md"}),
        ({"type": "militaire"}, {"bureau.md"}),
        ({"TYPE": "Public"}, {"bureau.md"}),
        ({"type": "public", "tag": "bureau"}, {"bureau.md"}),
        ({"langue": "fr"}, {"bureau.md", "projet.md"}),
        ({"tag": "projet", "pays": "Niger"}, {"projet.md"}),
        ({}, {"bureau.md", "projet.md"}),
        (None, {"bureau.md", "projet.md"}),
    ],
)
def test_filters(
    notes: HybridRetriever, filters: dict[str, str] | None, expected: set[str]
) -> None:
    # The words of the question are in both notes, so that neither retriever hides a leak.
    ranking = notes.rank("bureau projet Bruxelles Niger", k=99, filters=filters)
    assert documents(ranking) == expected
    assert all(hit.lexical is None or hit.lexical > 0 for hit in ranking.hits)


@pytest.mark.parametrize(
    "filters",
    [
        {"tag": "absent"},
        {"colour": "blue"},
        {"tag": "bur"},
        {"language": "nl"},
        {"doc": "zzz"},
        {"tag": "bureau", "pays": "Niger"},
        {"type": "civil"},
        {"type": "militaire", "tag": "projet"},
    ],
)
def test_a_filter_that_nothing_matches_names_itself(
    notes: HybridRetriever, filters: dict[str, str]
) -> None:
    key, value = next(iter(filters.items()))
    with pytest.raises(InvalidFilter, match=f"{key}={value}.*citadelle sources"):
        notes.rank("Bruxelles", filters=filters)


def test_accents_and_case_of_the_note_do_not_matter_either(tmp_path: Path, toy: ToyEncoder) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "n.md").write_text(
        "---\ntags: [Stratégie, Cyberdéfense]\n---\nUne phrase.\n", encoding="utf-8"
    )
    retriever = HybridRetriever(index=open_index(folder, tmp_path / "i", toy), encoder=toy)
    for value in ("strategie", "STRATÉGIE", "cyberdefense"):
        assert documents(retriever.rank("phrase", filters={"tag": value})) == {"n.md"}


def noted(doc_id: str, title: str = "Note", **metadata: str | tuple[str, ...]) -> Document:
    return Document(doc_id, title, "", "", metadata, "fr", "0")


def read_facets(*documents: Document) -> dict[str, list[tuple[str, str, int]]]:
    found = facets({document.doc_id: document for document in documents})
    return {f.name: [(v.value, v.label, v.documents) for v in f.values] for f in found}


def test_facets_are_what_the_documents_have(notes: HybridRetriever) -> None:
    found = facets(notes.index.documents)
    assert {f.name: [(v.value, v.label, v.documents) for v in f.values] for f in found} == {
        "doc": [("bureau.md", "Le bureau", 1), ("projet.md", "Le projet", 1)],
        "type": [("Militaire", "Militaire", 1), ("Public", "Public", 1)],
        "tag": [("bureau", "bureau", 1), ("projet", "projet", 1)],
        "country": [("Niger", "Niger", 1)],
    }
    # Each of them finds as many documents as it says.
    for facet in found:
        for value in facet.values:
            filters = {facet.name: value.value}
            ranking = notes.rank("bureau projet Bruxelles Niger", k=99, filters=filters)
            assert len(documents(ranking)) == value.documents


def test_values_that_a_filter_takes_for_the_same_are_one() -> None:
    found = read_facets(
        noted("a.md", tags=("Stratégie", "strategie"), country="Belgique"),
        noted("b.md", tags="strategie", pays="belgique"),
        noted("c.md", tags=("", " "), land="Niger"),
    )
    assert found["tag"] == [("Stratégie", "Stratégie", 2)]
    assert found["country"] == [("Belgique", "Belgique", 2), ("Niger", "Niger", 1)]


def test_documents_of_one_title_are_told_apart() -> None:
    found = read_facets(noted("a.md"), noted("b.md"), noted("c.md", "Autre"))
    assert found["doc"] == [
        ("c.md", "Autre", 1),
        ("a.md", "Note (a.md)", 1),
        ("b.md", "Note (b.md)", 1),
    ]


def test_a_facet_that_narrows_nothing_is_left_out() -> None:
    assert read_facets() == {}
    assert read_facets(noted("a.md", type="Public", pays="Niger")) == {}
    both = read_facets(noted("a.md", "A", type="Public"), noted("b.md", "B", type="public"))
    assert list(both) == ["doc"]


@pytest.mark.parametrize("note", [{"pays": "Niger"}, {"country": "Niger"}, {"Land": "Niger"}])
@pytest.mark.parametrize("key", ["pays", "country", "land"])
def test_a_country_is_found_whatever_it_is_called(
    tmp_path: Path, toy: ToyEncoder, note: dict[str, str], key: str
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    ((name, value),) = note.items()
    (folder / "n.md").write_text(f"---\n{name}: {value}\n---\nUne phrase.\n", encoding="utf-8")
    retriever = HybridRetriever(index=open_index(folder, tmp_path / "i", toy), encoder=toy)
    assert documents(retriever.rank("phrase", filters={key: "niger"})) == {"n.md"}


def test_a_whole_name_means_that_document_alone(tmp_path: Path, toy: ToyEncoder) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("n.md", "n.md.txt"):
        (folder / name).write_text(f"Une phrase de {name}.", encoding="utf-8")
    retriever = HybridRetriever(index=open_index(folder, tmp_path / "i", toy), encoder=toy)
    assert documents(retriever.rank("phrase", filters={"doc": "n.md"})) == {"n.md"}
    assert documents(retriever.rank("phrase", filters={"doc": "n"})) == {"n.md", "n.md.txt"}


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("tag=militaire", ("tag", "militaire")),
        (" tag = militaire ", ("tag", "militaire")),
        ("tag=a=b", ("tag", "a=b")),
        ("doc=notes/été.md", ("doc", "notes/été.md")),
    ],
)
def test_parse_filter(text: str, pair: tuple[str, str]) -> None:
    assert parse_filter(text) == pair


@pytest.mark.parametrize("text", ["", "tag", "tag=", "=militaire", " = ", "tag:militaire"])
def test_what_is_no_filter_is_said(text: str) -> None:
    with pytest.raises(InvalidFilter, match="key=value"):
        parse_filter(text)


# --- LangChain ----------------------------------------------------------------------------


def names(found: list[LangChainDocument]) -> list[str]:
    return [document.metadata["doc_id"] for document in found]


def test_the_retriever_stands_in_a_chain(retriever: HybridRetriever) -> None:
    chain = retriever | RunnableLambda(names)
    expected = [hit.chunk.doc_id for hit in retriever.rank("projets").hits]
    assert chain.invoke("projets") == expected
    assert chain.batch(["projets", "bureau"])[1][0] == "a.txt"
    assert asyncio.run(chain.ainvoke("projets")) == expected


def test_invoke_takes_k_and_filters(notes: HybridRetriever) -> None:
    assert len(notes.invoke("bureau", k=3)) == 3
    assert len(notes.invoke("bureau", k=1)) == 1
    assert set(names(notes.invoke("bureau", filters={"tag": "projet"}))) == {"projet.md"}
    assert len(notes.bind(k=2).invoke("bureau")) == 2


def test_ainvoke_takes_k_and_filters(notes: HybridRetriever) -> None:
    assert len(asyncio.run(notes.ainvoke("bureau", k=1))) == 1
    found = asyncio.run(notes.ainvoke("bureau", filters={"tag": "projet"}))
    assert set(names(found)) == {"projet.md"}


def test_langchain_documents_hold_the_place(notes: HybridRetriever) -> None:
    (found,) = notes.invoke("certification", k=1)
    document = notes.index.documents["bureau.md"]
    start, end = found.metadata["start"], found.metadata["end"]
    assert document.text[start:end] == found.page_content
    assert found.id == f"bureau.md:{start}-{end}"
    assert found.metadata["title"] == "Le bureau"
    assert found.metadata["heading_path"] == ["Le bureau"]
    assert found.metadata["score"] == notes.rank("certification", k=1).hits[0].score


def test_an_index_without_passages_finds_nothing(tmp_path: Path, toy: ToyEncoder) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "titre.md").write_text("# Un titre seul\n", encoding="utf-8")
    retriever = HybridRetriever(index=open_index(folder, tmp_path / "i", toy), encoder=toy)
    assert retriever.rank("titre") == Ranking("titre", ())
    assert retriever.invoke("titre") == []
    with pytest.raises(InvalidFilter):
        retriever.rank("titre", filters={"tag": "absent"})
