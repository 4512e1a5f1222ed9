"""The few words that answer, where rules can tell."""

import pytest

from rag.chunking import Unit
from rag.short_answers import expansion_before, short_answer
from rag.types import Document


@pytest.mark.parametrize(
    ("text", "acronym", "expansion"),
    [
        (
            "au sein du European Cybersecurity Certification Group (ECCG) établi",
            "ECCG",
            "European Cybersecurity Certification Group",
        ),
        (
            "La Directive sur les réseaux et les systèmes d'information (NIS)",
            "NIS",
            "Directive sur les réseaux et les systèmes d'information",
        ),
        (
            "l'Organisation pour la sécurité et la coopération en Europe (OSCE)",
            "OSCE",
            "Organisation pour la sécurité et la coopération en Europe",
        ),
        (
            "avec le Groupe de travail horizontal sur les questions cybernétiques (GTHQC)",
            "GTHQC",
            "Groupe de travail horizontal sur les questions cybernétiques",
        ),
    ],
)
def test_expansions(text: str, acronym: str, expansion: str) -> None:
    span = expansion_before(text, text.index("("), acronym)
    assert span is not None
    assert text[slice(*span)] == expansion


def _short(question: str, text: str, kind: str = "paragraph") -> str | None:
    document = Document("d", "D", text, text, {}, "fr", "0")
    span = short_answer(question, Unit(kind, 0, len(text), 0), document)  # type: ignore[arg-type]
    return None if span is None else text[slice(*span)]


LAW = "La loi belge NIS du 7 avril 2019 a désigné le CCB comme point de contact unique."


@pytest.mark.parametrize(
    ("question", "text", "kind", "short"),
    [
        ("Quand la loi NIS a-t-elle été adoptée ?", LAW, "paragraph", "7 avril 2019"),
        ("When was the NIS law passed?", LAW, "paragraph", "7 avril 2019"),
        ("Où siège le BCC ?", "Siège : Bruxelles, Belgique", "fact", "Bruxelles, Belgique"),
        ("Combien de centres ?", "un réseau de 27 centres nationaux", "paragraph", "27 centres"),
        (
            "Que signifie CNC ?",
            "un Centre national de coordination (CNC) pour",
            "paragraph",
            "Centre national de coordination",
        ),
        ("What is the acronym of the centre?", "un Centre national (CNC)", "paragraph", "CNC"),
        ("Qui est le directeur ?", LAW, "paragraph", None),
        # A date that the question mentions is no answer to it.
        ("Quand, après le 7 avril 2019, … ?", LAW, "paragraph", None),
    ],
)
def test_short_answers(question: str, text: str, kind: str, short: str | None) -> None:
    assert _short(question, text, kind) == short
