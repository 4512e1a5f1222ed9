"""The measures, computed exactly and without a model.

Item measures are in [0, 1], higher is better; `None` means that a measure does not
apply to the item, which is then counted as excluded. Their definitions:

- `R@k`, `RR@10`, `nDCG@10`: see `ranking_scores`.
- `EM`, `F1`: the short answer against the gold answers, see `exact_match` and `token_f1`.
- `answer_recall`: the answer's text says a gold answer (one of every group), see `answer_recall`.
- `citation_precision`, `citation_recall`: see `citation_scores`.
- `abstention_*` and `AURC`: over a set of items, see `abstention` and `risk_coverage`.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import product

import ir_measures
import numpy as np
from ir_measures import RR, R, nDCG

__all__ = [
    "ITEM_MEASURES",
    "SET_MEASURES",
    "abstention",
    "answer_recall",
    "aurc",
    "citation_scores",
    "contains",
    "exact_match",
    "fold",
    "groups_said",
    "mean",
    "paired_permutation",
    "percentile",
    "ranking_scores",
    "risk_coverage",
    "token_f1",
]

RANKING_MEASURES = ("R@1", "R@5", "R@10", "RR@10", "nDCG@10")
ANSWER_MEASURES = ("EM", "F1", "answer_recall", "citation_precision", "citation_recall")
ITEM_MEASURES = RANKING_MEASURES + ANSWER_MEASURES
SET_MEASURES = ("abstention_precision", "abstention_recall", "abstention_F1", "AURC")
DEPTH = 10

# Below this many differing items every sign pattern is enumerated and the test is exact.
EXACT_DIFFERENCES = 12
PERMUTATIONS = 10_000
SEED = 20_240_229

_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ‛′`´", "'"),
        **dict.fromkeys("«»“”„‟″", '"'),
        **dict.fromkeys("‐‑‒–—−", "-"),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", ""),
    }
)
_ELISIONS = re.compile(r"(?<!\w)(?:[ld]'|'t(?!\w))")
_ARTICLES = frozenset(("le", "la", "les", "un", "une", "des", "du", "the", "a", "de", "het", "een"))
_VOWELS = frozenset("aeiouhéèêëàâîïôùûœæ")


def fold(text: str) -> str:
    """Return the text with case, white space, quotes and dashes made equal; accents stay."""
    text = unicodedata.normalize("NFC", text).translate(_LOOKALIKES)
    return " ".join(text.split()).casefold()


def contains(text: str, part: str) -> bool:
    """Tell whether the folded text holds the folded part, without cutting a word or number.

    "NIS" is not in "administration", nor "27" in "2027", nor "5" in "1,5". A part of
    several words may touch a letter, because sources glue words ("networkle groupe").
    """
    text, part = fold(text), fold(part)
    if not part:
        return False
    start = text.find(part)
    while start >= 0:
        end = start + len(part)
        before, after = text[max(0, start - 2) : start], text[end : end + 2]
        if _free(before[::-1], part[0], part) and _free(after, part[-1], part):
            return True
        start = text.find(part, start + 1)
    return False


def _free(beyond: str, edge: str, part: str) -> bool:
    """Tell whether a match may end at `edge`; `beyond`, two characters, is read outwards."""
    if not beyond or not edge.isalnum():
        return True
    if edge.isdigit():
        decimal = beyond[0] in ".," and beyond[1:2].isdigit()
        return not (beyond[0].isdigit() or decimal or (" " not in part and beyond[0].isalpha()))
    return " " in part or not beyond[0].isalnum()


def answer_tokens(text: str) -> list[str]:
    """Return the words that EM and F1 compare.

    As in SQuAD (Rajpurkar et al., 2016): folded, punctuation deleted, articles removed;
    here French (with elided l' and d'), English and Dutch articles, and accents kept.
    "an" counts as an article only before a vowel: "1 an" is a year in French.
    A text that consists of articles alone ("A") is kept as it is.
    """
    folded = fold(text)
    words = _unpunctuated(_ELISIONS.sub("", folded)).split()
    kept = [
        word
        for index, word in enumerate(words)
        if word not in _ARTICLES
        and not (word == "an" and index + 1 < len(words) and words[index + 1][0] in _VOWELS)
    ]
    return kept or words or folded.split()


def _unpunctuated(text: str) -> str:
    return "".join(
        character
        for character in text
        if character not in string.punctuation and unicodedata.category(character)[0] != "P"
    )


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
    A citation is right when it contains an answer or an evidence, or lies within an
    evidence. An evidence is covered by a citation that contains it, lies within it, or
    contains an answer which the evidence contains too. Precision is the share of right
    citations, recall the share of groups with covered evidence.
    """
    evidence = [text for group in wanted for text in group]
    cited = [quote for quote in quotes if quote is not None]
    right = sum(
        any(contains(quote, text) for text in (*evidence, *answers))
        or any(contains(text, quote) for text in evidence)
        for quote in cited
    )
    covered = sum(
        any(_covers(quote, text, answers) for quote in cited for text in group) for group in wanted
    )
    precision = right / len(quotes) if quotes else None
    return precision, covered / len(wanted)


def _covers(quote: str, evidence: str, answers: Sequence[str]) -> bool:
    return (
        contains(quote, evidence)
        or contains(evidence, quote)
        or any(contains(quote, answer) and contains(evidence, answer) for answer in answers)
    )


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


def mean(values: Sequence[float]) -> float | None:
    """Return the arithmetic mean, `None` of nothing."""
    return sum(values) / len(values) if values else None


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return the percentile with linear interpolation, `None` of nothing."""
    return float(np.percentile(np.asarray(values), percent)) if values else None


def paired_permutation(differences: Sequence[float]) -> float:
    """Return the two-sided p-value of a paired permutation test on a mean difference.

    The sign of each item's difference is flipped at random (Smucker, Allan and Carterette,
    2007, "A comparison of statistical significance tests for information retrieval
    evaluation"): all patterns for up to 12 differing items, else 10,000 patterns with a
    fixed seed and the observed one counted among them. No difference gives 1.
    """
    changed = np.asarray([value for value in differences if value != 0.0])
    if changed.size == 0:
        return 1.0
    # Sums of floats in another order may differ in the last digit: these are ties.
    observed = abs(float(changed.sum())) - 1e-9
    if changed.size <= EXACT_DIFFERENCES:
        signs = np.asarray(list(product((-1.0, 1.0), repeat=changed.size)))
        return float(np.mean(np.abs(signs @ changed) >= observed))
    generator = np.random.default_rng(SEED)
    signs = generator.choice((-1.0, 1.0), size=(PERMUTATIONS, changed.size))
    extreme = int(np.sum(np.abs(signs @ changed) >= observed))
    return (extreme + 1) / (PERMUTATIONS + 1)
