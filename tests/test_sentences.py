"""Sentence boundaries, with `|` where one is expected."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.sentences import sentences

CASES = [
    # French abbreviations and references
    "Décision du Conseil permanent n° 1202.| Les États participent.",
    "M. Dupont est là.| Mme. Durand aussi.| MM. Le Goff et Petit dorment.",
    "Le Dr. Martin (cf. p. 12) dit oui.| Elle part.",
    "L'art. 5, al. 2, du vol. 3.| Il dit.",
    "Voir l'art. L. 511-1 et le vol. XIV du traité.",
    "Il visite un musée d'art.| Il rentre.",
    "Il a vu etc.| Elle part.",
    "Des vis, etc. sont là.",
    "Des villes, p. ex. Paris et Lyon, c.-à-d. Les grandes.",
    "En 52 av. J.-C. la guerre finit.",
    "Né en 52 av. J.-C.| Il vécut vieux.",
    "Le siège, 12 bd. Saint-Michel, tél. 02 123.| Fin.",
    "St. Gallen et Ste. Marie.",
    # Dutch and English ones
    "Steden, bijv. Antwerpen, d.w.z. Brussel, m.b.t. NIS.| Het is goed.",
    "Zie art. 3 en blz. 12, enz.| De rest volgt.",
    "De heer dhr. Jansen komt.",
    "Towns, e.g. Paris, i.e. France.| It ends.",
    "The U.S. Army left.",
    "He left the U.S.| The end came.",
    "Acme Inc. was sold.| It was bought by Acme Inc.| The deal is done.",
    "It is no. 5 of the list.",
    # Initials
    "J. Dupont et A. B. Martin sont là.",
    "C'est le plan B.| Il marche.",
    "Un livre de J. Le Goff.",
    # Numbers and dates
    "Il y en a 1.202, soit 3.5 %.| Puis rien.",
    "C'était le 7 avril 2019.| Il pleuvait.",
    "1. Introduction générale.| Suite.",
    "Tout est en Europe.| 27 centres existent.",
    # Ellipses
    "La Toolbox... et plusieurs autres initiatives.",
    "Il dit...| Elle part… puis revient.",
    "Elle hésite…| Il part.",
    # Quotes and brackets
    "Il dit : « Oui. »| Elle part.",
    "Il dit : «\u00a0Oui.\u00a0»| Elle part.",
    "« Non ! » cria-t-il.",
    "Il dit « Oui. », puis « Non. » ; Il part.| Fin.",
    "« Quoi ? »| Il rit.",
    'He said "Go."| Then he left.',
    "Il dort.| « Elle part. »",
    "(Il dort.)| [Elle part.]| Fin.",
    "Il dort (voir p. 3).| (Elle part.)",
    "Il dort. (voir annexe)",
    # Marks of exclamation and question
    "Vraiment ?!| Oui !| Non.",
    "Pourquoi ?| 12 raisons.",
    # Addresses, and marks that do not end a sentence
    "Voir https://a.be/x.html?y=1.| Le CERT.be est là.",
    "Écrire à CERT.be.| Le site www.ccb.be suit.",
    "Un point ; Un autre : Le dernier.",
    # Line ends
    "Titre sans point|\nLe texte suit",
    "L'O.N.U. est là.| L'U.E. aussi.",
    "Dupont et al. (2019) le disent.",
    "🎯 Un.| 🎯 Deux.",
]


@pytest.mark.parametrize("case", CASES)
def test_sentences(case: str) -> None:
    text = case.replace("|", "")
    assert [text[start:end] for start, end in sentences(text)] == [
        part.strip() for part in case.split("|")
    ]


def test_sentences_of_nothing() -> None:
    assert sentences("") == []
    assert sentences(" \n\u00a0\n") == []


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([*"aA.!?…»«\n\u00a0 1()\"'", "M.", "etc.", "n° "])).map("".join))
def test_spans_are_trimmed_ordered_and_cover_all_text(text: str) -> None:
    position, uncovered = 0, ""
    for start, end in sentences(text):
        assert position <= start < end
        assert text[start:end] == text[start:end].strip()
        assert "\n" not in text[start:end]
        uncovered += text[position:start]
        position = end
    assert not (uncovered + text[position:]).strip()
