"""The optional second stage: a cross-encoder that reads question and passage together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from rag.config import Settings
from rag.errors import RerankerError

__all__ = ["CrossEncoderReranker", "Reranker", "open_reranker"]


class Reranker(Protocol):
    """What retrieval needs of a second stage."""

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return how well each passage answers; any scale, higher is better."""


class CrossEncoderReranker:
    """Score pairs with a `CrossEncoder` of sentence-transformers."""

    def __init__(self, model: Any, name: str) -> None:
        self.model = model
        self.name = name

    def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """Return the model's score of each pair."""
        found = self.model.predict(
            [(question, passage) for passage in passages], show_progress_bar=False
        )
        return [float(score) for score in found]


def open_reranker(settings: Settings) -> CrossEncoderReranker | None:
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
            f"The reranker '{settings.reranker}' did not load ({reason}). Check the setting "
            "'reranker': empty, a folder, or the name of a cross-encoder on the hub."
        ) from error
    return CrossEncoderReranker(model, settings.reranker)
