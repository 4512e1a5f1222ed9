"""The network that reads: the encoder's layers with an adapter, and heads for span and relevance.

The adapter is a low-rank term beside every matrix of the layers (LoRA, Hu et al. 2021,
arXiv:2106.09685), with its own biases and norms. At load time it is added to a second copy
of the layers, which share the embedding matrix with the encoder: the encoder's own weights
are never touched, so that its vectors stay what they are to the last bit.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.config import BUNDLED_READER, NO_READER, Settings
from rag.encoder import Encoder, arithmetic, is_e5_small
from rag.errors import ReaderError

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

__all__ = [
    "BUNDLED_WEIGHTS",
    "MATRICES",
    "VECTORS",
    "NamedSpanModel",
    "Pair",
    "PairEncoder",
    "PassageScores",
    "SpanModel",
    "SpanReader",
    "apply_heads",
    "open_span_reader",
    "run_layers",
]

BUNDLED_WEIGHTS = Path(__file__).parent / "weights" / "reader.safetensors"

# The matrices of a layer that have a low-rank term.
MATRICES = (
    "attention.self.query",
    "attention.self.key",
    "attention.self.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
)
# Biases and norms are small enough to be stored whole.
VECTORS = (
    *(f"{matrix}.bias" for matrix in MATRICES),
    "attention.output.LayerNorm.weight",
    "attention.output.LayerNorm.bias",
    "output.LayerNorm.weight",
    "output.LayerNorm.bias",
)
_QUESTION_TOKENS = 80
_HEAD_TOKENS = 48
# Question, head, body and four marks make 512 at most.
_WINDOW = 380
_OVERLAP = 96
_BATCH = 8
_LONGEST_ANSWER = 60

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question with a stretch of a passage, in token numbers.

    The body's tokens stand at `body` to `body + len(starts)`; `starts` and `ends` say which
    characters of the passage's body each covers.
    """

    ids: tuple[int, ...]
    body: int
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]


class PairEncoder:
    """Write question and passage as one input, as E5 marks them.

    `<s> query: … </s></s> passage: title > headings, body </s>`.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._begin: Any = tokenizer.token_to_id("<s>")
        self._end: Any = tokenizer.token_to_id("</s>")

    def question(self, text: str) -> list[int]:
        """Return the tokens of a question; those past the 80th are left out."""
        return self._ids(f"query: {text}")[:_QUESTION_TOKENS]

    def head(self, text: str) -> list[int]:
        """Return the tokens of the line above a passage; those past the 48th are left out."""
        return self._ids(f"passage: {text}")[:_HEAD_TOKENS]

    def body(self, text: str) -> tuple[list[int], NDArray[np.int64]]:
        """Return the tokens of a passage and the characters that each covers."""
        found = self._tokenizer.encode(text, add_special_tokens=False)
        return found.ids, np.array(found.offsets, dtype=np.int64).reshape(-1, 2)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def join(
        self, question: Sequence[int], head: Sequence[int], body: Sequence[int]
    ) -> tuple[tuple[int, ...], int]:
        """Return the input and where the body begins in it."""
        before = (self._begin, *question, self._end, self._end, *head)
        return (*before, *body, self._end), len(before)

    def windows(
        self, question: Sequence[int], head: str, body: str, *, longest: int, overlap: int
    ) -> list[Pair]:
        """Return a passage with the question, in windows of `longest` tokens of the body."""
        opening = self.head(head)
        ids, offsets = self.body(body)
        pairs = []
        for begin in range(0, max(len(ids) - overlap, 1), longest - overlap):
            part = slice(begin, begin + longest)
            joined, at = self.join(question, opening, ids[part])
            pairs.append(Pair(joined, at, offsets[part, 0], offsets[part, 1]))
        return pairs


@dataclass(frozen=True, slots=True)
class PassageScores:
    """What a reader says of one passage for one question.

    `start` and `end` hold, for each token of the body, the logarithm of the probability that
    the answer starts or ends there; what is missing to 1 is that the passage has no answer.
    `starts` and `ends` are the characters of the body that the tokens cover. `relevance` is
    the logit of "the passage answers".
    """

    start: Floats
    end: Floats
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    relevance: float

    def best_span(self, start: int, end: int) -> tuple[float, int, int] | None:
        """Return the likeliest answer within characters `start` to `end` of the body.

        Given as its logarithmic probability and its first and last character; None where no
        token lies within.
        """
        inside = np.nonzero((self.starts >= start - 1) & (self.ends <= end))[0]
        if not len(inside):
            return None
        low, high = int(inside[0]), int(inside[-1]) + 1
        both = self.start[low:high, None] + self.end[None, low:high]
        allowed = np.triu(np.ones(both.shape, dtype=bool))
        allowed &= ~np.triu(np.ones(both.shape, dtype=bool), _LONGEST_ANSWER)
        both = np.where(allowed, both, -np.inf)
        first, last = divmod(int(both.argmax()), both.shape[1])
        return (
            float(both[first, last]),
            max(int(self.starts[low + first]), start),
            min(int(self.ends[low + last]), end),
        )


class SpanReader(Protocol):
    """What reading needs of a network: the scores of some passages for a question."""

    name: str

    def read(self, question: str, passages: Sequence[tuple[str, str]]) -> list[PassageScores]:
        """Score each passage, given as the line above it and its body."""


class SpanModel:
    """Score pairs with an adapted copy of a BERT encoder's layers."""

    name = "trained"

    def __init__(
        self,
        backbone: Any,
        tokenizer: Tokenizer,
        tensors: Mapping[str, torch.Tensor],
        scale: float,
        precision: str = "auto",
    ) -> None:
        import torch

        from rag.text_model import copy_layers

        self._embeddings = backbone.embeddings
        device = backbone.embeddings.word_embeddings.weight.device
        self._dtype = arithmetic(precision, device)
        self._device = device
        self._layers = copy_layers(backbone)
        with torch.no_grad():
            for number, layer in enumerate(self._layers):
                parameters = dict(layer.named_parameters())
                for name in MATRICES:
                    down = tensors[f"layer.{number}.{name}.down"].float().to(device)
                    up = tensors[f"layer.{number}.{name}.up"].float().to(device)
                    parameters[f"{name}.weight"] += scale * (up @ down)
                for name in VECTORS:
                    parameters[name].copy_(tensors[f"layer.{number}.{name}"].float())
        self._layers = self._layers.to(self._dtype).eval().requires_grad_(False)
        self._heads = {
            name: tensors[name].float().to(device)
            for name in ("span.weight", "span.bias", "relevance.weight", "relevance.bias")
        }
        self._pairs = PairEncoder(tokenizer)

    @classmethod
    def load(
        cls, path: Path, backbone: Any, tokenizer: Tokenizer, precision: str = "auto"
    ) -> SpanModel:
        """Read adapter and heads; raises `ReaderError` when they do not fit the encoder."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="pt") as file:
                about = json.loads((file.metadata() or {})["reader"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return cls(backbone, tokenizer, tensors, float(about["scale"]), precision)
        except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise ReaderError(
                "The reader's weights in {file} do not load ({problem}); "
                "reinstall the package, or set 'reader' to 'none'.",
                file=path.name,
                problem=str(error).splitlines()[0] if str(error) else type(error).__name__,
            ) from error

    def read(self, question: str, passages: Sequence[tuple[str, str]]) -> list[PassageScores]:
        """Score each passage, given as the line above it and its body."""
        import torch

        asked = self._pairs.question(question)
        pairs = [
            (number, pair)
            for number, (head, body) in enumerate(passages)
            for pair in self._pairs.windows(asked, head, body, longest=_WINDOW, overlap=_OVERLAP)
        ]
        pairs.sort(key=lambda entry: len(entry[1].ids))
        windows: list[list[PassageScores]] = [[] for _ in passages]
        for begin in range(0, len(pairs), _BATCH):
            batch = pairs[begin : begin + _BATCH]
            with torch.inference_mode():
                logits, relevance = self._forward([pair for _, pair in batch])
            for row, (number, pair) in enumerate(batch):
                body = slice(pair.body, pair.body + len(pair.starts))
                own = np.concatenate([logits[row, :1], logits[row, body]])
                windows[number].append(_scores(own, pair, float(relevance[row])))
        return [_together(found) for found in windows]

    def _forward(self, pairs: Sequence[Pair]) -> tuple[Floats, Floats]:
        import torch

        longest = max(len(pair.ids) for pair in pairs)
        ids = torch.ones((len(pairs), longest), dtype=torch.long)  # 1 is <pad>
        mask = torch.zeros((len(pairs), longest))
        body = torch.zeros((len(pairs), longest))
        for row, pair in enumerate(pairs):
            ids[row, : len(pair.ids)] = torch.tensor(pair.ids)
            mask[row, : len(pair.ids)] = 1.0
            body[row, pair.body : pair.body + len(pair.starts)] = 1.0
        ids, mask, body = (tensor.to(self._device) for tensor in (ids, mask, body))
        span, relevance = self._run(ids, mask, body)
        return span.cpu().numpy(), relevance.cpu().numpy()

    def _run(
        self, ids: torch.Tensor, mask: torch.Tensor, body: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states = run_layers(self._layers, self._embeddings(input_ids=ids).to(self._dtype), mask)
        return apply_heads(self._heads, states.float(), body)


def run_layers(layers: Any, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Run BERT's layers over embedded tokens; `mask` is 1 for tokens and 0 for padding."""
    import torch

    hidden = (1.0 - mask[:, None, None, :]).to(states.dtype) * torch.finfo(states.dtype).min
    for layer in layers:
        states = layer(states, hidden)
        states = states[0] if isinstance(states, tuple) else states
    return states


def apply_heads(
    heads: Mapping[str, torch.Tensor], states: torch.Tensor, body: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return start and end logits of every token, and the relevance of every pair.

    Relevance is read from the first token and the mean of the body's tokens.
    """
    import torch

    span = states @ heads["span.weight"].T + heads["span.bias"]
    weight = body / body.sum(dim=1, keepdim=True).clamp(min=1.0)
    mean = (states * weight[:, :, None]).sum(dim=1)
    pooled = torch.cat([states[:, 0], mean], dim=1)
    return span, (pooled @ heads["relevance.weight"].T + heads["relevance.bias"])[:, 0]


def _scores(logits: Floats, pair: Pair, relevance: float) -> PassageScores:
    """Return the scores of a window from its logits (1 + tokens, 2), "no answer" first."""
    top = logits.max(axis=0)
    logs = logits - (top + np.log(np.exp(logits - top).sum(axis=0)))
    return PassageScores(logs[1:, 0], logs[1:, 1], pair.starts, pair.ends, relevance)


def _together(windows: Sequence[PassageScores]) -> PassageScores:
    """Return the scores of a passage from its windows; where two overlap the surer one counts."""
    if len(windows) == 1:
        return windows[0]
    best: dict[tuple[int, int], tuple[float, float]] = {}
    for window in windows:
        for k, place in enumerate(zip(window.starts.tolist(), window.ends.tolist(), strict=True)):
            start, end = best.get(place, (-math.inf, -math.inf))
            best[place] = max(start, float(window.start[k])), max(end, float(window.end[k]))
    places = sorted(best)
    return PassageScores(
        start=np.array([best[place][0] for place in places], dtype=np.float32),
        end=np.array([best[place][1] for place in places], dtype=np.float32),
        starts=np.array([start for start, _ in places], dtype=np.int64),
        ends=np.array([end for _, end in places], dtype=np.int64),
        relevance=max(window.relevance for window in windows),
    )


class NamedSpanModel:
    """Score passages with any Hugging Face model for extractive question answering.

    Such a model has no head for relevance; how far its best span is ahead of "no answer"
    stands in for it.
    """

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        # A fast tokenizer sets truncation and padding on itself: one call at a time.
        self._tokenizing = threading.Lock()
        self.name = name

    def read(self, question: str, passages: Sequence[tuple[str, str]]) -> list[PassageScores]:
        """Score each passage, given as the line above it and its body."""
        import torch

        windows: list[list[PassageScores]] = [[] for _ in passages]
        asked = self._shortened(question)
        for number, (_, body) in enumerate(passages):
            with self._tokenizing:
                found = self._tokenizer(
                    asked,
                    body,
                    truncation="only_second",
                    max_length=min(int(self._tokenizer.model_max_length), 512),
                    stride=_OVERLAP,
                    padding=True,
                    return_overflowing_tokens=True,
                    return_offsets_mapping=True,
                    return_tensors="pt",
                )
            offsets = found.pop("offset_mapping").numpy()
            found.pop("overflow_to_sample_mapping", None)
            second = [[part == 1 for part in found.sequence_ids(i)] for i in range(len(offsets))]
            with torch.inference_mode():
                output = self._model(**{k: v.to(self._model.device) for k, v in found.items()})
            logits = torch.stack([output.start_logits, output.end_logits], dim=2)
            for row, own in enumerate(logits.float().cpu().numpy()):
                kept = np.nonzero(second[row])[0]
                places = offsets[row][kept]
                pair = Pair((), 0, places[:, 0], places[:, 1])
                ahead = own[kept].max(axis=0) - own[0] if len(kept) else np.zeros(2)
                scored = np.concatenate([own[:1], own[kept]])
                windows[number].append(_scores(scored, pair, float(ahead.sum()) / 2))
        return [_together(found) for found in windows]

    def _shortened(self, question: str) -> str:
        """Return what a window has room for of a question."""
        with self._tokenizing:
            offsets = self._tokenizer(
                question, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )["offset_mapping"]
        return (
            question
            if len(offsets) <= _QUESTION_TOKENS
            else question[: offsets[_QUESTION_TOKENS][0]]
        )


def open_span_reader(settings: Settings, encoder: Encoder) -> SpanReader | None:
    """Open the reader that the settings name; None for "none".

    The bundled one adapts the layers of multilingual-e5-small, bundled or from the hub; with
    another encoder there is none. Raises `ReaderError` when it does not load.
    """
    if settings.reader == NO_READER:
        return None
    if settings.reader == BUNDLED_READER:
        if not is_e5_small(encoder, settings):
            return None
        model = encoder.model
        return SpanModel.load(
            BUNDLED_WEIGHTS, model.transformer, model.tokenizer, settings.precision
        )
    local = Path(settings.reader).is_dir()
    try:
        import torch
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(settings.reader, local_files_only=local)
        model = AutoModelForQuestionAnswering.from_pretrained(
            settings.reader, local_files_only=local, dtype=torch.float32
        )
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ReaderError(
            "The reader '{reader}' did not load ({problem}). Check the setting 'reader': "
            "'{bundled}', '{none}', a folder, or a name on the hub.",
            reader=settings.reader,
            problem=reason,
            bundled=BUNDLED_READER,
            none=NO_READER,
        ) from error
    return NamedSpanModel(model, tokenizer, settings.reader)
