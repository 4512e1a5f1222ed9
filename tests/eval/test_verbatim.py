"""Texts word for word, and the stretch of a document that comes nearest to another text."""

from __future__ import annotations

import pytest

from eval.verbatim import locate, nearest, plain_quote
from rag.documents import parse

NOTE = parse(
    "# Le bureau\n\nLe **bureau** siège à Bruxelles depuis 2022. Il aime la paix.\n",
    "bureau.md",
    format="markdown",
)


def test_a_text_is_located_in_the_plain_text_or_with_its_marks() -> None:
    start = NOTE.plain.index("Le bureau siège")
    assert locate(NOTE, "Le bureau siège") == (start, start + 15)
    # "Le **bureau**" of the source is "Le bureau" for a reader.
    assert locate(NOTE, "Le **bureau** siège") == (start, start + 15)
    assert locate(NOTE, "le bureau siège") is None
    assert locate(NOTE, "") is None


def test_a_quote_is_given_as_a_reader_sees_it() -> None:
    assert plain_quote(NOTE, "**bureau** siège") == "bureau siège"
    assert plain_quote(NOTE, "Bruxelles depuis") == "Bruxelles depuis"
    assert plain_quote(NOTE, "Namur") == "Namur"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # Case, accents and typing errors; the words that are there, in their order there.
        ("bruxelles", "Bruxelles"),
        ("le bureau siege a Bruxeles", "Le bureau siège à Bruxelles"),
        ("siège à depuis 2022", "siège à Bruxelles depuis 2022"),
        # Of 15 letters: "siège à Bruxelles depuis 2022" has 2 * 15 / (15 + 25) = 0.75, and
        # "depuis 2022" 2 * 10 / (15 + 10) = 0.8.
        ("siège depuis 2022", "depuis 2022"),
        ("depuis 2022.", "depuis 2022."),
        # 6 of 15 letters: 2 * 6 / (15 + 6) = 0.57.
        ("Il aime bien Namur", "Il aime"),
        # 6 of 19: 2 * 6 / (19 + 6) = 0.48, which is not near.
        ("Il aime toujours Namur", ""),
        ("", ""),
        ("?", ""),
    ],
)
def test_the_nearest_text(text: str, found: str) -> None:
    assert nearest(text, "Le bureau siège à Bruxelles depuis 2022. Il aime la paix.") == found


def test_nothing_is_near_in_an_empty_document() -> None:
    assert nearest("Bruxelles", "") == ""
