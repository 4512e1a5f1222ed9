"""Analysis for each language, and BM25 with numbers derived by hand."""

import math
from pathlib import Path

import pytest

from rag.lexical import LexicalIndex, content_words, fold, stems, surface_tokens
from rag.types import Language


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("l'ECCG", ["eccg"]),
        ("d’Enabel", ["enabel"]),
        ("cyber-attaque", ["cyberattaque", "cyber", "attaque"]),
        ("CBM14", ["cbm14", "cbm", "14"]),
        ("CBM 14", ["cbm", "14"]),
        ("Œuvre à l’État", ["oeuvre", "etat"]),
        ("n° 1202", ["n°", "1202"] if "°".isalnum() else ["1202"]),
    ],
)
def test_surface_tokens(text: str, tokens: list[str]) -> None:
    assert surface_tokens(text) == tokens


def test_fold_removes_accents_and_case() -> None:
    assert fold("Coopération ŒUVRE ﬁn") == "cooperation oeuvre fin"


def test_function_words_go_by_language() -> None:
    assert content_words("Qui représente la Belgique ?", "fr") == ["represente", "belgique"]
    assert content_words("Who represents Belgium?", "en") == ["represents", "belgium"]
    assert content_words("Wie vertegenwoordigt België?", "nl") == ["vertegenwoordigt", "belgie"]


def test_plural_and_singular_meet_with_and_without_accents() -> None:
    assert stems("opérations", "fr") == stems("operation", "fr")


PASSAGES = ["le bureau de Bruxelles", "le projet du Niger", "le projet de Bruxelles au Niger"]
FRENCH = ["fr", "fr", "fr"]


def test_bm25_of_one_word() -> None:
    # "projet" is in 2 of 3 passages: idf = ln(1 + (3 - 2 + 0.5) / (2 + 0.5)) = ln 1.6.
    # Content words: 2, 2 and 3, mean 7/3. For the second passage the term frequency part
    # is 1 / (1 + 1.2 * (0.25 + 0.75 * 2 / (7/3))) = 1 / 2.0714.
    scores = LexicalIndex.build(PASSAGES, FRENCH).scores("projets", "fr")
    assert scores[0] == 0
    assert scores[1] == pytest.approx(math.log(1.6) / (1 + 1.2 * (0.25 + 0.75 * 6 / 7)), rel=1e-4)
    assert scores[1] > scores[2] > 0


def test_across_languages_only_words_spelt_alike_vote() -> None:
    index = LexicalIndex.build(PASSAGES, FRENCH)
    scores = index.scores("Where is the Niger project office?", "en")
    # "Niger" is the only word of the question that a French passage has.
    assert scores[0] == 0
    assert scores[1] == pytest.approx(index.scores("Niger", "fr")[1])


def test_an_unknown_language_is_that_of_the_passages() -> None:
    index = LexicalIndex.build(PASSAGES, FRENCH)
    assert index.scores("projets Niger", "unknown").tolist() == pytest.approx(
        index.scores("projets Niger", "fr").tolist()
    )


def test_coverage_weighs_by_rarity() -> None:
    index = LexicalIndex.build(PASSAGES, FRENCH)
    # bureau: in 1 of 3, idf ln(1 + 2.5/1.5) = ln 8/3; projet: in 2, ln 1.6.
    expected = math.log(8 / 3) / (math.log(8 / 3) + math.log(1.6))
    assert index.coverage("bureau projet", "fr", "un bureau", "fr") == pytest.approx(expected)
    assert index.coverage("bureau projet", "fr", "des bureaux, des projets", "fr") == 1
    assert index.coverage("office", "en", "un bureau", "fr") == 0


def test_words_that_nothing_has_score_nothing() -> None:
    index = LexicalIndex.build(PASSAGES, FRENCH)
    assert index.scores("zèbre", "fr").tolist() == [0, 0, 0]
    assert LexicalIndex.build(["", ""], ["fr", "fr"]).scores("zèbre", "fr").tolist() == [0, 0]


def test_saved_and_loaded_gives_the_same(tmp_path: Path) -> None:
    index = LexicalIndex.build(PASSAGES, ["fr", "unknown", "fr"])
    index.save(tmp_path / "lexical")
    again = LexicalIndex.load(tmp_path / "lexical")
    for question in ("projets du Niger", "Bruxelles"):
        assert again.scores(question, "fr").tolist() == index.scores(question, "fr").tolist()


def test_an_inverted_verb_makes_no_compound() -> None:
    assert surface_tokens("Où siège-t-il et qu'est-ce ?") == ["ou", "siege", "et", "qu", "est"]
    assert surface_tokens("cyber-attaque") == ["cyberattaque", "cyber", "attaque"]


@pytest.mark.parametrize(
    ("question", "language", "unknown"),
    [
        ("Où sont les réseaux du zèbre ?", "fr", ["zèbre"]),
        # Another form, another spelling, one word or two, an inverted verb.
        ("un reseau, des ressaux, cyber attaque, est-il", "fr", []),
        ("l'Enisa et l'ENISA de 2031", "fr", ["Enisa", "2031"]),
        ("qui est-ce ?", "fr", []),
        ("", "fr", []),
        ("Aujourd'hui, quel zebra ?", "fr", ["zebra"]),
        # Of another language only acronyms and numbers are sure to be the same.
        (
            "Which zebra does ENISA or Napoleon keep since 2031?",
            "en",
            ["ENISA", "2031"],
        ),
        ("Welke zebra bewaakt de cyberattaque?", "nl", []),
        ("zebra", "unknown", ["zebra"]),
    ],
)
def test_words_that_no_passage_has(question: str, language: Language, unknown: list[str]) -> None:
    texts = ["La défense des réseaux.", "Une cyberattaque contre un réseau."]
    index = LexicalIndex.build(texts, ["fr", "fr"])
    assert index.unknown_words(question, language) == unknown
