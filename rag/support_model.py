"""Whether passages support a statement, as a small trained network says."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag.config import BUNDLED_ENCODER, Settings
from rag.encoder import Encoder, is_e5_small, open_encoder
from rag.errors import ReaderError
from rag.sentences import sentences

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from rag.support_network import Comparison
    from rag.text_model import TextModel, Tokens

__all__ = [
    "BUNDLED_WEIGHTS",
    "PASSAGE",
    "STATEMENT",
    "Judgement",
    "SupportModel",
    "open_support_model",
    "sentence_numbers",
]

BUNDLED_WEIGHTS = Path(__file__).parent / "weights" / "support.safetensors"
# How texts are marked for the encoder.
STATEMENT = "query: {}"
PASSAGE = "passage: {head}{body}"
# Statements and passages whose states are kept, those of an answer: up to 1 MB each, in 16 bits.
_KEPT = 64
# What stands above a passage must leave room for it.
_HEAD_LETTERS = 300


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the network says of a statement and a passage.

    `support` is the logit of "the passage supports it", `doubt` the highest logit of "this
    word is not supported". `nearest` is the sentence of the passages that is most like it.
    """

    support: float
    doubt: float
    nearest: str


class SupportModel:
    """Judge statements by passages; safe to share between threads.

    `text` is multilingual-e5-small, whose layers the network was trained on.
    """

    def __init__(self, text: TextModel, network: Comparison) -> None:
        self._text = text
        self._network = network
        self._statement = lru_cache(_KEPT)(self._read_statement)
        self._passage = lru_cache(_KEPT)(self._read_passage)

    @classmethod
    def load(cls, path: Path, text: TextModel) -> SupportModel:
        """Read the network's weights; raises `ReaderError` when they are not there or damaged."""
        import torch
        from safetensors import SafetensorError, safe_open

        from rag.support_network import Comparison

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["support"])
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            with torch.device("meta"):
                network = Comparison(about["hidden"], about["width"], about["depth"])
            network.load_state_dict(tensors, assign=True)
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise ReaderError(
                "The weights in {file}, which check what a model writes, do not load "
                "({problem}); reinstall the package, or set 'llm' to ''.",
                file=path.name,
                problem=str(error).splitlines()[0] if str(error) else type(error).__name__,
            ) from error
        device = next(text.transformer.parameters()).device
        return cls(text, network.to(device).eval().requires_grad_(False))

    def judge(self, statement: str, passages: Sequence[tuple[str, str]]) -> Judgement:
        """Judge a statement by passages read together, each the line above it and its body.

        Without a passage, or a word in the statement, nothing is supported. Of a text that is
        longer than the encoder reads, 512 tokens, the rest is not looked at.
        """
        import torch

        states, own = self._statement(statement)
        if not passages or not own.any():
            return Judgement(-math.inf, math.inf, "")
        read = [self._passage(head[:_HEAD_LETTERS], body) for head, body in passages]
        passage = torch.cat([one for one, _ in read], dim=1).float()
        said = torch.from_numpy(own.astype(np.float32)).to(states.device)[None, None]
        whole = torch.ones(passage.shape[:2], device=passage.device)
        with torch.inference_mode():
            support, words = self._network(states[:, None].float(), said, passage, whole)
            near = self._network.cosines_of(states[:, None].float(), passage)[0]
        own_near = near.cpu().numpy()[own]
        return Judgement(
            float(support),
            float(words[0, 0].cpu().numpy()[own].max()),
            _nearest(
                own_near, [(body, n) for (_, body), (_, n) in zip(passages, read, strict=True)]
            ),
        )

    def _read_statement(self, statement: str) -> tuple[torch.Tensor, NDArray[np.bool_]]:
        (tokens,) = self._text.tokens([STATEMENT.format(statement)])
        return self._states(tokens), tokens.spans[:, 1] > len(STATEMENT.format(""))

    def _read_passage(self, head: str, body: str) -> tuple[torch.Tensor, NDArray[np.int16]]:
        text = PASSAGE.format(head=f"{head}\n" if head else "", body=body)
        (tokens,) = self._text.tokens([text])
        return self._states(tokens), sentence_numbers(tokens, text, body)

    def _states(self, tokens: Tokens) -> torch.Tensor:
        """Return the states of a text in 16 bits: (1, tokens, layers * hidden)."""
        import torch

        from rag.support_network import layer_states

        backbone: Any = self._text.transformer
        ids = torch.tensor([list(tokens.ids)], device=next(backbone.parameters()).device)
        with torch.inference_mode():
            return layer_states(backbone, ids).half()


def _nearest(
    cosines: NDArray[np.float32], passages: Sequence[tuple[str, NDArray[np.int16]]]
) -> str:
    """Return the sentence whose tokens are nearest to those of a statement.

    `cosines` has the shape (tokens of the statement, tokens of all passages); a passage is its
    body with the sentence that each of its tokens is of.
    """
    best, found, begin = -math.inf, "", 0
    for body, numbers in passages:
        own = cosines[:, begin : begin + len(numbers)]
        begin += len(numbers)
        for number, (start, end) in enumerate(sentences(body)):
            inside = own[:, numbers == number]
            near = float(inside.max(axis=1).mean()) if inside.shape[1] else -math.inf
            if near > best:
                best, found = near, body[start:end]
    return found


def sentence_numbers(tokens: Tokens, whole: str, body: str) -> NDArray[np.int16]:
    """Return which sentence of the body each token of a text is of, -1 before the body."""
    # A token begins with the space before its word, which is of no sentence.
    ends = tokens.spans[:, 1] - (len(whole) - len(body))
    found = np.full(len(ends), -1, dtype=np.int16)
    for number, (start, end) in enumerate(sentences(body)):
        found[(ends > start) & (ends <= end)] = number
    return found


def open_support_model(settings: Settings, encoder: Encoder) -> SupportModel:
    """Open the network, with the bundled encoder where the settings name another one.

    Raises `ReaderError` or `EncoderError` when one of them does not load.
    """
    own = settings.model_copy(update={"encoder": BUNDLED_ENCODER})
    read_by = encoder if is_e5_small(encoder, settings) else open_encoder(own)
    return SupportModel.load(BUNDLED_WEIGHTS, read_by.model)
