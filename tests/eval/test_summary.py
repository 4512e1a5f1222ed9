from __future__ import annotations

from typing import Any

import pytest

from eval.summary import language_matrix, loss, operating_point, summarise


def record(
    identifier: str,
    stage: str,
    *,
    confidence: float = 0.5,
    recall: float | None = None,
    withheld: bool | None = None,
    lang: str = "fr",
    doc: str = "a.md",
    written: str = "fr",
) -> dict[str, Any]:
    answerable = stage not in ("rightly_abstained", "wrongly_answered")
    abstained = "abstained" in stage
    return {
        "id": identifier,
        "lang": lang,
        "type": "fact",
        "answerable": answerable,
        "expected": {"doc_id": doc if answerable else "", "doc_language": written},
        "outcome": "error" if stage == "error" else "abstained" if abstained else "answered",
        "stage": stage,
        "confidence": confidence,
        "correct": stage == "right",
        "withheld_correct": withheld,
        "scores": {"answer_recall": recall},
        "given": None,
    }


RIGHT = record("1", "right", confidence=0.9, recall=1.0)
WRONG = record("2", "wrong_span", confidence=0.8, recall=0.0, lang="nl")
SHY = record("3", "wrongly_abstained", confidence=0.4, recall=0.0, withheld=True)
NONE = record("4", "rightly_abstained", confidence=0.1, withheld=None)
RASH = record("5", "wrongly_answered", confidence=0.7)


def wrote(sentences: int, repaired: int, removed: int, first: float | None) -> dict[str, Any]:
    return {
        "sentences": sentences,
        "repaired": repaired,
        "removed": removed,
        "right_language": sentences < 3 if sentences else None,
        "fell_back": not sentences,
        "first_sentence_ms": first,
    }


def test_what_a_language_model_wrote_is_summed_up() -> None:
    items = [
        {**RIGHT, "written": wrote(2, 1, 0, 100.0)},
        {**WRONG, "written": wrote(3, 0, 1, 300.0)},
        {**SHY, "written": wrote(0, 0, 2, None)},
        NONE,
    ]
    counts, tables = summarise(items)
    figures, measured = tables["measures"]["overall"], counts["overall"]["measured"]
    # Eight sentences: five shown, of which one was repaired, and three taken away.
    assert figures["sentences_verified"] == 4 / 8
    assert figures["sentences_repaired"] == 1 / 8
    assert figures["sentences_removed"] == 3 / 8
    assert (measured["sentences_removed"], measured["fell_back"]) == (8, 3)
    assert figures["right_language"] == 0.5
    assert figures["fell_back"] == 1 / 3
    assert figures["first_sentence_p50_ms"] == 200.0
    assert tables["measures"]["lang"]["nl"]["sentences_verified"] == 3 / 4
    assert "fell_back" not in summarise([RIGHT])[1]["measures"]["overall"]


def test_counts_add_up() -> None:
    counts, tables = summarise([RIGHT, WRONG, SHY, NONE, RASH])
    overall = counts["overall"]
    assert (overall["items"], overall["answerable"], overall["unanswerable"]) == (5, 3, 2)
    assert (overall["answered"], overall["abstained"], overall["errors"]) == (3, 2, 0)
    assert sum(overall["stages"].values()) == 5
    assert overall["measured"]["answer_recall"] == 3
    assert overall["measured"]["latency_p50_ms"] == 0
    # Two abstained, two have no answer.
    assert overall["measured"]["abstention_precision"] == 2
    assert overall["measured"]["abstention_recall"] == 2
    assert overall["measured"]["abstention_F1"] == 4
    assert overall["measured"]["AURC"] == overall["measured"]["ECE"] == 5
    assert overall["excluded"]["without_timing_from_latency"] == 5
    for by in ("lang", "type", "doc"):
        assert sum(part["items"] for part in counts[by].values()) == 5
    assert list(counts["doc"]) == ["(none)", "a.md"]
    assert tables["measures"]["overall"]["answer_recall"] == pytest.approx(1 / 3)
    assert tables["measures"]["lang"]["nl"]["answer_recall"] == 0.0
    low, high = tables["intervals"]["overall"]["answer_recall"]
    assert 0 <= low <= 1 / 3 <= high <= 1
    assert tables["intervals"]["overall"]["R@1"] is None


def test_what_was_withheld_counts_by_whether_it_was_right() -> None:
    assert [loss(r) for r in (RIGHT, WRONG, SHY, NONE, RASH)] == [0.0, 1.0, 0.0, 1.0, 1.0]
    # By falling confidence: right 0, wrong 1, rash 1, shy 0, none 1:
    # risks 0, 1/2, 2/3, 2/4, 3/5.
    _, tables = summarise([RIGHT, WRONG, SHY, NONE, RASH])
    expected = (0 + 1 / 2 + 2 / 3 + 2 / 4 + 3 / 5) / 5
    assert tables["measures"]["overall"]["AURC"] == pytest.approx(expected)
    # Each in a bin of its own: 0.9 right, 0.8 wrong, 0.7 wrong, 0.4 right, 0.1 wrong.
    expected = (0.1 + 0.8 + 0.7 + 0.6 + 0.1) / 5
    assert tables["measures"]["overall"]["ECE"] == pytest.approx(expected)
    low, high = tables["intervals"]["overall"]["ECE"]
    assert low < expected < high


def test_operating_point_is_what_was_answered() -> None:
    # Three of five answered, two of the three wrong.
    assert operating_point([RIGHT, WRONG, SHY, NONE, RASH]) == (3 / 5, pytest.approx(2 / 3))
    assert operating_point([SHY, NONE]) is None


def test_matrix_pairs_the_languages_of_question_and_document() -> None:
    english = record("6", "right", recall=1.0, written="en")
    assert language_matrix([RIGHT, WRONG, SHY, NONE, english]) == {
        "fr": {
            "en": {
                "items": 1,
                "R@1": None,
                "R@5": None,
                "answer_recall": 1.0,
                "citation_precision": None,
            },
            "fr": {
                "items": 2,
                "R@1": None,
                "R@5": None,
                "answer_recall": 0.5,
                "citation_precision": None,
            },
        },
        "nl": {
            "fr": {
                "items": 1,
                "R@1": None,
                "R@5": None,
                "answer_recall": 0.0,
                "citation_precision": None,
            },
        },
    }


def test_of_nothing_there_are_no_figures() -> None:
    counts, tables = summarise([])
    assert counts["overall"]["items"] == 0
    assert set(tables["measures"]["overall"].values()) == {None}
    assert set(tables["intervals"]["overall"].values()) == {None}
