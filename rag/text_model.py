"""Networks that turn texts into vectors: the bundled one in plain torch, any other by its library.

The bundled one is a BERT, whose layers compute what those of `transformers` compute. Importing
that library and sentence-transformers takes longer than answering a question.
"""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor, nn

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["Bert", "BertText", "NamedText", "TextModel", "Tokens", "copy_layers"]

Spans = NDArray[np.int64]
_SDPA = nn.functional.scaled_dot_product_attention
_WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a text: their numbers, and what characters each covers (tokens, 2)."""

    ids: Sequence[int]
    spans: Spans


class TextModel(nn.Module, ABC):
    """A network with its tokenizer.

    `prompts` are what it wants before a "query" and a "document", `dtype` is what it computes in.
    Threads share `tokenizer`: nobody sets truncation or padding on it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        prompts: Mapping[str, str | None],
        *,
        dimension: int,
        max_tokens: int,
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.prompts = {name: prompt or "" for name, prompt in prompts.items()}
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.dtype = dtype

    @abstractmethod
    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of texts, cut at `max_tokens`; special ones cover no character."""

    def read(self, batch: Sequence[Tokens]) -> tuple[Tensor, Tensor]:
        """Return a vector of each text, and one of each of its tokens.

        Shapes (texts, dimension) and (texts, tokens, dimension); the tokens of the shorter texts
        are followed by others that mean nothing, and so does the length of a vector.
        """
        features = self._padded([found.ids for found in batch])
        with torch.inference_mode():
            sentences, tokens = self(features)
        return sentences, tokens

    @property
    @abstractmethod
    def transformer(self) -> Any:
        """The network without what makes one vector of many; `transformers`' or a `Bert`."""

    @abstractmethod
    def _padded(self, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Return what the network takes: the numbers of tokens, and which of them are padding."""


class NamedText(TextModel):
    """A model of sentence-transformers."""

    @classmethod
    def load(cls, name: str, dtype: torch.dtype, device: torch.device) -> NamedText:
        """Open a folder, or a name on the hub; raises what the library raises."""
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        logging.disable_progress_bar()
        model = SentenceTransformer(
            name,
            device=device.type,
            local_files_only=Path(name).is_dir(),
            model_kwargs={"dtype": dtype},
        )
        return cls(model)

    def __init__(self, model: SentenceTransformer) -> None:
        # A copy: the model's own keeps how it last cut and padded.
        tokenizer = copy.deepcopy(model.tokenizer.backend_tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        super().__init__(
            tokenizer,
            model.prompts,
            dimension=int(model.get_embedding_dimension() or 0),
            max_tokens=int(model.max_seq_length or 512),
            dtype=model.dtype or torch.float32,
        )
        self.network = model.eval()

    @property
    def transformer(self) -> Any:
        """The first part of the model."""
        return self.network[0].auto_model

    def forward(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the vectors of texts and of their tokens."""
        output = self.network(features)
        return output["sentence_embedding"], output["token_embeddings"]

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of texts, as the library cuts them."""
        found = self.network.tokenizer(
            list(texts),
            truncation=True,
            max_length=self.max_tokens,
            return_offsets_mapping=True,
        )
        return [
            Tokens(ids, np.array(spans))
            for ids, spans in zip(found["input_ids"], found["offset_mapping"], strict=True)
        ]

    def _padded(self, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        features = self.network.tokenizer.pad(
            {"input_ids": list(ids)},
            padding_side="right",
            return_attention_mask=True,
            return_tensors="pt",
        )
        return {name: tensor.to(self.network.device) for name, tensor in features.items()}


class BertText(TextModel):
    """A BERT whose mean over the tokens is the vector of a text."""

    def __init__(self, bert: Bert, tokenizer: Tokenizer, prompts: Mapping[str, str | None]) -> None:
        super().__init__(
            tokenizer,
            prompts,
            dimension=bert.config.hidden_size,
            max_tokens=bert.config.max_position_embeddings,
            dtype=bert.embeddings.LayerNorm.weight.dtype,
        )
        self.bert = bert

    @property
    def transformer(self) -> Bert:
        """The BERT."""
        return self.bert

    @classmethod
    def load(cls, name: str, dtype: torch.dtype, device: torch.device) -> BertText:
        """Read a folder that sentence-transformers has written.

        Raises `OSError`, `SafetensorError`, `RuntimeError`, `KeyError` or `ValueError` where
        it holds something else.
        """
        folder = Path(name)
        config = SimpleNamespace(**_read_json(folder / "config.json"))
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            tensors = {
                name: file.get_tensor(name)
                for name in file.keys()  # noqa: SIM118
                if not name.startswith("pooler.")
            }
        # The word vectors stay in the 16 bits of the file, which is mapped into memory: a text
        # needs few of them.
        stored = {n: tensor if n == _WORDS else tensor.to(dtype) for n, tensor in tensors.items()}
        with torch.device("meta"):
            bert = Bert(config)
        bert.load_state_dict(stored, assign=True)
        return cls(
            bert.to(device).eval().requires_grad_(False),
            Tokenizer.from_file(str(folder / "tokenizer.json")),
            _read_json(folder / "config_sentence_transformers.json")["prompts"],
        )

    def forward(self, features: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the vectors of texts and of their tokens."""
        mask = features["attention_mask"]
        tokens = self.bert(features["input_ids"], mask)
        kept = tokens * mask.to(tokens.dtype)[:, :, None]
        return kept.sum(dim=1, dtype=torch.float32) / mask.sum(dim=1, keepdim=True), tokens

    def tokens(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of texts; what is cut stands before the mark of the end."""
        found = []
        for encoding in self.tokenizer.encode_batch(list(texts)):
            ids, spans = encoding.ids, np.array(encoding.offsets)
            if len(ids) > self.max_tokens:
                ids = [*ids[: self.max_tokens - 1], ids[-1]]
                spans = np.concatenate([spans[: self.max_tokens - 1], spans[-1:]])
            found.append(Tokens(ids, spans))
        return found

    def _padded(self, ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        shape = (len(ids), max(len(own) for own in ids))
        padded = torch.full(shape, self.bert.config.pad_token_id)
        mask = torch.zeros(shape, dtype=torch.long)
        for row, own in enumerate(ids):
            padded[row, : len(own)] = torch.tensor(own)
            mask[row, : len(own)] = 1
        device = self.bert.embeddings.LayerNorm.weight.device
        return {"input_ids": padded.to(device), "attention_mask": mask.to(device)}


class Bert(nn.Module):
    """The encoder of BERT, its parameters named as `transformers` names them.

    `config` has the fields of `BertConfig`.
    """

    encoder: Any

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.embeddings = _Embeddings(config)
        layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder = nn.ModuleDict({"layer": layers})

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the states of tokens; `mask` is 1 for tokens and 0 for padding."""
        states: Tensor = self.embeddings(ids)
        seen = None if bool(mask.all()) else mask[:, None, None, :].bool()
        for layer in self.encoder.layer:
            states = layer(states, seen)
        return states


class _Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        """Draw no numbers: they are read, and drawing imports half of torch."""


class _Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """Draw no numbers, as above."""


class _Embeddings(nn.Module):
    def __init__(self, config: Any) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.word_embeddings = _Embedding(config.vocab_size, hidden)
        self.position_embeddings = _Embedding(config.max_position_embeddings, hidden)
        self.token_type_embeddings = _Embedding(config.type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)

    def forward(self, input_ids: Tensor) -> Tensor:
        words = self.word_embeddings(input_ids).to(self.LayerNorm.weight.dtype)
        places = self.position_embeddings.weight[: input_ids.shape[1]]
        states: Tensor = self.LayerNorm(words + self.token_type_embeddings.weight[0] + places)
        return states


class _Layer(nn.Module):
    def __init__(self, config: Any, attend: Callable[..., Tensor] = _SDPA) -> None:
        super().__init__()
        hidden, wide = config.hidden_size, config.intermediate_size
        self.attend = attend
        self.heads = config.num_attention_heads

        def output(inputs: int) -> nn.ModuleDict:
            norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
            return nn.ModuleDict({"dense": _Linear(inputs, hidden), "LayerNorm": norm})

        names = ("query", "key", "value")
        own = nn.ModuleDict({name: _Linear(hidden, hidden) for name in names})
        self.attention = nn.ModuleDict({"self": own, "output": output(hidden)})
        self.intermediate = nn.ModuleDict({"dense": _Linear(hidden, wide)})
        self.output = output(wide)

    def forward(self, states: Tensor, mask: Tensor | None) -> Tensor:
        own: Any = self.attention["self"]
        query, key, value = (
            part(states).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (own.query, own.key, own.value)
        )
        seen = self.attend(query, key, value, attn_mask=mask)
        states = _added(self.attention["output"], seen.transpose(1, 2).flatten(2), states)
        wide = nn.functional.gelu(self.intermediate["dense"](states))
        return _added(self.output, wide, states)


def _added(output: Any, found: Tensor, states: Tensor) -> Tensor:
    normed: Tensor = output.LayerNorm(output.dense(found) + states)
    return normed


def _attend(query: Tensor, key: Tensor, value: Tensor, *, attn_mask: Tensor) -> Tensor:
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + attn_mask
    found: Tensor = scores.softmax(dim=-1) @ value
    return found


def copy_layers(backbone: Any) -> Any:
    """Return a copy in fp32 of the layers of a BERT, this one's or that of `transformers`.

    It wants a mask that is added to the scores: written out, attention is faster on a processor
    in bf16 for the few pairs that are read at once, and in training.
    """
    with torch.device("meta"):
        layers = nn.ModuleList(_Layer(backbone.config, _attend) for _ in backbone.encoder.layer)
    stored = backbone.encoder.layer.state_dict()
    layers.load_state_dict(
        {name: tensor.to(torch.float32, copy=True) for name, tensor in stored.items()}, assign=True
    )
    return layers


def _read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
