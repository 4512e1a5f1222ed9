"""BM25 with an analysis for each language, and a lexical vote across languages.

A question's word that no passage has is looked for in other spellings: written as one word or
as two, or with one letter wrong.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Literal

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_DUTCH, STOPWORDS_EN_PLUS, STOPWORDS_FRENCH
from numpy.typing import NDArray

from rag.types import Language

__all__ = [
    "LexicalIndex",
    "Term",
    "Words",
    "content_spans",
    "content_words",
    "fold",
    "read_languages",
    "stems",
    "surface_tokens",
    "words_of",
]

Scores = NDArray[np.float32]

# Robertson & Zaragoza 2009, section 3.5; the defaults of Lucene, near the best on the dev files.
_K1 = 1.2
_B = 0.75

_STEMMERS: dict[str, str] = {"fr": "french", "en": "english", "nl": "dutch"}
_TODAY = re.compile(r"\baujourd['’]hui\b", re.IGNORECASE)
_WORD = re.compile(r"\w+(?:-\w+)*")
_TYPED = re.compile(r"[^\W_]+")
_LETTERS_DIGITS = re.compile(r"^([a-z]+)(\d+)$")
# 1er, 2e, 3ème, 21st, 4de: the number alone is what the three languages share.
_ORDINAL = re.compile(r"^(\d+)(?:er|re|ere|e|eme|nd|nde|st|th|rd|de|ste)$")
# 10 000, 10.000 and 10,000 are 10000.
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:[ .,]\d{3})+(?![.,]?\d)")

# Votes for another spelling or name of a word count less than the word itself.
_SPELLING = 0.8
_COMPOUND = 0.7
_ALIAS = 0.5
# Shorter words have too many neighbours one letter away, and shorter parts say nothing.
_SHORTEST_MISSPELT = 5
_LONGEST_MISSPELT = 40
_SHORTEST_MISSPELT_STEM = 8
_SHORTEST_PART = 4
_MOST_SPELLINGS = 3
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

# Question words and fillers that the lists of bm25s leave out, folded.
_MORE_STOPWORDS: dict[str, str] = {
    "fr": "quel quelle quels quelles qui que quoi comment pourquoi combien quand lequel laquelle "
    "est sont etre fait font faire peut peuvent doit doivent cela ca ceci celui celle ceux "
    "dont ou si plus moins tres aussi selon entre par pour sans sous sur vers chez depuis "
    "quelqu un une des les aux du de la le ce cet cette ces il elle ils elles on nous vous "
    "je tu me te se y en ne pas avoir dit sert svp merci bonjour",
    "en": "what which who whom whose when where why how does do did is are was were be been can "
    "could should would will shall may might must the a an of in on at by for with from to "
    "and or not it its this that these those there their they he she his her we our you "
    "your i my me any some please tell about into also have has had",
    "nl": "wat welke welk wie wiens wanneer waar waarom hoe is zijn was waren wordt worden werd "
    "kan kunnen moet moeten mag zal zou de het een van in op aan bij voor met uit naar tot "
    "en of niet geen er die dat deze dit daar hier hun ze zij hij haar wij ons je jij u uw "
    "ik mijn heeft hebben had ook nog wel door over om te als dan",
}


def fold(text: str) -> str:
    """Return `text` in lower case without accents or ligatures."""
    text = text.casefold().replace("œ", "oe").replace("æ", "ae")
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


@lru_cache(maxsize=8)
def _stopwords(language: str) -> frozenset[str]:
    lists = {"fr": STOPWORDS_FRENCH, "en": STOPWORDS_EN_PLUS, "nl": STOPWORDS_DUTCH}
    words = {fold(word) for word in lists.get(language, ())}
    return frozenset(words.union(_MORE_STOPWORDS.get(language, "").split()))


@lru_cache(maxsize=1)
def _any_stopwords() -> frozenset[str]:
    return frozenset().union(*(_stopwords(language) for language in _STEMMERS))


@lru_cache(maxsize=8)
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(_STEMMERS[language])


# "a-t-il" is two words and no name: no passage has `atil`, and what none has weighs most.
_INVERSION = re.compile(r"-(?:t-)?(?:ce|elles?|ils?|je|nous|on|tu|vous)\b")


def surface_tokens(text: str) -> list[str]:
    """Split into folded words; elided articles fall away with the apostrophe.

    A compound gives its parts and the whole (`cyber-attaque` also gives
    `cyberattaque`, `CBM14` also `cbm` and `14`, `2e` also `2`, `10 000` also `10000`),
    so that any spelling meets any other.
    """
    folded = _INVERSION.sub("", fold(text))
    tokens = [re.sub(r"\D", "", match.group()) for match in _THOUSANDS.finditer(folded)]
    for match in _WORD.finditer(folded):
        parts = match.group().replace("_", " ").split("-")
        if len(parts) > 1:
            tokens.append("".join(parts))
        for part in parts:
            for token in part.split():
                if len(token) > 1 or token.isdigit():
                    tokens.append(token)
                if code := _LETTERS_DIGITS.match(token):
                    tokens.extend(code.groups())
                elif ordinal := _ORDINAL.match(token):
                    tokens.append(ordinal.group(1))
    return tokens


def content_words(text: str, language: Language) -> list[str]:
    """Return the surface tokens that are not function words of the language.

    Where the language is unknown, function words of every language are left out.
    """
    stop = _any_stopwords() if language == "unknown" else _stopwords(language)
    return [token for token in surface_tokens(text) if token not in stop]


def content_spans(text: str, language: Language) -> Iterator[tuple[int, int]]:
    """Yield where the words stand that are not function words of the language."""
    stop = _any_stopwords() if language == "unknown" else _stopwords(language)
    for match in _TYPED.finditer(text):
        word = fold(match.group())
        if (len(word) > 1 or word.isdigit()) and word not in stop:
            yield match.span()


def stems(text: str, language: Language) -> list[str]:
    """Return the Snowball stems of the content words; unknown languages are not stemmed.

    Words are folded before they are stemmed: questions are typed without accents.
    """
    words = content_words(text, language)
    return _stemmer(language).stemWords(words) if language in _STEMMERS else words


@dataclass(frozen=True, slots=True)
class Term:
    """A word that passages are scored by.

    `word` is folded; `token` is what the index knows it by. `origin` is the word or name of
    the question that it stands for, the same as `word` where it was typed so; `kind` says
    why. `weight` multiplies its BM25.
    """

    word: str
    token: str
    origin: str
    kind: Literal["word", "spelling", "compound", "alias"]
    weight: float


def words_of(text: str, language: Language) -> tuple[str, str]:
    """Return the stems of a passage, and its words as they are, each parted by spaces."""
    return " ".join(stems(text, language)), " ".join(content_words(text, language))


@dataclass(frozen=True, slots=True)
class Words:
    """The words of each passage, parted by spaces: stems of its language, and as they are."""

    stemmed: Sequence[str]
    surface: Sequence[str]

    @classmethod
    def of(cls, texts: Sequence[str], languages: Sequence[Language]) -> Words:
        """Return the words of passages; `languages[i]` is that of `texts[i]`."""
        pairs = [words_of(t, language) for t, language in zip(texts, languages, strict=True)]
        return cls([stemmed for stemmed, _ in pairs], [surface for _, surface in pairs])

    @classmethod
    def load(cls, folder: Path) -> Words:
        """Read what `save` wrote."""
        stemmed, surface = (
            (folder / f"{name}.txt").read_text(encoding="utf-8").split("\n")[:-1]
            for name in ("stemmed", "surface")
        )
        return cls(stemmed, surface)

    def save(self, folder: Path) -> None:
        """Write the words into a folder, a line for each passage."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, lines in (("stemmed", self.stemmed), ("surface", self.surface)):
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{name}.txt").write_text(text, encoding="utf-8", newline="\n")


class LexicalIndex:
    """Score passages by shared words, within a language and across languages.

    Two BM25 indexes: stems of the passage's own language, for questions in it; folded
    surface words, for questions in another, where only words that are spelt alike in
    both (acronyms, names, numbers, cognates) can match.
    """

    def __init__(
        self, stemmed: bm25s.BM25 | None, surface: bm25s.BM25 | None, languages: Sequence[Language]
    ) -> None:
        self._stemmed = stemmed
        self._surface = surface
        self._languages = np.array(languages, dtype=object)

    @classmethod
    def build(cls, texts: Sequence[str], languages: Sequence[Language]) -> LexicalIndex:
        """Index the passages; `languages[i]` is that of `texts[i]`."""
        return cls.of(Words.of(texts, languages), languages)

    @classmethod
    def of(cls, words: Words, languages: Sequence[Language]) -> LexicalIndex:
        """Index passages by their words; `languages[i]` is that of `words.stemmed[i]`."""
        stemmed, surface = (
            _bm25(line.split(" ") if line else [] for line in lines)
            for lines in (words.stemmed, words.surface)
        )
        return cls(stemmed, surface, languages)

    def __len__(self) -> int:
        return len(self._languages)

    def save(self, folder: Path) -> None:
        """Write the index into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, index in (("stemmed", self._stemmed), ("surface", self._surface)):
            if index is not None:
                index.save(str(folder / name), show_progress=False)
        (folder / "languages.json").write_text(json.dumps(self._languages.tolist()))

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """Read what `save` wrote."""
        stemmed, surface = (
            bm25s.BM25.load(str(folder / name)) if (folder / name).is_dir() else None
            for name in ("stemmed", "surface")
        )
        return cls(stemmed, surface, read_languages(folder))

    def scores(
        self, question: str, language: Language, names: Sequence[tuple[str, str]] = ()
    ) -> Scores:
        """Return one BM25 score a passage, 0 where no word is shared.

        A question of unknown language is taken to be in the language of each passage.
        `names` holds, for a name in the question, another name of the same thing.
        """
        total = np.zeros(len(self._languages), dtype=np.float32)
        for passage_language in set(self._languages):
            index = self._index(language, passage_language)
            values = np.zeros_like(total)
            for term in self.terms(question, language, passage_language, names):
                passages, scores = _postings(index, term.token)
                values[passages] += term.weight * scores
            chosen = self._languages == passage_language
            total[chosen] = values[chosen]
        return total

    def in_language(self, language: Language) -> NDArray[np.bool_]:
        """Return which passages are in the language of a question, as far as is known."""
        if language == "unknown":
            return np.ones(len(self._languages), dtype=bool)
        return np.asarray(self._languages == language, dtype=bool)

    def matches(
        self,
        passage: int,
        question: str,
        language: Language,
        names: Sequence[tuple[str, str]] = (),
    ) -> list[tuple[Term, float]]:
        """Return the terms that a passage has, with what each adds to its score, best first."""
        passage_language = self._languages[passage]
        index = self._index(language, passage_language)
        found = []
        for term in self.terms(question, language, passage_language, names):
            passages, scores = _postings(index, term.token)
            here = np.flatnonzero(passages == passage)
            if len(here):
                found.append((term, term.weight * float(scores[here[0]])))
        return sorted(found, key=lambda pair: -pair[1])

    def terms(
        self,
        question: str,
        language: Language,
        passage_language: Language,
        names: Sequence[tuple[str, str]] = (),
    ) -> list[Term]:
        """Return what passages in a language are searched for; only terms that some has."""
        own = self._own(language, passage_language)
        read: Language = passage_language if own else language
        index = self._index(language, passage_language)
        words = content_words(question, read)
        candidates = [_term(word, word, "word", 1.0) for word in words]
        candidates += self._compounds(question, read, words)
        if own:
            candidates += self._misspelt(words, read)
        for name, other in names:
            candidates += [
                _term(word, name, "alias", _ALIAS) for word in content_words(other, read)
            ]
        terms: dict[str, Term] = {}
        for term in candidates:
            token = _stemmer(read).stemWord(term.word) if own else term.word
            if index is not None and term.kind == "spelling" and token not in index.vocab_dict:
                token = term.token
            if index is not None and token in index.vocab_dict and token not in terms:
                terms[token] = Term(term.word, token, term.origin, term.kind, term.weight)
        return list(terms.values())

    def unknown_words(self, question: str, language: Language) -> list[str]:
        """Return the words of a question that no passage has in any form, as they were typed.

        Of a question in another language than all passages only acronyms and numbers are
        looked at: names are translated.
        """
        languages = set(self._languages.tolist())
        own = language == "unknown" or language in languages
        joined = {
            word
            for passage_language in languages
            for term in self.terms(question, language, passage_language)
            if term.kind == "compound"
            for word in surface_tokens(term.origin)
        }
        unknown: dict[str, str] = {}
        # The one common word with an apostrophe inside.
        for match in _WORD.finditer(_TODAY.sub(" ", question)):
            word = match.group()
            tokens = content_words(word, language)
            if not tokens or joined.intersection(tokens) or not (own or _is_code(word)):
                continue
            if not any(self.terms(word, language, other) for other in languages):
                unknown.setdefault(fold(word), word)
        return list(unknown.values())

    def _own(self, language: Language, passage_language: Language) -> bool:
        return language in ("unknown", passage_language) and passage_language in _STEMMERS

    def _index(self, language: Language, passage_language: Language) -> bm25s.BM25 | None:
        return self._stemmed if self._own(language, passage_language) else self._surface

    def _known(self, word: str) -> bool:
        return self._surface is not None and word in self._surface.vocab_dict

    def _compounds(self, question: str, language: Language, words: Sequence[str]) -> Iterator[Term]:
        """Yield words written apart as one (`cyber attaque`), and unknown ones as their parts."""
        for one, other in pairwise(surface_tokens(question)):
            if (
                min(len(one), len(other)) >= _SHORTEST_PART
                and one.isalpha()
                and other.isalpha()
                and self._known(one + other)
            ):
                yield _term(one + other, f"{one} {other}", "compound", _COMPOUND)
        for word in words:
            if len(word) > _LONGEST_MISSPELT or self._known(word) or not word.isalpha():
                continue
            for cut in range(_SHORTEST_PART, len(word) - _SHORTEST_PART + 1):
                if self._known(word[:cut]) and self._known(word[cut:]):
                    yield _term(word[:cut], word, "compound", _COMPOUND)
                    yield _term(word[cut:], word, "compound", _COMPOUND)
                    break

    def _misspelt(self, words: Sequence[str], language: Language) -> Iterator[Term]:
        """Yield the words of the passages that are one letter away from an unknown word."""
        if self._surface is None or self._stemmed is None:
            return
        for word in words:
            if not _SHORTEST_MISSPELT <= len(word) <= _LONGEST_MISSPELT or self._known(word):
                continue
            stem = _stemmer(language).stemWord(word)
            if stem in self._stemmed.vocab_dict:
                continue
            near = [other for other in _one_letter_away(word) if self._known(other)]
            near.sort(key=lambda other: (-len(_postings(self._surface, other)[0]), other))
            for other in near[:_MOST_SPELLINGS]:
                yield _term(other, word, "spelling", _SPELLING)
            if not near and len(stem) >= _SHORTEST_MISSPELT_STEM:
                # The passages may have the word in another form: "cyberataques", "cyberattaque".
                stems_near = [s for s in _one_letter_away(stem) if s in self._stemmed.vocab_dict]
                for other in sorted(stems_near)[:_MOST_SPELLINGS]:
                    yield Term(other, other, word, "spelling", _SPELLING)

    def coverage(
        self, question: str, language: Language, text: str, text_language: Language
    ) -> float:
        """Return which share of the question's content words stands in a text, in [0, 1].

        Words weigh by their inverse document frequency; a word that no passage has weighs
        most. Across languages only words that some passage has can be looked for; without
        any, the coverage is 0.
        """
        own = language in ("unknown", text_language) and text_language in _STEMMERS
        if own:
            index, asked = self._stemmed, set(stems(question, text_language))
            present = set(stems(text, text_language))
        else:
            index, asked = self._surface, set(content_words(question, language))
            present = set(content_words(text, text_language))
            asked = {word for word in asked if index is not None and word in index.vocab_dict}
        weights = {word: _idf(index, word) for word in asked}
        total = sum(weights.values())
        return sum(weights[word] for word in asked & present) / total if total else 0.0


def read_languages(folder: Path) -> list[Language]:
    """Return the languages of the passages of an index that was saved into a folder."""
    found: list[Language] = json.loads((folder / "languages.json").read_text())
    return found


def _idf(index: bm25s.BM25 | None, word: str) -> float:
    if index is None:
        return 1.0
    pointers, count = index.scores["indptr"], index.scores["num_docs"]
    token = index.vocab_dict.get(word)
    frequency = 0 if token is None else int(pointers[token + 1] - pointers[token])
    return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))


def _bm25(tokens: Iterable[list[str]]) -> bm25s.BM25 | None:
    corpus = list(tokens)
    if not any(corpus):
        return None
    index = bm25s.BM25(k1=_K1, b=_B, method="lucene")
    index.index(corpus, show_progress=False, create_empty_token=True)
    return index


def _postings(index: bm25s.BM25 | None, token: str) -> tuple[NDArray[np.int32], Scores]:
    """Return the passages that have a token, and its BM25 in each."""
    number = None if index is None else index.vocab_dict.get(token)
    if index is None or number is None:
        return np.empty(0, dtype=np.int32), np.empty(0, dtype=np.float32)
    # bm25s computes the scores when it indexes: a sparse matrix, one column a token.
    start, end = index.scores["indptr"][number], index.scores["indptr"][number + 1]
    return index.scores["indices"][start:end], index.scores["data"][start:end]


def _is_code(word: str) -> bool:
    return any(map(str.isdigit, word)) or (len(word) > 1 and word.isupper())


def _term(
    word: str, origin: str, kind: Literal["word", "spelling", "compound", "alias"], weight: float
) -> Term:
    return Term(word, word, origin, kind, weight)


def _one_letter_away(word: str) -> Iterator[str]:
    """Yield every string one letter away (Norvig 2007): wrong, missing, too many, swapped."""
    seen = {word}
    for i in range(len(word) + 1):
        head, rest = word[:i], word[i:]
        options = [head + letter + rest for letter in _ALPHABET]
        if rest:
            options.append(head + rest[1:])
            options += [head + letter + rest[1:] for letter in _ALPHABET]
        if len(rest) > 1:
            options.append(head + rest[1] + rest[0] + rest[2:])
        for option in options:
            if option not in seen:
                seen.add(option)
                yield option
