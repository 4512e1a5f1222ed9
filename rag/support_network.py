"""The network that compares a statement with a passage, token by token.

It reads what three layers of the encoder make of either. Every token of the statement is put
beside the tokens of the passage that are nearest to it (attend and compare, Parikh et al. 2016,
arXiv:1606.01933), and two layers of attention, over the statement and over the passage, look
at how the tokens hang together. The encoder reads each text alone, so that what it says of a
passage serves every statement.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["LAYERS", "Comparison", "layer_states"]

# Words are told apart best by the lower layers, what a sentence says by the upper ones.
LAYERS = (4, 8, 12)
_HEADS = 8
# How sharply the nearest tokens count, and how much nearness weighs in attention at first.
_SHARPNESS = 15.0
_NEARNESS = 8.0
# Cosines are small numbers beside the states that they are added to.
_COSINES = 3.0
# Before training few words are thought to be wrong.
_WRONG = -2.0
_NOTHING = -1e4

functional = nn.functional


class Comparison(nn.Module):
    """Tell whether passages support statements, and which tokens they do not support.

    `hidden` is the encoder's dimension, `width` the network's own.
    """

    statement_mean: Tensor
    passage_mean: Tensor

    def __init__(self, hidden: int, width: int, depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.hidden = hidden
        # What all tokens have in common says nothing, as in `rag/late.py`.
        self.register_buffer("statement_mean", torch.zeros(hidden))
        self.register_buffer("passage_mean", torch.zeros(hidden))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in LAYERS)
        self.statement = nn.Linear(len(LAYERS) * hidden, width)
        self.passage = nn.Linear(len(LAYERS) * hidden, width)
        self.passage_norm = nn.LayerNorm(width)
        self.compare = nn.Sequential(
            nn.Linear(4 * width, width), nn.GELU(), nn.Linear(width, width)
        )
        self.cosines = nn.Linear(3, width)
        self.layers = nn.ModuleList(_Layer(width, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.words = nn.Linear(width, 1)
        self.support = nn.Linear(2 * width, 1)
        self.dropout = nn.Dropout(dropout)
        nn.init.constant_(self.words.bias, _WRONG)

    def forward(
        self, said: Tensor, said_mask: Tensor, passage: Tensor, passage_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits of support (passages, statements) and of each token being wrong.

        `said` has the shape (passages, statements, tokens, layers * hidden), `passage`
        (passages, tokens, layers * hidden); the masks are 1.0 for tokens that count.
        """
        passages, statements, length, _ = said.shape
        outside = (1 - passage_mask) * _NOTHING
        cosines = self.cosines_of(said, passage)
        near = cosines + outside[:, None]
        own = self.dropout(self.statement(self._normed(said))).flatten(1, 2)
        theirs = self.dropout(self.passage(self._normed(passage)))
        aligned = (near * _SHARPNESS).softmax(dim=-1).to(theirs.dtype) @ theirs
        first, second = near.topk(2, dim=-1).values.unbind(dim=-1)
        states = own + self.compare(torch.cat([own, aligned, own - aligned, own * aligned], dim=-1))
        states = states + self.cosines(
            _COSINES * torch.stack([first, first - second, first * first], dim=-1)
        )
        theirs = self.passage_norm(theirs)
        mask = said_mask.flatten(0, 1)
        silent = (1 - mask) * _NOTHING
        states = states.unflatten(1, (statements, length)).flatten(0, 1)
        for layer in self.layers:
            states = layer(states, silent, theirs, outside, cosines)
        states = self.norm(states)
        words = self.words(states)[..., 0]
        mean = (states * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        highest = (states + silent[..., None]).amax(dim=1)
        support = self.support(torch.cat([mean, highest], dim=-1))[..., 0]
        shape = (passages, statements)
        return support.unflatten(0, shape), words.unflatten(0, shape)

    def _normed(self, states: Tensor) -> Tensor:
        parts = states.split(self.hidden, dim=-1)
        return torch.cat([norm(part) for norm, part in zip(self.norms, parts, strict=True)], dim=-1)

    def cosines_of(self, said: Tensor, passage: Tensor) -> Tensor:
        """Return the cosines of the last layer: (passages, statements * tokens, tokens)."""
        own = said[..., -self.hidden :].float() - self.statement_mean
        theirs = passage[..., -self.hidden :].float() - self.passage_mean
        own = functional.normalize(own, dim=-1).flatten(1, 2)
        # In training products are of 8 bits otherwise, too coarse for what is told apart here.
        with torch.autocast(own.device.type, enabled=False):
            return own @ functional.normalize(theirs, dim=-1).transpose(1, 2)


class _Layer(nn.Module):
    """Attention within the statement, then over the passage, where near tokens count more."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.own = nn.Linear(width, 3 * width)
        self.own_output = nn.Linear(width, width)
        self.query = nn.Linear(width, width)
        self.passage = nn.Linear(width, 2 * width)
        self.passage_output = nn.Linear(width, width)
        self.wide = nn.Sequential(
            nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width)
        )
        half = _HEADS // 2
        self.nearness = nn.Parameter(torch.tensor([_NEARNESS] * half + [0.0] * half))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, states: Tensor, silent: Tensor, passage: Tensor, outside: Tensor, cosines: Tensor
    ) -> Tensor:
        query, key, value = self.own(self.norms[0](states)).chunk(3, dim=-1)
        found = _attended(query, key, value, silent[:, None, None])
        states = states + self.dropout(self.own_output(found))
        # The statements about a passage look at it together.
        query = self.query(self.norms[1](states)).reshape(len(passage), -1, states.shape[-1])
        key, value = self.passage(passage).chunk(2, dim=-1)
        near = self.nearness[None, :, None, None] * cosines[:, None] + outside[:, None, None]
        found = _attended(query, key, value, near).reshape(states.shape)
        states = states + self.dropout(self.passage_output(found))
        changed: Tensor = states + self.dropout(self.wide(self.norms[2](states)))
        return changed


def _attended(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Tensor:
    parts = [part.unflatten(-1, (_HEADS, -1)).transpose(1, 2) for part in (query, key, value)]
    mask = bias.to(query.dtype)
    found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2], mask)
    return found.transpose(1, 2).flatten(2)


def layer_states(backbone: Any, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return what `LAYERS` of a BERT make of texts: (texts, tokens, layers * hidden).

    `ids` are the numbers of their tokens, `mask` is 1 for those that are not padding.
    """
    states = backbone.embeddings(input_ids=ids)
    seen = None if mask is None else mask[:, None, None, :].bool()
    kept = []
    for number, layer in enumerate(backbone.encoder.layer, 1):
        states = layer(states, seen)
        states = states[0] if isinstance(states, tuple) else states
        if number in LAYERS:
            kept.append(states)
    return torch.cat(kept, dim=-1)
