"""Numbers, months and units in three languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.quantities import missing, quantities


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("trois", 3),
        ("three", 3),
        ("drie", 3),
        ("1 500 euros", 1500),
        ("1\u202f500 €", 1500),
        ("1,500 people", 1500),
        ("1.500 personen", 1500),
        ("1.5", 1.5),
        ("2,5 milliards", 2.5e9),
        ("2.5 billion", 2.5e9),
        ("1.234.567,89", 1234567.89),
        ("vingt-trois", 23),
        ("vingt et un", 20),
        ("vingt-et-un", 21),
        ("twenty-three", 23),
        ("drieëntwintig", 23),
        ("soixante-dix", 70),
        ("quatre-vingt-dix-sept", 97),
        ("deux cent cinquante mille", 250000),
        ("two hundred thousand", 200000),
        ("driehonderd", 300),
        ("le 1er mai", 1),
        ("the 20th of May", 20),
        ("le XXe siècle", 20),
        ("the XIXth century", 19),
        ("la moitié", 50),
        ("de helft", 0.5),
        ("the third", 3),
    ],
)
def test_a_number_is_read_however_it_is_written(text: str, value: float) -> None:
    assert any(value in quantity.values for quantity in quantities(text))


@pytest.mark.parametrize(
    ("statement", "passage"),
    [
        ("Het werd op 20 mei 2021 opgericht.", "Il a été créé le 20 mai 2021."),
        ("It was created on May 20th, 2021.", "Il a été créé le 20 mai 2021."),
        ("Three countries take part.", "Trois pays participent."),
        ("Er zijn 27 leden.", "Les vingt-sept membres."),
        ("It costs 1,500 euros.", "Il coûte 1 500 €."),
        ("Ongeveer 12,5 procent.", "Environ 12,5 %."),
        ("You may apply.", "Vous pouvez en faire la demande."),
        ("Twelve days at most.", "12 jours au plus."),
        ("Elf, twaalf maanden.", "Onze, douze mois."),
        ("Elf twaalf maanden.", "Onze, douze mois."),
        ("Kinderen ten laste.", "Les enfants à charge."),
        ("From 2 p.m.", "À partir de 14 heures."),
        ("Twee honderd vijftig.", "Deux cent cinquante."),
    ],
)
def test_the_same_quantities_agree_across_languages(statement: str, passage: str) -> None:
    assert missing(statement, passage) == ()


@pytest.mark.parametrize(
    ("statement", "passage", "text"),
    [
        ("Het werd op 21 mei 2021 opgericht.", "Il a été créé le 20 mai 2021.", "21"),
        ("It was created in June 2021.", "Il a été créé le 20 mai 2021.", "june"),
        ("Four countries take part.", "Trois pays participent.", "four"),
        ("It costs 15,000 euros.", "Il coûte 1 500 €.", "15,000"),
        ("Le délai est de 12 mois.", "Le délai est de 12 jours.", "12"),
        ("Op dinsdag.", "Le lundi.", "dinsdag"),
        ("2.5 million people", "2,5 milliards de personnes", "2.5 million"),
    ],
)
def test_another_quantity_is_missing(statement: str, passage: str, text: str) -> None:
    assert [quantity.text for quantity in missing(statement, passage)] == [text]


def test_what_is_in_any_of_the_texts_is_not_missing() -> None:
    assert missing("In 2021 waren het er drie.", "Trois pays.", "Combien en 2021 ?") == ()


@given(st.text(alphabet=st.sampled_from("0123456789 .,-ivxcentmilladeux%€ù")))
def test_nothing_breaks_the_reading(text: str) -> None:
    assert missing(text, text) == ()
