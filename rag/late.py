"""Late interaction: compare the tokens of a question with the tokens of a passage.

The score is the mean, over the tokens of the question, of the best cosine with a token of
the passage (MaxSim of Khattab & Zaharia 2020, ColBERT, section 3.2). The vectors are those
that the encoder averages into the vector of the passage anyway: they cost no further pass.

Two things make them comparable, although the encoder was never trained for this:

- The mean of all token vectors is taken away first. It makes up most of every vector (two
  random tokens have a cosine of about 0.8), and says nothing (Mu & Viswanath 2018, "All-but-
  the-top"). Questions have a mean of their own, that of `SAMPLE`.
- Function words count half.

On disk a number takes 4 bits, a passage of 170 tokens 33 kB. `benchmarks/retrieval.py`
prints what each of these gives.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag.encoder import Encoder, TokenVectors, Vectors
from rag.lexical import content_spans
from rag.types import Language

__all__ = [
    "CODES_VERSION",
    "SAMPLE",
    "Codebook",
    "Codes",
    "LateIndex",
    "LateWriter",
    "Spans",
    "calibrate",
    "token_weights",
]

Codes = NDArray[np.uint8]
Spans = NDArray[np.int32]

# Ordinary questions on ordinary matters, the same in the three languages: their mean vector is
# what all questions have in common. They come from no question set.
SAMPLE: tuple[str, ...] = (
    "Quelle est la date de création de l'organisation ?",
    "Qui dirige le service aujourd'hui ?",
    "Où se trouve le siège de l'entreprise ?",
    "Combien de personnes y travaillent ?",
    "Quels documents faut-il fournir ?",
    "Comment obtenir une autorisation ?",
    "Pourquoi la loi a-t-elle changé ?",
    "Quand le projet prend-il fin ?",
    "À quoi sert cet appareil ?",
    "Quelles sont les missions principales du ministère ?",
    "Quel est le prix d'un billet ?",
    "Que doit faire un voyageur en cas de retard ?",
    "Dans quelle ville est né l'auteur ?",
    "Quel est le nom de la rivière qui traverse la région ?",
    "Quelle équipe a gagné la finale ?",
    "Est-il possible de payer en plusieurs fois ?",
    "When was the organisation created?",
    "Who runs the department today?",
    "Where is the company's head office?",
    "How many people work there?",
    "Which documents have to be provided?",
    "How do I get a permit?",
    "Why was the law changed?",
    "When does the project end?",
    "What is this device used for?",
    "What are the main tasks of the ministry?",
    "How much does a ticket cost?",
    "What should a traveller do if there is a delay?",
    "In which city was the author born?",
    "What is the name of the river that crosses the region?",
    "Which team won the final?",
    "Is it possible to pay in instalments?",
    "Wanneer werd de organisatie opgericht?",
    "Wie leidt de dienst vandaag?",
    "Waar is de hoofdzetel van het bedrijf?",
    "Hoeveel mensen werken er?",
    "Welke documenten moet ik bezorgen?",
    "Hoe krijg ik een vergunning?",
    "Waarom werd de wet gewijzigd?",
    "Wanneer loopt het project af?",
    "Waarvoor dient dit toestel?",
    "Wat zijn de belangrijkste taken van het ministerie?",
    "Hoeveel kost een kaartje?",
    "Wat moet een reiziger doen bij vertraging?",
    "In welke stad is de auteur geboren?",
    "Hoe heet de rivier die door de streek stroomt?",
    "Welke ploeg won de finale?",
    "Kan ik in termijnen betalen?",
)

# Raise when the same tokens get other codes, or the sample changes.
CODES_VERSION = 1
# 16 steps from -3 to 3 standard deviations: 8 bits rank no better, 2 bits lose a point or two
# of R@1 (`benchmarks/retrieval.py`).
_STEPS = 16
_RANGE = 3.0
# The mean of few tokens says what a corpus is about; that of the sample counts as this many.
_PRIOR_TOKENS = 1000
# Function words of the question: 1 gives R@1 0.806 0.758 0.709 on PIAF (fr, en, nl), 0.5 gives
# 0.813 0.771 0.711, 0.25 about the same.
_FUNCTION_WORD = 0.5
# One document of ten thousand moves the mean by a tenth of this; a step of the codes is a hundred
# times as much.
_SAME_MEAN = 2e-4
# Tokens whose lengths are worked out at a time: 50 MB.
_SLICE = 32_768


class Codebook:
    """Numbers of token vectors as 4 bits, two a byte, and what is common to questions.

    `low` and `step`, of shape (dimension,), give the value of code `c` as
    `low + (c + 0.5) * step`; `question_mean` has that shape too.
    """

    def __init__(self, low: Vectors, step: Vectors, prior: Vectors, question_mean: Vectors) -> None:
        self.low = low
        self.step = step
        self.prior = prior
        self.question_mean = question_mean

    def pack(self, vectors: Vectors) -> Codes:
        """Return the codes of vectors (tokens, dimension): uint8, (tokens, dimension / 2)."""
        codes = np.clip((vectors - self.low) / self.step, 0, _STEPS - 1).astype(np.uint8)
        half = -(-codes.shape[1] // 2)
        packed = codes[:, :half].copy()
        packed[:, : codes.shape[1] - half] |= codes[:, half:] << 4
        result: Codes = packed
        return result

    def unpack(self, codes: Codes) -> Vectors:
        """Return the vectors of codes, to within half a step."""
        return (self.steps(codes) + np.float32(0.5)) * self.step + self.low

    def steps(self, codes: Codes) -> Vectors:
        """Return the codes one by one: float32, (tokens, dimension)."""
        half, dimension = codes.shape[1], len(self.low)
        vectors = np.empty((len(codes), dimension), dtype=np.float32)
        np.bitwise_and(codes, 15, out=vectors[:, :half], casting="unsafe")
        np.right_shift(codes[:, : dimension - half], 4, out=vectors[:, half:], casting="unsafe")
        return vectors


def calibrate(encoder: Encoder) -> Codebook:
    """Return the code book of an encoder, from `SAMPLE`.

    It depends on the encoder alone, so that a passage has the same codes in every index.
    """
    passages = np.concatenate([t.vectors for t in encoder.token_vectors(SAMPLE)])
    questions = np.concatenate([t.vectors for t in encoder.token_vectors(SAMPLE, query=True)])
    prior = passages.mean(axis=0)
    spread = np.maximum(passages.std(axis=0), 1e-6)
    return Codebook(
        low=prior - _RANGE * spread,
        step=2 * _RANGE * spread / _STEPS,
        prior=prior,
        question_mean=questions.mean(axis=0),
    )


class LateWriter:
    """Write the token vectors of passages, one passage after the other.

    With `live`, what that has is there from the beginning, without a passage that it belongs
    to; `keep` says which passages of the two are the same.
    """

    def __init__(self, folder: Path, codebook: Codebook, live: LateIndex | None = None) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._codebook = codebook if live is None else live.codebook
        self._live = live
        self._places: list[tuple[int, int, int]] = []
        self._kept: set[int] = set()
        if live is None:
            self._file = (folder / "codes.bin").open("wb")
            self._spans: list[Spans] = [np.empty((0, 2), dtype=np.int32)]
            self._tokens = 0
            self._sum = np.zeros(len(codebook.low), dtype=np.float64)
        else:
            shutil.copyfile(live.path / "codes.bin", folder / "codes.bin")
            self._file = (folder / "codes.bin").open("ab")
            self._spans = [live.all_spans]
            self._tokens = len(live.all_spans)
            self._sum = live.sum.copy()

    def add(self, passage: int, codes: Codes, spans: Spans) -> None:
        """Append the tokens of a passage, by its place in the index; any order will do.

        `spans`, of shape (tokens, 2), are where the tokens begin and end in its text.
        """
        self._file.write(codes.tobytes())
        self._spans.append(spans.astype(np.int32).reshape(-1, 2))
        self._places.append((passage, self._tokens, self._tokens + len(codes)))
        self._tokens += len(codes)
        self._sum += self._codebook.unpack(codes).sum(axis=0, dtype=np.float64)

    def keep(self, passage: int, place: int) -> None:
        """Give a passage the tokens of one in the live index, by their places."""
        assert self._live is not None
        self._places.append((passage, *self._live.place(place)))
        self._kept.add(place)

    def close(self) -> None:
        """Finish the files."""
        self._file.close()
        book = self._codebook
        if self._live is not None:
            for place in set(range(len(self._live))) - self._kept:
                codes = self._live.codes(place)
                self._sum -= book.unpack(codes).sum(axis=0, dtype=np.float64)
        places = np.array(
            [(start, end) for _, start, end in sorted(self._places)], dtype=np.int64
        ).reshape(-1, 2)
        living = int((places[:, 1] - places[:, 0]).sum())
        total = self._sum + _PRIOR_TOKENS * book.prior
        mean = (total / (living + _PRIOR_TOKENS)).astype(np.float32)
        lengths = np.empty(0, dtype=np.float32)
        if self._live is not None and np.linalg.norm(mean - self._live.mean) < _SAME_MEAN:
            # The lengths that were worked out stay right to within as much.
            mean, lengths = self._live.mean, self._live.lengths
        np.savez(
            self._folder / "late.npz",
            low=book.low,
            step=book.step,
            prior=book.prior,
            question_mean=book.question_mean,
            mean=mean,
            sum=self._sum,
            lengths=np.concatenate([lengths, self._lengths(mean, len(lengths))]),
            spans=np.concatenate(self._spans),
            places=places,
        )

    def _lengths(self, mean: Vectors, begin: int) -> Vectors:
        """Return how long each vector is without the mean, so that no question works it out."""
        codes = _read_codes(self._folder / "codes.bin", self._tokens, len(mean))
        lengths = np.empty(self._tokens - begin, dtype=np.float32)
        for low in range(begin, self._tokens, _SLICE):
            part = slice(low, low + _SLICE)
            vectors = self._codebook.unpack(codes[part]) - mean
            lengths[low - begin : low - begin + _SLICE] = np.linalg.norm(vectors, axis=1)
        return np.maximum(lengths, 1e-6)


class LateIndex:
    """The token vectors of all passages, on disk, read where they are needed."""

    def __init__(self, folder: Path) -> None:
        """Open what `LateWriter` wrote; raises `OSError`, `KeyError` or `ValueError`."""
        self.path = folder
        with np.load(folder / "late.npz") as stored:
            self.codebook = Codebook(
                stored["low"], stored["step"], stored["prior"], stored["question_mean"]
            )
            self.mean: Vectors = stored["mean"]
            self.sum: NDArray[np.float64] = stored["sum"]
            self.lengths: Vectors = stored["lengths"]
            self.all_spans: Spans = stored["spans"]
            self._places: NDArray[np.int64] = stored["places"]
        self._codes = _read_codes(folder / "codes.bin", len(self.lengths), len(self.mean))

    def __len__(self) -> int:
        return len(self._places)

    def place(self, passage: int) -> tuple[int, int]:
        """Return where the tokens of a passage begin and end among all."""
        start, end = self._places[passage]
        return int(start), int(end)

    def codes(self, passage: int) -> Codes:
        """Return the codes of a passage."""
        start, end = self._places[passage]
        return np.asarray(self._codes[start:end])

    def spans(self, passage: int) -> Spans:
        """Return where the tokens of a passage begin and end in its text: (tokens, 2)."""
        start, end = self._places[passage]
        return self.all_spans[start:end]

    def tokens(self, passage: int) -> TokenVectors:
        """Return the token vectors of a passage, without the mean."""
        vectors = _unit(self.codebook.unpack(self.codes(passage)) - self.mean)
        spans = self.spans(passage)
        return TokenVectors(vectors, spans[:, 0].astype(np.int64), spans[:, 1].astype(np.int64))

    def question(self, tokens: TokenVectors) -> TokenVectors:
        """Return the token vectors of a question, without the mean of questions."""
        vectors = _unit(tokens.vectors - self.codebook.question_mean)
        return TokenVectors(vectors, tokens.starts, tokens.ends)

    def scores(
        self, question: TokenVectors, weights: NDArray[np.float32], passages: Sequence[int]
    ) -> Vectors:
        """Return the late interaction of a question with some passages, each in [-1, 1].

        `weights` says how much each token of the question counts.
        """
        scores = np.zeros(len(passages), dtype=np.float32)
        spans = [self._places[i] for i in passages]
        lengths = np.array([end - start for start, end in spans], dtype=np.int64)
        filled = np.flatnonzero(lengths)
        total = float(weights.sum())
        if not len(filled) or total <= 0:
            return scores
        # cos(q, v - mean) for v = low + (c + 0.5) * step, without writing every v out.
        book = self.codebook
        asked = self.question(question).vectors
        constant = asked @ (book.low + 0.5 * book.step - self.mean)
        steps = book.steps(np.concatenate([self._codes[slice(*spans[i])] for i in filled]))
        cosines = steps @ (asked * book.step).T
        cosines += constant
        cosines /= np.concatenate([self.lengths[slice(*spans[i])] for i in filled])[:, None]
        firsts = np.concatenate([[0], np.cumsum(lengths[filled])[:-1]])
        best = np.maximum.reduceat(cosines, firsts, axis=0)
        scores[filled] = best @ weights / total
        return scores


def token_weights(question: str, language: Language, tokens: TokenVectors) -> Vectors:
    """Return how much each token of a question counts: float32, (tokens,)."""
    weights = np.full(len(tokens.starts), _FUNCTION_WORD, dtype=np.float32)
    for start, end in content_spans(question, language):
        # A tokenizer may count the white space before a word as part of it.
        weights[(tokens.ends > start) & (tokens.starts < end)] = 1.0
    return weights


def _read_codes(path: Path, tokens: int, dimension: int) -> Codes:
    width = -(-dimension // 2)
    if path.stat().st_size != tokens * width:
        raise ValueError(f"{path.name} has {path.stat().st_size} bytes, not {tokens * width}")
    if not tokens:
        # An empty file cannot be mapped.
        return np.empty((0, width), dtype=np.uint8)
    return np.memmap(path, dtype=np.uint8, mode="r", shape=(tokens, width))


def _unit(vectors: Vectors) -> Vectors:
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return vectors
