"""Whether passages support a statement: the check that every written sentence must pass."""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Literal, Protocol

from rag.config import Settings
from rag.encoder import Encoder
from rag.language import detect
from rag.lexical import content_words, fold, surface_tokens
from rag.sentences import sentences

__all__ = ["Reason", "Support", "Verifier", "WordCoverage", "open_verifier"]

_WORD = re.compile(r"\w+")
_DENYING = frozenset(
    [
        "ne",
        "n",
        "pas",
        "non",
        "jamais",
        "aucun",
        "aucune",
        "ni",
        "sans",
        "not",
        "no",
        "never",
        "none",
        "without",
        "cannot",
        "niet",
        "geen",
        "nooit",
        "zonder",
        "noch",
    ]
)

Reason = Literal["number", "date", "name", "negation", "modality", "role", "meaning", "language"]


@dataclass(frozen=True, slots=True)
class Support:
    """Whether passages support a statement.

    `score` is the likelihood of it, in [0, 1]; `reasons` say why not, when they do not.
    """

    supported: bool
    score: float
    reasons: tuple[Reason, ...] = ()


class Verifier(Protocol):
    """Tell whether passages support a statement; what cannot be told is not supported."""

    def verify(
        self, statement: str, passages: Sequence[tuple[str, str]], *, question: str = ""
    ) -> Support:
        """Check a statement against passages, each the line above it and its body."""


class WordCoverage:
    """Support a statement when one sentence of a passage has every word of it that means something.

    The line above the passage counts too, and both deny or neither does. Strict: other words
    for the same thing are not supported, nor is another language; who does what to whom it
    cannot tell.
    """

    def verify(
        self, statement: str, passages: Sequence[tuple[str, str]], *, question: str = ""
    ) -> Support:
        """Check a statement against passages, each the line above it and its body."""
        said = set(content_words(statement, detect(statement))) - _DENYING
        denies = _denies(statement)
        best = Support(False, 0.0, ("meaning",))
        for head, body in passages:
            for start, end in sentences(body):
                held = set(surface_tokens(f"{head} {body[start:end]}"))
                score = len(said & held) / len(said) if said else 0.0
                if score > best.score:
                    same = denies == _denies(body[start:end])
                    best = Support(score == 1.0 and same, score, _missing(said - held))
                    if best.supported:
                        return Support(True, score)
        return best


def _denies(text: str) -> bool:
    return not _DENYING.isdisjoint(_WORD.findall(fold(text)))


def _missing(words: Set[str]) -> tuple[Reason, ...]:
    if not words:
        return ("negation",)
    return ("number",) if any(word.isdigit() for word in words) else ("meaning",)


def open_verifier(settings: Settings, encoder: Encoder) -> Verifier:
    """Return what checks the sentences of a language model."""
    return WordCoverage()
