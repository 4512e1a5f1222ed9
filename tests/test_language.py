"""The language of questions, headings and documents."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.language import detect, likelihoods

CORPUS = Path(__file__).parent.parent / "corpus"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Who represents Belgium in ECCG?", "en"),
        ("When was it created?", "en"),
        ("is the CCB in ENISA?", "en"),
        ("members of NIS", "en"),
        ("What is the Centre de crise ?", "en"),
        ("wie vertegenwoordigt België", "nl"),
        ("Waar is het BCC gevestigd?", "nl"),
        ("Hoeveel nationale centra?", "nl"),
        ("rol van CERT.be", "nl"),
        ("Europese netwerken", "nl"),
        ("quel est le siege du bcc", "fr"),
        ("QUEL EST LE SIEGE DU BCC", "fr"),
        ("C'est quoi l'ENISA", "fr"),
        ("Rôle de CERT.be", "fr"),
        ("et au niveau opérationnel ?", "fr"),
        ("siège BCC", "fr"),
        ("ECCG", "unknown"),
        ("budget BCC?", "unknown"),
        ("Bucarest", "unknown"),
        ("Cyber Security Act", "unknown"),
        ("", "unknown"),
        (" \n?!", "unknown"),
        ("¿Quién dirige el CCB?", "unknown"),
        ("Das Kommando ist ein Teil der belgischen Armee", "unknown"),
    ],
)
def test_detect(text: str, expected: str) -> None:
    assert detect(text) == expected


def test_detect_reads_a_document() -> None:
    text = (CORPUS / "ccb-relations-internationales.txt").read_text(encoding="utf-8")
    assert detect(text) == "fr"


def test_detect_does_not_take_spanish_prose_for_french() -> None:
    text = (
        "El mando tiene su sede en la capital y depende del ministerio de Defensa. Fue creado en "
        "el año 2022 para proteger las redes de las fuerzas armadas contra los ataques."
    )
    assert detect(text) == "unknown"


def test_likelihoods_add_up() -> None:
    chances = likelihoods("Onze opdracht")
    assert set(chances) == {"fr", "en", "nl"}
    assert sum(chances.values()) == pytest.approx(1)
    assert max(chances, key=lambda name: chances[name]) == "nl"


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=200))
def test_detect_takes_any_text(text: str) -> None:
    assert detect(text) in {"fr", "en", "nl", "unknown"}
