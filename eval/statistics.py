"""What figures of a sample say: means, percentiles, their intervals, and tests of a difference.

Intervals are those of the percentile bootstrap (Efron and Tibshirani, 1993, "An
introduction to the bootstrap", chapter 13): 2,000 samples of as many items are drawn
with replacement, the figure is computed on each, and the interval runs from its 2.5th
to its 97.5th percentile. They tell how much a figure would vary with other questions of
the same kind. They cannot tell more than the items do: a sample of equal values has an
interval of no width, however small it is, intervals of few items are too narrow, and
what is wrong with the choice of the questions is wrong in every resample. Fewer than
two items give none.

No result depends on the order of the items, and the seed is fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

__all__ = [
    "Interval",
    "bootstrap_abstention",
    "bootstrap_aurc",
    "bootstrap_ece",
    "bootstrap_mean",
    "bootstrap_percentile",
    "mcnemar",
    "mean",
    "paired_permutation",
    "percentile",
]

Interval = tuple[float, float]
_Counts = NDArray[np.int64]

RESAMPLES = 2_000
LEVEL = 95.0
# Below this many differing items every sign pattern is enumerated and the test is exact.
EXACT_DIFFERENCES = 12
PERMUTATIONS = 10_000
SEED = 20_240_229
# Resamples are drawn in parts of this many cells of eight bytes, 8 MB.
_CELLS = 1_000_000


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean, `None` of nothing."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the percentile with linear interpolation, `None` of nothing."""
    return float(np.percentile(np.asarray(values), percent)) if values else None


def bootstrap_mean(values: Sequence[float]) -> Interval | None:
    """Return the 95% interval of the mean, `None` of fewer than two values."""
    distinct, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    # From the least value, so that equal values have an interval of exactly no width.
    least = distinct[0] if values else 0.0
    above = distinct - least
    return _interval([least + drawn @ above / len(values) for drawn in _resamples(counts)])


def bootstrap_percentile(values: Sequence[float], percent: float) -> Interval | None:
    """Return the 95% interval of a percentile (see `percentile`), `None` below two values."""
    distinct, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
    position = (len(values) - 1) * percent / 100
    low = int(position)
    figures = []
    for drawn in _resamples(counts):
        # The value of rank r, from 0, is the first of which r + 1 or more are not above it.
        reached = np.cumsum(drawn, axis=1)
        below = distinct[(reached <= low).sum(axis=1)]
        above = distinct[(reached <= min(low + 1, len(values) - 1)).sum(axis=1)]
        figures.append(below + (position - low) * (above - below))
    return _interval(figures)


def bootstrap_abstention(outcomes: Sequence[tuple[bool, bool]]) -> dict[str, Interval | None]:
    """Return the 95% intervals of the figures of `eval.measures.abstention`.

    From (answerable, abstained) pairs. A resample in which a figure's denominator is 0
    is left out of its interval; where it is 0 in all of them, the interval is `None`.
    """
    kinds = ((False, True), (True, True), (False, False), (True, False))
    counts = np.asarray([sum(outcome == kind for outcome in outcomes) for kind in kinds])
    denominators: dict[str, list[NDArray[Any]]] = {}
    hits: list[NDArray[Any]] = []
    for drawn in _resamples(counts):
        hits.append(drawn[:, 0])
        abstained, unanswerable = drawn[:, 0] + drawn[:, 1], drawn[:, 0] + drawn[:, 2]
        # F1 is hits over the mean of both denominators.
        for name, total in (
            ("abstention_precision", abstained),
            ("abstention_recall", unanswerable),
            ("abstention_F1", (abstained + unanswerable) / 2),
        ):
            denominators.setdefault(name, []).append(total)
    names = ("abstention_precision", "abstention_recall", "abstention_F1")
    if not hits:
        return dict.fromkeys(names)
    found = np.concatenate(hits)
    totals = {name: np.concatenate(denominators[name]) for name in names}
    return {
        name: _interval([found[total > 0] / total[total > 0]]) for name, total in totals.items()
    }


def bootstrap_aurc(points: Sequence[tuple[float, float]]) -> Interval | None:
    """Return the 95% interval of `eval.measures.aurc`, from (confidence, loss) pairs.

    Items of equal confidence are taken together in every resample, as in
    `eval.measures.risk_coverage`. A group of c items with a mean loss of m, after N items
    with losses of L, has the risks (L + (t - N) m) / t = m + (L - N m) / t at t = N + 1
    to N + c; they add up to c m + (L - N m) (H(N + c) - H(N)), where H are the harmonic
    numbers. `None` of fewer than two items.
    """
    # Sorted by falling confidence; equal pairs are drawn as one.
    distinct, counts = np.unique(
        np.asarray([(-confidence, loss) for confidence, loss in points]).reshape(-1, 2),
        axis=0,
        return_counts=True,
    )
    items = len(points)
    first = np.flatnonzero(np.r_[True, np.diff(distinct[:, 0]) != 0]) if items else distinct
    harmonic = np.r_[0.0, np.cumsum(1.0 / np.arange(1, items + 1))]
    figures = []
    for drawn in _resamples(counts):
        size = np.add.reduceat(drawn, first, axis=1)
        loss = np.add.reduceat(drawn * distinct[:, 1], first, axis=1)
        taken = np.cumsum(size, axis=1)
        lost = np.cumsum(loss, axis=1) - loss
        average = np.divide(loss, size, out=np.zeros_like(loss), where=size > 0)
        spread = harmonic[taken] - harmonic[taken - size]
        risks = loss + (lost - (taken - size) * average) * spread
        figures.append(risks.sum(axis=1) / items)
    return _interval(figures)


def bootstrap_ece(gaps: Sequence[tuple[int, float]]) -> Interval | None:
    """Return the 95% interval of `eval.measures.expected_calibration_error`.

    From the (bin, gap) pairs of `eval.measures.calibration_gaps`: the error is the sum over
    the bins of the absolute sum of their gaps, over the number of items. Every resample
    adds chance to the distances, so that the interval lies high, and above the figure of a
    confidence that is nearly calibrated. `None` of fewer than two items.
    """
    # Sorted by bin; equal pairs are drawn as one.
    distinct, counts = np.unique(np.asarray(gaps).reshape(-1, 2), axis=0, return_counts=True)
    first = np.flatnonzero(np.r_[True, np.diff(distinct[:, 0]) != 0]) if gaps else distinct
    return _interval(
        [
            np.abs(np.add.reduceat(drawn * distinct[:, 1], first, axis=1)).sum(axis=1) / len(gaps)
            for drawn in _resamples(counts)
        ]
    )


def _resamples(counts: NDArray[Any]) -> Iterator[_Counts]:
    """Draw how often each distinct value is in each resample, (resamples, values) in parts.

    `counts` says how many items have each value: to draw items one by one and to count
    is to draw these counts, from a multinomial distribution.
    """
    items = int(counts.sum())
    if items < 2:
        return
    generator = np.random.default_rng(SEED)
    step = max(1, _CELLS // len(counts))
    for start in range(0, RESAMPLES, step):
        yield generator.multinomial(items, counts / items, min(step, RESAMPLES - start))


def _interval(figures: Sequence[NDArray[Any]]) -> Interval | None:
    values = np.concatenate(figures) if figures else np.empty(0)
    if not values.size:
        return None
    low, high = np.percentile(values, ((100 - LEVEL) / 2, (100 + LEVEL) / 2))
    return float(low), float(high)


def paired_permutation(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of a paired permutation test on a mean difference.

    The sign of each item's difference is flipped at random (Smucker, Allan and Carterette,
    2007, "A comparison of statistical significance tests for information retrieval
    evaluation"): all patterns for up to 12 differing items, else 10,000 patterns with a
    fixed seed and the observed one counted among them. No difference gives 1.
    """
    changed = np.sort(np.asarray([value for value in differences if value != 0.0]))
    if changed.size == 0:
        return 1.0
    # Sums of floats in another order may differ in the last digit: these are ties.
    observed = abs(float(changed.sum())) - 1e-9
    if changed.size <= EXACT_DIFFERENCES:
        signs = np.asarray(list(product((-1.0, 1.0), repeat=changed.size)))
        return float(np.mean(np.abs(signs @ changed) >= observed))
    generator = np.random.default_rng(SEED)
    extreme, step = 0, max(1, _CELLS // changed.size)
    for start in range(0, PERMUTATIONS, step):
        shape = (min(step, PERMUTATIONS - start), changed.size)
        signs = generator.choice((-1.0, 1.0), size=shape)
        extreme += int(np.sum(np.abs(signs @ changed) >= observed))
    return (extreme + 1) / (PERMUTATIONS + 1)


def mcnemar(wins: int, losses: int) -> float:
    """Return the two-sided p-value of the exact McNemar test.

    For a measure that is 0 or 1 on an item: of the items on which two runs differ, half
    are won by chance (McNemar, 1947; exact by the binomial distribution). No difference
    gives 1.
    """
    return float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
