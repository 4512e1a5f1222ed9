"""Tell in which language a text is written.

Questions are too short for statistics over letters: "Who represents Belgium in
ECCG?" scores 0.59 for English. Function words decide first, and py3langid decides
where there are none or where the text is long enough to be trusted.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rag.types import Language

__all__ = ["detect", "likelihoods"]

_SUPPORTED: tuple[Language, ...] = ("fr", "en", "nl")

# Enough to be sure, and little enough to be quick on a book.
_SAMPLE = 12_000
# py3langid over fr, en and nl: headings of two words in the right language score
# 0.93 to 0.98, acronyms and words shared by the three at most 0.77.
_CONFIDENT = 0.9
# From this many words on, the unrestricted model tells Spanish or German reliably.
_LONG = 20


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words that exist in one of the languages only count fully, shared ones a quarter.
_WORDS: dict[str, frozenset[str]] = {
    "fr": _set(
        "le la les l d qu j n c s un une des du de au aux et ou est sont était étaient été sera "
        "ont avait a qui que quoi quel quelle quels quelles lequel laquelle où quand comment "
        "pourquoi combien dans en pour sur avec sans sous par chez entre vers depuis pendant "
        "selon ce cet cette ces son sa ses leur leurs notre nos votre vos mon ma mes il elle ils "
        "elles nous vous je tu on se ne pas plus moins dont donc mais si y lors afin ainsi aussi "
        "peut doit fait faut très même tout tous toute toutes celui celle ceux celles quoi as"
    ),
    "en": _set(
        "the of and is are was were be been being what who whom whose which where when how why "
        "does do did has have had can could should would will may might must with without from "
        "by for to in on at an a it its this that these those their there they he she you your "
        "we our his her not or as into about between than then if any all many much also s"
    ),
    "nl": _set(
        "de het een van en dat die wie wat waar wanneer hoe waarom hoeveel welke welk zijn is was "
        "waren wordt worden werd niet met voor door op in aan bij uit naar om te ook als maar of "
        "heeft hebben had kan kunnen moet moeten deze dit hun zij hij wij we ze er geen tot "
        "tussen onder over tegen je ik u uw ons onze haar mijn nog al dan sinds volgens binnen "
        "waarin waarmee waarvan waarop"
    ),
    # Neighbours that share words with the three, so that they are not mistaken for them.
    "other": _set(
        "der das und ist nicht dem den ein eine wer wo welche im mit für von zu auf des sich auch "
        "el los las una un del y es por con para está cuál quién dónde cómo su que la en de se "
        "il lo gli della delle dei di che è sono per non chi dove come nel e o os as uma não do "
        "da dos em são quem qual onde"
    ),
}
_WORD = re.compile(r"[^\W\d_]+")
# The "be" of "CERT.be" is no English verb.
_ADDRESS = re.compile(r"\w[.@/]\w")
_FRENCH_LETTERS = re.compile(r"[àâçèêîôûùœ]")


def detect(text: str) -> Language:
    """Return the language of a question, a heading or a document.

    The answer is `unknown` when nothing tells: no words, acronyms and names only,
    or a language other than French, English and Dutch.
    """
    return _detect(" ".join(w for w in text[:_SAMPLE].split() if not _ADDRESS.search(w)))


# The reader of pasted pages asks for the language of a text, and then everybody does.
@lru_cache(maxsize=8)
def _detect(sample: str) -> Language:
    words = _words(sample)
    if not words:
        return "unknown"
    scores = _function_words(words, sample)
    ranked = sorted(scores, key=lambda name: scores[name], reverse=True)
    best, second = scores[ranked[0]], scores[ranked[1]]
    clear = best >= 1 and best >= 1.5 * second
    if len(words) >= _LONG:
        return _detect_long(sample, ranked[0] if clear else None, best / len(words))
    if clear:
        return _language(ranked[0])
    if len(_WORD.findall(sample)) < 2:
        return "unknown"
    language, probability = max(likelihoods(sample).items(), key=lambda pair: pair[1])
    return language if probability >= _CONFIDENT else "unknown"


def likelihoods(text: str) -> dict[Language, float]:
    """Return the probability of each supported language, given that it is one of them.

    A text without any evidence gives them equal probabilities. py3langid flattens
    its probabilities by the length of the text, so they are low for short ones.
    """
    ranked = dict(_identifier().rank(text[:_SAMPLE]))
    total = sum(ranked[language] for language in _SUPPORTED)
    if total <= 0:
        return dict.fromkeys(_SUPPORTED, 1 / len(_SUPPORTED))
    return {language: ranked[language] / total for language in _SUPPORTED}


def _detect_long(sample: str, by_words: str | None, density: float) -> Language:
    name, probability = _identifier().rank(sample)[0]
    if name == by_words or (by_words is None and probability >= _CONFIDENT):
        return _language(name)
    # Function words are a quarter to a half of ordinary prose in their language.
    # Lists of names and addresses confuse the letter model, but not these.
    if by_words is not None and density >= 0.2 and probability < _CONFIDENT:
        return _language(by_words)
    return "unknown"


def _words(text: str) -> list[str]:
    shouting = text.isupper()
    return [
        word.lower()
        for word in _WORD.findall(text)
        if shouting or len(word) == 1 or not word.isupper()
    ]


def _function_words(words: list[str], text: str) -> dict[str, float]:
    scores = dict.fromkeys(_WORDS, 0.0)
    for word in words:
        languages = [name for name, known in _WORDS.items() if word in known]
        for name in languages:
            # "other" only takes weight away where it alone knows the word.
            alone = len([each for each in languages if each != "other"]) <= 1
            scores[name] += 1.0 if languages == ["other"] or (alone and name != "other") else 0.25
    if _FRENCH_LETTERS.search(text.lower()):
        scores["fr"] += 0.5
    return scores


def _language(name: str) -> Language:
    for language in _SUPPORTED:
        if language == name:
            return language
    return "unknown"


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
