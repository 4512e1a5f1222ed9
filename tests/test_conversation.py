"""Follow-ups carry over what they leave unsaid; other questions do not."""

import pytest

from rag.conversation import depends_on_history, standalone

FIRST = "Qui représente la Belgique à l'ECCG ?"


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Et à l'ENISA ?", "fr"),
        ("and in NATO?", "en"),
        ("En bij de NAVO?", "nl"),
        ("wanneer?", "nl"),
        ("Depuis quand ?", "fr"),
        ("What about the OECD?", "en"),
        ("Où siège-t-il ?", "fr"),
    ],
)
def test_a_follow_up_carries_the_question_before(question: str, language: str) -> None:
    assert standalone(question, [FIRST], language) == f"{FIRST} {question}"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Qu'est-ce que l'ECSO ?", "fr"),
        ("Who is the national CSIRT of Belgium?", "en"),
        ("Quelles sont les missions principales du BCC ?", "fr"),
        ("Waar is het Belgian Cyber Command gevestigd?", "nl"),
        ("ECCG", "unknown"),
        ("En quelle année le Belgian Cyber Command a-t-il été créé ?", "fr"),
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question: str, language: str) -> None:
    assert not depends_on_history(question, language)  # type: ignore[arg-type]
    assert standalone(question, [FIRST], language) == question  # type: ignore[arg-type]


def test_a_chain_goes_back_to_the_question_that_stood_alone() -> None:
    history = ["Quel est le siège du BCC ?", FIRST, "Et à l'ENISA ?"]
    assert standalone("Et à l'OTAN ?", history, "fr") == f"{FIRST} Et à l'ENISA ? Et à l'OTAN ?"


def test_without_history_nothing_is_carried() -> None:
    assert standalone("Et à l'ENISA ?", [], "fr") == "Et à l'ENISA ?"
