"""The second stages: a tiny cross-encoder made here, and a reader that points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag.chunking import chunk_document
from rag.config import Settings
from rag.documents import parse
from rag.errors import RerankerError
from rag.reranking import CrossEncoderStage, ReaderStage, open_cross_encoder
from rag.span_model import PassageScores
from rag.types import Document, ScoredChunk


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
    assert open_cross_encoder(Settings()) is None


def test_a_folder_is_loaded_and_scores_pairs(tiny: Path) -> None:
    reranker = open_cross_encoder(Settings(reranker=str(tiny)))
    assert reranker is not None
    scores = reranker.scores("bureau", ["bureau Niger", "projet", ""])
    assert len(scores) == 3 and all(isinstance(score, float) for score in scores)
    assert reranker.scores("bureau", ["projet", "bureau Niger"])[1] == pytest.approx(
        scores[0], abs=1e-4
    )


def test_what_does_not_load_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RerankerError, match=r"The reranker '.*empty' did not load .*'reranker'"):
        open_cross_encoder(Settings(reranker=str(tmp_path / "empty")))


# --- On passages --------------------------------------------------------------------------


@pytest.fixture
def documents() -> dict[str, Document]:
    notes = ("# A\n\nLe bureau.", "# B\n\nLe projet.", "# C\n\nLe Niger.")
    parsed = [parse(note, f"{i}.md", format="markdown") for i, note in enumerate(notes)]
    return {document.doc_id: document for document in parsed}


@pytest.fixture
def hits(documents: dict[str, Document]) -> list[ScoredChunk]:
    found = []
    for rank, document in enumerate(documents.values(), start=1):
        (chunk,) = chunk_document(document, max_tokens=64, count_tokens=len)
        found.append(ScoredChunk(chunk, score=1.0 - rank / 100, rank=rank))
    return found


class Lengths:
    """A model of sentence-transformers' interface that likes what comes last."""

    def __init__(self) -> None:
        self.pairs: list[tuple[str, str]] = []

    def predict(self, pairs: Sequence[tuple[str, str]], **_: object) -> list[float]:
        self.pairs.extend(pairs)
        return [float(place) for place in range(len(pairs))]


def test_a_cross_encoder_orders_and_the_scale_stays(
    hits: list[ScoredChunk], documents: dict[str, Document]
) -> None:
    model = Lengths()
    after = CrossEncoderStage(model).rerank("projets", hits, documents)
    assert [hit.chunk for hit in after] == [hit.chunk for hit in reversed(hits)]
    assert [hit.score for hit in after] == [hit.score for hit in hits]
    assert [hit.rank for hit in after] == [1, 2, 3]
    assert [hit.rerank for hit in after] == [2.0, 1.0, 0.0]
    # The title is read with the text.
    assert model.pairs[0] == ("projets", "A\nLe bureau.")


class Liking:
    """A reader to which the passages with a word are relevant."""

    name = "liking"

    def __init__(self, word: str) -> None:
        self.word = word
        self.asked = 0

    def read(self, question: str, passages: Sequence[tuple[str, str]]) -> list[PassageScores]:
        self.asked += len(passages)
        nothing = np.zeros(0)
        return [
            PassageScores(nothing, nothing, nothing, nothing, 5.0 if self.word in body else -5.0)
            for _, body in passages
        ]


def test_a_reader_adds_its_relevance(
    hits: list[ScoredChunk], documents: dict[str, Document]
) -> None:
    liking = Liking("projet")
    stage = ReaderStage(liking, depth=2)
    after = stage.rerank("projets", hits, documents)
    assert [hit.chunk.doc_id for hit in after] == ["1.md", "0.md", "2.md"]
    assert [hit.rank for hit in after] == [1, 2, 3]
    before = {hit.chunk.doc_id: hit.score for hit in hits}
    parts = [hit.score - before[hit.chunk.doc_id] for hit in after]
    assert parts[0] == pytest.approx(-parts[1]) and parts[0] > 0
    assert [hit.relevance for hit in after] == [
        pytest.approx(parts[0]),
        pytest.approx(parts[1]),
        None,
    ]
    # What is not read counts as irrelevant.
    assert parts[2] < parts[1]


def test_a_passage_is_read_once_for_a_question(
    hits: list[ScoredChunk], documents: dict[str, Document]
) -> None:
    liking = Liking("projet")
    stage = ReaderStage(liking, depth=3)
    stage.rerank("projets", hits, documents)
    assert [scores.relevance for scores in stage.scores("projets", hits, documents)] == [-5, 5, -5]
    assert liking.asked == 3
    stage.scores("bureaux", hits, documents)
    assert liking.asked == 6
