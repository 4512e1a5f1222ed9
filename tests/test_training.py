"""Training: what is read in a step, and that a small network learns from it."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import BertModel

from rag.span_model import PairEncoder
from tests.test_span_model import backbone, tokenizer
from training.data import Example, Gold, Text, held_out, typed
from training.network import Network
from training.train import Recipe, Sampler, losses, tensors

__all__ = ["backbone", "tokenizer"]

TEXTS = [
    Text("bureau", "le siège du bureau est à Bruxelles ."),
    Text("bureau", "il est grand ."),
]
# "Bruxelles" stands at 25 to 34 of the first passage, the second does not answer.
WHERE = Example("piaf", "fr", "où est le siège ?", (Gold(0, 25, 34),), (1,), held_out=False)
NOWHERE = Example("unanswerable", "fr", "où est le bureau ?", (), (1,), held_out=False)
KEPT_BACK = Example("piaf", "fr", "où ?", (Gold(0, 25, 34),), (1,), held_out=True)


def _sampler(tokenizer: Any, examples: list[Example], **changes: Any) -> Sampler:
    recipe = Recipe(questions=2, **changes)
    return Sampler(TEXTS, examples, PairEncoder(tokenizer.backend_tokenizer), recipe)


def test_a_question_is_read_with_its_passage_and_with_one_that_does_not_answer(
    tokenizer: Any,
) -> None:
    sampler = _sampler(tokenizer, [WHERE, WHERE], negative_share=1.0)
    (batch,) = sampler.batches(0)
    for right, wrong in batch:
        ids, _, body, targets = tensors([right, wrong])
        start, end = targets[0].tolist()
        assert tokenizer.convert_ids_to_tokens(ids[0, start : end + 1]) == ["Bruxelles"]
        assert body[0].sum() == 8 and body[1].sum() == 4
        # The first token stands for no answer.
        assert targets[1].tolist() == [0, 0]


def test_what_is_held_out_is_not_read(tokenizer: Any) -> None:
    assert list(_sampler(tokenizer, [KEPT_BACK, KEPT_BACK]).batches(0)) == []


def test_an_epoch_is_the_same_each_time_and_another_one_is_not(tokenizer: Any) -> None:
    sampler = _sampler(tokenizer, [WHERE, NOWHERE] * 8)
    first, again, other = (list(sampler.batches(epoch)) for epoch in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("room", [2, 3, 8])
def test_the_answer_stays_in_what_is_cut_out(tokenizer: Any, room: int) -> None:
    sampler = _sampler(tokenizer, [WHERE, WHERE], body_tokens=room, long_share=0.0)
    for epoch in range(5):
        for batch in sampler.batches(epoch):
            for group in batch:
                assert group[0].length == room
                ids = group[0].ids[group[0].body + group[0].start]
                assert tokenizer.convert_ids_to_tokens([ids]) == ["Bruxelles"]


def test_a_small_network_learns(backbone: BertModel, tokenizer: Any) -> None:
    torch.manual_seed(1)
    network = Network(backbone, rank=4, scale=2.0)
    trained = [parameter for _, parameter in network.trained()]
    for parameter in trained:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(trained, lr=0.02)
    (batch, *_) = _sampler(tokenizer, [WHERE, NOWHERE] * 2, negative_share=1.0).batches(0)
    before, _ = losses(network, batch)
    for _ in range(40):
        optimiser.zero_grad()
        total, _ = losses(network, batch)
        total.backward()
        optimiser.step()
    assert float(total.detach()) < 0.5 * float(before.detach())
    # The matrices of the encoder stay as they are.
    frozen = network.layers[0].attention.self.query.weight.float()
    own = backbone.encoder.layer[0].attention.self.query.weight
    assert torch.equal(frozen, own.to(torch.bfloat16).float())


def test_questions_are_read_as_people_type_them() -> None:
    rng = random.Random(3)
    asked = {typed("Où siège l'Agence européenne ?", rng) for _ in range(200)}
    assert "Où siège l'Agence européenne ?" in asked
    assert "Où siège l'Agence européenne" in asked
    assert "ou siege l'agence europeenne ?" in asked
    assert any("ou siege" in question and "?" not in question for question in asked)


def test_a_twelfth_of_the_articles_is_held_out() -> None:
    share = sum(held_out(f"Article {number}") for number in range(2400)) / 2400
    assert share == pytest.approx(1 / 12, abs=0.02)
