"""The second stage, with a tiny cross-encoder made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from rag.config import Settings
from rag.errors import RerankerError
from rag.reranking import open_reranker


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A cross-encoder of 8 dimensions with random weights, saved to a folder."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "bureau", "projet", "Niger"]
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep")}
    known = {name: i for i, name in enumerate(names)}
    inner = Tokenizer(WordLevel(known, special["unk_token"]))
    inner.pre_tokenizer = Whitespace()
    folder = tmp_path / "tiny"
    PreTrainedTokenizerFast(tokenizer_object=inner, **special).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(names),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=8,
        max_position_embeddings=64,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_none_by_default() -> None:
    assert open_reranker(Settings()) is None


def test_a_folder_is_loaded_and_scores_pairs(tiny: Path) -> None:
    reranker = open_reranker(Settings(reranker=str(tiny)))
    assert reranker is not None
    scores = reranker.scores("bureau", ["bureau Niger", "projet", ""])
    assert len(scores) == 3 and all(isinstance(score, float) for score in scores)
    assert reranker.scores("bureau", ["projet", "bureau Niger"])[1] == pytest.approx(
        scores[0], abs=1e-4
    )


def test_what_does_not_load_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RerankerError, match=r"The reranker '.*empty' did not load .*'reranker'"):
        open_reranker(Settings(reranker=str(tmp_path / "empty")))
