"""The second stage: a model that reads question and passage together puts the best in order."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rag.chunking import head_and_body, passage_text
from rag.config import Settings
from rag.errors import RerankerError
from rag.span_model import PassageScores, SpanReader
from rag.types import Document, ScoredChunk

__all__ = ["CrossEncoderStage", "Documents", "ReaderStage", "SecondStage", "open_cross_encoder"]

Documents = Mapping[str, Document]

# What the logit of the reader's relevance adds to the fused score, and where it is cut off:
# beyond, more is not surer. Near the 0.019 that `training/calibrate.py` fits; from 0.008 to 0.022
# eval/dev.jsonl and the held-out articles of the training sets hardly differ.
_RELEVANCE = 0.015
RELEVANCE_RANGE = 8.0
# Passages whose scores are kept: those of a few questions.
_REMEMBERED = 200


class SecondStage(Protocol):
    """What retrieval needs of a second stage; it looks at the first `depth` passages."""

    depth: int

    def rerank(
        self, question: str, hits: Sequence[ScoredChunk], documents: Documents
    ) -> list[ScoredChunk]:
        """Return the same passages in a new order, ranked from 1."""


class CrossEncoderStage:
    """Order passages with a `CrossEncoder` of sentence-transformers."""

    depth = 20

    def __init__(self, model: Any) -> None:
        self.model = model

    def rerank(
        self, question: str, hits: Sequence[ScoredChunk], documents: Documents
    ) -> list[ScoredChunk]:
        """Return the passages in the order of the model.

        They share out the scores that they had: the scale stays that of the fused score, which
        the reader counts on, whatever the scale of the model.
        """
        read = hits[: self.depth]
        texts = [passage_text(documents[hit.chunk.doc_id], hit.chunk) for hit in read]
        found = self.scores(question, texts)
        order = sorted(range(len(found)), key=lambda i: (-found[i], i))
        return [
            replace(read[i], score=read[place].score, rank=place + 1, rerank=found[i])
            for place, i in enumerate(order)
        ] + list(hits[self.depth :])

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return how well each passage answers; any scale, higher is better."""
        if not passages:
            return []
        found = self.model.predict(
            [(question, passage) for passage in passages], show_progress_bar=False
        )
        return [float(score) for score in found]


class ReaderStage:
    """Add what the trained reader says of the best passages to their scores.

    Keeps what was last read: finding and answering ask for the same passages.
    """

    def __init__(self, reader: SpanReader, depth: int) -> None:
        self.reader = reader
        self.depth = depth
        self._known: OrderedDict[tuple[str, str, str], PassageScores] = OrderedDict()
        self._lock = threading.Lock()

    def rerank(
        self, question: str, hits: Sequence[ScoredChunk], documents: Documents
    ) -> list[ScoredChunk]:
        """Return the passages by their scores with the reader's relevance.

        Those that it does not read count as irrelevant to it.
        """
        moved = []
        for hit, scores in zip(
            hits, self.scores(question, hits[: self.depth], documents), strict=False
        ):
            part = relevance_part(scores.relevance)
            moved.append(replace(hit, score=hit.score + part, relevance=part))
        least = relevance_part(-RELEVANCE_RANGE)
        moved += [replace(hit, score=hit.score + least) for hit in hits[self.depth :]]
        moved.sort(key=lambda hit: (-hit.score, hit.rank))
        return [replace(hit, rank=rank) for rank, hit in enumerate(moved, start=1)]

    def scores(
        self, question: str, hits: Sequence[ScoredChunk], documents: Documents
    ) -> list[PassageScores]:
        """Return what the reader says of each passage."""
        passages = [head_and_body(documents[hit.chunk.doc_id], hit.chunk) for hit in hits]
        with self._lock:
            known = {
                passage: self._known[question, *passage]
                for passage in passages
                if (question, *passage) in self._known
            }
        new = [passage for passage in dict.fromkeys(passages) if passage not in known]
        known |= dict(zip(new, self.reader.read(question, new) if new else [], strict=True))
        with self._lock:
            for passage in new:
                self._known[question, *passage] = known[passage]
            while len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        return [known[passage] for passage in passages]


def relevance_part(logit: float) -> float:
    """Return what a relevance adds to a passage's score."""
    return _RELEVANCE * min(max(logit, -RELEVANCE_RANGE), RELEVANCE_RANGE)


def open_cross_encoder(settings: Settings) -> CrossEncoderStage | None:
    """Load the cross-encoder that the settings name; None where they name none.

    A folder is loaded without a network; a name is downloaded once, as the encoder's is.
    Raises `RerankerError`.
    """
    if not settings.reranker:
        return None
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        import torch
        from sentence_transformers import CrossEncoder
        from transformers.utils import logging

        logging.disable_progress_bar()
        model = CrossEncoder(
            settings.reranker,
            device="cuda" if torch.cuda.is_available() else "cpu",
            local_files_only=Path(settings.reranker).is_dir(),
            num_labels=1,
        )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RerankerError(
            "The reranker '{reranker}' did not load ({problem}). Check the setting "
            "'reranker': empty, a folder, or the name of a cross-encoder on the hub.",
            reranker=settings.reranker,
            problem=reason,
        ) from error
    return CrossEncoderStage(model)
