from __future__ import annotations

from math import log2

import pytest

from eval import measures


def test_exact_match_takes_the_best_answer() -> None:
    assert measures.exact_match("le ministère", ["la Défense", "Ministère"]) == 1.0
    assert measures.exact_match("ministere", ["ministère"]) == 0.0
    assert measures.exact_match("", ["le"]) == 0.0
    assert measures.exact_match("vingt-sept centres", ["les 27 centres"]) == 1.0
    assert measures.exact_match("7 centres", ["les 27 centres"]) == 0.0


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
# 12 words: le ccb est membre du conseil d' administration de l' agence européenne
LONG = "Le CCB est membre du Conseil d'administration de l'Agence européenne"


@pytest.mark.parametrize(
    ("quotes", "precision", "recall"),
    [
        (["Création : 2022", "Siège : Bruxelles, Belgique"], 1.0, 1.0),
        (["Rôle : défense. Création : 2022. Fin."], 1.0, 0.5),  # contains an evidence
        (["Création 2022, siège Bruxelles Belgique"], 1.0, 1.0),  # both at once
        (["Siège"], 0.0, 0.0),  # one word within an evidence
        (["Bruxelles"], 0.0, 0.0),  # even if it is the answer
        (["Bruxelles, Belgique"], 1.0, 0.5),  # a piece that says the answer
        (["à Bruxelles, Belgique, dans le centre"], 0.0, 0.0),  # 2 of 6 words: no piece
        (["Siège : Bruxelles"], 1.0, 0.5),
        (["ouvert à Bruxelles en"], 0.0, 0.0),  # the answer, from somewhere else
        (["Rôle : défense", "Création : 2022"], 0.5, 0.5),
        ([None, "Création : 2022"], 0.5, 0.5),  # the first is of another document
        ([None], 0.0, 0.0),
        (["!"], 0.0, 0.0),
        ([], None, 0.0),
    ],
)
def test_citation_scores(quotes: list[str | None], precision: float | None, recall: float) -> None:
    wanted = [[text] for text in EVIDENCE]
    assert measures.citation_scores(quotes, wanted, ANSWERS) == (precision, recall)


@pytest.mark.parametrize(
    ("quote", "covered"),
    [
        ("Le CCB est membre du Conseil de sécurité", True),  # 6 of 12 words, half
        ("Le CCB est membre du comité", False),  # 5 of 12
        ("membre du Conseil d'administration", False),  # a piece that says no answer
        ("de l'Agence européenne", True),  # a piece that says the answer
        ("selon un avis récent de l'Agence européenne", True),  # 4 of its own 8
        ("selon un avis plus récent de l'Agence européenne", False),  # 4 of its own 9
    ],
)
def test_a_citation_covers_half_of_the_evidence_or_is_a_piece_with_the_answer(
    quote: str, covered: bool
) -> None:
    scores = measures.citation_scores([quote], [[LONG]], ["Agence européenne"])
    assert scores == (float(covered), float(covered))


def test_few_words_in_common_cover_no_short_evidence() -> None:
    # "de la" is half of the four words, but short evidence must be quoted whole.
    wanted, answers = [["Ministère de la Défense"]], ["Ministère de la Défense"]
    assert measures.citation_scores(["au cours de la réunion"], wanted, answers) == (0.0, 0.0)
    assert measures.citation_scores(["le Ministère de la Défense"], wanted, answers) == (1.0, 1.0)


def test_evidence_of_one_word_is_covered_by_it() -> None:
    assert measures.citation_scores(["en 2022."], [["2022"]], ["2022"]) == (1.0, 1.0)


def test_a_piece_must_say_an_answer_that_its_evidence_says() -> None:
    # "Siège : Anvers" shares no 2 words with the evidence, "Siège : Bruxelles" says no answer.
    assert measures.citation_scores(["Siège : Bruxelles"], [[EVIDENCE[1]]], ["Anvers"]) == (
        0.0,
        0.0,
    )


def test_evidence_without_words_is_covered_by_nothing() -> None:
    assert measures.citation_scores(["Siège", "!"], [["…"]], ["…"]) == (0.0, 0.0)


def test_one_of_several_proofs_is_enough() -> None:
    assert measures.citation_scores(["Création : 2022"], [EVIDENCE], ANSWERS) == (1.0, 1.0)


def test_an_answer_outside_the_evidence_proves_nothing() -> None:
    assert measures.citation_scores(["Anvers"], [["Création : 2022"]], ["2022", "Anvers"]) == (
        0.0,
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


def test_aurc_of_nothing_is_none() -> None:
    assert measures.aurc([]) is None
    assert measures.risk_coverage([]) == []


def test_reliability_is_of_bins_that_have_items() -> None:
    # 0.9 twice right and 1.0 wrong are in the last bin: mean confidence 2.8/3, 2/3 right.
    points = [(0.9, 0.0), (0.25, 1.0), (1.0, 1.0), (0.0, 1.0), (0.9, 0.0)]
    assert measures.reliability(points) == [
        measures.ConfidenceBin(0.0, 0.1, 1, 0.0, 0.0),
        measures.ConfidenceBin(0.2, 0.3, 1, 0.25, 0.0),
        measures.ConfidenceBin(0.9, 1.0, 3, pytest.approx(2.8 / 3), pytest.approx(2 / 3)),
    ]
    # (1 * 0 + 1 * 0.25 + 3 * (2.8 - 2) / 3) / 5
    assert measures.expected_calibration_error(points) == pytest.approx(1.05 / 5)


def test_confidence_on_a_bound_is_in_the_upper_bin() -> None:
    parts = measures.reliability([(number / 10, 0.0) for number in range(11)])
    assert [part.low for part in parts] == [number / 10 for number in range(10)]
    assert [part.count for part in parts] == [1] * 9 + [2]


def test_calibration_error_is_of_bins_and_not_of_items() -> None:
    # Three of four right at 0.75: exactly as often as said.
    assert measures.expected_calibration_error([(0.75, 0.0)] * 3 + [(0.75, 1.0)]) == 0.0
    # As far too high in one bin as too low in the other: no balance.
    assert measures.expected_calibration_error([(0.25, 0.0), (0.75, 1.0)]) == 0.75


def test_calibration_gaps_add_up_to_those_of_the_bins() -> None:
    points = [(0.75, 0.0), (0.75, 1.0), (0.125, 1.0)]
    assert measures.calibration_gaps(points) == [(7, -0.25), (7, 0.75), (1, 0.125)]
    # Bin 7: 2 * (0.75 - 0.5) = 0.75 - 0.25; with bin 1, (0.5 + 0.125) / 3.
    assert measures.expected_calibration_error(points) == pytest.approx(0.625 / 3)


def test_calibration_error_of_nothing_is_none() -> None:
    assert measures.expected_calibration_error([]) is None
    assert measures.reliability([]) == measures.calibration_gaps([]) == []


def test_item_measures_have_distinct_names() -> None:
    # 5 of the ranking, 5 of the answer, 4 of reading alone.
    assert len(set(measures.ITEM_MEASURES)) == len(measures.ITEM_MEASURES) == 14
    assert measures.ITEM_MEASURES[-1] == "reading_citation_precision"
