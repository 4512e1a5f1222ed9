"""Find passages: dense and lexical retrievers, fused; a LangChain retriever."""

from __future__ import annotations

import math
from collections.abc import Mapping
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

from rag.encoder import Encoder
from rag.errors import InvalidFilter
from rag.index import Index
from rag.language import detect
from rag.lexical import fold
from rag.types import Document, Language, Ranking, ScoredChunk

__all__ = ["Filters", "HybridRetriever", "parse_filter"]

Filters = Mapping[str, str]

# The fused score is the cosine plus a weight times BM25 over its largest inverse document
# frequency. Chosen on 400 French and 400 English and Dutch questions of PIAF train over 555
# passages; `benchmarks/fusion.py` prints the table. R@1 fr / en and nl: dense alone 0.70 / 0.55,
# reciprocal rank fusion 0.77 / 0.54, this 0.81 / 0.60. Across languages only words spelt
# alike vote, so the vote weighs less.
_WITHIN_LANGUAGE = 0.10
_ACROSS_LANGUAGES = 0.045


class HybridRetriever(BaseRetriever):
    """Rank passages by cosine and BM25 together.

    `invoke(question)` gives LangChain documents; `rank` gives a `Ranking`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    index: Index
    encoder: Any
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
        language = detect(query) if language is None else language
        allowed = self._allowed(filters)
        if not self.index.chunks:
            return Ranking(query, ())
        encoder: Encoder = self.encoder
        vector = encoder.encode_queries([query])[0]
        candidates = max(self.candidates, k)
        cosines = dict(self.index.dense(vector, candidates, allowed))
        bm25 = self.index.lexical.scores(query, language)
        if allowed is not None:
            outside = [c.doc_id not in set(allowed) for c in self.index.chunks]
            bm25[np.array(outside)] = 0.0
        best = np.argsort(-bm25, kind="stable")[:candidates]
        by_words = [int(i) for i in best if bm25[i] > 0]

        # What only one retriever proposed is scored by the other too: no score is guessed.
        missing = [i for i in by_words if i not in cosines]
        scored = dict(cosines)
        scored.update(zip(missing, (self.index.vectors(missing) @ vector).tolist(), strict=True))
        proposed_by_words = set(by_words)
        weights = self._weights(language)
        fused = {
            i: cosine + weights[self.index.chunks[i].metadata["language"]] * float(bm25[i])
            for i, cosine in scored.items()
        }
        order = sorted(fused, key=lambda i: (-fused[i], i))[:k]
        return Ranking(
            query,
            tuple(
                ScoredChunk(
                    chunk=self.index.chunks[i],
                    score=fused[i],
                    rank=rank,
                    dense=scored[i],
                    lexical=float(bm25[i]) if i in proposed_by_words else None,
                )
                for rank, i in enumerate(order, start=1)
            ),
        )

    def _weights(self, language: Language) -> dict[Any, float]:
        top = math.log(1 + len(self.index.chunks))
        return {
            passage: (_WITHIN_LANGUAGE if language in ("unknown", passage) else _ACROSS_LANGUAGES)
            / top
            for passage in ("fr", "en", "nl", "unknown")
        }

    def _allowed(self, filters: Filters | None) -> list[str] | None:
        if not filters:
            return None
        matching = [
            doc_id
            for doc_id, document in self.index.documents.items()
            if all(_matches(document, key, value) for key, value in filters.items())
        ]
        if not matching:
            wanted = ", ".join(f"{key}={value}" for key, value in filters.items())
            raise InvalidFilter(
                f"No document matches the filter {wanted}; 'citadelle sources' lists what there is."
            )
        return matching


def _matches(document: Document, key: str, value: str) -> bool:
    if key in ("doc", "doc_id"):
        return fold(document.doc_id).startswith(fold(value))
    if key == "language":
        return document.language == fold(value)
    # `tag` finds the list `tags`, as a person would expect.
    found = document.metadata.get(key, document.metadata.get(f"{key}s", ()))
    values = (found,) if isinstance(found, str) else found
    return any(fold(candidate) == fold(value) for candidate in values)


def parse_filter(text: str) -> tuple[str, str]:
    """Split `key=value`; raises `InvalidFilter`."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip() or not value.strip():
        raise InvalidFilter(f"'{text}' is not a filter; write key=value, such as tag=militaire.")
    return key.strip(), value.strip()
