"""The network that checks statements, on a small BERT with words for tokens."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from rag.config import load_settings
from rag.encoder import open_encoder
from rag.errors import ReaderError
from rag.support_model import (
    BUNDLED_WEIGHTS,
    Judgement,
    SupportModel,
    _nearest,
    open_support_model,
    sentence_numbers,
)
from rag.support_network import LAYERS, Comparison, layer_states
from rag.text_model import Bert, BertText, Tokens
from tests.conftest import ToyEncoder
from training.encoding import encode
from training.statements import Statement, parse, render
from training.support import Unit, tensors

NUMBERS = ("un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit")
WORDS = ("query", "passage", ":", "le", "bureau", "compte", "membres", ".", *NUMBERS)


@pytest.fixture(scope="module")
def text() -> BertText:
    torch.manual_seed(3)
    config = SimpleNamespace(
        vocab_size=len(WORDS) + 2,
        hidden_size=16,
        num_hidden_layers=LAYERS[-1],
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        type_vocab_size=1,
        pad_token_id=1,
        layer_norm_eps=1e-5,
    )
    bert = Bert(config)
    for name, parameter in bert.named_parameters():
        if "LayerNorm" not in name:
            torch.nn.init.normal_(parameter, std=0.3)
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<pad>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return BertText(bert.eval().requires_grad_(False), tokenizer, {})


def _network(width: int = 16) -> Comparison:
    torch.manual_seed(5)
    return Comparison(16, width, 1).eval()


def _saved(path: Path) -> Path:
    about = {"hidden": 16, "width": 16, "depth": 1}
    save_file(_network().state_dict(), path, metadata={"support": json.dumps(about)})
    return path


def offices(count: int) -> list[Statement]:
    """Return statements about offices with as many members as their passage says, or others."""
    made = []
    for number in range(count):
        right, wrong = NUMBERS[number % 8], NUMBERS[(number + 1 + number // 8 % 7) % 8]
        parts = parse(f"le bureau compte {{{right}|{wrong}}} membres")
        passage = f"le bureau compte {right} membres . le bureau {number}"
        made.append(Statement("a", number, "", passage, parts))
    return made


# --- The network --------------------------------------------------------------------------


def test_what_others_are_read_with_changes_nothing() -> None:
    network = _network()
    rng = torch.Generator().manual_seed(1)
    said = torch.randn(2, 3, 5, 48, generator=rng)
    passage = torch.randn(2, 7, 48, generator=rng)
    said_mask, passage_mask = torch.ones(2, 3, 5), torch.ones(2, 7)
    said_mask[0, 1, 3:] = 0
    passage_mask[0, 4:] = 0
    support, words = network(said, said_mask, passage, passage_mask)
    alone, own = network(said[:1, 1:2, :3], torch.ones(1, 1, 3), passage[:1, :4], torch.ones(1, 4))
    assert torch.allclose(alone[0, 0], support[0, 1], atol=1e-5)
    assert torch.allclose(own[0, 0], words[0, 1, :3], atol=1e-5)


@pytest.mark.parametrize("title", ["", "bureau"])
def test_a_statement_is_judged_as_in_training(text: BertText, title: str) -> None:
    (first, *_) = offices(1)
    statement = replace(first, title=title)
    passages, (encoded,) = encode([statement], text, seed=1)
    network = _network()
    whole = np.arange(len(passages[0].states))
    of = tensors([Unit(passages[0], whole, encoded.wordings[:1], (True,))])
    with torch.inference_mode():
        support, words = network(
            of["said"].float(), of["said_mask"], of["passage"].float(), of["passage_mask"]
        )
    right, _ = render(statement.parts, {}, random.Random(0))
    judged = SupportModel(text, network).judge(right, [(title, statement.text)])
    assert judged.support == pytest.approx(float(support[0, 0]), abs=1e-3)
    highest = words[0, 0][of["said_mask"][0, 0] > 0].max()
    assert judged.doubt == pytest.approx(float(highest), abs=1e-3)


def test_nothing_supports_nothing(text: BertText) -> None:
    model = SupportModel(text, _network())
    for statement, passages in (("le bureau", []), ("", [("", "le bureau")])):
        assert model.judge(statement, passages) == Judgement(-math.inf, math.inf, "")


def test_a_long_passage_and_a_long_line_above_it_are_read_in_part(text: BertText) -> None:
    model = SupportModel(text, _network())
    start = "le bureau compte un membres . " * 12
    judged = [model.judge("le bureau", [("", start + "deux " * n)]) for n in (10, 500)]
    assert (judged[0].support, judged[0].doubt) == (judged[1].support, judged[1].doubt)
    headed = model.judge("le bureau", [("bureau " * 200, "un deux trois")])
    assert headed != model.judge("le bureau", [("bureau " * 200, "six sept huit")])


def test_a_space_before_a_word_belongs_to_it() -> None:
    # As the bundled tokenizer counts: " Il" from the space on.
    tokens = Tokens([1, 2, 3, 4], np.array([[0, 8], [8, 14], [14, 17], [17, 21]]))
    found = sentence_numbers(tokens, "passage: Fini. Il va.", "Fini. Il va.")
    assert found.tolist() == [-1, 0, 1, 1]


def test_the_nearest_sentence_is_named() -> None:
    passages = [
        ("Oui.\nIl va.", np.array([-1, 0, 1, 1], dtype=np.int16)),
        ("Elle vient.", np.array([-1, 0, 0], dtype=np.int16)),
    ]
    cosines = np.array(
        [[0.9, 0.1, 0.2, 0.3, 0.9, 0.4, 0.1], [0.9, 0.1, 0.6, 0.1, 0.9, 0.1, 0.4]],
        dtype=np.float32,
    )
    # 0.45 in the second sentence, 0.40 in the third; what stands above is of none.
    assert _nearest(cosines, passages) == "Il va."
    cosines[0, 5] = 0.6
    assert _nearest(cosines, passages) == "Elle vient."


def test_texts_are_read_once(text: BertText, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(backbone: Bert, ids: torch.Tensor) -> torch.Tensor:
        read.append(ids.shape[1])
        return layer_states(backbone, ids)

    monkeypatch.setattr("rag.support_network.layer_states", counted)
    model = SupportModel(text, _network())
    for statement in ("le bureau compte un membres", "le bureau compte"):
        for passages in ([("", "le bureau")], [("bureau", "un")], [("", "le bureau"), ("", "un")]):
            model.judge(statement, passages)
    # Two statements; "le bureau", "un" with and without a line above it.
    assert len(read) == 5


@pytest.mark.parametrize("damage", ["missing", "truncated", "other size", "no sizes"])
def test_weights_that_do_not_fit_are_one_sentence(
    text: BertText, tmp_path: Path, damage: str
) -> None:
    path = _saved(tmp_path / "support.safetensors")
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    else:
        cut = {name: tensor[:1] for name, tensor in load_file(path).items()}
        about = {"hidden": 16, "width": 16, "depth": 1} if damage == "other size" else {}
        save_file(cut, path, metadata={"support": json.dumps(about)})
    with pytest.raises(ReaderError, match=r"support\.safetensors, which check .* do not load"):
        SupportModel.load(path, text)


def test_weights_are_read_as_they_were_written(text: BertText, tmp_path: Path) -> None:
    loaded = SupportModel.load(_saved(tmp_path / "support.safetensors"), text)
    args = ("le bureau compte un membres", [("", "le bureau compte deux membres")])
    assert loaded.judge(*args) == SupportModel(text, _network()).judge(*args)


def test_the_bundled_network_is_small_and_tells_right_from_wrong() -> None:
    assert BUNDLED_WEIGHTS.stat().st_size < 8_000_000
    settings = load_settings()
    model = open_support_model(settings, open_encoder(settings))
    passage = (
        "Réseau des points de contact",
        "Le réseau est animé par l'agence, qui convoque deux réunions par an à La Haye. Les "
        "Pays-Bas y ont un membre de plein droit, le Luxembourg y envoie un observateur. Les "
        "États membres peuvent désigner un suppléant.",
    )
    for right, wrong in (
        (
            "The agency convenes two meetings a year.",
            "The Commission convenes two meetings a year.",
        ),
        ("The meetings take place in The Hague.", "The meetings take place in Paris."),
        ("Het Luxemburgse lid is waarnemer.", "Het Luxemburgse lid is voorzitter."),
        ("Les Pays-Bas y siègent comme membre.", "La Belgique y siège comme membre."),
        (
            "Il est permis aux États membres de nommer un suppléant.",
            "Il est interdit aux États membres de nommer un suppléant.",
        ),
    ):
        good, bad = (model.judge(said, [passage]) for said in (right, wrong))
        assert good.support - good.doubt > bad.support - bad.doubt, right


def test_with_another_encoder_the_bundled_one_is_opened_beside_it() -> None:
    model = open_support_model(load_settings(encoder="other/encoder"), ToyEncoder())
    judged = model.judge("Le bureau est à Bruxelles.", [("", "Le bureau est à Bruxelles.")])
    assert judged.support > judged.doubt
