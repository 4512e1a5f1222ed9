"""Train the network that checks statements: `python -m training.support --statements FOLDER`.

The encoder stays as it is, and reads every text once before training begins; ten thousand
statements take 6 GB of memory. The words that are wrong in a statement are known, so that every
token of it teaches something (as in LettuceDetect, Kovács & Recski 2025, arXiv:2502.17125), and
each wrong statement stands beside the right one that it was made from.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor

from rag.config import load_settings
from rag.encoder import convert_bundled
from rag.support_network import LAYERS, Comparison
from rag.text_model import BertText
from training.encoding import (
    Encoded,
    Flags,
    Passage,
    Said,
    States,
    encode,
    last_layer,
    unit_vectors,
)
from training.recipe import add_options
from training.statements import read_statements

__all__ = [
    "Recipe",
    "Sampler",
    "Unit",
    "losses",
    "measure",
    "tensors",
    "train",
]

_SAMPLED_FOR_MEANS = 2000
_SAVED_EVERY_S = 180


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run can have otherwise.

    The learning rate falls to zero in `minutes`. `passages` are read in a step, each with a right
    statement and up to three wrong ones. `cut` is the share of passages of which only the
    sentences nearest to the statement are read, `others` that of right statements that are read
    with another passage, `gaps` with their own less the nearest sentences, `pairs` that of passages
    that are read with another one beside them. The rest are weights in the loss: of right and wrong
    statements, of the words that are wrong in one, of the words and of the order.
    """

    minutes: float = 42.0
    passages: int = 24
    wrong: int = 3
    width: int = 256
    depth: int = 2
    dropout: float = 0.1
    rate: float = 1e-3
    warm_up_steps: int = 150
    weight_decay: float = 0.02
    cut: float = 0.5
    others: float = 0.1
    gaps: float = 0.1
    pairs: float = 0.08
    right_weight: float = 1.5
    wrong_weight: float = 0.7
    wrong_token: float = 3.0
    words: float = 1.5
    order: float = 0.5
    seed: int = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """A passage, the tokens of it that are read, and the statements that are read with it."""

    passage: Passage
    kept: NDArray[np.int64]
    said: tuple[Said, ...]
    supported: tuple[bool, ...]


class Sampler:
    """Draw what is read in each step."""

    def __init__(
        self,
        passages: Sequence[Passage],
        statements: Sequence[Encoded],
        means: tuple[NDArray[np.float32], NDArray[np.float32]],
        recipe: Recipe,
    ) -> None:
        self._passages = passages
        self._statements = [one for one in statements if not one.held_out]
        self._means = means
        self._recipe = recipe
        self._near: dict[tuple[str, int], list[int]] = defaultdict(list)
        for one in self._statements:
            self._near[one.near].append(one.passage)
        self._places = [one.passage for one in self._statements]
        self._ranked: dict[int, list[int]] = {}

    def batches(self, epoch: int) -> Iterator[list[Unit]]:
        """Yield the batches of an epoch; passages of like length together."""
        rng = random.Random(self._recipe.seed * 1000 + epoch)
        order = list(range(len(self._statements)))
        rng.shuffle(order)
        size = self._recipe.passages
        batches = []
        for begin in range(0, len(order), 20 * size):
            part = sorted(order[begin : begin + 20 * size], key=self._length)
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        rng.shuffle(batches)
        for batch in batches:
            yield [unit for number in batch for unit in self._units(number, rng)]

    def _length(self, number: int) -> int:
        return len(self._passages[self._statements[number].passage].states)

    def _units(self, number: int, rng: random.Random) -> Iterator[Unit]:
        recipe = self._recipe
        statement = self._statements[number]
        right, *wrong = statement.wordings
        passage = self._passages[statement.passage]
        kept = np.ones(len(passage.states), dtype=bool)
        if rng.random() < recipe.cut:
            kept = np.isin(passage.sentence, self._nearest(number)[: rng.choice((1, 2, 3, 4))])
            if rng.random() < 0.7:
                kept |= passage.sentence < 0
        said = (right, *rng.sample(wrong, min(recipe.wrong, len(wrong))))
        stands = tuple(one.supported for one in said)
        if rng.random() < recipe.pairs:
            passage, kept = _joined(passage, kept, self._passages[self._other(statement, rng)])
        yield Unit(passage, np.flatnonzero(kept), said, stands)
        drawn = rng.random()
        if drawn < recipe.others:
            place = self._other(statement, rng)
            if place != statement.passage:
                whole = self._passages[place]
                yield Unit(whole, np.arange(len(whole.states)), (right,), (False,))
        elif drawn < recipe.others + recipe.gaps:
            nearest = self._nearest(number)
            if len(nearest) > 3:
                rest = np.flatnonzero(~np.isin(passage.sentence, nearest[:2]))
                yield Unit(passage, rest, (right,), (False,))

    def _other(self, statement: Encoded, rng: random.Random) -> int:
        """Return some passage, one time in two one of the same kind."""
        return rng.choice(self._near[statement.near] if rng.random() < 0.5 else self._places)

    def _nearest(self, number: int) -> list[int]:
        """Return the sentences of a statement's passage, the nearest to it first."""
        if number not in self._ranked:
            statement = self._statements[number]
            passage = self._passages[statement.passage]
            right = statement.wordings[0]
            said = unit_vectors(right.states[right.own], self._means[0])
            cosines = said @ unit_vectors(passage.states, self._means[1]).T
            numbers = sorted(set(passage.sentence.tolist()) - {-1})
            near = [float(cosines[:, passage.sentence == n].max(axis=1).mean()) for n in numbers]
            ranked = sorted(zip(near, numbers, strict=True), reverse=True)
            self._ranked[number] = [n for _, n in ranked]
        return self._ranked[number]


def _joined(passage: Passage, kept: Flags, other: Passage) -> tuple[Passage, Flags]:
    """Return two passages as one, and which of its tokens are read: of the other one all."""
    states = np.concatenate([passage.states, other.states])
    sentence = np.concatenate([passage.sentence, np.full(len(other.states), -1, dtype=np.int16)])
    return Passage(states, sentence), np.concatenate([kept, np.ones(len(other.states), dtype=bool)])


def tensors(units: Sequence[Unit]) -> dict[str, Tensor]:
    """Return what the network takes of some units, and what it should say of them.

    "said", "said_mask", "passage" and "passage_mask" are the network's; "supported", "given",
    "wrong" and "known" say which statements are supported, which there are, which tokens are
    wrong, and of which that is known.
    """
    most = max(len(unit.said) for unit in units)
    length = max(len(one.states) for unit in units for one in unit.said)
    longest = max(len(unit.kept) for unit in units)
    states = units[0].passage.states.shape[1]
    said = np.zeros((len(units), most, length, states), dtype=np.float16)
    passage = np.zeros((len(units), longest, states), dtype=np.float16)
    passage_mask = np.zeros((len(units), longest), dtype=np.float32)
    said_mask, wrong, known = np.zeros((3, len(units), most, length), dtype=np.float32)
    supported, given = np.zeros((2, len(units), most), dtype=np.float32)
    for row, unit in enumerate(units):
        passage[row, : len(unit.kept)] = unit.passage.states[unit.kept]
        passage_mask[row, : len(unit.kept)] = 1
        for k, (one, stands) in enumerate(zip(unit.said, unit.supported, strict=True)):
            tokens = slice(0, len(one.states))
            said[row, k, tokens] = one.states
            said_mask[row, k, tokens] = one.own
            supported[row, k], given[row, k] = stands, 1
            if one.wrong is not None and stands == one.supported:
                wrong[row, k, tokens], known[row, k, tokens] = one.wrong, one.own
    arrays = {
        "said": said,
        "said_mask": said_mask,
        "passage": passage,
        "passage_mask": passage_mask,
        "supported": supported,
        "given": given,
        "wrong": wrong,
        "known": known,
    }
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def losses(
    network: Comparison, units: Sequence[Unit], recipe: Recipe
) -> tuple[Tensor, list[float]]:
    """Return the loss of some units and its parts: support, words, order.

    The first two are binary cross entropies; of the statements about a passage the right one
    must be the likeliest.
    """
    of = tensors(units)
    with torch.autocast("cpu", torch.bfloat16):
        support, words = network(
            of["said"].bfloat16(),
            of["said_mask"],
            of["passage"].bfloat16(),
            of["passage_mask"],
        )
    support, words = support.float(), words.float()
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    right, given = of["supported"], of["given"]
    share = torch.where(right > 0, recipe.right_weight, recipe.wrong_weight) * given
    told = (cross(support, right, reduction="none") * share).sum() / given.sum()
    wrong, known = of["wrong"], of["known"]
    weight = torch.where(wrong > 0, recipe.wrong_token, 1.0) * known
    blamed = (cross(words, wrong, reduction="none") * weight).sum() / known.sum().clamp(min=1)
    beside = given[:, 1:] * right[:, :1]
    lead = torch.nn.functional.softplus(support[:, 1:] - support[:, :1])
    ordered = (lead * beside).sum() / beside.sum().clamp(min=1)
    total = told + recipe.words * blamed + recipe.order * ordered
    return total, [float(part.detach()) for part in (told, blamed, ordered)]


def measure(
    network: Comparison, passages: Sequence[Passage], statements: Sequence[Encoded]
) -> dict[str, float]:
    """Return how well the statements that were held out are told apart.

    `auc` is the area under the ROC curve, `kept` the share of right ones that are above 95 in a
    hundred wrong ones, `pairs` that of wrong ones below the right one they were made from.
    """
    network.eval()
    right: list[float] = []
    wrong: list[float] = []
    below: list[bool] = []
    for one in statements:
        if not one.held_out:
            continue
        passage = passages[one.passage]
        everything = np.arange(len(passage.states))
        stand = tuple(said.supported for said in one.wordings)
        of = tensors([Unit(passage, everything, one.wordings, stand)])
        with torch.inference_mode():
            support, words = network(
                of["said"].float(), of["said_mask"], of["passage"].float(), of["passage_mask"]
            )
        doubt = words.masked_fill(of["said_mask"] == 0, -torch.inf).amax(dim=-1)
        first, *rest = (support - doubt)[0].tolist()
        right.append(first)
        wrong += rest
        below += [other < first for other in rest]
    network.train()
    both = np.array(right)[:, None] > np.array(wrong)[None]
    kept = np.array(right) > np.quantile(wrong, 0.95)
    found = {"auc": both.mean(), "kept": kept.mean(), "pairs": np.mean(below)}
    return {name: round(float(value), 3) for name, value in found.items()}


def train(
    passages: Sequence[Passage],
    statements: Sequence[Encoded],
    recipe: Recipe,
    out: Path,
    start: Path | None = None,
) -> Comparison:
    """Train until the time is over; writes the weights and a log every few minutes.

    `start` names weights to go on from.
    """
    torch.manual_seed(recipe.seed)
    training = [one for one in statements if not one.held_out]
    means = (
        _mean([one.wordings[0].states for one in training], recipe.seed),
        _mean([passages[one.passage].states for one in training], recipe.seed),
    )
    hidden = passages[0].states.shape[1] // len(LAYERS)
    network = Comparison(hidden, recipe.width, recipe.depth, recipe.dropout)
    network.statement_mean.copy_(torch.from_numpy(means[0]))
    network.passage_mean.copy_(torch.from_numpy(means[1]))
    if start is not None:
        network.load_state_dict(load_file(start))
        means = (network.statement_mean.numpy().copy(), network.passage_mean.numpy().copy())
    sampler = Sampler(passages, statements, means, recipe)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.98)
    )
    begun = saved = time.monotonic()
    step = 0
    recent: list[list[float]] = []
    batches = ((e, batch) for e in itertools.count() for batch in sampler.batches(e))
    for epoch, batch in batches:
        done = (time.monotonic() - begun) / (60 * recipe.minutes)
        if done >= 1:
            break
        warm = min(1.0, (step + 1) / recipe.warm_up_steps)
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * warm * max(1 - done, 0.01)
        total, parts = losses(network, batch, recipe)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        step += 1
        recent.append(parts)
        if step % 100 == 0:
            mean = [round(float(value), 3) for value in np.mean(recent, axis=0)]
            recent = []
            line = dict(zip(("support", "words", "order"), mean, strict=True))
            seconds = round(time.monotonic() - begun)
            _log(out, {"step": step, "epoch": epoch, "seconds": seconds, **line})
        if time.monotonic() - saved > _SAVED_EVERY_S:
            _save(network, recipe, step, out)
            _log(out, {"step": step, **measure(network, passages, statements)})
            saved = time.monotonic()
    _save(network, recipe, step, out)
    return network


def _mean(states: Sequence[States], seed: int) -> NDArray[np.float32]:
    chosen = random.Random(seed).sample(states, min(len(states), _SAMPLED_FOR_MEANS))
    mean: NDArray[np.float32] = np.mean([last_layer(own).mean(axis=0) for own in chosen], axis=0)
    return mean


def _log(out: Path, line: Mapping[str, Any]) -> None:
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    Console().print_json(json.dumps(line), indent=None)


def _save(network: Comparison, recipe: Recipe, step: int, out: Path) -> None:
    """Write the weights under a temporary name and rename them."""
    about = {**asdict(recipe), "steps": step, "hidden": network.hidden}
    save_file(
        {name: tensor.half().contiguous() for name, tensor in network.state_dict().items()},
        out / "support.tmp",
        metadata={"support": json.dumps(about)},
    )
    # The library writes files that only their owner can read.
    (out / "support.tmp").chmod(0o644)
    (out / "support.tmp").replace(out / "support.safetensors")


def main() -> None:
    """Read and encode the statements, train, and print how well those held out are told apart."""
    parser = argparse.ArgumentParser(prog="python -m training.support", description=__doc__)
    parser.add_argument("--statements", type=Path, required=True, help="a folder of *.txt")
    parser.add_argument("--out", type=Path, default=Path("training/run"))
    parser.add_argument("--start", type=Path, help="weights to go on from")
    add_options(parser, Recipe)
    given = vars(parser.parse_args())
    folder, out, start = given.pop("statements"), given.pop("out"), given.pop("start")
    recipe = Recipe(**given)
    try:
        statements = [s for file in sorted(folder.glob("*.txt")) for s in read_statements(file)]
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if not any(one.held_out for one in statements):
        parser.error(f"{folder} holds no statements (*.txt), or too few to hold some out.")
    out.mkdir(parents=True, exist_ok=True)
    path = convert_bundled(load_settings().cache)
    model = BertText.load(str(path), torch.bfloat16, torch.device("cpu"))
    passages, encoded = encode(statements, model, recipe.seed)
    network = train(passages, encoded, recipe, out, start)
    _log(out, measure(network.eval(), passages, encoded))


if __name__ == "__main__":
    main()
