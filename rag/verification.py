"""Whether passages support a statement: the check that every written sentence must pass.

Several signals decide, and what cannot be told is not supported. A number, a date, a unit, an
acronym or a name that neither the passages nor the question have, and a denial on one side
only, are enough to refuse. Beyond that every word of the statement must have a counterpart in
one sentence of the passages: the cosine of its token with the nearest token there (the late
interaction of `rag/late.py`), the three weakest of which count, and what the trained reader
says of the passage for the statement.

So are what must or may be on one side only, and names in another order. What all this cannot
see is measured with `eval/statements.jsonl`. It is strict, and keeps few sentences.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.config import Settings
from rag.encoder import Encoder, TokenVectors, Vectors
from rag.language import detect
from rag.late import token_weights
from rag.lexical import content_words, fold, surface_tokens
from rag.names import absent_names, turned_round
from rag.quantities import missing
from rag.sentences import sentences
from rag.span_model import SpanReader, open_span_reader
from rag.types import Language

__all__ = ["Reason", "SignalVerifier", "Support", "Verifier", "open_verifier"]

Reason = Literal["number", "date", "name", "negation", "modality", "role", "meaning", "language"]

# A logistic regression on 1,912 statements about passages of the training sets, less those that
# the refusals above decide: half right, half wrong by a word or two. The threshold lets 4 to 6 in a
# hundred wrong ones pass on 718 others, and 15 to 17 in a hundred right ones.
_INTERCEPT = -12.85
_WEAKEST = 16.74
_RELEVANCE = 0.131
_FOREIGN = 0.738
_THRESHOLD = 0.755
_WEAK_WORDS = 3
# Of a statement's tokens the lightest third is left out: articles, prepositions.
_LIGHT = 0.3
_ABSENT_NAMES = 0.5
_DENYING = re.compile(
    r"\b(?:n|ne|pas|jamais|aucune?|ni|sans|non|rien|personne|not|no|never|none|nor|without|"
    r"cannot|nothing|nobody|niet|niets|geen|nooit|zonder|noch|niemand|t)\b"
)
_MUST = re.compile(
    r"\b(?:doit|doivent|devra|devront|obligatoire\w*|oblig\w+|faut|interdit\w*|imperati\w+|exige\w*|"
    r"must|required|requires?|mandatory|obliged|compulsory|shall|has to|have to|forbidden|"
    r"moet|moeten|verplicht\w*|vereist|dient|dienen|verboden)\b"
)
_MAY = re.compile(
    r"\b(?:peut|peuvent|pourra|pourront|pourrait|possible|facultati\w+|autoris\w+|permet\w*|permis\w*|"
    r"may|can|could|might|optional|allowed|possible|permitted|allows?|"
    r"kan|kunnen|mag|mogen|mogelijk|facultatief|toegestaan|toegelaten)\b"
)
_PASSIVE = re.compile(r"\b(?:par|by|door)\b")
# Statements, and passages, whose token vectors are kept: those of an answer, half a megabyte each.
_KEPT = 64


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


@dataclass(frozen=True, slots=True)
class _Said:
    """A statement as it is compared: its unit token vectors, and how much each counts.

    `heavy` are the tokens of which the three weakest are looked at.
    """

    vectors: Vectors
    weights: Vectors
    heavy: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Source:
    """A passage as it is compared: its unit token vectors, and which are of which sentence."""

    vectors: Vectors
    sentences: tuple[tuple[str, NDArray[np.bool_]], ...]


class SignalVerifier:
    """Support a statement when nothing in it is missing from the passages.

    Safe to share between threads. A statement is checked against several passages, and a
    passage by several statements: what the encoder says of either is kept for a while.
    """

    def __init__(self, encoder: Encoder, reader: SpanReader | None) -> None:
        self._encoder = encoder
        self._reader = reader
        self._said = lru_cache(_KEPT)(self._read_statement)
        self._source = lru_cache(_KEPT)(self._read_passage)

    def verify(
        self, statement: str, passages: Sequence[tuple[str, str]], *, question: str = ""
    ) -> Support:
        """Check a statement against passages, each the line above it and its body."""
        language = detect(statement)
        if not passages or not content_words(statement, language):
            return Support(False, 0.0, ("meaning",))
        reasons = _refusals(statement, [*(f"{h} {b}" for h, b in passages), question])
        reasons = reasons or _contradicted_by_all(statement, passages)
        if reasons:
            return Support(False, 0.0, reasons)
        weakest, best = self._weakest(statement, language, passages)
        contradiction = _contradiction(statement, best)
        if contradiction is not None:
            return Support(False, 0.0, (contradiction,))
        if _word_for_word(statement, language, best, passages):
            return Support(True, 1.0)
        logit = _INTERCEPT + _WEAKEST * weakest + _FOREIGN * (language != "fr")
        if self._reader is not None:
            highest = _sigmoid(logit + _RELEVANCE * self._reader.highest_relevance)
            if highest <= _THRESHOLD:
                # Whatever the reader says: most of the time goes into asking it.
                return Support(False, highest, ("meaning",))
            read = self._reader.read(statement, passages)
            logit += _RELEVANCE * max(scores.relevance for scores in read)
        score = _sigmoid(logit)
        return Support(True, score) if score > _THRESHOLD else Support(False, score, ("meaning",))

    def _weakest(
        self, statement: str, language: Language, passages: Sequence[tuple[str, str]]
    ) -> tuple[float, str]:
        """Return the mean cosine of the three weakest words, and the sentence they are near to."""
        said = self._said(statement, language)
        nearest, weakest, best = -math.inf, 0.0, ""
        for head, body in passages:
            source = self._source(head, body)
            cosines = said.vectors @ source.vectors.T
            for sentence, inside in source.sentences:
                near = cosines[:, inside].max(axis=1)
                mean = float(near @ said.weights / said.weights.sum())
                if mean > nearest:
                    nearest, best = mean, sentence
                    weakest = float(np.sort(near[said.heavy])[:_WEAK_WORDS].mean())
        return weakest, best

    def _read_statement(self, statement: str, language: Language) -> _Said:
        (said,) = self._encoder.token_vectors([statement], query=True)
        weights = token_weights(statement, language, said)
        heavy = weights > np.quantile(weights, _LIGHT)
        heavy = heavy if heavy.any() else np.ones(len(weights), dtype=bool)
        return _Said(_units(said), weights, heavy)

    def _read_passage(self, head: str, body: str) -> _Source:
        text = f"{head}\n{body}" if head else body
        (tokens,) = self._encoder.token_vectors([text], query=False)
        middle = (tokens.starts + tokens.ends) / 2 - (len(head) + 1 if head else 0)
        parted = [
            (body[start:end], (start <= middle) & (middle <= end)) for start, end in sentences(body)
        ]
        # The encoder reads no more than it can: what it left out has no tokens.
        return _Source(_units(tokens), tuple(pair for pair in parted if pair[1].any()))


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _refusals(statement: str, texts: Sequence[str]) -> tuple[Reason, ...]:
    reasons: list[Reason] = []
    quantities = missing(statement, *texts)
    if any(quantity.kind == "number" for quantity in quantities):
        reasons.append("number")
    if any(quantity.kind != "number" for quantity in quantities):
        reasons.append("date")
    acronyms, names = absent_names(statement, *texts)
    if acronyms or names > _ABSENT_NAMES:
        reasons.append("name")
    return tuple(reasons)


def _contradiction(statement: str, sentence: str) -> Reason | None:
    """Return what a sentence has otherwise than a statement that is near to it."""
    if _denies(statement) != _denies(sentence):
        return "negation"
    if _modality(statement) != _modality(sentence):
        return "modality"
    # What one language says actively another says passively, and then the order turns.
    same_voice = bool(_PASSIVE.search(fold(statement))) == bool(_PASSIVE.search(fold(sentence)))
    return "role" if same_voice and turned_round(statement, sentence) else None


def _contradicted_by_all(statement: str, passages: Sequence[tuple[str, str]]) -> tuple[Reason, ...]:
    """Return why no sentence can support a statement, where that is the same for every one.

    Which of them is nearest need not be known then, and nothing is encoded.
    """
    found: set[Reason | None] = set()
    for _, body in passages:
        for start, end in sentences(body):
            found.add(_contradiction(statement, body[start:end]))
            if None in found or len(found) > 1:
                return ()
    return tuple(reason for reason in found if reason is not None)


def _denies(text: str) -> bool:
    return _DENYING.search(fold(text).replace("’", "'")) is not None


def _modality(text: str) -> tuple[bool, bool]:
    """Return whether a text says that something must be, and that it may be."""
    folded = fold(text)
    return _MUST.search(folded) is not None, _MAY.search(folded) is not None


def _word_for_word(
    statement: str, language: Language, sentence: str, passages: Sequence[tuple[str, str]]
) -> bool:
    """Return whether a sentence, with the line above its passage, has every word that matters."""
    said = set(content_words(statement, language))
    return any(
        said <= set(surface_tokens(f"{head} {sentence}"))
        for head, body in passages
        if sentence and sentence in body
    )


def _units(tokens: TokenVectors) -> Vectors:
    lengths = np.linalg.norm(tokens.vectors, axis=1, keepdims=True)
    unit: Vectors = tokens.vectors / np.maximum(lengths, 1e-9)
    return unit


def open_verifier(settings: Settings, encoder: Encoder) -> Verifier:
    """Return what checks the sentences of a language model; raises `ReaderError`."""
    return SignalVerifier(encoder, open_span_reader(settings, encoder))
