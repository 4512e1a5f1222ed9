"""BM25 with an analysis for each language, and a lexical vote across languages."""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import bm25s
import numpy as np
import Stemmer
from bm25s.stopwords import STOPWORDS_DUTCH, STOPWORDS_EN_PLUS, STOPWORDS_FRENCH
from numpy.typing import NDArray

from rag.types import Language

__all__ = ["LexicalIndex", "content_words", "fold", "stems", "surface_tokens"]

Scores = NDArray[np.float32]

# Robertson & Zaragoza 2009, section 3.5; the defaults of Lucene, near the best on the dev files.
_K1 = 1.2
_B = 0.75

_STEMMERS: dict[str, str] = {"fr": "french", "en": "english", "nl": "dutch"}
_WORD = re.compile(r"\w+(?:-\w+)*")
_LETTERS_DIGITS = re.compile(r"^([a-z]+)(\d+)$")

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


def surface_tokens(text: str) -> list[str]:
    """Split into folded words; elided articles fall away with the apostrophe.

    A compound gives its parts and the whole (`cyber-attaque` also gives
    `cyberattaque`, `CBM14` also `cbm` and `14`), so that any spelling meets any other.
    """
    tokens: list[str] = []
    for match in _WORD.finditer(fold(text)):
        parts = match.group().replace("_", " ").split("-")
        if len(parts) > 1:
            tokens.append("".join(parts))
        for part in parts:
            for token in part.split():
                if len(token) > 1 or token.isdigit():
                    tokens.append(token)
                if code := _LETTERS_DIGITS.match(token):
                    tokens.extend(code.groups())
    return tokens


def content_words(text: str, language: Language) -> list[str]:
    """Return the surface tokens that are not function words of the language.

    Where the language is unknown, function words of every language are left out.
    """
    stop = _any_stopwords() if language == "unknown" else _stopwords(language)
    return [token for token in surface_tokens(text) if token not in stop]


def stems(text: str, language: Language) -> list[str]:
    """Return the Snowball stems of the content words; unknown languages are not stemmed.

    Words are folded before they are stemmed: questions are typed without accents.
    """
    words = content_words(text, language)
    return _stemmer(language).stemWords(words) if language in _STEMMERS else words


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
        stemmed = _bm25(stems(t, lang) for t, lang in zip(texts, languages, strict=True))
        surface = _bm25(content_words(t, lang) for t, lang in zip(texts, languages, strict=True))
        return cls(stemmed, surface, languages)

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
        return cls(stemmed, surface, json.loads((folder / "languages.json").read_text()))

    def scores(self, question: str, language: Language) -> Scores:
        """Return one BM25 score a passage, 0 where no word is shared.

        A question of unknown language is taken to be in the language of each passage.
        """
        total = np.zeros(len(self._languages), dtype=np.float32)
        for passage_language in set(self._languages):
            own = language in ("unknown", passage_language)
            if own and passage_language in _STEMMERS:
                values = _score(self._stemmed, stems(question, passage_language))
            else:
                values = _score(self._surface, content_words(question, language))
            chosen = self._languages == passage_language
            total[chosen] = values[chosen] if values is not None else 0.0
        return total

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


def _score(index: bm25s.BM25 | None, tokens: list[str]) -> Scores | None:
    known = [token for token in tokens if index is not None and token in index.vocab_dict]
    if index is None or not known:
        return None
    return np.asarray(index.get_scores(known), dtype=np.float32)
