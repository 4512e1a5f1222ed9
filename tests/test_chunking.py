"""Passages respect structure, and their offsets are exact."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunking import chunk_document, heading_path_at, heading_paths, passage_text, units
from rag.documents import parse, read_folder
from rag.types import Chunk, Document
from tests.conftest import CORPUS


def words(text: str) -> int:
    return len(text.split())


def chunks(document: Document, max_tokens: int = 100) -> list[Chunk]:
    return chunk_document(document, max_tokens=max_tokens, count_tokens=words)


NOTE = """---
aliases: [BCX, Bureau X]
tags: [bureau]
---
# Le bureau

Une phrase. Une autre.

## Missions
Les missions sont :
1. **Protéger** les réseaux.
2. **Former** le personnel.

Un paragraphe après la liste.
"""


def shown(document: Document, found: list[Chunk]) -> list[tuple[tuple[str, ...], str]]:
    return [(c.heading_path, passage_text(document, c).split("\n", 1)[1]) for c in found]


def test_a_card_is_a_passage_and_small_sections_share_one() -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    assert shown(document, chunks(document)) == [
        ((), "aliases : BCX, Bureau X"),
        (
            ("Le bureau",),
            "Une phrase. Une autre.\nMissions\nLes missions sont :\nProtéger les réseaux.\n"
            "Former le personnel.\nUn paragraphe après la liste.",
        ),
    ]


def test_a_list_stays_with_its_lead_in_where_not_all_fits() -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    # Nineteen words less the four of "Le bureau > Missions" above: the first four, the heading
    # and the ten of the list fit; the paragraph after it, of five, does not.
    assert shown(document, chunks(document, 19)) == [
        ((), "aliases : BCX, Bureau X"),
        (
            ("Le bureau",),
            "Une phrase. Une autre.\nMissions\nLes missions sont :\nProtéger les réseaux.\n"
            "Former le personnel.",
        ),
        (("Le bureau", "Missions"), "Un paragraphe après la liste."),
    ]


def test_sections_of_some_length_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.chunking._SMALL_SECTION", 3)
    document = parse(NOTE, "bureau.md", format="markdown")
    # "Une phrase. Une autre." has four words. Within a section all is joined that fits.
    assert shown(document, chunks(document)) == [
        ((), "aliases : BCX, Bureau X"),
        (("Le bureau",), "Une phrase. Une autre."),
        (
            ("Le bureau", "Missions"),
            "Les missions sont :\nProtéger les réseaux.\nFormer le personnel.\n"
            "Un paragraphe après la liste.",
        ),
    ]


def test_title_and_headings_are_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.chunking._SMALL_SECTION", 3)
    document = parse(NOTE, "bureau.md", format="markdown")
    lines = [passage_text(document, chunk).split("\n", 1)[0] for chunk in chunks(document)]
    assert lines == ["Le bureau", "Le bureau", "Le bureau > Missions"]


def test_headings_of_a_place_are_those_above_it() -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    assert heading_path_at(document, document.plain.index("Former")) == ("Le bureau", "Missions")
    assert heading_path_at(document, document.plain.index("Une phrase")) == ("Le bureau",)
    assert heading_path_at(document, 0) == ()


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    document = parse("Un deux trois. Quatre cinq six. Sept huit neuf.", "d.txt", format="text")
    # The title takes one of the seven words; two sentences of three fit into the rest.
    assert [c.text for c in chunks(document, 7)] == [
        "Un deux trois. Quatre cinq six.",
        "Sept huit neuf.",
    ]


def test_a_sentence_longer_than_a_passage_is_cut_between_words() -> None:
    document = parse("un deux trois quatre cinq six sept huit", "d.txt", format="text")
    texts = [c.text for c in chunks(document, 5)]
    assert all(words(text) <= 5 for text in texts)
    assert " ".join(texts) == document.text


def test_properties_that_serve_obsidian_are_not_passages() -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    assert not any("tags" in document.plain[u.start : u.end] for u in units(document))


def test_every_heading_ends_the_one_of_its_level() -> None:
    document = parse("# A\n\na\n\n## B\n\nb\n\n# C\n\nc\n", "d.md", format="markdown")
    paths = dict(
        zip(
            (document.plain[b.start : b.end] for b in document.blocks),
            heading_paths(document),
            strict=True,
        )
    )
    assert paths["b"] == ("A", "B")
    assert paths["c"] == ("C",)


@pytest.mark.parametrize("max_tokens", [16, 60, 256])
def test_corpus_passages_are_exact_and_complete(max_tokens: int) -> None:
    for document in read_folder([CORPUS]):
        assert isinstance(document, Document)
        found = chunks(document, max_tokens)
        assert len({chunk.chunk_id for chunk in found}) == len(found)
        for chunk in found:
            assert document.text[chunk.start : chunk.end] == chunk.text
        covered = [document.offsets.to_plain(c.start, c.end) for c in found]
        for unit in units(document):
            assert any(low < unit.end and unit.start < high for low, high in covered)


def test_no_corpus_sentence_is_cut() -> None:
    for document in read_folder([CORPUS]):
        assert isinstance(document, Document)
        spans = [document.offsets.to_plain(c.start, c.end) for c in chunks(document, 120)]
        for unit in units(document):
            assert any(low <= unit.start and unit.end <= high for low, high in spans)


LINES = st.sampled_from(
    [
        "# Titre",
        "## Sous-titre",
        "Une phrase. Une autre (n° 12) !",
        "- un point",
        "1. **gras** et *italique*",
        "> [!note] Fiche",
        "> clé : valeur",
        "| a | b |",
        "|---|---|",
        "[[lien|texte]] &amp; suite",
        "---",
        "",
        "```",
        "\u00a0",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, max_size=25), st.integers(4, 40))
def test_any_note_gives_exact_passages(lines: list[str], max_tokens: int) -> None:
    document = parse("\n".join(lines), "d.md", format="markdown")
    end = 0
    for chunk in chunks(document, max_tokens):
        assert document.text[chunk.start : chunk.end] == chunk.text
        assert chunk.start >= end
        end = chunk.end


def test_paths_are_posix(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    (tmp_path / "a b" / "été.txt").write_text("Une phrase.", encoding="utf-8")
    (document,) = read_folder([tmp_path])
    assert isinstance(document, Document)
    assert chunks(document)[0].chunk_id == "a b/été.txt:0-11"
