"""Fusion, filters and the LangChain retriever, with scores derived by hand."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from langchain_core.documents import Document as LangChainDocument
from langchain_core.runnables import RunnableLambda

from rag.config import Settings
from rag.errors import InvalidFilter
from rag.index import Index, build_index
from rag.retrieval import HybridRetriever, parse_filter
from rag.types import Language, Ranking, ScoredChunk
from tests.conftest import ToyEncoder, cosine

# One passage each; the titles are single letters, which are no search words.
A = "Le bureau de Bruxelles est ouvert."  # bureau, bruxelles, ouvert
B = "Le projet du Niger est fini."  # projet, niger, fini
C = "Le projet de Bruxelles au Niger est en cours."  # projet, bruxelles, niger, cours

# What the retriever weighs BM25 by, within a language and across two.
WITHIN, ACROSS = 0.10, 0.045


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
    return HybridRetriever(index=open_index(folder, tmp_path / "index", toy), encoder=toy)


def by_document(ranking: Ranking) -> dict[str, ScoredChunk]:
    return {hit.chunk.doc_id: hit for hit in ranking.hits}


def documents(ranking: Ranking) -> set[str]:
    return {hit.chunk.doc_id for hit in ranking.hits}


@pytest.mark.parametrize(("language", "weight"), [("fr", WITHIN), ("unknown", WITHIN)])
def test_the_score_is_the_cosine_plus_weighted_bm25(
    retriever: HybridRetriever, language: Language, weight: float
) -> None:
    hits = by_document(retriever.rank("projets", language=language))
    # "projet" is no axis: the question is (0, …, 0.1), so its cosine with a passage of one
    # axis is 0.1 / √1.01 = 0.0995, with one of two axes 0.1 / √2.01 = 0.0705.
    assert hits["a.txt"].score == pytest.approx(0.1 / math.sqrt(1.01), abs=1e-5)
    assert hits["b.txt"].dense == pytest.approx(0.1 / math.sqrt(1.01), abs=1e-5)
    assert hits["c.txt"].dense == pytest.approx(0.1 / math.sqrt(2.01), abs=1e-5)
    # b: ln 1.6 / 2.11 = 0.2228; c: ln 1.6 / 2.38 = 0.1975; a has no word of the question.
    assert hits["a.txt"].lexical is None
    assert hits["b.txt"].lexical == pytest.approx(bm25(2, 3), rel=1e-4)
    assert hits["c.txt"].lexical == pytest.approx(bm25(2, 4), rel=1e-4)
    for name, words in (("b.txt", 3), ("c.txt", 4)):
        dense = hits[name].dense
        assert dense is not None
        expected = dense + weight * bm25(2, words) / math.log(1 + 3)
        assert hits[name].score == pytest.approx(expected, abs=1e-5)
    # 0.0995 + 0.1 · 0.2228 / ln 4 = 0.1156; 0.0995; 0.0705 + 0.1 · 0.1975 / ln 4 = 0.0848.
    ranking = retriever.rank("projets", language=language)
    assert [hit.chunk.doc_id for hit in ranking.hits] == ["b.txt", "a.txt", "c.txt"]
    assert [hit.rank for hit in ranking.hits] == [1, 2, 3]


def test_across_languages_only_words_spelt_alike_vote_and_less(retriever: HybridRetriever) -> None:
    hits = by_document(retriever.rank("the Niger office", language="en"))
    # "Niger" is in 2 of 3 passages, as "projet" is; "office" is in none.
    assert hits["b.txt"].score == pytest.approx(
        cosine("the Niger office", B) + ACROSS * bm25(2, 3) / math.log(4), abs=1e-5
    )
    assert hits["a.txt"].lexical is None


def test_what_one_retriever_proposes_the_other_scores_too(retriever: HybridRetriever) -> None:
    narrow = HybridRetriever(index=retriever.index, encoder=retriever.encoder, candidates=1)
    # "Bruxelles" is the only axis, so the cosine proposes a alone; b has two of the words,
    # one of them rare, so BM25 proposes b alone.
    question = "Bruxelles projet fini"
    expected = {
        # a was not proposed by words, but its word "Bruxelles" counts in its score.
        "a.txt": cosine(question, A) + WITHIN * bm25(2, 3) / math.log(4),
        # b was not proposed by its vector, but its cosine counts in its score.
        "b.txt": cosine(question, B) + WITHIN * (bm25(2, 3) + bm25(1, 3)) / math.log(4),
    }
    (hit,) = narrow.rank(question, k=1, language="fr").hits
    assert hit.chunk.doc_id == max(expected, key=lambda name: expected[name])
    assert hit.score == pytest.approx(expected[hit.chunk.doc_id], abs=1e-5)


def test_as_many_are_found_as_are_asked_for(retriever: HybridRetriever) -> None:
    narrow = HybridRetriever(index=retriever.index, encoder=retriever.encoder, candidates=1)
    assert len(narrow.rank("Bruxelles", k=3).hits) == 3


@pytest.mark.parametrize("k", [1, 2, 3, 99])
def test_k_is_how_many(retriever: HybridRetriever, k: int) -> None:
    assert len(retriever.rank("Bruxelles", k=k).hits) == min(k, 3)


@pytest.mark.parametrize("question", ["Bruxelles", "zèbre", "?", "a" * 5000, "Niger\n\nNiger"])
def test_scores_fall_and_ranks_rise(retriever: HybridRetriever, question: str) -> None:
    hits = retriever.rank(question).hits
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


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
    assert chain.invoke("projets") == ["b.txt", "a.txt", "c.txt"]
    assert chain.batch(["projets", "bureau"])[1][0] == "a.txt"
    assert asyncio.run(chain.ainvoke("projets")) == ["b.txt", "a.txt", "c.txt"]


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
    assert found.metadata["heading_path"] == ["Le bureau", "Missions"]
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
