"""Follow-ups into questions that stand alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rag.lexical import content_words, fold
from rag.types import Language

__all__ = ["depends_on_history", "standalone"]

# Openings and pronouns that only make sense after another question, on folded text. By
# language: the French "en" opens a question that stands alone, the Dutch one continues.
_OPENINGS = {
    "fr": r"et|mais|alors|ou bien",
    "en": r"and|but|or|so|what about|how about",
    "nl": r"en|maar|dus|of|hoe zit het",
}
_PRONOUNS = {
    "fr": r"il|elle|ils|elles|leur|leurs|celui-ci|celle-ci|cela|ca|ce dernier|cette derniere",
    "en": r"it|its|they|them|their|he|she|this one|that one|there",
    "nl": r"hij|zij|ze|hun|dat|daar|daarvan|ervan",
}
# A question with fewer content words than this has no subject of its own; one with more
# than that says enough to be searched for, whatever it opens with.
_FEW_WORDS = 2
_MANY_WORDS = 6
# An acronym anywhere, or a capitalised word that does not open the question.
_NAME = re.compile(r"\b[A-ZÀ-Ý][A-ZÀ-Ý-]+\b|(?<=[\w,'’] )[A-ZÀ-Ý]|(?<=['’])[A-ZÀ-Ý]")


def depends_on_history(question: str, language: Language) -> bool:
    """Return whether a question is only understood from the ones before it."""
    text = fold(question).replace("’", "'").strip()
    words = content_words(question, language)
    opening = _match("^(?:{})\\b", _OPENINGS, language, text)
    if opening and len(words) <= _MANY_WORDS:
        return True
    if _NAME.search(question):
        return False
    pronoun = _match("\\b(?:{})\\b", _PRONOUNS, language, text)
    return len(words) < _FEW_WORDS or (pronoun and len(words) <= _MANY_WORDS)


def _match(pattern: str, words: Mapping[str, str], language: Language, text: str) -> bool:
    chosen = [words[language]] if language in words else list(words.values())
    return re.search(pattern.format("|".join(chosen)), text) is not None


def standalone(question: str, history: Sequence[str], language: Language) -> str:
    """Return the question with what it leaves unsaid carried over from the last ones.

    `history` holds the user's earlier questions, oldest first. A question that stands
    alone is returned as it is. The earlier question that itself stood alone is carried
    over, with those since.
    """
    carried: list[str] = []
    if not history or not depends_on_history(question, language):
        return question
    for earlier in reversed(history):
        carried.insert(0, earlier.strip())
        if not depends_on_history(earlier, language):
            break
    return " ".join([*carried, question])
