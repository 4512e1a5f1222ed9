"""How sure an answer is: from the scores of the units, and from what words and forms deny."""

from __future__ import annotations

import math
from collections.abc import Sequence, Set

from rag.evidence import ASKED_ROW, Documents, Evidence, subjects
from rag.lexical import surface_tokens
from rag.questions import asked_for, lacks_form, names
from rag.types import Document, ScoredChunk

__all__ = ["READ_LEAD_CAP", "answerability", "sureness_features", "taken_away"]

# The logit of the confidence. The weight of the lead is near that of a logistic regression
# (`benchmarks/reader.py`); the others were set on eval/dev.jsonl, because the unanswerable
# questions of the public sets name the right things in the right form. On 100 questions each
# of PIAF train, `benchmarks/abstention.py` keeps 53 of 58 right answers in French and 48 of 57
# across languages, and answers 16 of 100 questions that are off topic. The middles are
# cosines of multilingual-e5-small; another encoder wants its own.
_INTERCEPT = 0.0
_LEAD = 30.0
_LEAD_CAP = 0.1
_NEAR = 30.0
_NEAR_MIDDLE = 0.83
_NEAR_MIDDLE_FOREIGN = 0.79
_NEAR_RANGE = 0.05
_NO_SHARED_WORD = 1.5
_NO_SHARED_WORD_FOREIGN = 0.5
_NO_FORM = 4.0
_NO_NAME = 3.0
# The row of a card on something that the question does not name.
_OTHER_SUBJECT = 2.0
# The same where the trained reader says how sure it is, near what `training/calibrate.py` fits;
# the intercept is higher by what served most questions of eval/dev.jsonl, because half of the
# cases that it is fitted on have no answer.
_READ_INTERCEPT = -1.0
_READ_LEAD = 22.0
READ_LEAD_CAP = 0.2
_READ_NEAR = 12.0
_READ_RELEVANCE = 0.35
_READ_RELEVANCE_RANGE = 8.0
# The asked row of a card on what the question names answers it, whatever the trained reader
# makes of the card: it was trained on prose.
_ROW_RELEVANCE = 4.0


def answerability(
    question: str,
    focus: str,
    evidence: Sequence[Evidence],
    chosen: Sequence[Evidence],
    documents: Documents,
) -> float:
    """Return how likely it is that the chosen units answer the question, in [0, 1].

    What tells most is how far the best unit is ahead of those that were not chosen; then
    whether any word is shared, whether question and unit are near at all, and whether the
    unit could hold what is asked for: a sum, a date, a name, and the names that the
    question itself mentions.
    """
    logit = _sureness(evidence, chosen) - taken_away(question, focus, evidence, chosen, documents)
    return 1 / (1 + math.exp(-logit))


def taken_away(
    question: str,
    focus: str,
    evidence: Sequence[Evidence],
    chosen: Sequence[Evidence],
    documents: Documents,
) -> float:
    """Return what words and forms take away from the logit of the confidence."""
    best = evidence[0]
    text = " ".join(documents[e.hit.chunk.doc_id].plain[e.unit.start : e.unit.end] for e in chosen)
    row = best.unit.kind in ("fact", "property")
    no_shared_word = _NO_SHARED_WORD_FOREIGN if best.foreign else _NO_SHARED_WORD
    away = (
        no_shared_word * (max(e.passage_coverage for e in chosen) == 0)
        + _NO_FORM * (lacks_form(focus, text) or (row and asked_for(focus) == "person"))
        + _OTHER_SUBJECT * (row and best.form < ASKED_ROW)
    )
    absent = _absent_names(question, best.hit, documents[best.hit.chunk.doc_id], best.foreign)
    return away + _NO_NAME * absent


def _sureness(evidence: Sequence[Evidence], chosen: Sequence[Evidence]) -> float:
    """Return the part of the logit that scores give, before what words and forms take away."""
    lead, near, relevance = sureness_features(evidence, chosen)
    if evidence[0].read is None:
        return _INTERCEPT + _LEAD * min(lead, _LEAD_CAP) + _NEAR * near
    return (
        _READ_INTERCEPT
        + _READ_LEAD * min(lead, READ_LEAD_CAP)
        + _READ_NEAR * near
        + _READ_RELEVANCE * relevance
    )


def sureness_features(
    evidence: Sequence[Evidence], chosen: Sequence[Evidence]
) -> tuple[float, float, float]:
    """Return lead, nearness and relevance of an answer.

    The lead is how far the best unit is ahead of those that were not chosen, from 0 and not
    capped; nearness is the cosine of question and passage less the middle of its kind;
    relevance is the highest of the chosen units, clipped, 0 without a trained reader.
    """
    best = evidence[0]
    ids = {id(e) for e in (best, *chosen)}
    others = [e.score for e in evidence if id(e) not in ids]
    lead = max(best.score - max(others), 0.0) if others else math.inf
    middle = _NEAR_MIDDLE_FOREIGN if best.foreign else _NEAR_MIDDLE
    near = min(max((best.hit.dense or 0.0) - middle, -_NEAR_RANGE), _NEAR_RANGE)
    read = [e.read for e in chosen if e.read is not None]
    reach = _READ_RELEVANCE_RANGE
    relevance = max((min(max(r.relevance, -reach), reach) for r in read), default=0.0)
    if read and best.form >= ASKED_ROW:
        relevance = max(relevance, _ROW_RELEVANCE)
    return lead, near, relevance


def _absent_names(question: str, hit: ScoredChunk, document: Document, foreign: bool) -> float:
    """Return which share of the names in a question stands nowhere in or above a passage."""
    above = [*subjects(document), *hit.chunk.heading_path]
    seen = set(surface_tokens(" ".join([*above, hit.chunk.text])))
    mentioned = names(question)
    absent = {name for name in mentioned if not _stands_in(name, seen)}
    # NIS2 is not NIS, and no other name makes up for it.
    if any(any(c.isdigit() for c in name) for name in absent):
        return 1.0
    # Other names are translated (Allemagne, Germany): only within a language does it mean
    # something that one is absent.
    return 0.0 if foreign else len(absent) / max(len(mentioned), 1)


def _stands_in(name: str, seen: Set[str]) -> bool:
    tokens = surface_tokens(name)
    # "CBM14" gives the whole and its parts; either will do.
    return bool(tokens) and (tokens[0] in seen or set(tokens[1:] or tokens) <= seen)
