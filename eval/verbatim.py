"""Texts word for word: where they stand in a document, and what comes nearest."""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from rag.lexical import fold
from rag.types import Document

__all__ = ["locate", "nearest", "plain_quote"]

# A text that shares less than half of itself (F1) with another is not meant by it.
_NEAREST_SHARE = 0.5
# As a typing error or an inflection changes a word: "Bruxeles" and "Bruxelles" have 0.94.
_CLOSE_WORDS = 0.75
_WORD = re.compile(r"\w+")


def locate(document: Document, text: str) -> tuple[int, int] | None:
    """Return where a text first stands in a document's plain text, in plain offsets.

    A text of the canonical text, with its marks, counts as well. None when it is in neither.
    """
    start = document.plain.find(text)
    if text and start >= 0:
        return start, start + len(text)
    start = document.text.find(text)
    return document.offsets.to_plain(start, start + len(text)) if text and start >= 0 else None


def plain_quote(document: Document, text: str) -> str:
    """Return a text of a document as a reader sees it; one that is not in there as it is."""
    place = locate(document, text)
    return document.plain[slice(*place)] if place and place[0] < place[1] else text


def nearest(text: str, plain: str) -> str:
    """Return the stretch of `plain` whose words are most like those of `text`, or nothing.

    The stretch with the largest F1 of words, accents and case apart, where words weigh by
    their length, because the short ones say little. A word that is not there counts as the
    one spelt most like it. Below 0.5 nothing is near.
    """
    found = [(fold(m.group()), m.start(), m.end()) for m in _WORD.finditer(plain)]
    vocabulary = sorted({word for word, _, _ in found})
    wanted = Counter(_closest(fold(word), vocabulary) for word in _WORD.findall(text) if found)
    length = wanted.total()
    weight = sum(len(word) * count for word, count in wanted.items())
    best, span = 0.0, (0, 0)
    for size in range(max(1, length // 2), length + 4):
        for first, shared, held in _windows(found, wanted, size):
            score = 2 * shared / (weight + held)
            if score > best:
                best, span = score, (first, first + size)
    if best < _NEAREST_SHARE:
        return ""
    chosen = found[slice(*span)]
    start, end = chosen[0][1], chosen[-1][2]
    if not text.rstrip()[-1:].isalnum():
        # The text closes with a mark: so does what it stands for, if it can.
        while end < len(plain) and not plain[end].isalnum() and not plain[end].isspace():
            end += 1
    return plain[start:end]


def _closest(word: str, vocabulary: Sequence[str]) -> str:
    index = bisect_left(vocabulary, word)
    if index < len(vocabulary) and vocabulary[index] == word:
        return word
    return next(iter(difflib.get_close_matches(word, vocabulary, 1, _CLOSE_WORDS)), word)


def _windows(
    found: Sequence[tuple[str, int, int]], wanted: Mapping[str, int], size: int
) -> Iterator[tuple[int, int, int]]:
    """Yield for every window of `size` words its first, and the weight it shares and holds."""
    counts: Counter[str] = Counter()
    shared = held = 0
    for place, (word, _, _) in enumerate(found):
        counts[word] += 1
        held += len(word)
        shared += len(word) * (counts[word] <= wanted.get(word, 0))
        if place >= size:
            gone = found[place - size][0]
            held -= len(gone)
            shared -= len(gone) * (counts[gone] <= wanted.get(gone, 0))
            counts[gone] -= 1
        if place >= size - 1:
            yield place - size + 1, shared, held
