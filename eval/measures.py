"""The measures, computed exactly and without a model.

Item measures are in [0, 1], higher is better; `None` means that a measure does not
apply to the item, which is then counted as excluded. Their definitions:

- `R@k`, `RR@10`, `nDCG@10`: see `ranking_scores`.
- `EM`, `F1`: the short answer against the gold answers, see `exact_match` and `token_f1`.
- `answer_recall`: the answer's text says a gold answer (one of every group), see `answer_recall`.
- `citation_precision`, `citation_recall`: see `citation_scores`.
- `reading_*`: the same of an answer for which the gold passage was given and the threshold
  taken away.
- `abstention_*`, `AURC` and `ECE`: over a set of items, see `abstention`, `risk_coverage` and
  `reliability`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import ir_measures
from ir_measures import RR, R, nDCG

from eval.matching import answer_tokens, common_run, contains, words
from eval.statistics import mean

__all__ = [
    "ITEM_MEASURES",
    "LOWER_IS_BETTER",
    "READING_MEASURES",
    "SET_MEASURES",
    "ConfidenceBin",
    "abstention",
    "answer_recall",
    "aurc",
    "calibration_gaps",
    "citation_scores",
    "exact_match",
    "expected_calibration_error",
    "groups_said",
    "ranking_scores",
    "reliability",
    "risk_coverage",
    "token_f1",
]

RANKING_MEASURES = ("R@1", "R@5", "R@10", "RR@10", "nDCG@10")
ANSWER_MEASURES = ("EM", "F1", "answer_recall", "citation_precision", "citation_recall")
# What is measured of reading alone too, under names that begin with "reading_".
READING_MEASURES = ("EM", "F1", "answer_recall", "citation_precision")
ITEM_MEASURES = (
    RANKING_MEASURES + ANSWER_MEASURES + tuple(f"reading_{name}" for name in READING_MEASURES)
)
SET_MEASURES = ("abstention_precision", "abstention_recall", "abstention_F1", "AURC", "ECE")
LOWER_IS_BETTER = frozenset(("AURC", "ECE", "latency_p50_ms", "latency_p95_ms"))
DEPTH = 10
# Of equal width from 0 to 1, as in most of the literature since Guo et al. (2017).
CONFIDENCE_BINS = 10

# Half of the evidence's words in a row, but no less than five words where it has them:
# how much of an evidence a citation must quote. See `citation_scores`.
COVERED = 0.5
SHORT_RUN = 5


@dataclass(frozen=True, slots=True)
class ConfidenceBin:
    """The items with a confidence from `low` to `high`: their mean confidence and share right."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


def exact_match(prediction: str, answers: Sequence[str]) -> float:
    """Return 1 when the prediction's words are those of an answer; an empty one gives 0."""
    given = answer_tokens(prediction)
    return float(bool(given) and any(given == answer_tokens(answer) for answer in answers))


def token_f1(prediction: str, answers: Sequence[str]) -> float:
    """Return the greatest F1 of word counts over the answers; an empty prediction gives 0."""
    given = Counter(answer_tokens(prediction))
    best = 0.0
    for answer in answers:
        wanted = Counter(answer_tokens(answer))
        common = (given & wanted).total()
        if common:
            best = max(best, 2 * common / (given.total() + wanted.total()))
    return best


def groups_said(
    text: str, answers: Sequence[str], groups: Sequence[Sequence[str]]
) -> tuple[int, int]:
    """Return how many groups the text says an alternative of, and how many there are.

    Without groups the answers are the one group.
    """
    wanted = groups or [answers]
    said = sum(any(contains(text, answer) for answer in group) for group in wanted)
    return said, len(wanted)


def answer_recall(text: str, answers: Sequence[str], groups: Sequence[Sequence[str]]) -> float:
    """Return 1 when the text says an answer, or an alternative of every group.

    For a yes-or-no question the answers are the key words of the evidence.
    """
    said, wanted = groups_said(text, answers, groups)
    return float(said == wanted)


def ranking_scores(found: Sequence[AbstractSet[int]], wanted: int) -> dict[str, float]:
    """Return R@1, R@5, R@10, RR@10 and nDCG@10 through ir-measures.

    `found[i]` holds which of the `wanted` evidence strings the hit of rank i + 1 contains.
    A hit is relevant when it contains at least one that no better hit contains; one
    that only repeats evidence counts neither for nor against. Evidence that no hit
    contains counts as one relevant passage each, not retrieved. So a question with one
    evidence has R@k 1 exactly when that is within the first k, whatever the chunking.
    """
    seen: set[int] = set()
    judgements, run = [], []
    for rank, evidence in enumerate(found[:DEPTH], 1):
        run.append(ir_measures.ScoredDoc("q", f"hit{rank}", float(-rank)))
        if evidence - seen:
            judgements.append(ir_measures.Qrel("q", f"hit{rank}", 1))
            seen |= evidence
    missed = (index for index in range(wanted) if index not in seen)
    judgements += [ir_measures.Qrel("q", f"missed{index}", 1) for index in missed]
    measures = [R @ 1, R @ 5, R @ 10, RR @ 10, nDCG @ 10]
    scores = dict.fromkeys(RANKING_MEASURES, 0.0)
    if run:
        for value in ir_measures.iter_calc(measures, judgements, run):
            scores[str(value.measure)] = float(value.value)
    return scores


def citation_scores(
    quotes: Sequence[str | None], wanted: Sequence[Sequence[str]], answers: Sequence[str]
) -> tuple[float | None, float]:
    """Return the citation precision (`None` without citations) and the citation recall.

    `quotes` are the cited texts, `None` for one of another document than the evidence's;
    `wanted` is the evidence in groups of alternatives.
    A citation covers an evidence when the longest run of words that both have is at least
    half of the evidence (`COVERED`), and at least 5 words (`SHORT_RUN`) or all of it: two
    words in common prove nothing where the evidence has four. Or when it is itself a piece
    of the evidence, so that the run is at least half of the citation and at least 2 words
    (or all of the evidence), and says an answer that the evidence says. An answer that
    stands elsewhere in the document covers nothing, for a word proves nothing by itself.
    Precision is the share of citations that cover an evidence, recall the share of groups
    with covered evidence.
    """
    covered = [
        frozenset(
            number
            for number, group in enumerate(wanted)
            if quote is not None and any(_covers(quote, text, answers) for text in group)
        )
        for quote in quotes
    ]
    precision = sum(map(bool, covered)) / len(quotes) if quotes else None
    return precision, len(frozenset().union(*covered)) / len(wanted)


def _covers(quote: str, evidence: str, answers: Sequence[str]) -> bool:
    run, length = common_run(quote, evidence), len(words(evidence))
    if not run:
        return False
    if run >= COVERED * length and run >= min(SHORT_RUN, length):
        return True
    piece = run >= COVERED * len(words(quote)) and run >= min(2, length)
    return piece and any(contains(quote, text) and contains(evidence, text) for text in answers)


def abstention(outcomes: Sequence[tuple[bool, bool]]) -> dict[str, float | None]:
    """Return precision, recall and F1 of abstaining, from (answerable, abstained) pairs.

    A true positive is an abstention on an unanswerable question. A figure whose
    denominator is 0 is `None`.
    """
    hits = sum(abstained and not answerable for answerable, abstained in outcomes)
    abstentions = sum(abstained for _, abstained in outcomes)
    unanswerable = sum(not answerable for answerable, _ in outcomes)
    total = abstentions + unanswerable
    return {
        "abstention_precision": hits / abstentions if abstentions else None,
        "abstention_recall": hits / unanswerable if unanswerable else None,
        "abstention_F1": 2 * hits / total if total else None,
    }


def risk_coverage(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return (coverage, risk) after each item, from (confidence, loss) pairs.

    Items are taken by falling confidence; the risk at coverage k/n is the mean loss of
    the first k (El-Yaniv and Wiener, 2010). Items of equal confidence cannot be told
    apart by a threshold: each adds their mean loss, which is the expectation over all
    their orders, so the curve does not depend on the order of the file.
    """
    tied: dict[float, list[float]] = {}
    for confidence, loss in points:
        tied.setdefault(confidence, []).append(loss)
    curve: list[tuple[float, float]] = []
    total = 0.0
    for confidence in sorted(tied, reverse=True):
        losses = tied[confidence]
        for _ in losses:
            total += sum(losses) / len(losses)
            taken = len(curve) + 1
            curve.append((taken / len(points), total / taken))
    return curve


def aurc(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the area under the risk-coverage curve, lower is better; `None` without items.

    The mean of the risks at coverages 1/n, 2/n, ... 1 (Geifman, Uziel and El-Yaniv, 2019,
    "Bias-reduced uncertainty estimation for deep neural classifiers", section 2).
    """
    return mean([risk for _, risk in risk_coverage(points)])


def reliability(points: Sequence[tuple[float, float]]) -> list[ConfidenceBin]:
    """Return the bins that have items, by rising confidence, from (confidence, loss) pairs.

    There are `CONFIDENCE_BINS` of equal width. A confidence on a bound is in the upper bin,
    as an answer at the threshold is given, and 1 is in the last.
    """
    binned: dict[int, list[tuple[float, float]]] = {}
    for confidence, loss in points:
        binned.setdefault(_bin(confidence), []).append((confidence, loss))
    return [
        ConfidenceBin(
            low=number / CONFIDENCE_BINS,
            high=(number + 1) / CONFIDENCE_BINS,
            count=len(items),
            confidence=sum(confidence for confidence, _ in items) / len(items),
            right=1 - sum(loss for _, loss in items) / len(items),
        )
        for number, items in sorted(binned.items())
    ]


def expected_calibration_error(points: Sequence[tuple[float, float]]) -> float | None:
    """Return the mean distance of confidence from the share right; `None` without items.

    That of each bin of `reliability` counts as often as it has items (Naeini, Cooper and
    Hauskrecht, 2015, "Obtaining well calibrated probabilities using Bayesian binning"; Guo
    et al., 2017, "On calibration of modern neural networks"). Lower is better; over few
    items chance alone keeps it above 0.
    """
    if not points:
        return None
    distances = (part.count * abs(part.confidence - part.right) for part in reliability(points))
    return sum(distances) / len(points)


def calibration_gaps(points: Sequence[tuple[float, float]]) -> list[tuple[int, float]]:
    """Return each item's bin, and its confidence less 1 if it is right.

    The gaps of a bin add up to its count times what its confidence is above its share right.
    """
    return [(_bin(confidence), confidence - (1 - loss)) for confidence, loss in points]


def _bin(confidence: float) -> int:
    return min(int(confidence * CONFIDENCE_BINS), CONFIDENCE_BINS - 1)
