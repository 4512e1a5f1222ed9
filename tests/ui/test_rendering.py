"""Passages, answers and documents as HTML, and hostile text as text."""

from __future__ import annotations

from dataclasses import replace

from rag.types import Block, Passage, Skipped, Source
from tests.ui.conftest import CANONICAL, HOSTILE, NOTE, PLAIN, document, quoting, read
from ui.rendering import (
    Mark,
    answer_html,
    document_html,
    evidence,
    evidence_html,
    help_html,
    nearest,
    notice_html,
    question_html,
    skipped_html,
    source_html,
)
from ui.texts import TEXTS


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
        help_html(HOSTILE),
        source_html(source_record, TEXTS["fr"]),
        skipped_html([Skipped(HOSTILE, HOSTILE)], TEXTS["fr"]),
    ):
        text, tags = read(markup)
        assert HOSTILE in text
        assert not tags & {"script", "img", "iframe", "form", "input", "style", "link"}
