"""The network while it is trained: frozen matrices with a low-rank term beside each."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from rag.span_model import MATRICES, VECTORS, apply_heads, run_layers
from rag.text_model import copy_layers

__all__ = ["Network"]


class _LowRank(nn.Module):
    """A frozen linear map plus a trained one of low rank; it begins as the frozen one.

    Computed in bf16; what is trained is kept in fp32.
    """

    def __init__(self, base: nn.Linear, rank: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(base.weight.detach().to(torch.bfloat16), requires_grad=False)
        self.bias = nn.Parameter(base.bias.detach().clone())
        self.scale = scale
        bound = base.in_features**-0.5
        self.down = nn.Parameter(torch.empty(rank, base.in_features).uniform_(-bound, bound))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        low = flat @ self.down.to(x.dtype).T
        full = nn.functional.linear(flat, self.weight, self.bias.to(x.dtype))
        up = (self.scale * self.up).to(x.dtype)
        return torch.addmm(full, low, up.T).view(*x.shape[:-1], -1)


class Network(nn.Module):
    """The encoder's layers with adapter and heads; the embeddings stay as they are."""

    def __init__(self, backbone: Any, rank: int, scale: float, frozen: int = 0) -> None:
        super().__init__()
        self.frozen = frozen
        # The word vectors stay in the 16 bits that they are stored in: half the memory.
        self.words = backbone.embeddings.word_embeddings.weight.detach().half()
        self.places = copy.deepcopy(backbone.embeddings.position_embeddings).float()
        self.types = backbone.embeddings.token_type_embeddings.weight[0].detach().float()
        self.norm = copy.deepcopy(backbone.embeddings.LayerNorm).float()
        self.layers = copy_layers(backbone)
        for layer in self.layers:
            for name in MATRICES:
                path, _, leaf = name.rpartition(".")
                parent = layer.get_submodule(path)
                setattr(parent, leaf, _LowRank(getattr(parent, leaf), rank, scale))
        hidden = backbone.config.hidden_size
        self.heads = nn.ParameterDict(
            {
                "span_weight": nn.Parameter(torch.randn(2, hidden) * 0.02),
                "span_bias": nn.Parameter(torch.zeros(2)),
                "relevance_weight": nn.Parameter(torch.randn(1, 2 * hidden) * 0.02),
                "relevance_bias": nn.Parameter(torch.zeros(1)),
            }
        )

    def forward(self, ids: Tensor, mask: Tensor, body: Tensor) -> tuple[Tensor, Tensor]:
        """Return start and end logits (pairs, tokens, 2) and relevance (pairs)."""
        with torch.no_grad():
            words = nn.functional.embedding(ids, self.words).float()
            states = self.norm(words + self.places.weight[: ids.shape[1]] + self.types)
            states = run_layers(self.layers[: self.frozen], states.to(torch.bfloat16), mask)
        states = run_layers(self.layers[self.frozen :], states, mask)
        heads = {name.replace("_", ".", 1): value for name, value in self.heads.items()}
        return apply_heads(heads, states.float(), body)

    def stored(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield what is stored, under its names; the frozen layers' terms are zero."""
        for number, layer in enumerate(self.layers):
            parameters = dict(layer.named_parameters())
            for name in MATRICES:
                yield f"layer.{number}.{name}.down", parameters[f"{name}.down"]
                yield f"layer.{number}.{name}.up", parameters[f"{name}.up"]
            for name in VECTORS:
                yield f"layer.{number}.{name}", parameters[name]
        for name, parameter in self.heads.items():
            yield name.replace("_", ".", 1), parameter

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield what is trained, under the names that it is stored by."""
        still = tuple(f"layer.{number}." for number in range(self.frozen))
        yield from ((name, p) for name, p in self.stored() if not name.startswith(still))
