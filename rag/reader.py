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
from rag.short_answers import short_answer
from rag.types import Document, Language, Ranking, Reading, ScoredChunk, Span

__all__ = ["Evidence", "EvidenceReader", "Reader"]


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
class Evidence:
    """A unit of a passage with what speaks for it.

    `similarity` is the late interaction of question and unit. `coverage` is the share of the
    question's words in the unit or in the title and headings above it: a note on the BCC
    need not repeat the name. `passage_coverage` is that share in the whole passage.
    `form` is what the unit's form adds: something when it has that of what is asked for (a
    date, a number), much when it is the asked row of a card on what the question names,
    less than nothing when it is a row that is not asked for.
    `foreign` tells that question and document are in different languages.
    """

    hit: ScoredChunk
    passage: int
    unit: Unit
    similarity: float
    coverage: float
    passage_coverage: float
    form: float
    foreign: bool

    @property
    def score(self) -> float:
        """How well the unit answers, for comparing the units of one question."""
        coverage = _COVERAGE_FOREIGN if self.foreign else _COVERAGE
        similarity = _SIMILARITY * self.similarity
        return similarity + coverage * self.coverage + self.form + _PASSAGE * self.hit.score


# Chosen on PIAF train and DILA train, where `benchmarks/reader.py` prints the table, and on
# eval/dev.jsonl where those do not decide. Late interaction without the means spreads several
# times wider than a cosine: the first weight brings it to the scale of the others.
_SIMILARITY = 0.25
_COVERAGE = 0.03
_COVERAGE_FOREIGN = 0.05
_FORM = 0.03
_ASKED_ROW = 0.15
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


class EvidenceReader:
    """Choose units with the encoder and the shared words, without a trained model."""

    name = "late interaction"

    def __init__(self, encoder: Encoder, index: Index) -> None:
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
        best = evidence[0]
        chosen = _whole_list(focus, evidence, documents) or _close_to_best(
            focus, evidence, documents
        )
        spans: list[tuple[Span, ...]] = []
        for number in range(len(ranking.hits)):
            mine = sorted((e for e in chosen if e.passage == number), key=lambda e: e.unit.start)
            spans.append(_quoted(mine, documents))
        return Reading(
            passages=ranking.hits,
            spans=tuple(spans),
            answerability=_answerability(question, focus, evidence, chosen, documents),
            short=_short(focus, best, documents) if len(chosen) == 1 else None,
        )


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
    best = evidence[0]
    document = documents[best.hit.chunk.doc_id]
    ids = {id(e) for e in chosen}
    others = [e.score for e in evidence if id(e) not in ids]
    lead = best.score - max(others) if others else _LEAD_CAP
    text = " ".join(document.plain[e.unit.start : e.unit.end] for e in chosen)
    row = best.unit.kind in ("fact", "property")
    middle = _NEAR_MIDDLE_FOREIGN if best.foreign else _NEAR_MIDDLE
    no_shared_word = _NO_SHARED_WORD_FOREIGN if best.foreign else _NO_SHARED_WORD
    logit = (
        _INTERCEPT
        + _LEAD * min(max(lead, 0.0), _LEAD_CAP)
        + _NEAR * min(max((best.hit.dense or 0.0) - middle, -_NEAR_RANGE), _NEAR_RANGE)
        - no_shared_word * (max(e.passage_coverage for e in chosen) == 0)
        - _NO_FORM * (lacks_form(focus, text) or (row and asked_for(focus) == "person"))
        - _OTHER_SUBJECT * (row and best.form < _ASKED_ROW)
    )
    if not best.foreign:
        # Names are translated between languages (Allemagne, Germany), so only within one
        # does the absence of a name mean something.
        logit -= _NO_NAME * _absent_names(question, best.hit, document)
    return 1 / (1 + math.exp(-logit))


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


def _short(question: str, best: Evidence, documents: Documents) -> tuple[int, Span] | None:
    found = short_answer(question, best.unit, documents[best.hit.chunk.doc_id])
    return (best.passage, Span(*found, best.score)) if found else None
