"""The cache of embedded passages: what it spares, what leaves it, and that it hinders nothing."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.config import Settings
from rag.embeddings import Embedding, EmbeddingCache, examine_cache
from rag.encoder import Progress, TokenVectors
from rag.index import Index
from rag.indexing import build_index
from tests.conftest import ToyEncoder

DIGESTS = [f"{number:064x}" for number in range(2000)]


def build(settings: Settings, encoder: ToyEncoder) -> None:
    build_index([settings.corpus], settings, encoder)


def path_of(settings: Settings) -> Path:
    return settings.cache / "embeddings.sqlite3"


def embedding(tokens: int, value: float = 1.0) -> Embedding:
    return Embedding(
        np.full(6, value, dtype=np.float32),
        np.full((tokens, 3), 7, dtype=np.uint8),
        np.arange(2 * tokens, dtype=np.int32).reshape(-1, 2),
    )


def change(settings: Settings, statement: str, *values: int) -> None:
    with closing(sqlite3.connect(path_of(settings))) as connection, connection:
        connection.execute(statement, values)


def test_an_index_that_was_deleted_is_built_again_without_the_encoder(
    settings: Settings, toy: ToyEncoder
) -> None:
    build(settings, toy)
    index = Index.open(settings, toy)
    before = (index.vectors(range(4)), [index.late.codes(i) for i in range(4)])
    index.close()
    shutil.rmtree(settings.index)
    toy.encoded.clear()
    build(settings, toy)
    assert toy.encoded == []
    index = Index.open(settings, toy)
    assert np.array_equal(index.vectors(range(4)), before[0])
    for place, codes in enumerate(before[1]):
        assert np.array_equal(index.late.codes(place), codes)
        assert len(index.late.spans(place)) == len(codes)


def test_a_document_that_comes_back_is_not_embedded_again(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    build(settings, toy)
    (folder / "projet.md").rename(folder / "projet.away")
    build(settings, toy)
    (folder / "projet.away").rename(folder / "projet.md")
    toy.encoded.clear()
    build(settings, toy)
    assert toy.encoded == []


def test_another_encoder_and_back(settings: Settings, toy: ToyEncoder) -> None:
    build(settings, toy)
    toy.encoded.clear()
    other = ToyEncoder()
    other.name = "other"
    build(settings, other)
    # Nothing of one encoder serves another.
    assert len(other.encoded) == 4
    build(settings, toy)
    assert toy.encoded == []


class Interrupted(ToyEncoder):
    """Stops as a killed process does, after so many passages."""

    left = 40

    def read_passages(
        self, texts: Sequence[str], progress: Progress | None = None
    ) -> Iterator[tuple[int, NDArray[np.float32], TokenVectors]]:
        for item in super().read_passages(texts, progress):
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield item


def test_what_was_embedded_before_a_run_was_stopped_is_known(
    settings: Settings, folder: Path, toy: ToyEncoder
) -> None:
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"Le document {number}.", encoding="utf-8")
    with pytest.raises(KeyboardInterrupt):
        build(settings, Interrupted())
    build(settings, toy)
    assert len(toy.encoded) == 64 - 32


def test_those_not_wanted_for_longest_leave(settings: Settings, toy: ToyEncoder) -> None:
    limited = settings.model_copy(update={"embedding_cache_mib": 1})
    cache = EmbeddingCache(limited, toy)
    cache.codebook()
    for begin in range(0, 1000, 100):
        # 1,000 × 300 tokens × (3 + 8) bytes = 3.3 MB.
        cache.keep({digest: embedding(300) for digest in DIGESTS[begin : begin + 100]})
        old = int(time.time()) - 100_000 + begin
        change(settings, "UPDATE passages SET used = ? WHERE used > ?", old, old + 50_000)
        # Wanted all the time.
        assert list(cache.find(DIGESTS[:1])) == DIGESTS[:1]
    known = cache.find(DIGESTS)
    assert DIGESTS[0] in known
    assert DIGESTS[999] in known
    assert DIGESTS[1] not in known
    assert 50 < len(known) < 400
    assert path_of(settings).stat().st_size < 3 << 20


def test_a_limit_of_nothing_keeps_nothing(settings: Settings, toy: ToyEncoder) -> None:
    off = settings.model_copy(update={"embedding_cache_mib": 0})
    build(off, toy)
    assert not path_of(settings).exists()
    assert "kept none" in examine_cache(off)


@pytest.mark.parametrize("how", ["truncated", "flipped", "other"])
def test_a_damaged_file_is_set_aside_and_begun_anew(
    settings: Settings, folder: Path, toy: ToyEncoder, how: str
) -> None:
    build(settings, toy)
    path = path_of(settings)
    whole = path.read_bytes()
    assert len(whole) > 8192
    damaged = {
        "truncated": whole[: len(whole) // 2],
        "flipped": bytes(byte ^ 255 for byte in whole),
        "other": b"Not a database at all, though long enough to be one. " * 200,
    }
    path.write_bytes(damaged[how])
    shutil.rmtree(settings.index)
    build(settings, toy)
    assert set(Index.open(settings, toy).documents) == {"bureau.md", "projet.md"}
    said = examine_cache(settings)
    if "was damaged" not in said:
        assert path.with_suffix(".damaged").exists()
    # From now on it is kept again.
    (folder / "neuf.txt").write_text("Un document neuf.", encoding="utf-8")
    build(settings, toy)
    assert "passages kept" in examine_cache(settings)


def test_a_wrong_byte_within_a_passage_is_noticed(settings: Settings, toy: ToyEncoder) -> None:
    cache = EmbeddingCache(settings, toy)
    cache.codebook()
    cache.keep({DIGESTS[0]: embedding(3), DIGESTS[1]: embedding(3)})
    change(settings, "UPDATE contents SET codes = x'070707070707070708' WHERE id = 1")
    assert list(cache.find(DIGESTS)) == [DIGESTS[1]]


def test_the_doctor_says_what_is_kept(settings: Settings, toy: ToyEncoder) -> None:
    assert examine_cache(settings) == "none kept yet"
    build(settings, toy)
    assert examine_cache(settings).startswith("4 passages kept, 0.")
    path_of(settings).write_bytes(b"Not a database at all. " * 500)
    said = examine_cache(settings)
    assert said.endswith("a new one is begun when passages are embedded.")
    assert "\n" not in said
    assert examine_cache(settings) == "none kept yet"


def test_a_cache_that_cannot_be_written_hinders_nothing(
    settings: Settings, toy: ToyEncoder
) -> None:
    # Not even root can write a file where a folder is.
    path_of(settings).mkdir(parents=True)
    build(settings, toy)
    assert len(toy.encoded) == 4


def test_a_file_in_place_of_the_folder_hinders_nothing(settings: Settings, toy: ToyEncoder) -> None:
    settings.cache.write_text("A file.")
    build(settings, toy)
    assert len(toy.encoded) == 4


def test_a_file_of_something_else_names_the_setting(settings: Settings) -> None:
    path_of(settings).parent.mkdir(parents=True)
    with closing(sqlite3.connect(path_of(settings))) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    said = examine_cache(settings)
    assert said.endswith("move it away, or name another folder with the setting 'cache'.")
