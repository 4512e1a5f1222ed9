"""Questions that ask two things, and those that only look as if they did."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.parts import parts

TWO = [
    (
        "Quand et où le BCC a-t-il été créé ?",
        ("Quand le BCC a-t-il été créé ?", "Où le BCC a-t-il été créé ?"),
    ),
    (
        "Où et à quelle date a eu lieu la réunion ?",
        ("Où a eu lieu la réunion ?", "À quelle date a eu lieu la réunion ?"),
    ),
    (
        "Qui représente la Belgique à l'ECCG et depuis quand ?",
        ("Qui représente la Belgique à l'ECCG ?", "Depuis quand ?"),
    ),
    (
        "Quels sont les rôles du CCB et quelle loi l'a désigné ?",
        ("Quels sont les rôles du CCB ?", "Quelle loi l'a désigné ?"),
    ),
    (
        "Quand le BCC a-t-il été créé ? Où siège-t-il ?",
        ("Quand le BCC a-t-il été créé ?", "Où siège-t-il ?"),
    ),
    (
        "c'est quoi l'enisa et où est son siège",
        ("c'est quoi l'enisa", "Où est son siège"),
    ),
    (
        "When was the BCC created, and where is it based?",
        ("When was the BCC created?", "Where is it based?"),
    ),
    (
        "Who leads ENISA and in which city is it?",
        ("Who leads ENISA?", "In which city is it?"),
    ),
    (
        "When and why was the law changed?",
        ("When was the law changed?", "Why was the law changed?"),
    ),
    (
        "Wanneer en waar werd het BCC opgericht?",
        ("Wanneer werd het BCC opgericht?", "Waar werd het BCC opgericht?"),
    ),
    (
        "Wie vertegenwoordigt België in ECCG en sinds wanneer?",
        ("Wie vertegenwoordigt België in ECCG?", "Sinds wanneer?"),
    ),
    (
        "Welke landen en welke organisaties nemen deel?",
        ("Welke landen nemen deel?", "Welke organisaties nemen deel?"),
    ),
]
ONE = [
    "Quelle est l'agence qui coordonne et qui finance les projets ?",
    "Quels sont le siège et la date de création du BCC ?",
    "Who leads and who funds ENISA?",
    "What is the agency that decides where and when to meet?",
    "Qui et quand ?",
    "Comment et quand et où ?",
    "What does NIS stand for?",
    "Que font la Belgique et la France ?",
    "Welke landen en organisaties nemen deel?",
    "Le CCB et le BCC coopèrent-ils ?",
    "Bonjour. Qui dirige l'ENISA ?",
    "",
    "quand et où " * 2_000,
    "? " * 10_000 + "a",
]


@pytest.mark.parametrize(("question", "expected"), TWO)
def test_two_questions_are_told_apart(question: str, expected: tuple[str, str]) -> None:
    assert parts(question) == expected


@pytest.mark.parametrize("question", ONE)
def test_one_question_stays_one(question: str) -> None:
    assert parts(question) == (question,)


@given(st.text(alphabet=st.sampled_from("etandquioùwhere? .,'é\n")))
def test_whatever_is_asked_something_is_asked(question: str) -> None:
    found = parts(question)
    assert 1 <= len(found) <= 2
    assert len(found) == 1 or all(any(c.isalpha() for c in part) for part in found)
