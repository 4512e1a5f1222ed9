"""Choose how dense and lexical scores are fused, within a language and across languages.

Indexes the passages of PIAF train with the real encoder and prints R@1 of each retriever
alone, of reciprocal rank fusion (Cormack, Clarke & Büttcher 2009, k = 60) and of the
weighted sum for several weights. Never looks at the files that results are reported on.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import numpy as np
from data import arguments
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eval.dataset import Dataset
from eval.matching import contains
from eval.squad import load_squad, write_corpus
from rag import Citadelle
from rag.language import detect

WEIGHTS = (0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2)
RRF_K = 60


def main() -> None:
    """Print the table."""
    given = arguments(str(__doc__).split("\n", 1)[0], 400)
    piaf, xling = given.data / "piaf-train.json", given.data / "piaf-train-xling.jsonl"
    columns = {
        "fr": load_squad(piaf, limit=given.questions),
        "en, nl": load_squad(piaf, questions=xling, limit=given.questions),
    }
    results = {name: _measure(dataset) for name, dataset in columns.items()}
    table = Table("fusion", *(f"R@1 {name}" for name in results))
    for row in next(iter(results.values())):
        table.add_row(row, *(f"{result[row]:.3f}" for result in results.values()))
    Console().print(table, f"{given.questions} questions a column over all passages of PIAF train.")


def _measure(dataset: Dataset) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        root = write_corpus(dataset.contexts, Path(folder))
        with Citadelle.open(corpus=root / "corpus", index=root / "index") as citadelle:
            index = citadelle.retriever.index
            passages = index.vectors(range(len(index.chunks)))
            questions = [item.question for item in dataset.items]
            cosines = citadelle.encoder.encode_queries(questions) @ passages.T
            words = np.array([index.lexical.scores(q, detect(q)) for q in questions])
            relevant = np.array(
                [
                    [
                        c.doc_id == item.doc and contains(c.text, item.evidence[0])
                        for c in index.chunks
                    ]
                    for item in dataset.items
                ]
            )

    def first(scores: NDArray[np.floating]) -> float:
        return float(relevant[np.arange(len(scores)), scores.argmax(axis=1)].mean())

    def ranks(scores: NDArray[np.floating]) -> NDArray[np.floating]:
        return (-scores).argsort(axis=1).argsort(axis=1) + 1.0

    reciprocal = 1 / (RRF_K + ranks(cosines)) + (words > 0) / (RRF_K + ranks(words))
    top = math.log(1 + passages.shape[0])
    return {
        "dense alone": first(cosines),
        "BM25 alone": first(words),
        "reciprocal rank fusion": first(reciprocal),
        **{f"cosine + {w} * BM25 / ln(1 + n)": first(cosines + w / top * words) for w in WEIGHTS},
    }


if __name__ == "__main__":
    main()
