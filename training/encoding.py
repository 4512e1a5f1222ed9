"""What the encoder makes of passages and of statements in their wordings, before training."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from rag.support_model import PASSAGE, STATEMENT, sentence_numbers
from rag.support_network import LAYERS, layer_states
from rag.text_model import BertText, Tokens
from training.statements import Statement, render

__all__ = ["Encoded", "Flags", "Passage", "Said", "States", "encode", "last_layer", "unit_vectors"]

States = NDArray[np.float16]
Flags = NDArray[np.bool_]

_ENCODED_AT_ONCE = 32
# Statements of a file whose passages lie this near to each other are about like matters.
_NEIGHBOURS = 15
# Of so many slots a wrong wording is made, where there are few two.
_SLOTS = 4
_FEW_SLOTS = 3


@dataclass(frozen=True, slots=True)
class Said:
    """A wording of a statement: its states, which tokens are its own, and which are wrong.

    `wrong` is None where words are missing: then no token is to blame.
    """

    states: States
    own: Flags
    wrong: Flags | None
    supported: bool


@dataclass(frozen=True, slots=True)
class Encoded:
    """A statement in its wordings, the right one first, and where its passage is.

    `near` names passages of the same kind.
    """

    passage: int
    near: tuple[str, int]
    held_out: bool
    wordings: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Passage:
    """The states of a passage, and which sentence each token is of; -1 is the line above it."""

    states: States
    sentence: NDArray[np.int16]


def encode(
    statements: Sequence[Statement], model: BertText, seed: int
) -> tuple[list[Passage], list[Encoded]]:
    """Return the passages and the statements as the encoder reads them."""
    rng = random.Random(seed)
    texts = list(dict.fromkeys((one.title, one.text) for one in statements))
    places = {text: number for number, text in enumerate(texts)}
    written = [PASSAGE.format(head=f"{title}\n" if title else "", body=b) for title, b in texts]
    tokens = model.tokens(written)
    passages = [
        Passage(states, sentence_numbers(found, whole, body))
        for states, found, whole, (_, body) in zip(
            _read(model, tokens, "Passages"), tokens, written, texts, strict=True
        )
    ]
    made = [list(_wordings(one, rng)) for one in statements]
    every = [wording for group in made for wording in group]
    tokens = model.tokens([STATEMENT.format(text) for text, _, _ in every])
    said = iter(
        [
            _said(states, found, spans, supported)
            for states, found, (_, spans, supported) in zip(
                _read(model, tokens, "Statements"), tokens, every, strict=True
            )
        ]
    )
    encoded = [
        Encoded(
            places[one.title, one.text],
            (one.file, one.passage // _NEIGHBOURS),
            one.held_out,
            tuple(next(said) for _ in group),
        )
        for one, group in zip(statements, made, strict=True)
    ]
    return passages, encoded


def _wordings(
    statement: Statement, rng: random.Random
) -> Iterator[tuple[str, list[tuple[int, int]], bool]]:
    yield (*render(statement.parts, {}, rng), True)
    slots = list(statement.slots.items())
    rng.shuffle(slots)
    for slot, wrong in slots[:_SLOTS]:
        most = 2 if len(slots) < _FEW_SLOTS else 1
        for chosen in rng.sample(range(1, wrong + 1), min(wrong, most)):
            yield (*render(statement.parts, {slot: chosen}, rng), False)


def _read(model: BertText, tokens: Sequence[Tokens], what: str) -> list[States]:
    """Return the states of texts (tokens, layers * hidden), those of like length together."""
    order = sorted(range(len(tokens)), key=lambda number: len(tokens[number].ids))
    found: dict[int, States] = {}
    begins = range(0, len(order), _ENCODED_AT_ONCE)
    for begin in track(begins, what, console=Console(stderr=True)):
        numbers = order[begin : begin + _ENCODED_AT_ONCE]
        longest = max(len(tokens[number].ids) for number in numbers)
        ids = torch.ones((len(numbers), longest), dtype=torch.long)
        mask = torch.zeros((len(numbers), longest))
        for row, number in enumerate(numbers):
            own = tokens[number].ids
            ids[row, : len(own)] = torch.tensor(own)
            mask[row, : len(own)] = 1
        with torch.inference_mode():
            states = layer_states(model.bert, ids, mask).half().numpy()
        for row, number in enumerate(numbers):
            found[number] = states[row, : len(tokens[number].ids)].copy()
    return [found[number] for number in range(len(tokens))]


def _said(
    states: States, tokens: Tokens, spans: Sequence[tuple[int, int]], supported: bool
) -> Said:
    places = tokens.spans - len(STATEMENT.format(""))
    own = places[:, 1] > 0
    if any(start == end for start, end in spans):
        return Said(states, own, None, supported)
    wrong = np.zeros(len(own), dtype=bool)
    for start, end in spans:
        wrong |= own & (places[:, 1] > start) & (places[:, 0] < end)
    return Said(states, own, wrong, supported)


def last_layer(states: States) -> NDArray[np.float32]:
    """Return what the last of the layers makes of tokens: (tokens, hidden)."""
    return states[:, -states.shape[1] // len(LAYERS) :].astype(np.float32)


def unit_vectors(states: States, mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the last layer of tokens less a mean, each of length 1: (tokens, hidden)."""
    vectors = last_layer(states) - mean
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found
