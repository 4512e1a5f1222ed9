"""The training loop: several processes of one thread each, averaged gradients, checkpoints.

Two processes of one thread are faster than one of two where the processors are shared:
they wait for each other once a step, not once a matrix product.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from rag.config import load_settings
from rag.encoder import convert_bundled
from rag.span_model import PairEncoder
from rag.text_model import BertText
from training.data import WEIGHTS, Example, Text, load_examples, typed
from training.network import Network

__all__ = ["Recipe", "train", "work"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that changes the result, besides the data.

    Training ends after `minutes` (the learning rate falls to zero by then) or, where
    `steps` is above zero, after that many steps whatever the time.
    """

    minutes: float = 55.0
    steps: int = 0
    questions: int = 8
    rank: int = 32
    frozen: int = 2
    scale: float = 2.0
    rate: float = 1.2e-3
    warm_up: float = 0.03
    body_tokens: int = 192
    long_body_tokens: int = 352
    long_share: float = 0.1
    negative_share: float = 0.7
    seed: int = 7
    workers: int = 2


# What a run that goes on from a checkpoint may have otherwise.
_MAY_CHANGE = ("minutes", "steps", "workers")


@dataclass(frozen=True, slots=True)
class _Row:
    ids: tuple[int, ...]
    body: int
    length: int
    start: int  # -1: no answer in this passage
    end: int


class Sampler:
    """Draw the groups of each step: a question, its passage, and one that does not answer."""

    def __init__(
        self, texts: Sequence[Text], examples: Sequence[Example], pairs: PairEncoder, recipe: Recipe
    ) -> None:
        self._examples = [example for example in examples if not example.held_out]
        self._pairs = pairs
        self._recipe = recipe
        self._heads = [pairs.head(text.head) for text in texts]
        self._bodies = [pairs.body(text.body) for text in texts]

    def batches(self, epoch: int) -> Iterator[list[list[_Row]]]:
        """Yield the batches of an epoch, each a list of groups; like lengths together."""
        rng = random.Random(self._recipe.seed * 1000 + epoch)
        chosen = []
        for example in self._examples:
            weight = WEIGHTS[example.source]
            chosen += [example] * (int(weight) + (rng.random() < weight % 1))
        rng.shuffle(chosen)
        size = self._recipe.questions
        for begin in range(0, len(chosen), 16 * size):
            groups = [self._group(example, rng) for example in chosen[begin : begin + 16 * size]]
            groups.sort(key=lambda group: max(len(row.ids) for row in group))
            batches = [groups[i : i + size] for i in range(0, len(groups), size)]
            rng.shuffle(batches)
            yield from (batch for batch in batches if len(batch) == size)

    def _group(self, example: Example, rng: random.Random) -> list[_Row]:
        question = self._pairs.question(typed(example.question, rng))
        group = []
        if example.gold:
            gold = example.gold[0]
            offsets = self._bodies[gold.passage][1]
            inside = np.nonzero((offsets[:, 1] > gold.start) & (offsets[:, 0] < gold.end))[0]
            group.append(self._row(question, gold.passage, (inside[0], inside[-1]), rng))
            if example.negatives and rng.random() < self._recipe.negative_share:
                group.append(self._row(question, rng.choice(example.negatives), None, rng))
        else:
            group.append(self._row(question, example.negatives[0], None, rng))
        return group

    def _row(
        self,
        question: list[int],
        passage: int,
        answer: tuple[int, int] | None,
        rng: random.Random,
    ) -> _Row:
        recipe = self._recipe
        ids = self._bodies[passage][0]
        long = rng.random() < recipe.long_share
        room = recipe.long_body_tokens if long else recipe.body_tokens
        low, high = 0, max(len(ids) - room, 0)
        if answer is not None:
            low = min(max(int(answer[1]) + 1 - room, 0), int(answer[0]))
            high = max(min(int(answer[0]), high), low)
        begin = rng.randint(low, high)
        joined, at = self._pairs.join(question, self._heads[passage], ids[begin : begin + room])
        length = len(ids[begin : begin + room])
        if answer is None:
            return _Row(joined, at, length, -1, -1)
        start, end = int(answer[0]) - begin, min(int(answer[1]) - begin, length - 1)
        return _Row(joined, at, length, start, end)


def tensors(rows: Sequence[_Row]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return ids, mask, body mask and targets (start, end; 0 where there is no answer)."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.ones((len(rows), longest), dtype=torch.long)
    mask, body = torch.zeros((len(rows), longest)), torch.zeros((len(rows), longest))
    targets = torch.zeros((len(rows), 2), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        mask[i, : len(row.ids)] = 1
        body[i, row.body : row.body + row.length] = 1
        if row.start >= 0:
            targets[i] = torch.tensor([row.body + row.start, row.body + row.end])
    return ids, mask, body, targets


def losses(network: Network, groups: Sequence[Sequence[_Row]]) -> tuple[Tensor, list[float]]:
    """Return the loss of some groups and its parts: span, relevance, order of the passages.

    The span is a softmax over the body's tokens and the first token, which stands for no
    answer; a passage without one counts a third. Of the two passages of a question the one
    that answers must be the more relevant.
    """
    rows = [row for group in groups for row in group]
    ids, mask, body, targets = tensors(rows)
    logits, relevance = network(ids, mask, body)
    allowed = body.clone()
    allowed[:, 0] = 1
    logits = logits.masked_fill(allowed[:, :, None] == 0, -1e4)
    answers = (targets[:, 0] > 0).float()
    weight = answers + (1 - answers) / 3
    each = sum(
        torch.nn.functional.cross_entropy(logits[:, :, k], targets[:, k], reduction="none")
        for k in (0, 1)
    )
    span = (each * weight).sum() / weight.sum()
    right = torch.nn.functional.binary_cross_entropy_with_logits(relevance, answers)
    order, at = [], 0
    for group in groups:
        if len(group) == 2:
            order.append(torch.nn.functional.softplus(relevance[at + 1] - relevance[at]))
        at += len(group)
    ordered = torch.stack(order).mean() if order else torch.zeros(())
    total = span + right + 0.5 * ordered
    return total, [float(span.detach()), float(right.detach()), float(ordered.detach())]


def train(
    backbone: Any,
    pairs: PairEncoder,
    data: tuple[list[Text], list[Example]],
    recipe: Recipe,
    folder: Path,
    rank: int,
) -> None:
    """Train one of `recipe.workers` processes; the first writes checkpoints and the log."""
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    network = Network(backbone, recipe.rank, recipe.scale, recipe.frozen)
    trained = dict(network.trained())
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    for parameter in trained.values():
        parameter.requires_grad_(True)
    matrices = [p for p in trained.values() if p.ndim > 1]
    vectors = [p for p in trained.values() if p.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}],
        lr=recipe.rate,
        betas=(0.9, 0.98),
        foreach=True,
    )
    step, spent = 0, 0.0
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        _require_same_recipe(state["recipe"], recipe)
        with torch.no_grad():
            for name, parameter in trained.items():
                parameter.copy_(state["trained"][name])
        optimiser.load_state_dict(state["optimiser"])
        step, spent = int(state["step"]), float(state["spent"])
    sampler = Sampler(*data, pairs, recipe)
    parameters = list(trained.values())
    sizes = [p.numel() for p in parameters]
    flat = torch.zeros(sum(sizes) + 4)
    recent: list[list[float]] = []
    begun, saved = time.monotonic() - spent, time.monotonic()
    seen = 0
    for epoch in range(1000):
        for batch in sampler.batches(epoch):
            seen += 1
            if seen <= step:
                continue  # done before the checkpoint
            done = step / recipe.steps if recipe.steps else spent / (60 * recipe.minutes)
            if done >= 1:
                if rank == 0:
                    _save(folder, network, optimiser, recipe, step, spent)
                return
            warm = min(1.0, done / recipe.warm_up) if recipe.warm_up else 1.0
            for group in optimiser.param_groups:
                group["lr"] = recipe.rate * max(min(warm, (1 - done) / (1 - recipe.warm_up)), 1e-3)
            optimiser.zero_grad(set_to_none=True)
            mine = batch[rank :: recipe.workers]
            # In two halves: half the memory at a time.
            halves = [half for half in (mine[::2], mine[1::2]) if half]
            parts = np.zeros(3)
            for half in halves:
                total, found = losses(network, half)
                (total / len(halves)).backward()
                parts += np.array(found) / len(halves)
            torch.cat(
                [
                    *(p.grad.flatten() for p in parameters if p.grad is not None),
                    torch.tensor([*parts, 0.0], dtype=torch.float32),
                ],
                out=flat,
            )
            if rank == 0:
                flat[-1] = recipe.workers * (time.monotonic() - begun)
            if recipe.workers > 1:
                dist.all_reduce(flat)
                flat /= recipe.workers
            at = 0
            for parameter, size in zip(parameters, sizes, strict=True):
                parameter.grad = flat[at : at + size].view_as(parameter).clone()
                at += size
            spent = float(flat[-1])
            torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
            optimiser.step()
            step += 1
            recent.append(flat[-4:-1].tolist())
            if rank == 0 and step % 20 == 0:
                mean = [round(float(v), 4) for v in np.mean(recent, axis=0)]
                recent = []
                line = {
                    "step": step,
                    "seconds": round(spent),
                    "epoch": epoch,
                    "span": mean[0],
                    "relevance": mean[1],
                    "order": mean[2],
                }
                with (folder / "log.jsonl").open("a", encoding="utf-8") as file:
                    file.write(json.dumps(line) + "\n")
                Console().print_json(json.dumps(line), indent=None)
            if rank == 0 and time.monotonic() - saved > 240:
                _save(folder, network, optimiser, recipe, step, spent)
                saved = time.monotonic()


def _require_same_recipe(before: dict[str, Any], recipe: Recipe) -> None:
    """Raise `ValueError` when a checkpoint is of another recipe; only the end may be moved."""
    now = asdict(recipe)
    other = [name for name in now if name not in _MAY_CHANGE and before.get(name) != now[name]]
    if other:
        raise ValueError(
            f"The checkpoint was made with another {', '.join(other)}; "
            "train into another folder with --out, or remove it."
        )


def _save(
    folder: Path,
    network: Network,
    optimiser: torch.optim.Optimizer,
    recipe: Recipe,
    step: int,
    spent: float,
) -> None:
    """Write the checkpoint and the weights, each under a temporary name and renamed."""
    trained = {name: parameter.detach() for name, parameter in network.trained()}
    state = {
        "trained": trained,
        "optimiser": optimiser.state_dict(),
        "step": step,
        "spent": spent,
        "recipe": asdict(recipe),
    }
    torch.save(state, folder / "checkpoint.tmp")
    (folder / "checkpoint.tmp").replace(folder / "checkpoint.pt")
    about = {
        "scale": recipe.scale,
        "rank": recipe.rank,
        "steps": step,
        "minutes": round(spent / 60, 1),
        "backbone": "multilingual-e5-small",
    }
    stored = {name: parameter.detach() for name, parameter in network.stored()}
    save_file(
        {name: tensor.half().contiguous() for name, tensor in stored.items()},
        folder / "reader.tmp",
        metadata={"reader": json.dumps(about)},
    )
    (folder / "reader.tmp").replace(folder / "reader.safetensors")


def work(rank: int, examples: Path, out: Path, recipe: Recipe, meeting: str) -> None:
    """Open encoder and data in a process of its own, and train there."""
    torch.set_num_threads(1)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if recipe.workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting}/store", rank=rank, world_size=recipe.workers
        )
    path = convert_bundled(load_settings().cache)
    model = BertText.load(str(path), torch.float32, torch.device("cpu"))
    pairs = PairEncoder(model.tokenizer)
    train(model.transformer, pairs, load_examples(examples), recipe, out, rank)
