"""Passages, answers and documents as HTML, and hostile text as text."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from rag.types import Block, Chunk, Document, Passage, Ranking, ScoredChunk, Skipped, Source
from tests.ui.conftest import CANONICAL, HOSTILE, NOTE, PLAIN, document, quoting, read
from ui.rendering.answers import answer_html, evidence_html, found_html, question_html
from ui.rendering.documents import document_html, place_html, properties_html, source_heading_html
from ui.rendering.evidence import Mark, evidence, first_found, marked, nearest
from ui.rendering.lists import skipped_html, source_html
from ui.rendering.notices import help_html, notice_html
from ui.texts import TEXTS


def test_quote_is_highlighted_within_its_passage_as_it_reads() -> None:
    source = document()
    answer = quoting(source, "Le fort date de **1872**.")
    (found,) = evidence(answer, {NOTE: source})
    # "Le fort date de 1872." is plain[9:30], without the asterisks.
    assert found.marks == (Mark(9, 30, "1"),)
    markup = evidence_html(found, 3, TEXTS["fr"])
    mark = '<mark data-number="1" data-keys="1">Le fort date de 1872.</mark>'
    assert f"{mark} Il garde la Meuse." in markup
    assert 'id="passage-3-1"' in markup
    # Its canonical place is 11 to 35, with the asterisks.
    assert 'href="?doc=note.md&amp;at=11-36&amp;hash=7109ba9913e2" data-open="3.1"' in markup
    assert "Histoire" in markup and "**" not in markup


def test_quotes_of_one_passage_share_it() -> None:
    source = document()
    first = quoting(source, "Il garde la Meuse.", key="2")
    answer = replace(
        first, citations=(quoting(source, "Le fort date").citations[0], *first.citations)
    )
    (found,) = evidence(answer, {NOTE: source})
    assert found.keys == ("1", "2")
    assert evidence_html(found, 1, TEXTS["fr"]).count("<mark") == 2


def hit(source: Document, start: int, end: int, **more: Any) -> ScoredChunk:
    chunk = Chunk(
        f"{source.doc_id}:{start}", source.doc_id, start, end, source.text[start:end], ("A",), {}
    )
    return ScoredChunk(chunk, 1.0, 1, **more)


def test_what_is_found_is_the_best_for_each_part_once() -> None:
    note, other = document(), document("Autre chose.", "b.md")
    documents = {NOTE: note, "b.md": other}
    whole, end, second = hit(note, 0, 55), hit(note, 57, 61), hit(other, 0, 12)
    asked = Ranking("?", (whole, hit(note, 11, 55, repeated=True), end))
    found = first_found((asked, Ranking("?", (whole, second))), documents, 3)
    assert [(each.title, each.start, each.end) for each in found] == [
        ("Le fort", 0, 55 - 6),
        ("Le fort", 51, 55),
        ("Autre chose.", 0, 12),
    ]
    # What has gone or has changed is left out.
    assert not first_found((Ranking("?", (second,)),), {"b.md": document("Nouveau.", "b.md")})
    assert not first_found((Ranking("?", (second,)),), {})


def test_what_is_found_is_shown_as_it_begins_below_its_heading() -> None:
    found = first_found((Ranking("?", (hit(document(), 0, 55),)),), {NOTE: document()})
    markup = found_html(found)
    assert '<div class="cit-path">Le fort › A</div>' in markup
    assert ">Le fort date de 1872. Il garde la Meuse.</div>" in markup
    long = document("mot " * 100)
    assert "mot mot…</div>" in found_html(
        first_found((Ranking("?", (hit(long, 0, len(long.text)),)),), {NOTE: long})
    )
    hostile = document(HOSTILE)
    text, tags = read(
        found_html(first_found((Ranking("?", (hit(hostile, 0, len(HOSTILE)),)),), {NOTE: hostile}))
    )
    assert HOSTILE in text and tags == {"ul", "li", "div"}
    assert found_html(()) == ""


def test_the_short_answer_of_each_part_is_bold_once_where_it_is_quoted() -> None:
    answer = replace(
        quoting(document(), "Le fort date"),
        text="Depuis 1872, que garde-t-il ?\n« Le fort garde la Meuse » [1]\n"
        "Et depuis quand ?\n« La Meuse, 1872 » [1]",
        short_answer="la Meuse\u00a0; 1872",
    )
    markup = answer_html(answer, 1, {NOTE: document()}, TEXTS["fr"])
    assert markup.count("<strong>") == 2
    assert "Le fort garde <strong>la Meuse</strong> »" in markup
    assert "« La Meuse, <strong>1872</strong> »" in markup
    # One that holds the separator itself stays whole.
    whole = replace(answer, text="« Fer ; bois » [1]", short_answer="Fer ; bois")
    assert "<strong>Fer ; bois</strong>" in answer_html(whole, 1, {}, TEXTS["fr"])


def test_overlapping_quotes_are_each_highlighted() -> None:
    markup = document_html(document(), [Mark(9, 20, "1"), Mark(14, 30, "2")], "1.0")
    assert (
        '<mark data-number="1" data-keys="1">Le fo</mark>'
        '<mark data-number="2" data-keys="1 2">rt dat</mark>'
        '<mark data-keys="2">e de 1872.</mark>' in markup
    )
    assert '<article class="cit-text cit-document" lang="fr" data-view="1.0">' in markup


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
    markup = evidence_html(found, 1, TEXTS["fr"])
    assert read(markup)[0].endswith("Il garde la Meuse.")
    # There is nothing to read on in.
    assert "<a" not in markup


def test_whole_document_shows_all_its_text_even_outside_blocks() -> None:
    source = replace(document(), blocks=(Block("heading", 0, 7, 1),))
    assert read(document_html(source))[0].split() == PLAIN.split()


def test_markers_link_to_citations_and_other_brackets_do_not() -> None:
    answer = replace(quoting(document(), "Il garde la Meuse."), text="Voir [7].\n- Il garde [1]")
    markup = answer_html(answer, 2, {NOTE: document()}, TEXTS["fr"])
    assert "<p>Voir [7].</p>" in markup
    # "Il garde la Meuse." is canonical 37 to 55, after "1872**. ".
    link = 'href="?doc=note.md&amp;at=37-55&amp;hash=618657684437" data-open="2.1"'
    assert f'<ul><li>Il garde<a class="cit-marker" {link}' in markup
    assert 'aria-label="Citation 1\u00a0: la lire dans le document"' in markup
    assert 'data-quote="Il garde la Meuse."' in markup


def test_marker_of_a_changed_document_leads_to_the_quote_below() -> None:
    answer = quoting(document(), "Le fort date de **1872**.")
    changed = {NOTE: replace(document(), content_hash="other")}
    markup = answer_html(answer, 2, changed, TEXTS["fr"])
    assert '<a class="cit-marker" href="#passage-2-1"' in markup
    assert "data-open" not in markup and "?doc" not in markup


def test_hint_of_a_marker_is_as_it_reads_and_short() -> None:
    source = document("mot " * 100)
    answer = quoting(source, "mot " * 99)
    (hint,) = re.findall(
        'data-quote="([^"]*)"', answer_html(answer, 1, {NOTE: source}, TEXTS["fr"])
    )
    assert hint == ("mot " * 60).rstrip() + "…"
    marks = quoting(document(), "Le fort date de **1872**.")
    assert 'data-quote="Le fort date de 1872."' in answer_html(
        marks, 1, {NOTE: document()}, TEXTS["fr"]
    )


def test_short_answer_is_bold_once() -> None:
    answer = replace(
        quoting(document(), "Le fort date de **1872**."), text="1872, oui 1872 [1]\n1872 [1]"
    )
    assert answer_html(answer, 1, {}, TEXTS["fr"]).count("<strong>1872</strong>") == 1


def test_hostile_text_is_shown_as_text() -> None:
    source = document(HOSTILE)
    answer = quoting(source, HOSTILE)
    (found,) = evidence(answer, {NOTE: source})
    (close,) = nearest(answer, {NOTE: source})
    source_record = Source(HOSTILE, HOSTILE, "fr", source.metadata, 2, 9)
    for markup in (
        question_html(HOSTILE, "q"),
        answer_html(replace(answer, short_answer=HOSTILE), 1, {NOTE: source}, TEXTS["fr"]),
        evidence_html(found, 1, TEXTS["fr"]),
        evidence_html(close, 0, TEXTS["fr"]),
        document_html(source, found.marks, HOSTILE, below_card=True),
        source_heading_html(replace(source, doc_id=HOSTILE), TEXTS["fr"]),
        properties_html(source, TEXTS["fr"]),
        properties_html(replace(source, metadata={HOSTILE: "x"}), TEXTS["fr"]),
        place_html(HOSTILE, f"?doc={HOSTILE}", TEXTS["fr"]),
        notice_html(HOSTILE, "error", detail=HOSTILE),
        help_html(HOSTILE),
        source_html(source_record, TEXTS["fr"]),
        skipped_html([Skipped(HOSTILE, HOSTILE)], TEXTS["fr"]),
    ):
        text, tags = read(markup)
        assert HOSTILE in text
        assert not tags & {"script", "img", "iframe", "form", "input", "style", "link"}


def test_only_quotes_of_the_document_as_it_was_are_marked_in_it() -> None:
    source = document()
    answer = quoting(source, "Il garde la Meuse.")
    assert marked(answer, source) == (Mark(31, 49, "1"),)
    assert marked(answer, replace(source, content_hash="other")) == ()
    assert marked(answer, replace(source, doc_id="other.md")) == ()


def test_properties_are_a_card_and_what_is_of_no_interest_is_left_out() -> None:
    metadata = {
        "path": NOTE,
        "format": "markdown",
        "cssclasses": ("max",),
        "pays": "Belgique",
        "tags": ("histoire", "forts"),
        "title": "Le fort",
        "created": "2024-03-01",
    }
    markup = properties_html(replace(document(), metadata=metadata), TEXTS["fr"])
    # The title stands above; known properties come first.
    assert re.findall("<dt>(.*?)</dt>", markup) == ["Étiquettes", "Créé", "pays"]
    assert '<span class="cit-chip">histoire</span><span class="cit-chip">forts</span>' in markup
    assert properties_html(replace(document(), metadata={"path": NOTE}), TEXTS["fr"]) == ""


def test_only_a_whole_address_of_the_web_becomes_a_link() -> None:
    metadata = {
        "a": "https://example.org/n?a=1&b=2",
        "b": "javascript:alert(1)",
        "c": "voir https://example.org",
        "d": 'https://example.org/"onclick="x',
    }
    markup = properties_html(replace(document(), metadata=metadata), TEXTS["fr"])
    text, _ = read(markup)
    assert all(value in text for value in metadata.values())
    assert re.findall("<a [^>]*>", markup) == [
        '<a href="https://example.org/n?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">'
    ]


def test_properties_stand_in_the_card_alone_unless_one_is_quoted() -> None:
    plain = "pays : Belgique\nmax\nLe fort."
    blocks = (Block("property", 0, 15), Block("noise", 16, 19), Block("paragraph", 20, 28))
    source = replace(document("x"), plain=plain, blocks=blocks)
    assert read(document_html(source, below_card=True))[0] == "maxLe fort."
    assert read(document_html(source))[0].startswith("pays")
    quoted = document_html(source, [Mark(7, 15, "1")], below_card=True)
    assert ">Belgique</mark>" in quoted


def test_an_address_is_offered_only_where_there_is_one() -> None:
    assert 'data-copy="?doc=a&amp;at=1-2"' in place_html("Ici", "?doc=a&at=1-2", TEXTS["fr"])
    assert "button" not in place_html("Ici", "", TEXTS["fr"])
