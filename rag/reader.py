"""Read a question with its passages: which units answer it, and how surely."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import takewhile
from typing import Protocol

from rag.confidence import answerability
from rag.encoder import Encoder
from rag.evidence import Documents, Evidence, EvidenceFinder
from rag.index import Index
from rag.lexical import fold
from rag.questions import asked_for, wants_list
from rag.reranking import ReaderStage
from rag.short_answers import short_answer
from rag.types import Language, Ranking, Reading, Span

__all__ = ["EvidenceReader", "Reader", "choose", "whole_words"]

# Units within this of the best one are quoted too, more readily where a list is asked for.
_NEARLY_AS_GOOD = 0.0003
_NEARLY_AS_GOOD_LIST = 0.01
_MOST_UNITS = 3
_SHORTEST_LIST = 2
# How sure the trained reader must be of two documents to show both: the logit of relevance, and
# the logarithm of the probability of the words that it points at.
_SURE_RELEVANCE = 2.0
_SURE_SPAN = math.log(0.25)
_PAIR = 2
_ROWS = ("fact", "property")
_NUMBER = re.compile(r"\d+(?:,\d+)?")
# The blank or point between the digits of "1 500" and "1.500".
_GROUPED = re.compile(r"(?<=\d)[ .\u00a0\u202f](?=\d{3}(?!\d))")
_YEAR = 4
_CONTINUES = re.compile(
    r"(?:Ces|Celles-ci|Ceux-ci|Parmi (?:ces|eux|elles)|Il s'agit|Cela comprend)\b"
)
_AROUND_BEFORE = " \n\t\u00a0\u202f,;:.!?-–—"
_WHO = re.compile(r"\W*(?:qui|who|wie)\b", re.IGNORECASE)
_LEGAL_BASIS = re.compile(
    r"(?:en vertu|en application|aux termes|au titre|sur la base|dans le cadre|conformément)"
    r" (?:des|du|de|d['’]|aux|au|à)\s*(?:l['’]|la|le|les)?\s*$",
    re.IGNORECASE,
)
_MINUS = re.compile(r"(?<!\w)-(?=\d)")
_AROUND_AFTER = " \n\t\u00a0\u202f,;:.!?–—"


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


class EvidenceReader:
    """Choose the units with the best evidence."""

    def __init__(self, encoder: Encoder, index: Index, trained: ReaderStage | None = None) -> None:
        self.name = trained.reader.name if trained is not None else "late interaction"
        self._finder = EvidenceFinder(encoder, index, trained)

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
        return self._finder.find(question, language, ranking, documents, focus=focus)

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
        differ = _differ(focus, chosen, documents)
        return Reading(
            passages=ranking.hits,
            spans=tuple(spans),
            answerability=answerability(question, focus, evidence, chosen, documents),
            short=None if differ else _short(focus, evidence[0], chosen, documents),
            differ=differ,
        )


def choose(question: str, evidence: Sequence[Evidence], documents: Documents) -> list[Evidence]:
    """Return the units that are quoted, of all units, best first: one, a whole list, or a few."""
    listed = _whole_list(question, evidence, documents)
    if listed:
        return listed
    chosen = _close_to_best(question, evidence, documents)
    return [*chosen, *_elsewhere(question, evidence, chosen, documents)]


def _elsewhere(
    question: str, evidence: Sequence[Evidence], chosen: Sequence[Evidence], documents: Documents
) -> list[Evidence]:
    """Return the unit of another document that answers as surely as the best one.

    One that says the same is a second source; of dates and numbers one that says something
    else is shown as well, for nobody but the person who asks can tell which holds.
    """
    best = evidence[0]
    # The row of a card is its document's word on itself, and needs no second.
    if best.unit.kind in _ROWS or len(chosen) > 1 or not _points_surely(best):
        return []
    said = fold(_pointed_at(best, documents))
    for other in evidence if said else ():
        same_document = other.hit.chunk.doc_id == best.hit.chunk.doc_id
        if same_document or other.unit.kind in _ROWS or not _points_surely(other):
            continue
        says = fold(_pointed_at(other, documents))
        if says == said or _at_odds(question, said, says):
            return [other]
    return []


def _points_surely(evidence: Evidence) -> bool:
    read = evidence.read
    return read is not None and read.relevance > _SURE_RELEVANCE and read.span > _SURE_SPAN


def _pointed_at(evidence: Evidence, documents: Documents) -> str:
    plain = documents[evidence.hit.chunk.doc_id].plain
    found = evidence.read and whole_words(plain, evidence.read.start, evidence.read.end)
    return plain[slice(*found)] if found else ""


def _at_odds(question: str, said: str, says: str) -> bool:
    """Return whether two answers to a question for a date or a number have no number in common.

    Dates are compared by their years where both have one.
    """
    asks = asked_for(question)
    one, other = (set(_NUMBER.findall(_GROUPED.sub("", text))) for text in (said, says))
    if asks == "date":
        years = [{number for number in numbers if len(number) == _YEAR} for numbers in (one, other)]
        one, other = years if all(years) else (one, other)
    return asks in ("date", "number") and bool(one and other) and not one & other


def _differ(question: str, chosen: Sequence[Evidence], documents: Documents) -> bool:
    """Return whether the chosen units give different dates or numbers."""
    if len(chosen) != _PAIR or not all(map(_points_surely, chosen)):
        return False
    said, says = (fold(_pointed_at(e, documents)) for e in chosen)
    return chosen[0].hit.chunk.doc_id != chosen[1].hit.chunk.doc_id and _at_odds(
        question, said, says
    )


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
        best.read is None or best.unit.kind in _ROWS or asked_for(question) == "expansion"
    )
    found = short_answer(question, best.unit, document) if ruled else None
    listed = len(chosen) > 1 and (wants_list(question) or _introduces(best, documents))
    if found is None and best.read is not None and not listed:
        found = whole_words(document.plain, best.read.start, best.read.end)
        # Nobody is the law under which somebody acts.
        if found and _WHO.match(question):
            before = document.plain[best.unit.start : found[0]]
            found = None if _LEGAL_BASIS.search(before) else found
    return (best.passage, Span(*found, best.score)) if found else None


def whole_words(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a span completed to whole words, without the marks around it; None when empty."""
    while 0 < start < len(text) and text[start].isalnum() and text[start - 1].isalnum():
        start -= 1
    while 0 < end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    while start < end and text[start] in _AROUND_BEFORE and not _MINUS.match(text, start):
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
