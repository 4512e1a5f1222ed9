"""Whether passages support a statement, by the words that it is made of."""

from __future__ import annotations

import pytest

from rag.verification import Support, WordCoverage

PASSAGE = ("Cyber Command", "Le BCC siège à Bruxelles depuis 2022. Il compte 300 membres.")


@pytest.mark.parametrize(
    "statement", ["Le BCC siège à Bruxelles.", "Depuis 2022, le Cyber Command siège à Bruxelles."]
)
def test_what_stands_in_a_passage_is_supported(statement: str) -> None:
    assert WordCoverage().verify(statement, [PASSAGE]) == Support(True, 1.0)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("Le BCC siège à Bruxelles depuis 2021.", "number"),
        ("Le BCC siège à Gand.", "meaning"),
        ("Le BCC ne siège pas à Bruxelles.", "negation"),
        ("Le BCC ne siège jamais à Bruxelles.", "negation"),
        # Words of two sentences.
        ("Le BCC compte 300 membres à Bruxelles.", "meaning"),
        ("The BCC has its seat in Brussels.", "meaning"),
        ("Et puis ?", "meaning"),
        ("", "meaning"),
    ],
)
def test_what_does_not_is_not(statement: str, reason: str) -> None:
    support = WordCoverage().verify(statement, [PASSAGE])
    assert (support.supported, support.reasons) == (False, (reason,))
    assert support.score < 1.0 or reason == "negation"


def test_without_passages_nothing_is_supported() -> None:
    assert not WordCoverage().verify("Le BCC siège à Bruxelles.", []).supported
