from __future__ import annotations

from math import log2

import pytest

from eval import measures


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        ("Créé  en\u00a02022.", "en 2022", True),  # white space of any kind is one space
        ("l’agence « X »", "L'AGENCE", True),  # quotes and case
        ("la defense", "la défense", False),  # accents are kept
        ("l'administration", "NIS", False),  # not inside a word
        ("la directive (NIS)", "NIS", True),
        ("en 2027", "27", False),  # not inside a number
        ("les 27 centres", "27", True),
        ("1,5 million", "5", False),  # nor after a decimal comma
        ("2,5", "2", False),
        ("il y en a 5, dont", "5", True),
        ("le mp3", "3", False),
        ("127 centres nationaux", "27 centres", False),
        ("EU CSIRT networkle groupe", "EU CSIRT network", True),  # glued in the source
        ("Cyber\u00adsécurité", "cybersécurité", True),  # soft hyphen
        ("2026 puis 26", "26", True),  # a later occurrence counts
        ("anything", " ", False),
        ("", "x", False),
    ],
)
def test_contains_neither_cuts_words_nor_numbers(text: str, part: str, expected: bool) -> None:
    assert measures.contains(text, part) is expected


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("L'Agence de l’Union européenne", ["agence", "union", "européenne"]),
        ("The Belgian Cyber Command.", ["belgian", "cyber", "command"]),
        ("Het ministerie van een land", ["ministerie", "van", "land"]),
        ("'t Hof", ["hof"]),
        ("an agency", ["agency"]),
        ("1 an", ["1", "an"]),  # French: one year
        ("aujourd'hui", ["aujourdhui"]),  # this d' is inside a word
        ("(UE) 2021/887", ["ue", "2021887"]),
        ("750 €", ["750", "€"]),
        ("A", ["a"]),  # an article alone is the answer
        ("«»", ['""']),
    ],
)
def test_answer_tokens_drop_articles_of_three_languages(text: str, tokens: list[str]) -> None:
    assert measures.answer_tokens(text) == tokens


def test_exact_match_takes_the_best_answer() -> None:
    assert measures.exact_match("le ministère", ["la Défense", "Ministère"]) == 1.0
    assert measures.exact_match("ministere", ["ministère"]) == 0.0
    assert measures.exact_match("", ["le"]) == 0.0


def test_f1_with_articles() -> None:
    # given {directeur, général} (le dropped), wanted {directeur, général, ccb} (le, du dropped)
    # precision 2/2, recall 2/3, F1 = 2*2/(2+3)
    assert measures.token_f1("Le directeur général", ["le directeur général du CCB"]) == 0.8
    # The other answer {directeur} gives 2*1/(2+1) = 0.67: the greater one counts.
    assert measures.token_f1("Le directeur général", ["directeur", "directeur général"]) == 1.0
    assert measures.token_f1("rien", ["directeur"]) == 0.0
    assert measures.token_f1("", ["directeur"]) == 0.0
    # A repeated word counts as often as it is on both sides: {a: 1} of 2 and 1, 2*1/(2+1).
    assert measures.token_f1("cyber cyber", ["cyber"]) == pytest.approx(2 / 3)


def test_answer_recall_wants_every_group() -> None:
    groups = [["OTAN", "NATO"], ["ONU"]]
    assert measures.answer_recall("L'OTAN et l'ONU.", ["OTAN"], groups) == 1.0
    assert measures.answer_recall("L'OTAN.", ["OTAN"], groups) == 0.0
    assert measures.answer_recall("L'OTAN.", ["OTAN", "ONU"], ()) == 1.0
    assert measures.groups_said("un monument de l'OTAN", ["x"], groups) == (1, 2)


def test_ranking_with_the_one_evidence_at_rank_2() -> None:
    # nDCG = (1/log2(3)) / (1/log2(2)) = 0.63093
    assert measures.ranking_scores([frozenset(), frozenset({0})], 1) == {
        "R@1": 0.0,
        "R@5": 1.0,
        "R@10": 1.0,
        "RR@10": 0.5,
        "nDCG@10": pytest.approx(1 / log2(3)),
    }


def test_ranking_with_two_evidence_strings_of_which_one_is_missed() -> None:
    # Relevant: hit 1 and one passage not retrieved. R@k 1/2.
    # nDCG = 1 / (1 + 1/log2(3)) = 0.61315
    scores = measures.ranking_scores([frozenset({1})], 2)
    assert scores["R@1"] == scores["R@10"] == 0.5
    assert scores["nDCG@10"] == pytest.approx(1 / (1 + 1 / log2(3)))


def test_ranking_ignores_hits_that_only_repeat_evidence() -> None:
    # Overlapping passages: the second hit with the same evidence is neither a second
    # success nor a second passage to find; the third brings the other evidence.
    # Relevant: hits 1 and 3. DCG = 1 + 1/log2(4) = 1.5, ideal 1 + 1/log2(3).
    scores = measures.ranking_scores([frozenset({0}), frozenset({0}), frozenset({0, 1})], 2)
    assert scores["R@1"] == 0.5
    assert scores["R@5"] == 1.0
    assert scores["nDCG@10"] == pytest.approx(1.5 / (1 + 1 / log2(3)))


def test_ranking_with_both_evidence_strings_in_the_first_hit_is_perfect() -> None:
    assert set(measures.ranking_scores([frozenset({0, 1})], 2).values()) == {1.0}


def test_ranking_beyond_ten_or_empty_scores_0() -> None:
    eleventh = [frozenset[int]()] * 10 + [frozenset({0})]
    assert set(measures.ranking_scores(eleventh, 1).values()) == {0.0}
    assert set(measures.ranking_scores([], 1).values()) == {0.0}


def test_ranking_keeps_its_order_at_rank_10() -> None:
    # As text "hit10" sorts before "hit2": ties must not be broken by name. 1/log2(11) = 0.289
    scores = measures.ranking_scores([frozenset()] * 9 + [frozenset({0})], 1)
    assert (scores["R@5"], scores["R@10"], scores["RR@10"]) == (0.0, 1.0, 0.1)
    assert scores["nDCG@10"] == pytest.approx(1 / log2(11))


EVIDENCE = ["Création : 2022", "Siège : Bruxelles, Belgique"]
ANSWERS = ["2022", "Bruxelles"]


@pytest.mark.parametrize(
    ("quotes", "precision", "recall"),
    [
        (["Création : 2022", "Siège : Bruxelles, Belgique"], 1.0, 1.0),
        (["Rôle : défense. Création : 2022. Fin."], 1.0, 0.5),  # contains an evidence
        (["Siège"], 1.0, 0.5),  # lies within one
        (["ouvert à Bruxelles en"], 1.0, 0.5),  # has an answer that the evidence has
        (["Rôle : défense", "Création : 2022"], 0.5, 0.5),
        ([None, "2022"], 0.5, 0.5),  # the first is of another document
        ([None], 0.0, 0.0),
        ([], None, 0.0),
    ],
)
def test_citation_scores(quotes: list[str | None], precision: float | None, recall: float) -> None:
    wanted = [[text] for text in EVIDENCE]
    assert measures.citation_scores(quotes, wanted, ANSWERS) == (precision, recall)


def test_one_of_several_proofs_is_enough() -> None:
    assert measures.citation_scores(["Création : 2022"], [EVIDENCE], ANSWERS) == (1.0, 1.0)


def test_an_answer_outside_the_evidence_is_right_but_covers_nothing() -> None:
    assert measures.citation_scores(["Anvers"], [["Création : 2022"]], ["2022", "Anvers"]) == (
        1.0,
        0.0,
    )


def test_abstention() -> None:
    # (answerable, abstained): 2 right of 3 abstentions, of 4 unanswerable questions.
    # precision 2/3, recall 2/4, F1 = 2*2/(3+4)
    outcomes = [(False, True)] * 2 + [(False, False)] * 2 + [(True, True)] + [(True, False)] * 5
    assert measures.abstention(outcomes) == {
        "abstention_precision": pytest.approx(2 / 3),
        "abstention_recall": 0.5,
        "abstention_F1": pytest.approx(4 / 7),
    }


def test_abstention_without_denominator_is_none() -> None:
    assert measures.abstention([(True, False)]) == {
        "abstention_precision": None,
        "abstention_recall": None,
        "abstention_F1": None,
    }


def test_aurc_of_four_items() -> None:
    # Losses by falling confidence: 0 1 0 1. Risks 0/1, 1/2, 1/3, 2/4; their mean is 1/3.
    points = [(0.2, 1.0), (0.9, 0.0), (0.4, 0.0), (0.7, 1.0)]
    assert measures.risk_coverage(points) == [
        (0.25, 0.0),
        (0.5, 0.5),
        (0.75, pytest.approx(1 / 3)),
        (1.0, 0.5),
    ]
    assert measures.aurc(points) == pytest.approx(1 / 3)


def test_aurc_takes_ties_together_in_any_order() -> None:
    # 0.9: loss 0. Then two tied at 0.5 with losses 0 and 1: each adds 1/2.
    # Risks 0, 0.5/2, 1/3; their mean is 7/36, which is also the mean of both orders:
    # (0 + 0 + 1/3)/3 and (0 + 1/2 + 1/3)/3.
    for points in ([(0.9, 0.0), (0.5, 0.0), (0.5, 1.0)], [(0.5, 1.0), (0.5, 0.0), (0.9, 0.0)]):
        assert measures.aurc(points) == pytest.approx(7 / 36)


def test_figures_of_nothing_are_none() -> None:
    assert measures.aurc([]) is None
    assert measures.mean([]) is None
    assert measures.percentile([], 95) is None


def test_percentile_interpolates() -> None:
    # Of 10, 20, 30: position 0.95*2 = 1.9, that is 20 + 0.9*10.
    assert measures.percentile([30.0, 10.0, 20.0], 50) == 20.0
    assert measures.percentile([30.0, 10.0, 20.0], 95) == pytest.approx(29.0)


def test_permutation_test_of_three_wins_is_exact() -> None:
    # Of the 8 sign patterns of (1, 1, 1), +++ and --- are as extreme: 2/8.
    assert measures.paired_permutation([1.0, 1.0, 0.0, 1.0]) == 0.25
    # Of the 4 patterns of (1, -1), all have a sum of magnitude >= 0.
    assert measures.paired_permutation([1.0, -1.0]) == 1.0
    assert measures.paired_permutation([0.0, 0.0]) == 1.0


def test_permutation_test_of_many_items_is_reproducible() -> None:
    # 20 wins, no loss: only 2 of 2**20 patterns are as extreme, so none of 10,000 is
    # expected and the p-value is that of the observed pattern alone.
    assert measures.paired_permutation([0.1] * 20) == pytest.approx(1 / 10_001)
    mixed = [0.5, -0.25] * 10
    assert measures.paired_permutation(mixed) == measures.paired_permutation(mixed)
