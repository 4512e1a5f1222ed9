"""The tables of a run, from the records of its items alone.

A run that was stopped and gone on with, a baseline whose items were slimmed, and several
runs put together are summed up by the same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from eval import measures, statistics

__all__ = [
    "ABSTENTION_STAGES",
    "LANGUAGES",
    "STAGES",
    "language_matrix",
    "loss",
    "operating_point",
    "points",
    "summarise",
]

Record = Mapping[str, Any]
Figures = dict[str, float | None]
Interval = tuple[float, float] | None

SLICES = ("lang", "type", "doc")
LANGUAGES = ("fr", "en", "nl")
LATENCIES = {"latency_p50_ms": 50, "latency_p95_ms": 95}
# Where an item ends: each in exactly one, so that they add up to the file.
STAGES = (
    "right",
    "not_retrieved",
    "wrongly_abstained",
    "not_chosen",
    "wrong_span",
    "rightly_abstained",
    "wrongly_answered",
    "error",
)
# By whether it abstained, for questions that have no answer in the documents.
ABSTENTION_STAGES = {True: "rightly_abstained", False: "wrongly_answered"}
# Of the sentences that a language model wrote, and of the answers that it was asked for; only
# where there was one.
WRITTEN = (
    "sentences_verified",
    "sentences_repaired",
    "sentences_removed",
    "right_language",
    "fell_back",
    "first_sentence_p50_ms",
)
_MATRIX_MEASURES = ("R@1", "R@5", "answer_recall", "citation_precision")


def summarise(records: Sequence[Record]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the counts, and the tables `measures`, `intervals` and `matrix`.

    Counts, measures and intervals are given overall and for every language, type and
    document; intervals are 95% bootstrap intervals over the items.
    """
    counts: dict[str, Any] = {"overall": _counts(records)}
    figures: dict[str, Any] = {"overall": _figures(records)}
    intervals: dict[str, Any] = {"overall": _intervals(records)}
    for name in SLICES:
        parts: dict[str, list[Record]] = {}
        for record in records:
            key = record["expected"]["doc_id"] if name == "doc" else record[name]
            parts.setdefault(key or "(none)", []).append(record)
        counts[name] = {key: _counts(parts[key]) for key in sorted(parts)}
        figures[name] = {key: _figures(parts[key]) for key in sorted(parts)}
        intervals[name] = {key: _intervals(parts[key]) for key in sorted(parts)}
    tables = {"measures": figures, "intervals": intervals, "matrix": language_matrix(records)}
    return counts, tables


def language_matrix(records: Iterable[Record]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return figures by language of the question, then of the document.

    Only answerable items count, because the others have no document. A pair that
    nothing was measured for has no entry.
    """
    parts: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record["answerable"]:
            pair = (record["lang"], record["expected"]["doc_language"])
            parts.setdefault(pair, []).append(record)
    matrix: dict[str, dict[str, dict[str, Any]]] = {}
    for (asked, written), part in sorted(parts.items()):
        figures = {name: measures_mean(part, name) for name in _MATRIX_MEASURES}
        matrix.setdefault(asked, {})[written] = {"items": len(part), **figures}
    return matrix


def measures_mean(records: Sequence[Record], name: str) -> float | None:
    """Return the mean of an item measure over the items that it applies to."""
    return statistics.mean(_values(records, name))


def loss(record: Record) -> float:
    """Return 1 when answering the item would be, or was, wrong, else 0.

    What an abstention withheld was scored too, so that the risk at full coverage is that
    of answering everything.
    """
    return float(not (record["correct"] or record["withheld_correct"]))


def operating_point(records: Sequence[Record]) -> tuple[float, float] | None:
    """Return the share of questions answered and the risk among those, at the threshold."""
    answered = [record for record in records if record["outcome"] == "answered"]
    if not answered:
        return None
    return len(answered) / len(records), sum(map(loss, answered)) / len(answered)


def points(records: Sequence[Record]) -> list[tuple[float, float]]:
    """Return the (confidence, loss) of every item, the confidence of an error being 0."""
    return [(record["confidence"] or 0.0, loss(record)) for record in records]


def _values(records: Sequence[Record], name: str) -> list[float]:
    values = (record["scores"].get(name) for record in records)
    return [value for value in values if value is not None]


def _abstentions(records: Sequence[Record]) -> list[tuple[bool, bool]]:
    return [(record["answerable"], record["outcome"] == "abstained") for record in records]


def _latencies(records: Sequence[Record]) -> list[float]:
    return [
        record["given"]["timings"]["total_ms"]
        for record in records
        if record["given"] and "total_ms" in record["given"]["timings"]
    ]


def _written(records: Sequence[Record]) -> dict[str, tuple[float | None, int]]:
    """Return what a language model did as (figure, how many it is taken over).

    The shares of sentences are over all that it wrote and that were checked: those that stood
    as they were, those whose marker was replaced, those that were taken away.
    """
    asked = [record["written"] for record in records if record.get("written")]
    if not asked:
        return {}
    shown, repaired, removed = (
        sum(written[name] for written in asked) for name in ("sentences", "repaired", "removed")
    )
    wrote = shown + removed
    languages = [w["right_language"] for w in asked if w["right_language"] is not None]
    firsts = [w["first_sentence_ms"] for w in asked if w["first_sentence_ms"] is not None]

    def share(part: int) -> tuple[float | None, int]:
        return (part / wrote if wrote else None), wrote

    figures = (
        share(shown - repaired),
        share(repaired),
        share(removed),
        (statistics.mean(languages), len(languages)),
        (statistics.mean([float(w["fell_back"]) for w in asked]), len(asked)),
        (statistics.percentile(firsts, 50), len(firsts)),
    )
    return dict(zip(WRITTEN, figures, strict=True))


def _counts(records: Sequence[Record]) -> dict[str, Any]:
    """Count the items and, in `measured`, how many each figure is taken over.

    Precision of abstaining is over the abstentions, its recall over the unanswerable
    questions, their F1 over both. `excluded` says how many were left out of it and why.
    """
    answerable = sum(record["answerable"] for record in records)
    outcomes = Counter(record["outcome"] for record in records)
    stages = Counter(record["stage"] for record in records)
    measured = {name: len(_values(records, name)) for name in measures.ITEM_MEASURES}
    unanswerable = len(records) - answerable
    measured |= {
        "abstention_precision": outcomes["abstained"],
        "abstention_recall": unanswerable,
        "abstention_F1": outcomes["abstained"] + unanswerable,
        "AURC": len(records),
        "ECE": len(records),
    }
    measured |= dict.fromkeys(LATENCIES, len(_latencies(records)))
    measured |= {name: count for name, (_, count) in _written(records).items()}
    return {
        "items": len(records),
        "answerable": answerable,
        "unanswerable": unanswerable,
        "answered": outcomes["answered"],
        "abstained": outcomes["abstained"],
        "errors": outcomes["error"],
        "measured": measured,
        "excluded": {
            "unanswerable_from_retrieval_and_answer_measures": unanswerable,
            "without_citation_from_citation_precision": answerable - measured["citation_precision"],
            "without_whole_passage_from_reading_measures": answerable
            - measured["reading_answer_recall"],
            "without_timing_from_latency": len(records) - measured["latency_p50_ms"],
        },
        "stages": {name: stages[name] for name in STAGES},
    }


def _figures(records: Sequence[Record]) -> Figures:
    figures: Figures = {name: measures_mean(records, name) for name in measures.ITEM_MEASURES}
    figures |= measures.abstention(_abstentions(records))
    figures["AURC"] = measures.aurc(points(records))
    figures["ECE"] = measures.expected_calibration_error(points(records))
    figures |= {name: value for name, (value, _) in _written(records).items()}
    latencies = _latencies(records)
    return figures | {
        name: statistics.percentile(latencies, percent) for name, percent in LATENCIES.items()
    }


def _intervals(records: Sequence[Record]) -> dict[str, Interval]:
    intervals: dict[str, Interval] = {
        name: statistics.bootstrap_mean(_values(records, name)) for name in measures.ITEM_MEASURES
    }
    intervals |= statistics.bootstrap_abstention(_abstentions(records))
    intervals["AURC"] = statistics.bootstrap_aurc(points(records))
    intervals["ECE"] = statistics.bootstrap_ece(measures.calibration_gaps(points(records)))
    latencies = _latencies(records)
    return intervals | {
        name: statistics.bootstrap_percentile(latencies, percent)
        for name, percent in LATENCIES.items()
    }
