"""A toy encoder whose scores can be computed by hand, and a corpus a person can hold in mind."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.config import Settings
from rag.encoder import Progress, TokenVectors
from rag.lexical import fold
from tests.chroma import ChromaRun

ROOT = Path(__file__).resolve().parent.parent
CORPUS = ROOT / "corpus"

# Each word is an axis; every other word falls on the last axis, so no vector is zero.
AXES = ("defense", "bruxelles", "representer", "certification", "niger")


class ToyEncoder:
    """Count the words of `AXES` in a text and normalise.

    "Bruxelles" has the vector (0, 1, 0, 0, 0, 0.1) / √1.01: its cosine with
    "Bruxelles Niger" is 1.01 / √(1.01 · 2.01) = 0.709.
    """

    name = "toy"
    dimension = len(AXES) + 1
    max_tokens = 512

    @property
    def identity(self) -> str:
        return self.name

    def __init__(self) -> None:
        self.encoded: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._vectors(texts)

    def encode_passages(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> NDArray[np.float32]:
        self.encoded.extend(texts)
        if progress is not None:
            progress("embed", len(texts), len(texts))
        return self._vectors(texts)

    def token_vectors(self, texts: Sequence[str], *, query: bool = False) -> list[TokenVectors]:
        """Give each word, as white space parts them, the vector it would have alone."""
        found = []
        for text in texts:
            words = list(re.finditer(r"\S+", text))
            found.append(
                TokenVectors(
                    vectors=self._vectors([word.group() for word in words]),
                    starts=np.array([word.start() for word in words], dtype=np.int64),
                    ends=np.array([word.end() for word in words], dtype=np.int64),
                )
            )
        return found

    def read_query(self, text: str) -> tuple[NDArray[np.float32], TokenVectors]:
        return self._vectors([text])[0], self.token_vectors([text], query=True)[0]

    def read_passages(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, NDArray[np.float32], TokenVectors]]:
        vectors = self.encode_passages(texts, progress)
        yield from zip(range(len(texts)), vectors, self.token_vectors(texts), strict=True)

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[float(fold(text).count(axis)) for axis in AXES] + [0.1] for text in texts]
        array = np.array(rows, dtype=np.float32).reshape(len(texts), self.dimension)
        return array / np.linalg.norm(array, axis=1, keepdims=True)


def cosine(a: str, b: str) -> float:
    """Return what the toy encoder gives two texts."""
    one, other = ToyEncoder()._vectors([a, b])
    return math.fsum(float(x * y) for x, y in zip(one, other, strict=True))


@pytest.fixture
def toy() -> ToyEncoder:
    return ToyEncoder()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two notes: one on an office in Brussels, one on a project in Niger."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "bureau.md").write_text(
        "---\ntags: [bureau]\naliases: [BCX]\n---\n# Le bureau\n\n"
        "Le bureau est à Bruxelles. Il compte douze personnes.\n\n"
        "## Missions\nLes missions sont :\n- la défense des réseaux ;\n- la certification.\n",
        encoding="utf-8",
    )
    (notes / "projet.md").write_text(
        "---\ntags: [projet]\npays: Niger\n---\n# Le projet\n\n"
        "Le projet avec le Niger a commencé en 2021.\n",
        encoding="utf-8",
    )
    return notes


@pytest.fixture
def settings(tmp_path: Path, folder: Path) -> Settings:
    return Settings(
        corpus=folder, index=tmp_path / "index", cache=tmp_path / "cache", chunk_tokens=64
    )


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaRun]:
    """Return a Chroma server, one for all tests; each takes a database of its own."""
    server = ChromaRun(tmp_path_factory.mktemp("chroma") / "store")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def shared(settings: Settings, chroma: ChromaRun) -> Settings:
    """Return settings whose index is on a server."""
    place = {"chroma_url": chroma.url, "chroma_database": f"test-{secrets.token_hex(8)}"}
    return settings.model_copy(update=place)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Return a headless Chromium of playwright's, one for the tests of a module."""
    # Imported here: the other tests need neither.
    from playwright.sync_api import sync_playwright

    from docs.screenshot import CHROMIUM_OPTIONS, find_chromium

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()
