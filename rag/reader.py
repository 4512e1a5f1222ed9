"""Read a question with its passages: which units answer it, and how surely."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol

from rag.chunking import Unit, heading_paths, passage_text, units
from rag.encoder import Encoder, TokenVectors, Vectors
from rag.index import Index
from rag.late import token_weights
from rag.lexical import surface_tokens
from rag.questions import (
    ACRONYM,
    DATE,
    NUMBER,
    Asks,
    asked_for,
    asked_key,
    lacks_form,
    names,
    wants_list,
)
from rag.reranking import ReaderStage
from rag.short_answers import short_answer
from rag.span_model import PassageScores
from rag.types import Document, Language, Ranking, Reading, ScoredChunk, Span

__all__ = [
    "Evidence",
    "EvidenceReader",
    "ReadUnit",
    "Reader",
    "choose",
    "read_unit",
    "sureness_features",
    "taken_away",
    "whole_words",
]

Documents = Mapping[str, Document]


class Reader(Protocol):
    """What answering needs of a reader; a trained one has the same interface."""

    name: str

    def read(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Documents,
        *,
        focus: str | None = None,
    ) -> Reading:
        """Return the supporting units of the passages and how answerable the question is.

        `focus` is the part of the question that says what kind of thing is asked for, where
        an earlier question was carried over; the whole of it when not given.
        """


@dataclass(frozen=True, slots=True)
class ReadUnit:
    """What the trained reader says of a unit.

    `relevance` is the logit of "its passage answers", `span` the logarithmic probability of
    the likeliest answer within the unit, which is plain[start:end] of its document.
    """

    relevance: float
    span: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A unit of a passage with what speaks for it.

    `similarity` is the late interaction of question and unit. `coverage` is the share of the
    question's words in the unit or in the title and headings above it: a note on the BCC
    need not repeat the name. `passage_coverage` is that share in the whole passage.
    `form` is what the unit's form adds: something when it has that of what is asked for (a
    date, a number), much when it is the asked row of a card on what the question names,
    less than nothing when it is a row that is not asked for.
    `foreign` tells that question and document are in different languages. `read` is what
    the trained reader says of the unit, where there is one.
    """

    hit: ScoredChunk
    passage: int
    unit: Unit
    similarity: float
    coverage: float
    passage_coverage: float
    form: float
    foreign: bool
    read: ReadUnit | None = None

    @property
    def score(self) -> float:
        """How well the unit answers, for comparing the units of one question."""
        coverage = _COVERAGE_FOREIGN if self.foreign else _COVERAGE
        similarity = SIMILARITY * self.similarity
        score = similarity + coverage * self.coverage + self.form + _PASSAGE * self.hit.score
        if self.read is None:
            return score
        return score + _SPAN * max(self.read.span, SPAN_FLOOR)


# Chosen on PIAF train and DILA train, where `benchmarks/reader.py` prints the table, and on
# eval/dev.jsonl where those do not decide. Late interaction without the means spreads several
# times wider than a cosine: the first weight brings it to the scale of the others.
SIMILARITY = 0.25
_COVERAGE = 0.03
_COVERAGE_FOREIGN = 0.05
_FORM = 0.03
_ASKED_ROW = 0.15
# The weight of the trained reader's span, cut off: beyond, more is not surer.
_SPAN = 0.01
SPAN_FLOOR = -12.0
_NAMED = 2 / 3
_PASSAGE = 0.7
# Units within this of the best one are quoted too, more readily where a list is asked for.
_NEARLY_AS_GOOD = 0.0003
_NEARLY_AS_GOOD_LIST = 0.01
_MOST_UNITS = 3
_SHORTEST_LIST = 2
_CONTINUES = re.compile(
    r"(?:Ces|Celles-ci|Ceux-ci|Parmi (?:ces|eux|elles)|Il s'agit|Cela comprend)\b"
)
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
# The same where the trained reader says how sure it is, fitted by `training/calibrate.py`.
_READ_INTERCEPT = 0.0
_READ_LEAD = 10.0
READ_LEAD_CAP = 0.2
_READ_NEAR = 10.0
_READ_RELEVANCE = 0.5
_READ_RELEVANCE_RANGE = 8.0
_READ_SPAN = 0.2
_AROUND_BEFORE = " \n\t\u00a0\u202f,;:.!?-–—"
_AROUND_AFTER = " \n\t\u00a0\u202f,;:.!?–—"


class EvidenceReader:
    """Choose units with the encoder, the shared words and, where there is one, a trained reader."""

    def __init__(self, encoder: Encoder, index: Index, trained: ReaderStage | None = None) -> None:
        self.name = trained.reader.name if trained is not None else "late interaction"
        self._trained = trained
        self._encoder = encoder
        self._index = index
        self._lexical = index.lexical

    def evidence(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Documents,
        *,
        focus: str | None = None,
    ) -> list[Evidence]:
        """Return every unit of the passages with its evidence, best first."""
        if not ranking.hits:
            return []
        late = self._index.late
        (tokens,) = self._encoder.token_vectors([question], query=True)
        weights = token_weights(question, language, tokens)
        asked = late.question(tokens)
        focus = focus or question
        asks = asked_for(focus)
        evidence = []
        trained = self._trained and self._trained.scores(question, ranking.hits, documents)
        for number, hit in enumerate(ranking.hits):
            passage = late.tokens(self._index.position(hit.chunk))
            document = documents[hit.chunk.doc_id]
            names_it = _names_subject(question, document)

            paths = heading_paths(document)

            def covered(
                part: str,
                path: Sequence[str],
                title: str = document.title,
                own: Language = document.language,
            ) -> float:
                text = " ".join([title, *path, part])
                return self._lexical.coverage(question, language, text, own)

            start, end = document.offsets.to_plain(hit.chunk.start, hit.chunk.end)
            shift = len(passage_text(document, hit.chunk)) - (end - start) - start
            passage_coverage = covered(document.plain[start:end], hit.chunk.heading_path)
            for unit in units(document, start, end):
                text = document.plain[unit.start : unit.end]
                evidence.append(
                    Evidence(
                        hit=hit,
                        passage=number,
                        unit=unit,
                        similarity=_late_interaction(
                            asked, weights, passage, unit.start + shift, unit.end + shift
                        ),
                        coverage=covered(text, paths[unit.block]),
                        passage_coverage=passage_coverage,
                        form=_form(focus, asks, unit, text, names_it),
                        foreign=language not in ("unknown", document.language),
                        read=read_unit(trained[number], unit, start) if trained else None,
                    )
                )
        return sorted(evidence, key=lambda e: -e.score)

    def read(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Documents,
        *,
        focus: str | None = None,
    ) -> Reading:
        """Return the units that answer the question: one, a whole list, or a few."""
        focus = focus or question
        evidence = self.evidence(question, language, ranking, documents, focus=focus)
        if not evidence:
            return Reading(ranking.hits, tuple(() for _ in ranking.hits), 0.0)
        chosen = choose(focus, evidence, documents)
        spans: list[tuple[Span, ...]] = []
        for number in range(len(ranking.hits)):
            mine = sorted((e for e in chosen if e.passage == number), key=lambda e: e.unit.start)
            spans.append(_quoted(mine, documents))
        return Reading(
            passages=ranking.hits,
            spans=tuple(spans),
            answerability=_answerability(question, focus, evidence, chosen, documents),
            short=_short(focus, evidence[0], chosen, documents),
        )


def choose(question: str, evidence: Sequence[Evidence], documents: Documents) -> list[Evidence]:
    """Return the units that are quoted, of all units, best first: one, a whole list, or a few."""
    return _whole_list(question, evidence, documents) or _close_to_best(
        question, evidence, documents
    )


def read_unit(scores: PassageScores, unit: Unit, start: int) -> ReadUnit:
    """Return what the trained reader says of a unit; its passage begins at plain `start`."""
    found = scores.best_span(unit.start - start, unit.end - start)
    if found is None:
        return ReadUnit(scores.relevance, SPAN_FLOOR, unit.start, unit.end)
    likely, low, high = found
    return ReadUnit(scores.relevance, likely, start + low, start + high)


def _late_interaction(
    asked: TokenVectors, weights: Vectors, passage: TokenVectors, start: int, end: int
) -> float:
    """Return the mean, over the question's tokens, of the best cosine with a unit's tokens.

    As in `rag/late.py`, each token read in the context of its whole passage.
    """
    middle = (passage.starts + passage.ends) / 2
    inside = passage.vectors[(start <= middle) & (middle <= end)]
    if not len(inside) or not len(asked.vectors):
        return 0.0
    return float((asked.vectors @ inside.T).max(axis=1) @ weights / weights.sum())


def _form(question: str, asks: Asks, unit: Unit, text: str, names_it: bool) -> float:
    if unit.kind in ("fact", "property"):
        if not asked_key(question, text.split(":", 1)[0]):
            return -_FORM
        return _ASKED_ROW if names_it else _FORM
    pattern = {"date": DATE, "number": NUMBER, "expansion": ACRONYM}.get(asks)
    return _FORM if pattern is not None and pattern.search(text) is not None else 0.0


def _names_subject(question: str, document: Document) -> bool:
    """Return whether a question names what a document is on, by its title or an alias.

    "cyber command belge" names "Belgian Cyber Command": two words in three are enough.
    """
    # A title such as "Belgian Cyber Command (BCC)" is two names.
    parts = [part for subject in _subjects(document) for part in re.split(r"[()]", subject)]
    asked = set(surface_tokens(question))
    words = [set(surface_tokens(part)) for part in parts]
    return any(len(name & asked) >= _NAMED * len(name) for name in words if name)


def _subjects(document: Document) -> list[str]:
    aliases = document.metadata.get("aliases", ())
    return [document.title, *([aliases] if isinstance(aliases, str) else aliases)]


def _whole_list(
    question: str, evidence: Sequence[Evidence], documents: Documents
) -> list[Evidence]:
    """Return every item of the list that the best unit stands in, when a list is asked for."""
    best = evidence[0]
    passage = sorted((e for e in evidence if e.passage == best.passage), key=lambda e: e.unit.start)
    introduces = _introduces(best, documents)
    items = _items_around(best, passage)
    if len(items) < _SHORTEST_LIST or not (best.unit.kind == "item" or introduces):
        return []
    if wants_list(question):
        return items
    # A lead-in that says it itself is quoted with what it introduces, not cut at its colon.
    return [best, *items] if introduces else []


def _items_around(best: Evidence, passage: Sequence[Evidence]) -> list[Evidence]:
    """Return the items of the one list that a unit stands in or introduces."""
    place = next(i for i, e in enumerate(passage) if e is best)
    first = place
    while best.unit.kind == "item" and first > 0 and passage[first - 1].unit.kind == "item":
        first -= 1
    after = passage[first if best.unit.kind == "item" else place + 1 :]
    return list(takewhile(lambda e: e.unit.kind == "item", after))


def _quoted(chosen: Sequence[Evidence], documents: Documents) -> tuple[Span, ...]:
    """Return what is quoted of one passage: each unit, a lead-in together with its list."""
    spans = tuple(Span(e.unit.start, e.unit.end, e.score) for e in chosen)
    items = all(e.unit.kind == "item" for e in chosen[1:])
    if len(spans) > 1 and items and _introduces(chosen[0], documents):
        return (Span(spans[0].start, spans[-1].end, spans[0].score),)
    return spans


def _introduces(evidence: Evidence, documents: Documents) -> bool:
    plain = documents[evidence.hit.chunk.doc_id].plain
    return plain[evidence.unit.start : evidence.unit.end].rstrip().endswith(":")


def _close_to_best(
    question: str, evidence: Sequence[Evidence], documents: Documents
) -> list[Evidence]:
    """Return the best unit and those that are nearly as good."""
    margin = _NEARLY_AS_GOOD_LIST if wants_list(question) else _NEARLY_AS_GOOD
    near = [e for e in evidence if e.score >= evidence[0].score - margin]
    chosen = [e for e in near if e.unit.kind == evidence[0].unit.kind][:_MOST_UNITS]
    if wants_list(question):
        following = _enumeration_after(evidence[0], evidence, documents)
        chosen += [e for e in following if e not in chosen]
    return chosen


def _enumeration_after(
    best: Evidence, evidence: Sequence[Evidence], documents: Documents
) -> list[Evidence]:
    """Return the sentence after the best one when it goes on with what that one names.

    "Le CCB suit les lois de l'UE. Ces lois incluent …": the list is in the second.
    """
    plain = documents[best.hit.chunk.doc_id].plain
    same = [e for e in evidence if e.unit.block == best.unit.block and e.hit == best.hit]
    later = [e for e in same if e.unit.start > best.unit.start]
    following = min(later, key=lambda e: e.unit.start, default=None)
    if following is None or not _CONTINUES.match(plain, following.unit.start):
        return []
    return [following]


def _answerability(
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
    logit = _sureness(evidence, chosen) - taken_away(question, focus, chosen, documents)
    return 1 / (1 + math.exp(-logit))


def taken_away(
    question: str, focus: str, chosen: Sequence[Evidence], documents: Documents
) -> float:
    """Return what words and forms take away from the logit of the confidence."""
    best = chosen[0]
    text = " ".join(documents[e.hit.chunk.doc_id].plain[e.unit.start : e.unit.end] for e in chosen)
    row = best.unit.kind in ("fact", "property")
    no_shared_word = _NO_SHARED_WORD_FOREIGN if best.foreign else _NO_SHARED_WORD
    away = (
        no_shared_word * (max(e.passage_coverage for e in chosen) == 0)
        + _NO_FORM * (lacks_form(focus, text) or (row and asked_for(focus) == "person"))
        + _OTHER_SUBJECT * (row and best.form < _ASKED_ROW)
    )
    if not best.foreign:
        # Names are translated between languages (Allemagne, Germany), so only within one
        # does the absence of a name mean something.
        away += _NO_NAME * _absent_names(question, best.hit, documents[best.hit.chunk.doc_id])
    return away


def _sureness(evidence: Sequence[Evidence], chosen: Sequence[Evidence]) -> float:
    """Return the part of the logit that scores give, before what words and forms take away."""
    lead, near, relevance, span = sureness_features(evidence, chosen)
    if evidence[0].read is None:
        return _INTERCEPT + _LEAD * min(lead, _LEAD_CAP) + _NEAR * near
    return (
        _READ_INTERCEPT
        + _READ_LEAD * min(lead, READ_LEAD_CAP)
        + _READ_NEAR * near
        + _READ_RELEVANCE * relevance
        + _READ_SPAN * span
    )


def sureness_features(
    evidence: Sequence[Evidence], chosen: Sequence[Evidence]
) -> tuple[float, float, float, float]:
    """Return lead, nearness, relevance and span of an answer.

    The lead is how far the best unit is ahead of those that were not chosen, from 0 and not
    capped; nearness is the cosine of question and passage less the middle of its kind;
    relevance and span are the highest of the chosen units, clipped, 0 without a trained reader.
    """
    best = evidence[0]
    ids = {id(e) for e in chosen}
    others = [e.score for e in evidence if id(e) not in ids]
    lead = max(best.score - max(others), 0.0) if others else math.inf
    middle = _NEAR_MIDDLE_FOREIGN if best.foreign else _NEAR_MIDDLE
    near = min(max((best.hit.dense or 0.0) - middle, -_NEAR_RANGE), _NEAR_RANGE)
    read = [e.read for e in chosen if e.read is not None]
    reach = _READ_RELEVANCE_RANGE
    relevance = max((min(max(r.relevance, -reach), reach) for r in read), default=0.0)
    span = max((max(r.span, SPAN_FLOOR) for r in read), default=0.0)
    return lead, near, relevance, span


def _absent_names(question: str, hit: ScoredChunk, document: Document) -> float:
    """Return which share of the names in a question stands nowhere in or above a passage."""
    above = [*_subjects(document), *hit.chunk.heading_path]
    seen = set(surface_tokens(" ".join([*above, hit.chunk.text])))
    mentioned = names(question)
    absent = {name for name in mentioned if not _stands_in(name, seen)}
    # NIS2 is not NIS, and no other name makes up for it.
    if any(any(c.isdigit() for c in name) for name in absent):
        return 1.0
    return len(absent) / max(len(mentioned), 1)


def _stands_in(name: str, seen: Set[str]) -> bool:
    tokens = surface_tokens(name)
    # "CBM14" gives the whole and its parts; either will do.
    return bool(tokens) and (tokens[0] in seen or set(tokens[1:] or tokens) <= seen)


def _short(
    question: str, best: Evidence, chosen: Sequence[Evidence], documents: Documents
) -> tuple[int, Span] | None:
    """Return the short answer: what rules find, else the likeliest answer within the unit.

    Rules know the value of a card's row and what an acronym stands for; of other things
    the trained reader knows more than the rules for dates and numbers.
    """
    document = documents[best.hit.chunk.doc_id]
    alone = len(chosen) == 1
    ruled = alone and (
        best.read is None
        or best.unit.kind in ("fact", "property")
        or asked_for(question) == "expansion"
    )
    found = short_answer(question, best.unit, document) if ruled else None
    listed = len(chosen) > 1 and (wants_list(question) or _introduces(best, documents))
    if found is None and best.read is not None and not listed:
        found = whole_words(document.plain, best.read.start, best.read.end)
    return (best.passage, Span(*found, best.score)) if found else None


def whole_words(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a span completed to whole words, without the marks around it; None when empty."""
    while 0 < start < len(text) and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while 0 < end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    while start < end and text[start] in _AROUND_BEFORE:
        start += 1
    while start < end and text[end - 1] in _AROUND_AFTER:
        end -= 1
    for opening, closing in ("()", "[]", "«»", "“”"):
        inside = text[start:end]
        if inside.startswith(opening) and closing not in inside:
            start += 1
        elif inside.endswith(closing) and opening not in inside:
            end -= 1
        elif opening in inside and closing not in inside and text[end : end + 1] == closing:
            end += 1
    start += len(text[start:end]) - len(text[start:end].lstrip())
    end -= len(text[start:end]) - len(text[start:end].rstrip())
    return (start, end) if start < end else None
