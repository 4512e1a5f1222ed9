from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import statistics
from eval.measures import abstention, aurc, calibration_gaps, expected_calibration_error

POINTS = [(0.9, 0.0), (0.7, 1.0), (0.7, 0.0), (0.7, 1.0), (0.4, 0.0), (0.2, 1.0), (0.2, 1.0)]


def test_figures_of_nothing_are_none() -> None:
    assert statistics.mean([]) is None
    assert statistics.percentile([], 95) is None


def test_mean() -> None:
    assert statistics.mean([1.0, 2.0, 6.0]) == 3.0


def test_percentile_interpolates() -> None:
    # Of 10, 20, 30: position 0.95*2 = 1.9, that is 20 + 0.9*10.
    assert statistics.percentile([30.0, 10.0, 20.0], 50) == 20.0
    assert statistics.percentile([30.0, 10.0, 20.0], 95) == pytest.approx(29.0)


def test_intervals_of_fewer_than_two_items_are_none() -> None:
    assert statistics.bootstrap_mean([]) is statistics.bootstrap_mean([1.0]) is None
    assert statistics.bootstrap_percentile([], 50) is None
    assert statistics.bootstrap_percentile([1.0], 50) is None
    assert statistics.bootstrap_aurc([]) is statistics.bootstrap_aurc([(0.5, 1.0)]) is None
    assert statistics.bootstrap_ece([]) is statistics.bootstrap_ece([(5, 0.5)]) is None
    nothing = dict.fromkeys(("abstention_precision", "abstention_recall", "abstention_F1"))
    assert statistics.bootstrap_abstention([]) == nothing
    assert statistics.bootstrap_abstention([(False, True)]) == nothing


def test_interval_of_the_mean_of_two_items() -> None:
    # Of the samples of two, one in four has mean 0 and one in four mean 1: more than 2.5%.
    assert statistics.bootstrap_mean([1.0, 0.0]) == (0.0, 1.0)


def test_interval_of_equal_values_has_no_width() -> None:
    # 0.1 + 0.1 + 0.1 is not 0.3 in floating point; the interval is exact all the same.
    assert statistics.bootstrap_mean([0.1] * 3) == (0.1, 0.1)
    assert statistics.bootstrap_percentile([0.1] * 3, 95) == (0.1, 0.1)
    assert statistics.bootstrap_aurc([(0.5, 1.0)] * 3) == (1.0, 1.0)
    assert statistics.bootstrap_ece([(5, 0.5)] * 3) == (0.5, 0.5)


def test_interval_of_a_share_is_near_the_normal_one() -> None:
    # 80 of 100: 0.8 +- 1.96 * sqrt(0.8 * 0.2 / 100) = 0.8 +- 0.078; samples differ by 0.01.
    low, high = statistics.bootstrap_mean([1.0] * 80 + [0.0] * 20) or (0.0, 0.0)
    assert low == pytest.approx(0.722, abs=0.011)
    assert high == pytest.approx(0.878, abs=0.011)


def test_interval_of_a_percentile_of_two_items() -> None:
    # Medians of the samples of (10, 20): 10, 15, 15, 20, as likely each.
    assert statistics.bootstrap_percentile([20.0, 10.0], 50) == (10.0, 20.0)
    # The 100th percentile is the greatest: 10 in one sample of four.
    assert statistics.bootstrap_percentile([20.0, 10.0], 100) == (10.0, 20.0)


def test_interval_of_a_percentile_is_that_of_numpy_on_the_same_samples() -> None:
    values = [3.0, 1.0, 2.0, 2.0, 7.0, 7.0, 1.5]
    distinct, counts = np.unique(values, return_counts=True)
    figures = [np.percentile(np.repeat(distinct, drawn), 95) for drawn in _samples(counts)]
    expected = np.percentile(figures, (2.5, 97.5))
    assert statistics.bootstrap_percentile(values, 95) == pytest.approx(tuple(expected))


def test_interval_of_the_aurc_of_two_items() -> None:
    # Samples: twice the right item, 0; twice the wrong one, 1; one each, risks 0 and 1/2.
    assert statistics.bootstrap_aurc([(0.9, 0.0), (0.1, 1.0)]) == (0.0, 1.0)


def test_interval_of_the_aurc_is_that_of_the_measure_on_the_same_samples() -> None:
    # Three items are tied at 0.7 and two at 0.2, so that samples have ties of any size.
    distinct = [(0.9, 0.0), (0.7, 0.0), (0.7, 1.0), (0.4, 0.0), (0.2, 1.0)]
    samples = _samples(np.asarray([1, 1, 2, 1, 2]))
    figures = [
        aurc([point for point, times in zip(distinct, drawn, strict=True) for _ in range(times)])
        for drawn in samples
    ]
    expected = np.percentile(np.asarray(figures, dtype=float), (2.5, 97.5))
    assert statistics.bootstrap_aurc(POINTS) == pytest.approx(tuple(expected))


def test_interval_of_the_calibration_error_of_two_items() -> None:
    # Samples: twice the right item, 0.25; twice the wrong one, 0.75; one each, 0.25 in one
    # bin, where the gaps cancel, and 0.5 in two.
    assert statistics.bootstrap_ece([(7, -0.25), (7, 0.75)]) == (0.25, 0.75)
    assert statistics.bootstrap_ece([(6, -0.25), (7, 0.75)]) == (0.25, 0.75)


def test_interval_of_the_calibration_error_is_that_of_the_measure_on_the_same_samples() -> None:
    # In the order of their bins and gaps: 0.7 right, -0.3, comes before 0.7 wrong, 0.7.
    distinct = [(0.2, 1.0), (0.4, 0.0), (0.7, 0.0), (0.7, 1.0), (0.9, 0.0)]
    samples = _samples(np.asarray([2, 1, 1, 2, 1]))
    figures = [
        expected_calibration_error(
            [point for point, times in zip(distinct, drawn, strict=True) for _ in range(times)]
        )
        for drawn in samples
    ]
    expected = np.percentile(np.asarray(figures, dtype=float), (2.5, 97.5))
    found = statistics.bootstrap_ece(calibration_gaps(POINTS))
    assert found == pytest.approx(tuple(expected))


def _samples(counts: np.ndarray) -> np.ndarray:
    return np.concatenate(list(statistics._resamples(counts)))


def test_samples_are_of_as_many_items() -> None:
    samples = _samples(np.asarray([2, 0, 3]))
    assert samples.shape == (2_000, 3)
    assert set(samples.sum(axis=1)) == {5}
    # What no item has is never drawn; the others as often as items have them, +- 3 standard
    # errors of sqrt(5 * 0.4 * 0.6 / 2,000) = 0.0245.
    assert samples[:, 1].sum() == 0
    assert samples[:, 0].mean() == pytest.approx(2.0, abs=0.074)


def test_intervals_of_abstention() -> None:
    # One abstention, rightly, of two unanswerable questions. Samples of two: recall 0 in one
    # of four, 1/2 in two, 1 in one; precision 1 where there is an abstention; F1 0, 2/3, 1.
    assert statistics.bootstrap_abstention([(False, True), (False, False)]) == {
        "abstention_precision": (1.0, 1.0),
        "abstention_recall": (0.0, 1.0),
        "abstention_F1": (0.0, 1.0),
    }


def test_intervals_of_abstention_leave_out_samples_without_denominator() -> None:
    # The sample of two answered questions says nothing; of the others each figure is 1.
    intervals = statistics.bootstrap_abstention([(False, True), (True, False)])
    assert intervals == dict.fromkeys(intervals, (1.0, 1.0))
    # Nothing was unanswerable, and nothing abstained from.
    assert set(statistics.bootstrap_abstention([(True, False)] * 3).values()) == {None}
    # An abstention that is wrong each time: precision and F1 are 0, recall is undefined.
    assert statistics.bootstrap_abstention([(True, True)] * 3) == {
        "abstention_precision": (0.0, 0.0),
        "abstention_recall": None,
        "abstention_F1": (0.0, 0.0),
    }


def test_intervals_of_abstention_hold_its_figures() -> None:
    outcomes = [(False, True)] * 20 + [(False, False)] * 10 + [(True, True)] * 15 + [(True, False)]
    intervals = statistics.bootstrap_abstention(outcomes)
    for name, value in abstention(outcomes).items():
        low, high = intervals[name] or (1.0, 0.0)
        assert value is not None
        assert low < value < high


@settings(max_examples=10)
@given(st.permutations(range(len(POINTS))))
def test_no_result_depends_on_the_order(order: list[int]) -> None:
    points = [POINTS[index] for index in order]
    values, differences = [confidence for confidence, _ in points], [c - 0.5 for c, _ in points]
    outcomes = [(confidence > 0.5, bool(loss)) for confidence, loss in points]
    assert statistics.bootstrap_mean(values) == statistics.bootstrap_mean([c for c, _ in POINTS])
    assert statistics.bootstrap_percentile(values, 95) == statistics.bootstrap_percentile(
        [c for c, _ in POINTS], 95
    )
    assert statistics.bootstrap_aurc(points) == statistics.bootstrap_aurc(POINTS)
    gaps = calibration_gaps(points)
    assert statistics.bootstrap_ece(gaps) == statistics.bootstrap_ece(calibration_gaps(POINTS))
    assert statistics.bootstrap_abstention(outcomes) == statistics.bootstrap_abstention(
        [(confidence > 0.5, bool(loss)) for confidence, loss in POINTS]
    )
    # Twice, so that there are too many for all patterns.
    assert statistics.paired_permutation(differences * 2) == statistics.paired_permutation(
        [c - 0.5 for c, _ in POINTS] * 2
    )


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = [0.5, -0.25, 0.125] * 8
    whole = statistics.bootstrap_aurc(POINTS), statistics.paired_permutation(differences)
    monkeypatch.setattr(statistics, "_CELLS", 1_000)
    assert (statistics.bootstrap_aurc(POINTS), statistics.paired_permutation(differences)) == whole


def test_permutation_test_of_three_wins_is_exact() -> None:
    # Of the 8 sign patterns of (1, 1, 1), +++ and --- are as extreme: 2/8.
    assert statistics.paired_permutation([1.0, 1.0, 0.0, 1.0]) == 0.25
    # Of the 4 patterns of (1, -1), all have a sum of magnitude >= 0.
    assert statistics.paired_permutation([1.0, -1.0]) == 1.0
    assert statistics.paired_permutation([0.0, 0.0]) == 1.0
    assert statistics.paired_permutation([]) == 1.0


def test_permutation_test_of_many_items_is_reproducible() -> None:
    # 20 wins, no loss: only 2 of 2**20 patterns are as extreme, so none of 10,000 is
    # expected and the p-value is that of the observed pattern alone.
    assert statistics.paired_permutation([0.1] * 20) == pytest.approx(1 / 10_001)
    mixed = [0.5, -0.25] * 10
    assert statistics.paired_permutation(mixed) == statistics.paired_permutation(mixed)


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),  # no difference
        (3, 3, 1.0),
        (5, 0, 0.0625),  # 2 * (1/2)**5
        (0, 5, 0.0625),
        (1, 3, 0.625),  # of 16 patterns of 4, 1 + 4 have at most one win: 2 * 5/16
        (10, 0, 0.001953125),  # 2 * (1/2)**10
    ],
)
def test_mcnemar(wins: int, losses: int, p: float) -> None:
    assert statistics.mcnemar(wins, losses) == pytest.approx(p)
