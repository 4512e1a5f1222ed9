"""Point at the few words of a unit that answer the question, where rules can tell."""

from __future__ import annotations

import re

from rag.chunking import Unit
from rag.lexical import fold
from rag.questions import ACRONYM, DATE, NUMBER, asked_for
from rag.types import Document

__all__ = ["expansion_before", "short_answer"]

# A capital after an article, after a punctuation mark or at the very beginning.
_PHRASE_START = re.compile(
    r"(?:^|[,;:] |\b)(?:(?:[Ll]e|[Ll]a|[Ll]es|[Dd]u|[Dd]es|[Aa]u|[Aa]ux) |[Ll]['’])([A-ZÀ-Ý])"
)
_PARENTHESIS = re.compile(r"\(([^()]+)\)")


def short_answer(question: str, unit: Unit, document: Document) -> tuple[int, int] | None:
    """Return the plain span of the short answer within a unit, or None.

    A row of a card answers with its value; dates, numbers and expansions of acronyms are
    found by their form, leaving out those that the question itself mentions.
    """
    text = document.plain[unit.start : unit.end]
    span: tuple[int, int] | None = None
    asks = asked_for(question)
    if unit.kind in ("fact", "property"):
        value = re.search(r":\s*(?=\S)", text)
        span = (value.end(), len(text)) if value else None
    elif asks == "date":
        span = _first_new(DATE, text, question)
    elif asks == "number":
        span = _first_new(NUMBER, text, question)
    elif asks == "expansion":
        span = _expansion(text, question)
    return (unit.start + span[0], unit.start + span[1]) if span else None


def _first_new(pattern: re.Pattern[str], text: str, question: str) -> tuple[int, int] | None:
    known = fold(question)
    for match in pattern.finditer(text):
        if fold(match.group()) not in known:
            return match.span()
    return None


def _expansion(text: str, question: str) -> tuple[int, int] | None:
    asked = {fold(match.group()) for match in ACRONYM.finditer(question)}
    for parenthesis in _PARENTHESIS.finditer(text):
        inside = list(ACRONYM.finditer(parenthesis.group(1)))
        if any(fold(match.group()) in asked for match in inside):
            return expansion_before(text, parenthesis.start(), inside[0].group())
        if not asked and inside:
            begin = parenthesis.start(1) + inside[0].start()
            return begin, begin + len(inside[0].group())
    return None


def expansion_before(text: str, parenthesis: int, acronym: str) -> tuple[int, int] | None:
    """Return the span of the words that an acronym in parentheses stands for.

    The words' letters give the acronym's from right to left, its first letter beginning a
    word (Schwartz & Hearst 2003, "A simple algorithm for identifying abbreviation
    definitions"). An acronym of another language matches no words; the expansion then
    begins at the last capitalised word that follows an article or a punctuation mark.
    """
    end = len(text[:parenthesis].rstrip())
    letters = [c for c in fold(acronym) if c.isalnum()]
    words = list(re.finditer(r"[^\W_]+", text[:end]))[-(2 * len(letters) + 5) :]
    for word in reversed(words):
        initials = [fold(w.group())[0] for w in words if w.start() >= word.start()]
        if word.group()[0].isupper() and _subsequence(letters, initials):
            return word.start(), end
    starts = [match.start(1) for match in _PHRASE_START.finditer(text[:end])]
    return (starts[-1], end) if starts else None


def _subsequence(letters: list[str], initials: list[str]) -> bool:
    """Return whether the letters are the initials, small words in between left out."""
    remaining = iter(initials)
    return initials[:1] == letters[:1] and all(letter in remaining for letter in letters)
