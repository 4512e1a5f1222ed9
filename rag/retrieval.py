"""Find passages: dense and lexical retrievers, fused; a LangChain retriever."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
)
from langchain_core.documents import Document as LangChainDocument
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import ConfigDict

from rag.aliases import Alias
from rag.encoder import Encoder, Vectors
from rag.errors import InvalidFilter
from rag.index import Index
from rag.language import detect
from rag.late import token_weights
from rag.lexical import Term, fold, surface_tokens
from rag.reranking import SecondStage
from rag.types import Document, Facet, FacetValue, Language, Ranking, ScoredChunk

__all__ = ["Explanation", "Filters", "HybridRetriever", "facets", "parse_filter"]

Filters = Mapping[str, str]

# The fused score is a weighted sum: the cosine of question and passage, the late interaction of
# their tokens, and BM25 over its largest inverse document frequency. Chosen on the questions of
# PIAF train over the 561 passages of PIAF train and dev; `benchmarks/retrieval.py` prints the
# tables. Across languages only words spelt alike vote, so the vote weighs less.
_COSINE = 0.15
_LATE = 0.4
_WITHIN_LANGUAGE = 0.05
_ACROSS_LANGUAGES = 0.025
# Which passages are compared token by token: the best by cosine and words alone, a cosine being
# worth less against words than late interaction is.
_FIRST_WITHIN_LANGUAGE = 0.10
_FIRST_ACROSS_LANGUAGES = 0.045
# A passage that says what a better one says in nearly the same words, by the shingles of words
# that they share (Broder 1997), stands back.
_SHINGLE = 4
_NEARLY_THE_SAME = 0.8
_REPEATED = 0.05
_ROUNDING = 1e-4

# Names for the same filter, as people type them and as notes have them.
_FILTER_NAMES = {
    "pays": "country",
    "land": "country",
    "document": "doc",
    "doc_id": "doc",
    "lang": "language",
    "langue": "language",
    "taal": "language",
}
# What people are offered to filter by; a filter may name any other property too.
_FACETS = ("doc", "language", "type", "tag", "country")


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a passage stands where it does.

    `parts` are what its score is the sum of, the reader's part and what a passage loses that it
    did not read included; a cross-encoder only gives the scores out anew. `terms` are the words
    that it was found by, with what each adds to its BM25, best first.
    """

    hit: ScoredChunk
    parts: Mapping[str, float]
    terms: tuple[tuple[Term, float], ...]


class HybridRetriever(BaseRetriever):
    """Rank passages by meaning and by words together, and the best of them once more.

    `invoke(question)` gives LangChain documents; `rank` gives a `Ranking`. `second` is a
    `SecondStage`, or None for none.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: Index
    encoder: Any
    second: Any = None
    candidates: int = 50
    k: int = 10

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filters: Filters | None = None,
    ) -> list[LangChainDocument]:
        ranking = self.rank(query, k=k or self.k, filters=filters)
        return [
            LangChainDocument(
                id=hit.chunk.chunk_id,
                page_content=hit.chunk.text,
                metadata={
                    "doc_id": hit.chunk.doc_id,
                    "title": hit.chunk.metadata.get("title", ""),
                    "start": hit.chunk.start,
                    "end": hit.chunk.end,
                    "heading_path": list(hit.chunk.heading_path),
                    "score": hit.score,
                },
            )
            for hit in ranking.hits
        ]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filters: Filters | None = None,
    ) -> list[LangChainDocument]:
        # LangChain's own version passes neither on.
        return await run_in_executor(
            None,
            self._get_relevant_documents,
            query,
            run_manager=run_manager.get_sync(),
            k=k,
            filters=filters,
        )

    def rank(
        self,
        query: str,
        *,
        k: int = 10,
        language: Language | None = None,
        filters: Filters | None = None,
    ) -> Ranking:
        """Return the best `k` passages for a question.

        `language` is that of the question, detected when not given. A passage matches
        `filters` when for every key its document has the value, or the value among its
        values. Raises `InvalidFilter` when no document matches.
        """
        first = self.first_stage(query, k=k, language=language, filters=filters)
        return self.second_stage(first, k=k)

    def first_stage(
        self,
        query: str,
        *,
        k: int = 10,
        language: Language | None = None,
        filters: Filters | None = None,
    ) -> Ranking:
        """Return the best passages by meaning and words: `k`, or what the second stage reads."""
        language = detect(query) if language is None else language
        allowed = self.allowed(filters) if filters else None
        if not self.index.chunks or not any(character.isalnum() for character in query):
            return Ranking(query, (), language)
        encoder: Encoder = self.encoder
        vector, tokens = encoder.read_query(query)
        names = self._names(query, language)
        bm25 = self.index.lexical.scores(query, language, names)
        cosines = self._propose(vector, bm25, max(self.candidates, k), language, allowed)
        positions = list(cosines)
        weights = token_weights(query, language, tokens)
        late = dict(
            zip(positions, self.index.late.scores(tokens, weights, positions).tolist(), strict=True)
        )
        by_words = self._weights(language, _WITHIN_LANGUAGE, _ACROSS_LANGUAGES)
        fused = {
            i: float(_COSINE * cosines[i] + _LATE * late[i] + by_words[i] * bm25[i])
            for i in positions
        }
        depth = k if self.second is None else max(k, self.second.depth)
        repeated = self._repeated(fused, depth)
        fused.update({i: fused[i] - _REPEATED for i in repeated})
        order = sorted(fused, key=lambda i: (-fused[i], i))[:depth]
        hits = [
            ScoredChunk(
                chunk=self.index.chunks[i],
                score=fused[i],
                rank=rank,
                dense=cosines[i],
                lexical=float(bm25[i]) if bm25[i] > 0 else None,
                late=late[i],
                weight=float(by_words[i]),
                repeated=i in repeated,
            )
            for rank, i in enumerate(order, start=1)
        ]
        return Ranking(query, tuple(hits), language)

    def second_stage(self, ranking: Ranking, *, k: int = 10) -> Ranking:
        """Return the best `k` passages of a first stage in the order of the second."""
        hits: Sequence[ScoredChunk] = ranking.hits
        if self.second is not None and hits:
            second: SecondStage = self.second
            hits = second.rerank(ranking.query, hits, self.index.documents)
        return replace(ranking, hits=tuple(hits[:k]))

    def explain(self, ranking: Ranking) -> list[Explanation]:
        """Return for each passage of a ranking which words and names it was found by."""
        names = self._names(ranking.query, ranking.language)
        lexical = self.index.lexical
        return [
            Explanation(
                hit,
                _parts(hit),
                tuple(
                    lexical.matches(
                        self.index.position(hit.chunk), ranking.query, ranking.language, names
                    )
                ),
            )
            for hit in ranking.hits
        ]

    def aliases(self, ranking: Ranking) -> tuple[Alias, ...]:
        """Return the other names that were looked for as well."""
        return self.index.aliases.expand(ranking.query, ranking.language)

    def _names(self, query: str, language: Language) -> list[tuple[str, str]]:
        return [(a.name, a.other) for a in self.index.aliases.expand(query, language)]

    def _propose(
        self,
        vector: Vectors,
        bm25: Vectors,
        count: int,
        language: Language,
        allowed: Sequence[str] | None,
    ) -> dict[int, float]:
        """Return the positions and cosines of the passages worth a closer look."""
        cosines = dict(self.index.dense(vector, count, allowed))
        if allowed is not None:
            inside = set(allowed)
            bm25[[chunk.doc_id not in inside for chunk in self.index.chunks]] = 0.0
        best = np.argsort(-bm25, kind="stable")[:count]
        # What only one retriever proposed is scored by the other too: no score is guessed.
        missing = [int(i) for i in best if bm25[i] > 0 and int(i) not in cosines]
        cosines.update(zip(missing, (self.index.vectors(missing) @ vector).tolist(), strict=True))
        weights = self._weights(language, _FIRST_WITHIN_LANGUAGE, _FIRST_ACROSS_LANGUAGES)
        order = sorted(cosines, key=lambda i: (-cosines[i] - weights[i] * float(bm25[i]), i))
        return {i: cosines[i] for i in order[:count]}

    def _weights(self, language: Language, within: float, across: float) -> Vectors:
        """Return what BM25 is multiplied by, for each passage."""
        top = math.log(1 + len(self.index.chunks))
        own = self.index.lexical.in_language(language)
        weights: Vectors = (np.where(own, within, across) / top).astype(np.float32)
        return weights

    def _repeated(self, fused: Mapping[int, float], depth: int) -> set[int]:
        """Return which of the best passages say in nearly the same words what a better one says."""
        kept: list[set[tuple[str, ...]]] = []
        repeated = set()
        for i in sorted(fused, key=lambda i: (-fused[i], i))[: 2 * depth]:
            shingles = _shingles(self.index.chunks[i].text)
            if any(_alike(shingles, other) for other in kept):
                repeated.add(i)
            else:
                kept.append(shingles)
        return repeated

    def allowed(self, filters: Filters) -> list[str]:
        """Return the documents that match filters; raises `InvalidFilter` when none does."""
        matching = _matching(self.index.documents, filters)
        if not matching:
            wanted = ", ".join(f"{key}={value}" for key, value in filters.items())
            raise InvalidFilter(
                "No document matches the filter {wanted}; 'citadelle sources' lists what there is.",
                wanted=wanted,
            )
        return matching


def facets(documents: Mapping[str, Document]) -> tuple[Facet, ...]:
    """Return what documents can be filtered by, with the values that they have.

    Values that a filter takes for the same are one. A facet that cannot narrow anything,
    because none has a value or all documents have the same, is left out.
    """
    titles = Counter(fold(document.title) for document in documents.values())
    found = []
    for name in _FACETS:
        labels: dict[str, str] = {}
        counts: Counter[str] = Counter()
        for document in documents.values():
            keys = {_filter_value(name, value) for value in _values(document, name)}
            counts.update(keys)
            for value in _values(document, name):
                labels.setdefault(_filter_value(name, value), value)
        if all(count == len(documents) for count in counts.values()):
            continue
        entries = [FacetValue(value, value, counts[key]) for key, value in labels.items()]
        if name == "doc":
            entries = [
                replace(entry, label=_title(documents[entry.value], titles)) for entry in entries
            ]
        found.append(Facet(name, tuple(sorted(entries, key=lambda e: (fold(e.label), e.value)))))
    return tuple(found)


def _title(document: Document, titles: Counter[str]) -> str:
    alone = titles[fold(document.title)] == 1
    return document.title if alone else f"{document.title} ({document.doc_id})"


def _matching(documents: Mapping[str, Document], filters: Filters) -> list[str]:
    """Return the documents that every filter lets through."""
    matching = list(documents)
    for key, value in filters.items():
        name = _filter_name(key)
        # A whole name means that document alone, even where another begins with it.
        if name == "doc" and value in documents:
            matching = [doc_id for doc_id in matching if doc_id == value]
        else:
            matching = [doc for doc in matching if _matches(documents[doc], name, value)]
    return matching


def _matches(document: Document, name: str, value: str) -> bool:
    if name == "doc":
        return fold(document.doc_id).startswith(fold(value))
    return any(fold(candidate) == fold(value) for candidate in _values(document, name))


def _values(document: Document, name: str) -> list[str]:
    """Return what a document has for a filter."""
    if name == "doc":
        return [document.doc_id]
    if name == "language":
        return [document.language]
    values: list[str] = []
    for key, found in document.metadata.items():
        # `tag` finds the list `tags`, as a person would expect.
        if _filter_name(key) in (name, f"{name}s"):
            values += (found,) if isinstance(found, str) else found
    return [value for value in values if value.strip()]


def _filter_name(key: str) -> str:
    return _FILTER_NAMES.get(fold(key), fold(key))


def _filter_value(name: str, value: str) -> str:
    # Documents are told apart by their whole name, case and accents included.
    return value if name == "doc" else fold(value)


def _parts(hit: ScoredChunk) -> dict[str, float]:
    parts = {
        "cosine": _COSINE * (hit.dense or 0.0),
        "late": _LATE * (hit.late or 0.0),
        "words": hit.weight * (hit.lexical or 0.0),
    }
    if hit.repeated:
        parts["repeated"] = -_REPEATED
    if hit.relevance is not None:
        parts["reader"] = hit.relevance
    elif hit.rerank is None and hit.score < (unread := sum(parts.values())) - _ROUNDING:
        parts["unread"] = hit.score - unread
    return parts


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = surface_tokens(text)
    return {tuple(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1))}


def _alike(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> bool:
    if min(len(one), len(other)) < _NEARLY_THE_SAME * max(len(one), len(other)):
        return False
    return len(one & other) >= _NEARLY_THE_SAME * len(one | other)


def parse_filter(text: str) -> tuple[str, str]:
    """Split `key=value`; raises `InvalidFilter`."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip() or not value.strip():
        raise InvalidFilter(
            "'{text}' is not a filter; write key=value, such as tag=militaire.", text=text
        )
    return key.strip(), value.strip()
