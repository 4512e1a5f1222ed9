"""Tell rows of a card (`Siège : Bruxelles`) from items and paragraphs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rag.documents.plain import Draft, shown
from rag.sentences import sentences

__all__ = ["is_row", "mark_rows"]

_ROW = re.compile(r"(?P<key>[^\W_][^:\n]{0,48}?)\s?:\s+(?P<value>\S.*)", re.DOTALL)
_KEY_WORDS = 6
_LONGEST_VALUE = 120
# A full stop at the end of a longer value makes it prose.
_LONGEST_SENTENCE = 60


def is_row(text: str) -> bool:
    """Tell whether `text` reads as a short key, a colon and a short value."""
    row = _ROW.fullmatch(text)
    if row is None or len(row["key"].split()) > _KEY_WORDS or len(row["value"]) > _LONGEST_VALUE:
        return False
    value = row["value"]
    if len(sentences(value)) > 1 or len(sentences(row["key"])) > 1:
        return False
    return value[-1] not in ".!?;" or len(value) <= _LONGEST_SENTENCE


def mark_rows(drafts: Sequence[Draft]) -> list[Draft]:
    """Turn paragraphs and items that are rows of a card into facts.

    One row alone may be an ordinary sentence: it needs a neighbour that is a row too,
    or a key that the author set apart.
    """
    rows = [draft.kind in ("paragraph", "item") and is_row(shown(draft)) for draft in drafts]
    result = []
    for number, draft in enumerate(drafts):
        beside = any(
            rows[each] and drafts[each].kind == draft.kind
            for each in (number - 1, number + 1)
            if 0 <= each < len(drafts)
        )
        if rows[number] and (draft.labelled or beside):
            draft = replace(draft, kind="fact", level=0)
        result.append(draft)
    return result
