"""Token vectors on disk, and late interaction with numbers derived by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rag.encoder import TokenVectors
from rag.late import Codebook, LateIndex, LateWriter, calibrate, token_weights
from tests.conftest import ToyEncoder

# Values from 0 in steps of 1: code c is the value c + 0.5. The prior mean of 1,000 tokens and
# the mean of questions are nothing.
NOTHING = np.zeros(4, dtype=np.float32)
BOOK = Codebook(NOTHING, np.ones(4, dtype=np.float32), NOTHING, NOTHING)


def tokens(*rows: tuple[float, ...]) -> TokenVectors:
    places = np.arange(len(rows), dtype=np.int64)
    vectors: NDArray[np.float32] = np.array(rows, dtype=np.float32).reshape(-1, 4)
    return TokenVectors(vectors, places, places + 1)


def write(folder: Path, *passages: TokenVectors) -> LateIndex:
    writer = LateWriter(folder, BOOK)
    # The last first: the order of writing is the encoder's.
    for place in reversed(range(len(passages))):
        found = passages[place]
        spans = np.stack([found.starts, found.ends], axis=1).astype(np.int32)
        writer.add(place, BOOK.pack(found.vectors), spans)
    writer.close()
    return LateIndex(folder)


def test_four_bits_a_number() -> None:
    values = np.array([[0.2, 3.9, 15.4, 7.0]], dtype=np.float32)
    codes = BOOK.pack(values)
    # 0 and 15 share a byte, 3 and 7 the other.
    assert codes.tolist() == [[0 + 16 * 15, 3 + 16 * 7]]
    assert BOOK.unpack(codes).tolist() == [[0.5, 3.5, 15.5, 7.5]]
    # What is out of range goes to its end.
    assert BOOK.unpack(BOOK.pack(np.array([[-5.0, 99, 0, 0]]))).tolist() == [[0.5, 15.5, 0.5, 0.5]]


def test_odd_dimensions_are_kept() -> None:
    three = np.zeros(3, dtype=np.float32)
    book = Codebook(three, three + 1, three, three)
    assert book.unpack(book.pack(np.array([[1.0, 2.0, 3.0]]))).tolist() == [[1.5, 2.5, 3.5]]


def test_scores_are_weighted_means_of_the_best_cosines(tmp_path: Path) -> None:
    one, two = tokens((9, 0, 0, 0), (0, 9, 0, 0)), tokens((0, 0, 9, 0))
    late = write(tmp_path / "late", one, two, tokens())
    asked = tokens((1, 0, 0, 0), (0, 0, 1, 0))
    # The mean of the three tokens, pulled to nothing by the prior of 1,000, is at most 0.01, and
    # is left out here. A passage token is (9.5, 0.5, 0.5, 0.5) / √91 in some order: its cosine is
    # 0.996 with its own axis, 0.052 with another.
    near, far = 9.5 / 91**0.5, 0.5 / 91**0.5
    equal = late.scores(asked, np.ones(2, dtype=np.float32), [0, 1, 2])
    assert equal.tolist() == pytest.approx([(near + far) / 2, (far + near) / 2, 0], abs=2e-3)
    weighted = late.scores(asked, np.array([1, 0.5], dtype=np.float32), [1, 0])
    assert weighted.tolist() == pytest.approx(
        [(far + near / 2) / 1.5, (near + far / 2) / 1.5], abs=2e-3
    )
    assert late.scores(asked, np.ones(2, dtype=np.float32), []).tolist() == []


def test_what_was_written_is_read_at_its_place(tmp_path: Path) -> None:
    late = write(tmp_path / "late", tokens((9, 0, 0, 0)), tokens((0, 9, 0, 0), (0, 0, 9, 0)))
    assert len(late) == 2
    assert late.codes(1).tolist() == BOOK.pack(tokens((0, 9, 0, 0), (0, 0, 9, 0)).vectors).tolist()
    assert late.spans(1).tolist() == [[0, 1], [1, 2]]
    assert np.linalg.norm(late.tokens(1).vectors, axis=1).tolist() == pytest.approx([1, 1])


def test_a_file_that_was_cut_off_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "late", tokens((9, 0, 0, 0)))
    (tmp_path / "late" / "codes.bin").write_bytes(b"1")
    with pytest.raises(ValueError, match=r"codes\.bin has 1 bytes, not 2"):
        LateIndex(tmp_path / "late")


def test_an_index_without_passages(tmp_path: Path) -> None:
    assert len(write(tmp_path / "late")) == 0


def test_the_code_book_depends_on_the_encoder_alone() -> None:
    one, other = calibrate(ToyEncoder()), calibrate(ToyEncoder())
    assert one.low.tolist() == other.low.tolist()


def test_function_words_count_half() -> None:
    (found,) = ToyEncoder().token_vectors(["Où est le bureau ?"], query=True)
    # où, est, le, bureau, ?
    assert token_weights("Où est le bureau ?", "fr", found).tolist() == [0.5, 0.5, 0.5, 1, 0.5]
