from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.matching import (
    answer_tokens,
    common_run,
    contains,
    fold,
    overlap,
    variants,
    words,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("L’Agence\u00a0« X »\n–  Y", 'l\'agence " x " - y'),
        ("Cafe\u0301", "café"),  # one letter or two code points
        ("Cyber\u00adsécu\u200brité", "cybersécurité"),  # soft hyphen, zero-width space
        ("[[ccb|le CCB]] et [ENISA](https://x.eu/a_(b))", "le ccb et enisa"),
        ("650 km² en 2021¹", "650 km2 en 2021"),  # a power, and a footnote mark
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'ENISA, l’U.E. et la Belgique", "l' enisa l' ue et la belgique"),
        ("**Siège** : *Bruxelles*", "siège bruxelles"),
        ("C#, C++, .NET et snake_case", "c# c++ .net et snake_case"),
        ("vingt-sept, 1 000 et 1,5", "27 1000 et 1.5"),
        ("le 1er juin 2021 et le 2e", "le day:1 month:6 2021 et le 2e"),
        ("1914–1918 : 2*3, 16:30", "1914 - 1918 2*3 16:30"),
        ("un pays de l'UN", "un pays de l' UN"),
        ("Etats, États", "etats etats"),  # the first letter alone loses its accent
        ("!", ""),
    ],
)
def test_words(text: str, expected: str) -> None:
    assert " ".join(words(text)) == expected


@pytest.mark.parametrize(
    ("text", "part"),
    [
        # Writing: code points, case, white space, quotes, what is invisible.
        ("Créé  en\u00a02022.", "en 2022"),
        ("l’agence « X »", "L'AGENCE"),
        ("Cyber\u00adsécurité", "cybersécurité"),
        ("cyber\u200bsécurité", "Cybersécurité"),
        ("Ｂｒｕｘｅｌｌｅｓ", "Bruxelles"),
        ("Cafe\u0301 de Paris", "café de Paris"),
        ("les États-Unis", "Etats-Unis"),
        ("une œuvre d'art", "oeuvre d’art"),
        ("cyber‑attaque", "cyber-attaque"),
        ("Bruxelles (Belgique)", "Bruxelles, Belgique"),
        ("the CCB's role", "CCB"),
        ("650 km²", "650 km2"),
        ("la directive (NIS)", "NIS"),
        # Markdown.
        ("**Siège** : *Bruxelles*", "Siège : Bruxelles"),
        ("**C**entre pour la cybersécurité", "Centre pour la cybersécurité"),
        ("voir [[enisa|l'ENISA]] ici", "l'ENISA ici"),
        ("voir [le CCB](https://ccb.be/a_(b)) à Bruxelles", "le CCB à Bruxelles"),
        ("## Siège du centre", "siège du centre"),
        ("écrit en `C#`", "C#"),
        ("le produit 2*3", "2*3"),
        ("le champ snake_case", "snake_case"),
        # Numbers in digits.
        ("les 27 centres", "27"),
        ("il y en a 5, dont", "5"),
        ("2026 puis 26", "26"),
        ("1 000 agents", "1000 agents"),
        ("1\u202f000 agents", "1.000 agents"),
        ("1.000 agents", "1,000"),
        ("1,5 million", "1.5 million"),
        ("1.234,56 €", "1,234.56 €"),
        ("1,5 million d'euros", "1 500 000"),
        ("50%", "50 %"),
        ("règlement (UE) 2021/887", "2021/887"),
        ("1914–1918", "1918"),
        ("1914 - 1918", "1914-1918"),
        # Numbers in words, in three languages.
        ("un réseau de 27 centres", "vingt-sept centres"),
        ("vingt-sept centres", "27"),
        ("twenty-seven centres", "27 centres"),
        ("zevenentwintig centra", "27 centra"),
        ("een netwerk van 27 centra", "zevenentwintig"),
        ("mille agents", "1 000 agents"),
        ("drie miljoen euro", "3.000.000 euro"),
        ("cent neuf pays", "109 pays"),
        ("neuf pays", "9 pays"),
        ("cinquante pour cent", "50 %"),
        ("fifty percent", "50%"),
        ("vijftig procent", "50 pour cent"),
        ("tous les deux ans", "tous les 2 ans"),
        ("un an", "1 an"),
        ("1 jaar", "één jaar"),
        # Ordinals.
        ("le premier rapport", "1er rapport"),
        ("the 1st report", "first report"),
        ("de eerste versie", "1ste versie"),
        ("the twenty-first century", "21st century"),
        # Dates.
        ("le 21 juin 2021", "21/06/2021"),
        ("le 21/06/2021", "June 21, 2021"),
        ("2021-06-21", "21 juni 2021"),
        ("on June 21st, 2021", "le 21 juin 2021"),
        ("on 21 June 2021", "21.06.2021"),
        ("le vingt et un juin deux mille vingt et un", "21/6/2021"),
        ("1er juillet 2020", "1 juli 2020"),
        ("06/21/2021", "21 juin 2021"),  # only month first makes it a date
        ("21/06/2021", "2021"),
        ("21/06/2021", "juin 2021"),
        ("21/06/2021", "21 juin"),
        ("le 3 mars 2021", "mars"),
        ("12 sept. 2021", "septembre 2021"),
        # Articles.
        ("du ministère", "le ministère"),
        ("la plateforme mondiale", "une plateforme mondiale"),
        ("het ministerie", "een ministerie"),
        ("L'ENISA.", "the ENISA"),
        # Acronyms, and words glued in the source.
        ("l'Otan", "OTAN"),
        ("l'O.T.A.N.", "OTAN"),
        ("L'UN a voté", "UN"),
        ("EU CSIRT networkle groupe", "EU CSIRT network"),
        ("l’Organisation desNations Unies(ONU)", "Organisation des Nations Unies (ONU)"),
    ],
)
def test_says(text: str, part: str) -> None:
    assert contains(text, part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("anything", " "),
        ("", "x"),
        ("x", "?"),
        # Accents within a word.
        ("la defense", "la défense"),
        ("service interne", "interné"),
        # Words are not cut.
        ("l'administration", "NIS"),
        ("le billet", "le bill"),
        ("la surface publique", "face publique"),
        ("plateforme mondialement connue", "plateforme mondiale"),
        ("le réseau nationale", "réseau national"),
        ("langage C#", "C"),
        ("langage C", "C#"),
        ("le prix net", ".NET"),
        ("snake_case", "case"),
        # Numbers are not cut.
        ("en 2027", "27"),
        ("127 centres nationaux", "27 centres"),
        ("cent vingt-sept centres", "vingt-sept centres"),
        ("vingt-sept centres", "sept centres"),
        ("vingt-sept centres", "vingt"),
        ("twenty-seven", "seven"),
        ("zevenentwintig", "zeven"),
        ("1,5 million", "5"),
        ("2,5", "2"),
        ("2,5 millions", "5 millions"),
        ("1 000", "000"),
        ("10 000", "1 000"),
        ("pour cent vingt personnes", "20 personnes"),
        ("-5 °C", "5 °C"),
        ("v 1.2.3", "1.2"),
        ("2*3", "23"),
        ("2*3", "2"),
        ("à 16:30", "16"),
        ("2021/887", "887"),
        ("de 20 à 27", "20 27"),
        ("50 personnes", "50 %"),
        ("le mp3", "3"),
        ("100 m²", "100 m"),
        # Words that are numbers elsewhere.
        ("un projet", "1"),
        ("le premier", "1"),
        ("un bâtiment neuf", "9"),
        ("ten minste", "10"),
        ("c'est le tien", "10"),
        ("50 cent", "100"),
        ("des millions de personnes", "1 000 000"),
        # An article is no number, and a number no article.
        ("trois mois", "un mois"),
        ("deux fois par an", "une fois par an"),
        ("two years", "a year"),
        ("drie jaar", "een jaar"),
        ("il en a 2", "les deux"),
        ("partout dans ce monde", "Le Monde"),  # a title
        # Dates.
        ("le 21 juin 2021", "22 juin 2021"),
        ("le 17 avril 2019", "7 avril 2019"),
        ("avril 2019", "7 avril 2019"),
        ("le 7 avril", "7 avril 2019"),
        ("2019", "avril 2019"),
        ("05/06/2021", "6 mai 2021"),  # the day comes first
        ("le 21 juin 2021", "21"),
        ("le 1er juillet 2020", "1"),
        # Acronyms and words of the same letters.
        ("un centre", "UN"),
        ("the first centre", "FIRST"),
        ("nous sommes", "US"),
        ("the people who asked", "WHO"),
        ("on est là", "EST"),
    ],
)
def test_does_not_say(text: str, part: str) -> None:
    assert not contains(text, part)


PIECES = [
    *("un", "une", "le", "l'", "deux", "vingt", "et", "sept", "cent", "mille", "neuf", "premier"),
    *("ten", "twenty", "first", "zeven", "een", "million", "mars", "juin", "June", "21", "2021"),
    *("1 000", "1,5", "%", "-", ",", ".", "(ONU)", "C#", "*", "Bruxelles", "été", "UN", "/"),
]


@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=8).map(" ".join)))
def test_a_text_says_itself_in_every_normal_form(text: str) -> None:
    assert contains(text, text) is bool(fold(text))
    for form in ("NFC", "NFD"):
        assert contains(text, unicodedata.normalize(form, text)) is bool(fold(text))


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=8))
def test_a_text_says_itself_between_other_sentences(pieces: list[str]) -> None:
    text = " ".join(pieces)
    if fold(text):
        assert contains(f"Voici. {text}. Voilà.", text) or not words(text)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("L'Agence de l’Union européenne", ["agence", "union", "européenne"]),
        ("The Belgian Cyber Command.", ["belgian", "cyber", "command"]),
        ("Het ministerie van een land", ["ministerie", "van", "land"]),
        ("'t Hof", ["hof"]),
        ("an agency", ["agency"]),
        ("1 an", ["1", "an"]),  # French: one year
        ("aujourd'hui", ["aujourd", "hui"]),  # this d' is inside a word
        ("(UE) 2021/887", ["ue", "2021/887"]),
        ("vingt-sept centres", ["27", "centres"]),
        ("1914-1918", ["1914", "1918"]),
        ("750 €", ["750", "€"]),
        ("A", ["a"]),  # an article alone is the answer
        ("«»", ['""']),
        ("", []),
    ],
)
def test_answer_tokens_drop_articles_of_three_languages(text: str, tokens: list[str]) -> None:
    assert answer_tokens(text) == tokens


def test_common_run_counts_words_in_a_row() -> None:
    # "du 20 mai 2021" is "du", day, month, year, 4 words; "règlement européen" are 2.
    quote = "créé par le règlement (du 20 mai 2021) européen"
    assert common_run(quote, "règlement européen du 20 mai 2021") == 4
    assert common_run("a b c", "d") == 0
    assert common_run("", "") == 0


def test_overlap_is_the_share_of_the_evidence() -> None:
    # Evidence of 4 words; in a row are "de la Défense", 3 of them.
    assert overlap("siège de la Défense", "ministère de la Défense") == 0.75
    # The quote may be longer.
    assert overlap("Le siège est à Bruxelles, Belgique.", "Bruxelles, Belgique") == 1.0
    assert overlap("rien", "Bruxelles") == 0.0
    assert overlap("rien", "…") == 0.0
    # More than 200 words, of which "de" is in each pair: no word is too frequent to count.
    text = "de mot " * 150
    assert overlap(text, text) == 1.0


@given(st.text(), st.text())
def test_overlap_is_a_share(quote: str, evidence: str) -> None:
    assert 0.0 <= overlap(quote, evidence) <= 1.0
    assert overlap(evidence, evidence) == float(bool(words(evidence)))


ECCG = "European Cybersecurity Certification Group"


@pytest.mark.parametrize(
    ("answer", "contexts", "question", "expected"),
    [
        # Either half of a pair, in either order.
        (f"{ECCG} (ECCG)", (), "", (f"{ECCG} (ECCG)", ECCG, "ECCG")),
        (f"ECCG ({ECCG})", (), "", (f"ECCG ({ECCG})", "ECCG", ECCG)),
        # Within a longer answer.
        (
            "membre de l'Union européenne (UE) depuis 1957",
            (),
            "",
            (
                "membre de l'Union européenne (UE) depuis 1957",
                "membre de l'Union européenne depuis 1957",
                "membre de l'UE depuis 1957",
            ),
        ),
        # A pair in the evidence; the whole of the answer must be one of its halves.
        ("ECCG", (f"au sein du {ECCG} (ECCG) établi",), "", ("ECCG", ECCG)),
        (f"le {ECCG}", (f"au sein du {ECCG} (ECCG)",), "", (f"le {ECCG}", "ECCG")),
        (f"Le chef du {ECCG}", (f"du {ECCG} (ECCG)",), "", (f"Le chef du {ECCG}",)),
        # The words between are skipped, and the order of the letters may be another language's.
        (
            "OCDE",
            ("l'Organisation de coopération et de développement économiques (OCDE)",),
            "",
            ("OCDE", "Organisation de coopération et de développement économiques"),
        ),
        (
            "NATO",
            ("Organisation du Traité de l'Atlantique Nord (NATO)",),
            "",
            ("NATO", "Organisation du Traité de l'Atlantique Nord"),
        ),
        # What the question says already is no answer to it.
        (ECCG, (f"{ECCG} (ECCG)",), "What does ECCG stand for?", (ECCG,)),
        (f"{ECCG} (ECCG)", (), "What is the ECCG?", (f"{ECCG} (ECCG)", ECCG)),
        # Brackets that hold something else.
        ("Bruxelles (Belgique)", (), "", ("Bruxelles (Belgique)",)),
        ("Ambassade (USA)", (), "", ("Ambassade (USA)",)),
        ("Jean Dupont (OTAN)", (), "", ("Jean Dupont (OTAN)",)),
        ("partenaires (OTAN, UE)", (), "", ("partenaires (OTAN, UE)",)),
        ("(UE)", (), "", ("(UE)",)),
        ("", ("",), "", ("",)),
    ],
)
def test_variants(
    answer: str, contexts: tuple[str, ...], question: str, expected: tuple[str, ...]
) -> None:
    assert variants(answer, contexts, question) == expected


@given(st.text(), st.lists(st.text(), max_size=3), st.text())
def test_variants_begin_with_the_answer(answer: str, contexts: list[str], question: str) -> None:
    assert variants(answer, contexts, question)[0] == answer
