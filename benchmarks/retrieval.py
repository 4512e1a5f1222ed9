"""Measure retrieval in three languages, and what each part of the ranking gives.

Every figure is of the real index and retriever over whole corpora:

- PIAF: the 561 passages of PIAF train and dev together; their French questions, and the
  English and Dutch wordings of 1,440 of them.
- DILA dev: 80 passages of the French public service's site; French, English and Dutch.
- PIAF dev again with a letter of the longest word of each question left out or wrong.
- CNIL dev: 250 pages of the data protection authority; the question is the page's title.

A passage is relevant when it holds the answer's evidence. Weights were chosen on PIAF train.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from data import arguments
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import rag.retrieval as fusion
from eval.dataset import Context, Dataset, Item
from eval.matching import contains
from eval.squad import load_squad, write_corpus
from eval.statistics import percentile
from rag import Citadelle
from rag.encoder import TokenVectors
from rag.language import detect
from rag.late import token_weights
from rag.lexical import content_spans

Scores = NDArray[np.floating]
LANGUAGES = ("fr", "en", "nl")
RRF_K = 60
DEPTH = 50
SHORTEST_MISSPELT = 6
# Without the means the order hardly changes below this, and the arithmetic is slow.
DEPTH_WITHOUT_MEANS = 20


@dataclass(frozen=True)
class Run:
    """What the parts of the ranking gave: arrays of (questions, passages).

    `late` is -inf where a passage was not among the candidates, as `plain_late` without the
    means taken away.
    """

    cosine: Scores
    words: Scores
    late: Scores
    plain_late: Scores
    own: NDArray[np.bool_]
    relevant: NDArray[np.bool_]
    rank: NDArray[np.int64]
    milliseconds: Sequence[float]


def main() -> None:
    """Print the tables."""
    given = arguments(str(__doc__).split("\n", 1)[0], 0)
    folder = tempfile.TemporaryDirectory()
    for name, contexts, groups in _sets(given.data, given.questions):
        _print(name, contexts, groups, Path(folder.name))


def _sets(data: Path, limit: int) -> Iterator[tuple[str, list[Context], dict[str, list[Item]]]]:
    most = limit or None
    parts: dict[str, list[Item]] = {}
    contexts: dict[str, Context] = {}
    for split in ("train", "dev"):
        file = data / f"piaf-{split}.json"
        french = load_squad(file, limit=most)
        worded = load_squad(file, questions=data / f"piaf-{split}-xling.jsonl", limit=most)
        contexts |= {context.doc_id: context for context in french.contexts}
        parts |= _by_language(split, [*french.items, *worded.items])
    parts["dev fr, misspelt"] = [_misspelt(item) for item in parts["dev fr"]]
    yield "PIAF", list(contexts.values()), parts
    for name, file in (("DILA", "dila-dev.json"), ("CNIL", "cnil-faq-dev.json")):
        found: Dataset = load_squad(data / file, limit=most)
        yield name, list(found.contexts), _by_language("dev", found.items)


def _misspelt(item: Item) -> Item:
    """Return the question with one letter wrong, always the same one."""
    words = [item.question[start:end] for start, end in content_spans(item.question, "fr")]
    word = max(words, key=len, default="")
    if len(word) < SHORTEST_MISSPELT:
        return item
    seed = sum(map(ord, item.question))
    place = 1 + seed % (len(word) - 2)
    wrong = ("", "e", "a", "r")[seed % 4]
    question = item.question.replace(word, word[:place] + wrong + word[place + 1 :], 1)
    return replace(item, question=question)


def _by_language(split: str, items: Sequence[Item]) -> dict[str, list[Item]]:
    return {
        f"{split} {language}": kept
        for language in LANGUAGES
        if (kept := [item for item in items if item.answerable and item.lang == language])
    }


def _print(name: str, contexts: list[Context], groups: dict[str, list[Item]], folder: Path) -> None:
    root = write_corpus(contexts, folder)
    begin = time.perf_counter()
    with Citadelle.open(corpus=root / "corpus", index=root / "index", reader="none") as citadelle:
        took = time.perf_counter() - begin
        runs = {group: _measure(citadelle, items) for group, items in groups.items()}
        size = len(citadelle.retriever.index.chunks)
    header = (f"{group} ({len(run.rank)})" for group, run in runs.items())
    table = Table(f"{name}: R@1 R@5 RR@10", *header)
    for label, score in _variants(size).items():
        table.add_row(label, *(_cell(_ranks(score(run), run.relevant)) for run in runs.values()))
    table.add_row("Citadelle", *(_cell(run.rank) for run in runs.values()))
    console = Console(width=40 + 24 * len(runs))
    console.print(table)
    spent = [value for run in runs.values() for value in run.milliseconds]
    console.print(
        f"{size} passages indexed in {took:.0f} s; one query takes {percentile(spent, 50):.0f} ms "
        f"(p50), {percentile(spent, 95):.0f} ms (p95).\n"
    )


def _variants(size: int) -> dict[str, Callable[[Run], Scores]]:
    top = math.log(1 + size)

    def words(run: Run, within: float, across: float) -> Scores:
        weights = np.where(run.own, within, across) / top
        return weights * run.words

    def chosen(run: Run) -> Scores:
        return words(run, fusion._WITHIN_LANGUAGE, fusion._ACROSS_LANGUAGES)

    def late(weight: float, factor: float = 1.0) -> Callable[[Run], Scores]:
        return lambda run: weight * run.cosine + fusion._LATE * run.late + factor * chosen(run)

    rows: dict[str, Callable[[Run], Scores]] = {
        "cosine alone": lambda run: run.cosine,
        "BM25 alone": lambda run: run.words,
        f"reciprocal rank fusion, k = {RRF_K}": _reciprocal,
        "cosine and words": lambda run: (
            run.cosine + words(run, fusion._FIRST_WITHIN_LANGUAGE, fusion._FIRST_ACROSS_LANGUAGES)
        ),
        "late interaction alone": lambda run: run.late,
        "late, means not taken away": lambda run: (
            fusion._COSINE * run.cosine + fusion._LATE * run.plain_late + chosen(run)
        ),
        "late and words, no cosine": late(0.0),
        "no words": late(fusion._COSINE, 0.0),
    }
    rows |= {f"cosine {weight}": late(weight) for weight in (0.05, 0.15, 0.3, 0.5)}
    rows |= {
        f"words {within}, across {across}": (
            lambda run, w=within, a=across: (
                fusion._COSINE * run.cosine + fusion._LATE * run.late + words(run, w, a)
            )
        )
        for within, across in ((0.025, 0.0125), (0.05, 0.025), (0.075, 0.04), (0.1, 0.05))
    }
    return rows


def _reciprocal(run: Run) -> Scores:
    """Cormack, Clarke & Büttcher 2009; a passage without a shared word is not in the list."""

    def places(scores: Scores) -> Scores:
        return (-scores).argsort(axis=1, kind="stable").argsort(axis=1) + 1.0

    return 1 / (RRF_K + places(run.cosine)) + (run.words > 0) / (RRF_K + places(run.words))


def _measure(citadelle: Citadelle, items: Sequence[Item]) -> Run:
    retriever, encoder = citadelle.retriever, citadelle.encoder
    index = retriever.index
    passages = index.vectors(range(len(index.chunks)))
    top = math.log(1 + len(index.chunks))
    shape = (len(items), len(index.chunks))
    cosine, words = np.empty(shape), np.empty(shape)
    late, plain_late = np.full(shape, -np.inf), np.full(shape, -np.inf)
    relevant, own = np.zeros(shape, dtype=bool), np.empty(shape, dtype=bool)
    rank, spent = np.zeros(len(items), dtype=np.int64), []
    places: dict[str, list[int]] = {}
    for place, chunk in enumerate(index.chunks):
        places.setdefault(chunk.doc_id, []).append(place)
    for row, item in enumerate(items):
        for place in places[item.doc]:
            text = index.chunks[place].text
            # A whole page as evidence is in no passage; then each passage of the page is right.
            relevant[row, place] = contains(text, item.evidence[0]) or contains(
                item.evidence[0], text
            )
        begin = time.perf_counter()
        hits = citadelle.search(item.question, 10).hits
        spent.append((time.perf_counter() - begin) * 1000)
        right = [hit.rank for hit in hits if relevant[row, index.position(hit.chunk)]]
        rank[row] = right[0] if right else np.iinfo(np.int64).max
        language = detect(item.question)
        vector, tokens = encoder.read_query(item.question)
        cosine[row] = passages @ vector
        words[row] = index.lexical.scores(item.question, language)
        own[row] = index.lexical.in_language(language)
        weights = np.where(own[row], fusion._FIRST_WITHIN_LANGUAGE, fusion._FIRST_ACROSS_LANGUAGES)
        candidates = np.argsort(-(cosine[row] + weights / top * words[row]))[:DEPTH]
        by_token = token_weights(item.question, language, tokens)
        late[row, candidates] = index.late.scores(tokens, by_token, candidates.tolist())
        few = candidates[:DEPTH_WITHOUT_MEANS]
        plain_late[row, few] = _without_means(citadelle, tokens, by_token, few)
    return Run(cosine, words, late, plain_late, own, relevant, rank, spent)


def _without_means(
    citadelle: Citadelle, asked: TokenVectors, weights: Scores, places: NDArray[np.int64]
) -> Scores:
    late = citadelle.retriever.index.late
    scores = []
    for place in places:
        vectors = late.codebook.unpack(late.codes(int(place)))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        scores.append((asked.vectors @ vectors.T).max(axis=1) @ weights / weights.sum())
    return np.array(scores)


def _ranks(scores: Scores, relevant: NDArray[np.bool_]) -> NDArray[np.int64]:
    # Passages with equal scores stand in the order of the index.
    order = np.argsort(-scores, axis=1, kind="stable")
    found = np.take_along_axis(relevant & np.isfinite(scores), order, axis=1)
    ranks: NDArray[np.int64] = found.argmax(axis=1) + 1
    ranks[~found.any(axis=1)] = np.iinfo(np.int64).max
    return ranks


def _cell(ranks: NDArray[np.int64]) -> str:
    reciprocal = np.where(ranks <= 10, 1 / ranks, 0).mean()
    return f"{(ranks <= 1).mean():.3f} {(ranks <= 5).mean():.3f} {reciprocal:.3f}"


if __name__ == "__main__":
    main()
