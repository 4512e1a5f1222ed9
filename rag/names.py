"""Names and acronyms of a statement, and whether a French passage has them in its own words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from difflib import SequenceMatcher
from functools import cache, lru_cache
from itertools import pairwise

from babel import Locale

from rag.lexical import fold, surface_tokens
from rag.quantities import quantities

__all__ = ["absent_names", "turned_round"]

# Bodies that go by other letters in other languages.
_ACRONYMS = (
    ("nato", "otan", "navo"),
    ("eu", "ue"),
    ("un", "uno", "onu", "vn"),
    ("us", "usa", "vs", "eua"),
    ("uk", "vk", "gb"),
    ("gdpr", "rgpd", "avg"),
    ("osce", "ovse"),
    ("oecd", "ocde", "oeso"),
    ("itu", "uit"),
    ("who", "oms", "who"),
    ("wto", "omc"),
    ("imf", "fmi"),
    ("ecb", "bce"),
    ("echr", "cedh", "evrm"),
    ("ai", "ia"),
    ("vat", "tva", "btw"),
    ("sme", "smes", "pme", "kmo"),
    ("ngo", "ngos", "ong", "ngo"),
    ("dpa", "apd", "gba"),
    ("icc", "cpi"),
)
_ALIKE = 0.75
_SAME_BEGINNING = 4
# "Brussel", « Bruxelles »: a shorter beginning, where the rest is alike enough.
_SHORT_BEGINNING = 3
_NEARLY_ALIKE = 0.6
_FEWEST_ALIKE = 5
_FEWEST_LETTERS = 2
# Texts whose words are kept, and pairs of words that were compared.
_KEPT = 64
_PAIRS_KEPT = 1 << 16
# A capital that does not open the sentence, and what is written in capitals anywhere.
_NAME = re.compile(
    r"""(?:(?<=[^.?!:\s] )|(?<=['’"“«(\[-])|(?<=«\u00a0))[A-ZÀ-Ý][\w.-]*|\b[A-Z]{2}[\w.-]*"""
)
# Capitals of English grammar and of forms of address.
_NO_NAMES = frozenset(
    ["i", "mr", "mrs", "ms", "dr", "m", "mme", "mlle", "prof", "sir", "dhr", "mevr"]
)


def absent_names(statement: str, *texts: str) -> tuple[tuple[str, ...], float]:
    """Return the acronyms and the share of other names in a statement that no text has.

    A country counts as named in any of the three languages, a name as there when a word of
    the texts begins or is written like it: "European" for « européenne ». Acronyms are there
    letter for letter, or not at all.
    """
    known = _known(" ".join(texts))
    acronyms, names, missing = [], 0, 0
    for name in _names(statement):
        tokens = surface_tokens(name)
        if not tokens or any(map(_calendar, tokens)):
            continue
        if name.isupper() and len(name) >= _FEWEST_LETTERS:
            # Of letters alone, one in another place makes another body.
            acronyms += [] if tokens[0] in known else [name]
        else:
            names += 1
            missing += not _among(tokens[-1], known)
    return tuple(acronyms), missing / max(names, 1)


@lru_cache(_KEPT)
def _known(text: str) -> Set[str]:
    """Return the words of a text, with what its countries and bodies are called elsewhere."""
    known = set(surface_tokens(text))
    known.update(_countries_in(text))
    return known | {other for group in _ACRONYMS if known & set(group) for other in group}


def turned_round(statement: str, sentence: str) -> bool:
    """Return whether two names stand in another order in a statement than in a sentence.

    « Le CCB représente la Belgique » is not "Belgium represents the CCB".
    """
    words = surface_tokens(sentence)
    places = []
    for name in _names(statement):
        tokens = surface_tokens(name)
        if tokens and not any(map(_calendar, tokens)):
            wanted = _called(tokens[-1])
            found = [i for i, word in enumerate(words) if word in wanted or _among(word, wanted)]
            places += found[:1]
    return any(later < earlier for earlier, later in pairwise(places))


def _called(token: str) -> Set[str]:
    """Return a word of a name with what it is called in the other languages."""
    others = {other for group in _ACRONYMS if token in group for other in group}
    names = {word for name, words in _territories() if name == token for word in words}
    return {token} | others | names


def _names(text: str) -> Iterator[str]:
    for match in _NAME.finditer(text):
        name = match.group().rstrip(".-")
        if name and fold(name) not in _NO_NAMES:
            yield name


def _calendar(token: str) -> bool:
    return any(quantity.kind != "number" for quantity in quantities(token)) or token in ("may",)


def _among(token: str, known: Set[str]) -> bool:
    # Niger is not Nigeria: a country is there by one of its names, or not at all.
    if token in known or token in _country_words():
        return token in known
    return any(_alike(token, other) for other in known)


@lru_cache(_PAIRS_KEPT)
def _alike(one: str, other: str) -> bool:
    if min(len(one), len(other)) < _FEWEST_ALIKE:
        return False
    if one[:_SAME_BEGINNING] == other[:_SAME_BEGINNING]:
        return True
    begins = one[:_SHORT_BEGINNING] == other[:_SHORT_BEGINNING]
    least = _NEARLY_ALIKE if begins else _ALIKE
    matcher = SequenceMatcher(None, one, other)
    # The first two are upper bounds, and take a small part of the time.
    ratios = (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio)
    return all(ratio() >= least for ratio in ratios)


@cache
def _country_words() -> frozenset[str]:
    """Return the names of countries that are one word, in all languages."""
    return frozenset(name for name, _ in _territories() if " " not in name)


@cache
def _territories() -> tuple[tuple[str, frozenset[str]], ...]:
    """Return each name of a country, folded, with the words of its names in all languages."""
    named = [Locale(language).territories for language in ("fr", "en", "nl")]
    rows = []
    for code in named[0]:
        names = [fold(table[code]) for table in named if code in table and str(code).isalpha()]
        words = frozenset(word for name in names for word in surface_tokens(name))
        rows += [(name, words) for name in names]
    return tuple(rows)


def _countries_in(text: str) -> Iterator[str]:
    folded = f" {' '.join(surface_tokens(text))} "
    for name, words in _spoken_territories():
        if name in folded:
            yield from words


@cache
def _spoken_territories() -> tuple[tuple[str, frozenset[str]], ...]:
    """Return each name of a country as its words stand between others."""
    return tuple((f" {' '.join(surface_tokens(name))} ", words) for name, words in _territories())
