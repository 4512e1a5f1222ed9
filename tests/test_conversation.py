"""Follow-ups say by themselves what they ask; other questions are left as they are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.conversation import Understood, standalone
from tests.conftest import ROOT

FIRST = "Qui représente la Belgique à l'ECCG ?"
# One dialogue a line: each turn with the question it is understood as, null where it stands alone.
DIALOGUES: list[dict[str, Any]] = [
    json.loads(line)
    for line in (ROOT / "tests" / "dialogues.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=lambda dialogue: str(dialogue["id"]))
def test_a_dialogue_is_understood_turn_by_turn(dialogue: dict[str, Any]) -> None:
    history: list[str] = []
    understood = []
    for question, _ in dialogue["turns"]:
        found = standalone(question, history)
        understood.append([question, found.question if found.carried else None])
        assert found.carried or found.question == question
        history.append(question)
    assert understood == dialogue["turns"]


def test_the_dialogues_are_many_and_of_both_kinds() -> None:
    later = [turn for dialogue in DIALOGUES for turn in dialogue["turns"][1:]]
    alone = [question for question, understood in later if understood is None]
    assert len(DIALOGUES) >= 30
    assert len({str(dialogue["id"]) for dialogue in DIALOGUES}) == len(DIALOGUES)
    assert len(later) - len(alone) >= 60
    # With openings of a follow-up, and without depending on anything.
    openings = ("et ", "mais ", "alors", "and ", "but ", "en ")
    assert sum(question.lower().startswith(openings) for question in alone) >= 10


@pytest.mark.parametrize(
    "question",
    [
        "Qu'est-ce que l'ECSO ?",
        "Qu'est-ce que la cybersécurité ?",
        "Who is the national CSIRT of Belgium?",
        "Quelles sont les missions principales du BCC ?",
        "Waar is het Belgian Cyber Command gevestigd?",
        "ECCG",
        "En quelle année le Belgian Cyber Command a-t-il été créé ?",
        "Et quand le CCB a-t-il été créé ?",
        "Le BCC, où siège-t-il ?",
        "Quelle heure est-il ?",
        "Faut-il une licence pour signaler un incident ?",
        "Is it possible to report an incident?",
        "What is phishing?",
        "Wat is het verschil tussen NIS en CRA?",
        "merci",
    ],
)
def test_a_question_that_stands_alone_is_left_alone(question: str) -> None:
    assert standalone(question, [FIRST]) == Understood(question)


def test_only_the_first_and_the_last_two_of_a_vague_chain_are_kept() -> None:
    vague = ["vraiment ?", "d'autres exemples ?", "et ensuite ?"]
    assert standalone("plus de détails ?", [FIRST, *vague]).question == (
        "Qui représente la Belgique à l'ECCG, et ensuite, et plus de détails ?"
    )


def test_blank_and_polite_turns_are_no_part_of_a_conversation() -> None:
    history = ["Bonjour", f"Bonjour, {FIRST} Merci !", "", "ok", "Thanks!"]
    expected = Understood("Qui représente la Belgique à l'ENISA ?", carried=True)
    assert standalone("Et à l'ENISA ?", history) == expected
    assert standalone("Et à l'ENISA ?", ["Bonjour", " ", "merci"]) == Understood("Et à l'ENISA ?")


WORDS = st.sampled_from(
    """et and en mais what about quand wanneer why il it het le la l'ENISA NATO Belgique in à du
    au sein de qui la dirige sa its zijn y daar there ce this die celui -t-il a-t-elle ? , 2020
    ' ’ … Œ ﬁ İ ß \u0301""".split()  # noqa: SIM905
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=12).map(" ".join))


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_nothing_that_is_typed_raises(question: str, history: list[str]) -> None:
    assert standalone(question, []) == Understood(question)
    found = standalone(question, history)
    assert found.carried or found.question == question
    assert found.question.strip() or not found.carried
