from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.report.excerpts import Piece, Span, evidence_ranks, excerpt, passages, pieces, stray

TEXT = "Le siège est à Bruxelles, en Belgique."


def shown(parts: tuple[Piece, ...]) -> list[tuple[str, str]]:
    """Return each piece as letters (Evidence, Cited, Opening, cLosing) and its text."""
    return [
        (
            "".join(
                letter
                for letter, on in zip(
                    "ECOL",
                    (part.evidence, part.cited, part.opening, part.closing),
                    strict=True,
                )
                if on
            ),
            "…" if part.gap else part.text,
        )
        for part in parts
    ]


def test_spans_apart_are_marked_where_they_are() -> None:
    # "siège" is 3 to 8 and "Bruxelles" 15 to 24; the passage begins at 100.
    parts = pieces(TEXT, 100, [Span(115, 124)], [Span(103, 108, "1")])
    assert shown(parts) == [
        ("", "Le "),
        ("COL", "siège"),
        ("", " est à "),
        ("E", "Bruxelles"),
        ("", ", en Belgique."),
    ]
    assert parts[1].keys == ("1",)


def test_spans_that_overlap_are_split_where_either_ends() -> None:
    # Evidence "siège est à Bruxelles" (3 to 24), cited "Bruxelles, en Belgique" (15 to 37).
    parts = pieces(TEXT, 0, [Span(3, 24)], [Span(15, 37, "2")])
    assert shown(parts) == [
        ("", "Le "),
        ("E", "siège est à "),
        ("ECO", "Bruxelles"),
        ("CL", ", en Belgique"),
        ("", "."),
    ]
    assert [part.keys for part in parts] == [(), (), ("2",), (), ()]


def test_span_within_a_span_keeps_one_box() -> None:
    parts = pieces(TEXT, 0, [Span(15, 24)], [Span(3, 37, "1")])
    assert [letters for letters, _ in shown(parts)] == ["", "CO", "EC", "CL", ""]


def test_same_span_is_both() -> None:
    assert shown(pieces(TEXT, 0, [Span(0, 8)], [Span(0, 8, "1")]))[0] == ("ECOL", "Le siège")


def test_citations_that_meet_are_one_box_with_two_numbers() -> None:
    parts = pieces(TEXT, 0, [], [Span(0, 8, "1"), Span(8, 24, "2"), Span(8, 12, "3")])
    assert [letters for letters, _ in shown(parts)] == ["CO", "C", "CL", ""]
    assert [part.keys for part in parts] == [("1",), ("2", "3"), (), ()]


def test_spans_beyond_the_passage_are_cut_or_left_out() -> None:
    parts = pieces(TEXT, 100, [Span(90, 102), Span(0, 100), Span(138, 150)], [Span(129, 500, "1")])
    assert shown(parts) == [("E", "Le"), ("", " siège est à Bruxelles, en "), ("COL", "Belgique.")]


def test_text_without_spans_is_one_piece() -> None:
    assert shown(pieces(TEXT, 0, [], [])) == [("", TEXT)]
    assert pieces("", 0, [Span(0, 3)], []) == ()


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=4),
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), max_size=4),
)
def test_marks_are_those_of_every_character(
    text: str, gold: list[tuple[int, int]], cited: list[tuple[int, int]]
) -> None:
    parts = pieces(text, 20, [Span(*span) for span in gold], [Span(*span, "1") for span in cited])
    assert "".join(part.text for part in parts) == text
    marked = [(part.evidence, part.cited) for part in parts for _ in part.text]
    for index, found in enumerate(marked):
        place = index + 20
        assert found == tuple(
            any(start <= place < end for start, end in spans) for spans in (gold, cited)
        )
    assert sum(part.opening for part in parts) == sum(part.closing for part in parts)
    assert "".join(part.text for part in excerpt(parts, 10) if part.marked) == "".join(
        part.text for part in parts if part.marked
    )


def test_excerpt_keeps_whole_words_around_marks() -> None:
    before, after = "un deux trois quatre " * 10, " cinq six sept huit" * 10
    parts = excerpt(pieces(before + "ICI" + after, 0, [Span(len(before), len(before) + 3)], []), 12)
    assert shown(parts) == [
        ("", "…"),
        ("", "quatre "),
        ("E", "ICI"),
        ("", " cinq six"),
        ("", "…"),
    ]


def test_excerpt_keeps_both_ends_between_marks() -> None:
    middle = " alpha" + " beta" * 30 + " gamma "
    parts = excerpt(
        pieces(f"A{middle}B", 0, [Span(0, 1), Span(len(middle) + 1, len(middle) + 2)], []), 8
    )
    assert shown(parts) == [("E", "A"), ("", " alpha"), ("", "…"), ("", "gamma "), ("E", "B")]


def test_excerpt_cuts_only_what_is_worth_it() -> None:
    # 12 wanted and 40 more: 52 characters before the mark stay whole.
    text = "x " * 26
    parts = pieces(f"{text}ICI", 0, [Span(52, 55)], [])
    assert excerpt(parts, 12) == parts


def test_excerpt_without_marks_is_the_beginning() -> None:
    parts = excerpt(pieces("mot " * 100, 0, [], []), 10)
    assert shown(parts) == [("", "mot mot"), ("", "…")]


def item(**changes: Any) -> dict[str, Any]:
    passage = {"doc_id": "note.md", "start": 10, "end": 48, "text": TEXT, "evidence": [0]}
    other = {"doc_id": "page.txt", "start": 10, "end": 14, "text": "Rien", "evidence": []}
    return {
        "expected": {"doc_id": "note.md", "places": [[25, 34]], "passage": passage},
        "given": {
            "passages": [other, passage],
            "citations": [{"key": "1", "doc_id": "page.txt", "start": 10, "end": 12}],
        },
        "ranking": [other, passage],
        **changes,
    }


def test_passages_are_marked_in_their_own_document_alone() -> None:
    first, second = passages(item())
    assert shown(first.whole) == [("COL", "Ri"), ("", "en")]
    assert [letters for letters, _ in shown(second.whole)] == ["", "E", ""]
    assert (first.rank, first.cited, first.evidence) == (1, True, False)
    assert (second.rank, second.cited, second.evidence) == (2, False, True)
    assert second.characters == 38


def test_passage_of_the_evidence_is_shown_when_it_was_not_read() -> None:
    record = item()
    record["given"] = {**record["given"], "passages": record["given"]["passages"][:1]}
    unread, read = passages(record)
    assert (unread.rank, unread.evidence, read.rank) == (0, True, 1)
    assert [letters for letters, _ in shown(unread.whole)] == ["", "E", ""]


def test_longer_passage_that_holds_the_evidence_counts_as_read() -> None:
    record = item()
    wide = {"doc_id": "note.md", "start": 0, "end": 60, "text": "x" * 60, "evidence": [0]}
    record["given"] = {**record["given"], "passages": [wide]}
    assert [passage.rank for passage in passages(record)] == [1]


def test_item_without_passages_has_none() -> None:
    bare: dict[str, Any] = {"expected": {"doc_id": "", "places": []}, "given": None, "ranking": []}
    assert (passages(bare), stray(bare), evidence_ranks(bare)) == ((), (), ())


def test_citations_outside_what_was_read_are_told_apart() -> None:
    inside = {"key": "1", "doc_id": "note.md", "start": 47, "end": 60}
    beside = {"key": "2", "doc_id": "note.md", "start": 48, "end": 60}
    elsewhere = {"key": "3", "doc_id": "other.md", "start": 10, "end": 12}
    record = item()
    record["given"] = {**record["given"], "citations": [inside, beside, elsewhere]}
    assert stray(record) == (beside, elsewhere)


@pytest.mark.parametrize(
    ("places", "ranks"),
    [([[25, 34]], (2,)), ([[25, 34], [100, 110]], (2, None)), ([[5, 12]], (None,)), ([], ())],
)
def test_rank_of_the_evidence(places: list[list[int]], ranks: tuple[int | None, ...]) -> None:
    record = item()
    record["expected"]["places"] = places
    assert evidence_ranks(record) == ranks


def test_first_words_are_on_one_line() -> None:
    (passage,) = passages(
        item(
            expected={"doc_id": "", "places": []},
            given={
                "passages": [{"doc_id": "a", "start": 0, "end": 9, "text": "un\n\ndeux " * 40}],
                "citations": [],
            },
        )
    )
    assert passage.start == f"{'un deux ' * 11}un …"
    assert not passage.marked
