"""A quote is the canonical text between its offsets, whatever the note."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.chunking import units
from rag.citation import cite, marker
from rag.documents import parse, read_folder
from rag.types import Document
from tests.conftest import CORPUS

NOTE = "# Le *bureau*\n\n> **Siège** : _Bruxelles_ &amp; Gand\n\nIl est à\u00a0[[Bruxelles|là]].\n"

LINES = st.one_of(
    st.sampled_from(
        [
            "---",
            "# Titre **gras**",
            "> [!note] Fiche",
            "> * **Clé** : *valeur*",
            "clé: [a, b]",
            "- un point ; [lien](http://x.be)",
            "1.  **gras** : suite &amp; fin",
            "| a | `b` |",
            "|---|---|",
            "[[page|texte]] et ![[image.png]]",
            "Une phrase.\u00a0Une « autre » (n° 12) !",
            "e\u0301te\u0301, ﬁn, 🎯 👩‍🚀",
            "```",
            "%% caché %% ==vu== ^ancre",
            "Texte[^1] <b>html</b> <!-- rien -->",
            "\\*pas gras\\* \u200bzéro\u00adtiret",
            "",
            "   ",
        ]
    ),
    st.text(max_size=30),
)
NOTES = st.lists(LINES, max_size=12).map("\n".join)


def quoted(document: Document, plain: str) -> str:
    start = document.plain.index(plain)
    return cite(document, start, start + len(plain), key="1", path=()).quote


def test_a_citation_holds_its_place() -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    start = document.plain.index("Il est")
    citation = cite(document, start, len(document.plain), key="3", path=["Le bureau"])
    # The quote keeps the marks and the non-breaking space of the source.
    assert citation.quote == "Il est à\u00a0[[Bruxelles|là]]."[: len(citation.quote)]
    assert document.text[citation.start : citation.end] == citation.quote
    assert (citation.key, citation.doc_id, citation.title) == ("3", "bureau.md", "Le bureau")
    assert citation.heading_path == ("Le bureau",)
    assert citation.content_hash == document.content_hash
    assert marker(citation) == "[3]"


def test_marks_within_a_quote_stay() -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    assert quoted(document, "Bruxelles & Gand") == "Bruxelles_ &amp; Gand"


@pytest.mark.parametrize(("start", "end"), [(0, 0), (5, 5), (10_000, 10_001)])
def test_a_span_of_nothing_cannot_be_cited(start: int, end: int) -> None:
    document = parse(NOTE, "bureau.md", format="markdown")
    with pytest.raises(ValueError, match=r"bureau\.md comes from no source text"):
        cite(document, start, end, key="1", path=())


def test_a_separator_cannot_be_cited() -> None:
    document = parse("Une phrase.\n\nUne autre.", "d.md", format="markdown")
    between = document.plain.index("\n")
    with pytest.raises(ValueError, match="comes from no source text"):
        cite(document, between, between + 1, key="1", path=())


@settings(max_examples=300, deadline=None)
@given(NOTES, st.sampled_from(["markdown", "text"]))
def test_every_unit_of_any_note_is_quoted_verbatim(note: str, format: str) -> None:
    document = parse(note, "d.md", format="markdown" if format == "markdown" else "text")
    for unit in units(document):
        citation = cite(document, unit.start, unit.end, key="1", path=())
        assert document.text[citation.start : citation.end] == citation.quote
        # Going back from the quote gives the unit again.
        start, end = document.offsets.to_plain(citation.start, citation.end)
        assert (start, end) == (unit.start, unit.end)


@settings(max_examples=200, deadline=None)
@given(NOTES, st.integers(0, 200), st.integers(0, 60))
def test_any_span_is_quoted_verbatim_or_refused(note: str, start: int, length: int) -> None:
    document = parse(note, "d.md", format="markdown")
    try:
        citation = cite(document, start, start + length, key="1", path=())
    except ValueError:
        return
    assert citation.quote.strip()
    assert document.text[citation.start : citation.end] == citation.quote


def test_every_unit_of_the_corpus_is_quoted_verbatim() -> None:
    for document in read_folder([CORPUS]):
        assert isinstance(document, Document)
        for unit in units(document):
            citation = cite(document, unit.start, unit.end, key="1", path=())
            assert document.text[citation.start : citation.end] == citation.quote
            assert citation.quote == citation.quote.strip()
