"""Names learned from documents, and found again in questions."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.aliases import Alias, Aliases, definitions
from rag.documents import parse


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Le Centre national de coordination (CNC) est là.",
            [("CNC", "Centre national de coordination")],
        ),
        (
            "Le CNC (Centre national de coordination) est là.",
            [("CNC", "Centre national de coordination")],
        ),
        # The initials decide where the shortest end would cut "Institut" off.
        (
            "À Paris, l'Institut international de coopération intellectuelle (IICI) naît.",
            [("IICI", "Institut international de coopération intellectuelle")],
        ),
        # One expansion, two acronyms of it.
        (
            "le Groupe de travail horizontal sur les questions cybernétiques "
            "(GTHQC, en anglais HWPCI)",
            [
                ("GTHQC", "Groupe de travail horizontal sur les questions cybernétiques"),
                ("HWPCI", "Groupe de travail horizontal sur les questions cybernétiques"),
            ],
        ),
        # Letters in order, not only initials.
        ("le fonds européen d'investissement (FEI)", [("FEI", "fonds européen d'investissement")]),
        # Two contracts, not two names of one.
        ("un contrat de travail (CDD, CDI)", []),
        ("la Belgique (2021)", []),
        ("selon la loi (voir plus bas)", []),
        ("un mot (UE)", []),
    ],
)
def test_definitions(text: str, found: list[tuple[str, str]]) -> None:
    assert list(definitions(text)) == found


NOTE = """---
aliases: [BCX, Commandement X]
---
# Le bureau

Le bureau suit le [[eccg|European Cybersecurity Certification Group]] et les [[lois|lois de l'UE]].
Il aide l'Organisation du Traité de l'Atlantique Nord (OTAN) et le HWPCI.
"""


@pytest.fixture
def aliases() -> Aliases:
    return Aliases.learn([parse(NOTE, "bureau.md", format="markdown")])


def others(aliases: Aliases, question: str, language: str = "fr") -> set[str]:
    return {alias.other for alias in aliases.expand(question, language)}  # type: ignore[arg-type]


def test_the_three_sources(aliases: Aliases) -> None:
    assert others(aliases, "Que fait le BCX ?") == {"Commandement X", "Le bureau"}
    assert others(aliases, "le European Cybersecurity Certification Group") == {"eccg"}
    # Words of a sentence are no name.
    assert others(aliases, "les lois de l'UE") == set()
    assert others(aliases, "l'otan") == {"Organisation du Traité de l'Atlantique Nord"}
    assert others(aliases, "organisation du traité de l’Atlantique nord") == {"OTAN"}


def test_initials_find_an_acronym_that_nothing_explains(aliases: Aliases) -> None:
    question = "Who sits in the Horizontal Working Party on Cyber Issues?"
    # Function words have no initial: h, w, p, c, i.
    assert aliases.expand(question, "en") == (
        Alias("horizontal working party cyber issues", "HWPCI"),
    )


def test_what_the_question_says_is_not_looked_for_again(aliases: Aliases) -> None:
    assert "Commandement X" not in others(aliases, "BCX ou commandement X")


def test_an_acronym_may_stand_for_two_things() -> None:
    text = "La Croix rouge internationale (CRI) et le Comité régional indépendant (CRI)."
    found = Aliases.learn([parse(text, "a.txt", format="text")])
    assert others(found, "CRI") == {"Croix rouge internationale", "Comité régional indépendant"}
    # Which is not to say that the two are one.
    assert others(found, "comité régional indépendant") == {"CRI"}


def test_saved_and_loaded_gives_the_same(aliases: Aliases, tmp_path: Path) -> None:
    aliases.save(tmp_path / "aliases.json")
    again = Aliases.load(tmp_path / "aliases.json")
    assert (again.groups, again.acronyms) == (aliases.groups, aliases.acronyms)
