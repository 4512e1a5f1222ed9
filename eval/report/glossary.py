"""What a person is told of the measures, of where a question ends, and of languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from eval.summary import LANGUAGES

__all__ = [
    "DIRECTIONS",
    "HEADLINES",
    "LANGUAGE_NAMES",
    "MEASURES",
    "PLACES",
    "SERVED",
    "STAGES",
    "STEPS",
    "Measure",
    "Stage",
    "language_group",
    "language_name",
    "measure",
]


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure in words.

    A `share` is a mean of yes or no, said in percent; a `score` is in [0, 1] too. `better`
    is the sign of a change for the better.
    """

    name: str
    words: str
    unit: Literal["share", "score", "ms"] = "share"
    better: Literal[1, -1] = 1


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a question ends, in words."""

    name: str
    title: str
    words: str


# By what they measure, in the order in which an answer is made.
MEASURES: Mapping[str, tuple[Measure, ...]] = {
    "Finding the passage": (
        Measure("R@1", "evidence that is in the first passage"),
        Measure("R@5", "evidence among the first 5 passages"),
        Measure("R@10", "evidence among the first 10 passages"),
        Measure("RR@10", "1 ÷ rank of the first passage with evidence", "score"),
        Measure("nDCG@10", "evidence found, worth less the later it comes", "score"),
    ),
    "Answering, end to end": (
        Measure("answer_recall", "the answer says what was expected"),
        Measure("EM", "the short answer is the expected one, word for word"),
        Measure("F1", "words common to the short and the expected answer", "score"),
        Measure("citation_precision", "citations that hold evidence or the answer"),
        Measure("citation_recall", "evidence that was cited"),
    ),
    "Reading alone, the right passage given": (
        Measure("reading_answer_recall", "the answer says what was expected"),
        Measure("reading_EM", "the short answer is the expected one, word for word"),
        Measure("reading_F1", "words common to the short and the expected answer", "score"),
        Measure("reading_citation_precision", "citations that hold evidence or the answer"),
    ),
    "Knowing when not to answer": (
        Measure("abstention_precision", "abstentions that were right"),
        Measure("abstention_recall", "questions without an answer that were turned away"),
        Measure("abstention_F1", "harmonic mean of the two", "score"),
        Measure("AURC", "area under the risk–coverage curve; lower is better", "score", -1),
        Measure("ECE", "how far confidence is from the share right; lower is better", "score", -1),
    ),
    "Writing, with a language model": (
        Measure("sentences_verified", "sentences that stood as they were written"),
        Measure("sentences_repaired", "sentences that stood with another passage than cited"),
        Measure("sentences_removed", "sentences taken away; lower is better", better=-1),
        Measure("right_language", "written answers in the language of the question"),
        Measure("fell_back", "quoted instead, as nothing stood; lower is better", better=-1),
        Measure(
            "first_sentence_p50_ms",
            "half of the first sentences took less; lower is better",
            "ms",
            -1,
        ),
    ),
    "Speed": (
        Measure("latency_p50_ms", "half of the questions took less; lower is better", "ms", -1),
        Measure("latency_p95_ms", "95% of the questions took less; lower is better", "ms", -1),
    ),
}
# What a comparison adds to the measures.
_COMPARED = (
    Measure("abstention", "abstained exactly when it had to"),
    Measure("served", "answered right, or abstained rightly"),
)
_BY_NAME = {entry.name: entry for group in (*MEASURES.values(), _COMPARED) for entry in group}

HEADLINES = {
    "answer_recall": "Right answers",
    "citation_precision": "Citations that hold",
    "citation_recall": "Evidence that is cited",
    "R@5": "Evidence among the first five",
    "abstention_F1": "Knowing when not to answer",
    "AURC": "Risk over all coverages",
    "ECE": "Error of confidence",
    "latency_p50_ms": "Time to an answer, median",
    "latency_p95_ms": "Time to an answer, 95th percentile",
}
# The three figures that place a loss.
PLACES = {
    "R@5": ("Retrieval alone", "Is the evidence among the first five passages?"),
    "reading_answer_recall": ("Reading alone", "Given the right passage, is the answer right?"),
    "answer_recall": ("End to end", "Searching, reading and deciding: is the answer right?"),
}

# Failures in the order in which an answer is made, then what went well.
STAGES = (
    Stage("not_retrieved", "Evidence not read", "Some evidence is in no passage that was read."),
    Stage("wrongly_abstained", "Wrongly abstained", "All evidence was read, yet no answer given."),
    Stage("not_chosen", "Wrong passage quoted", "All evidence was read, but not all of it quoted."),
    Stage("wrong_span", "Wrong words quoted", "The right passage was quoted, but not the answer."),
    Stage(
        "wrongly_answered", "Should have abstained", "The documents do not answer this question."
    ),
    Stage("error", "Error", "The question could not be asked."),
    Stage("right", "Answered right", "The answer says what was expected."),
    Stage("rightly_abstained", "Rightly abstained", "The documents do not answer this question."),
)
# What is left once nothing was lost in a stage.
STEPS = {
    "error": "Asked",
    "not_retrieved": "Evidence read",
    "wrongly_abstained": "Answered",
    "not_chosen": "Right passage quoted",
    "wrong_span": "Right words quoted",
}
SERVED = ("right", "rightly_abstained")
DIRECTIONS = {-1: "worse", 1: "better", 0: "mixed"}

LANGUAGE_NAMES = {"fr": "French", "en": "English", "nl": "Dutch"}


def measure(name: str) -> Measure:
    """Return what is told of a measure; of an unknown one its name."""
    return _BY_NAME.get(name, Measure(name, "", "score"))


def language_name(code: str) -> str:
    return LANGUAGE_NAMES.get(code, code or "unknown")


def language_group(code: str) -> str:
    """Return the code of a language that can be chosen on the page, "other" for any other."""
    return code if code in LANGUAGES else "other"
