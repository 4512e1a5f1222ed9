"""Whether passages support a statement: the check that every written sentence must pass.

What cannot be told is not supported. A number, a date, a unit, an acronym or a name that neither
the passages nor the question have is enough to refuse, and so is a denial, a duty or a permission
on one side only, and names in another order. A sentence of a passage, letter for letter, is
supported. Of anything else a small trained network says how likely the passages support it
(`rag/support_network.py`), and a high threshold decides.

`eval/statements.jsonl` measures what it lets through and what it keeps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from rag.config import Settings
from rag.encoder import Encoder
from rag.language import detect
from rag.lexical import content_words, fold
from rag.names import absent_names, turned_round
from rag.quantities import missing
from rag.sentences import sentences
from rag.support_model import Judgement, open_support_model

__all__ = [
    "Judge",
    "Reason",
    "Support",
    "TrainedVerifier",
    "Verifier",
    "contradicted",
    "decided_by_words",
    "open_verifier",
]

Reason = Literal["number", "date", "name", "negation", "modality", "role", "meaning", "language"]

# `training/thresholds.py` prints these: a logistic regression on 1,678 labelled statements about
# other passages, less those that the rules here decide. The threshold lets 2 to 3 in a hundred of
# all wrong ones there through. It was made that strict when the one for 5 let 14 of the reported
# ones through, of `eval/statements.jsonl`: other texts are otherwise.
_INTERCEPT = 0.914
_SUPPORT = 0.450
_DOUBT = -0.272
_THRESHOLD = 0.80
# Of a statement with two names one may be written otherwise in French than it is known here.
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


class Judge(Protocol):
    """What checking needs of a network."""

    def judge(self, statement: str, passages: Sequence[tuple[str, str]]) -> Judgement:
        """Judge a statement by passages read together, each the line above it and its body."""


class TrainedVerifier:
    """Support a statement when nothing in it is missing, and a network finds it supported."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def verify(
        self, statement: str, passages: Sequence[tuple[str, str]], *, question: str = ""
    ) -> Support:
        """Check a statement against passages, each the line above it and its body."""
        plain = decided_by_words(statement, passages, question)
        if plain is not None:
            return plain
        judged = self._judge.judge(statement, passages)
        contradiction = contradicted(statement, judged.nearest)
        if contradiction is not None:
            return Support(False, 0.0, (contradiction,))
        logit = _INTERCEPT + _SUPPORT * judged.support + _DOUBT * judged.doubt
        score = 1 / (1 + math.exp(-logit))
        if score > _THRESHOLD:
            return Support(True, score)
        return Support(False, score, ("meaning",))


def decided_by_words(
    statement: str, passages: Sequence[tuple[str, str]], question: str
) -> Support | None:
    """Return whether passages support a statement where that needs no network, None elsewhere."""
    if not passages or not content_words(statement, detect(statement)):
        return Support(False, 0.0, ("meaning",))
    reasons = _refusals(statement, [*(f"{head} {body}" for head, body in passages), question])
    if reasons:
        return Support(False, 0.0, reasons)
    return Support(True, 1.0) if _word_for_word(statement, passages) else None


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


def contradicted(statement: str, sentence: str) -> Reason | None:
    """Return what a sentence has otherwise than a statement that is near to it."""
    if _denies(statement) != _denies(sentence):
        return "negation"
    if _modality(statement) != _modality(sentence):
        return "modality"
    # What one language says actively another says passively, and then the order turns.
    same_voice = bool(_PASSIVE.search(fold(statement))) == bool(_PASSIVE.search(fold(sentence)))
    return "role" if same_voice and turned_round(statement, sentence) else None


def _denies(text: str) -> bool:
    return _DENYING.search(fold(text).replace("’", "'")) is not None


def _modality(text: str) -> tuple[bool, bool]:
    """Return whether a text says that something must be, and that it may be."""
    folded = fold(text)
    return _MUST.search(folded) is not None, _MAY.search(folded) is not None


def _word_for_word(statement: str, passages: Sequence[tuple[str, str]]) -> bool:
    """Return whether a statement is a sentence of the passages, letter for letter.

    A part of a sentence is not enough: what is left out may be a condition.
    """
    said = _plain(statement)
    return any(
        said == _plain(body[start:end]) for _, body in passages for start, end in sentences(body)
    )


def _plain(text: str) -> str:
    """Return a text without what may differ: white space, capitals, the form of apostrophes."""
    return " ".join(text.replace("’", "'").split()).casefold().rstrip(" .…;")


def open_verifier(settings: Settings, encoder: Encoder) -> Verifier:
    """Return what checks the sentences of a language model.

    Raises `ReaderError` or `EncoderError` when it does not load.
    """
    return TrainedVerifier(open_support_model(settings, encoder))
