"""Choose the weights of the reader: which evidence finds the sentence with the answer.

Runs the real pipeline over PIAF train and DILA train, prints the share of questions whose
chosen sentence holds the answer, for several sets of weights, and a logistic regression of
"the chosen sentence is right" on the lead over the next one. Never looks at the files that
results are reported on.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
from data import arguments
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.linear_model import LogisticRegression

import rag.confidence as confidence
import rag.evidence as evidence
from eval.dataset import Dataset
from eval.matching import contains
from eval.squad import load_squad, write_corpus
from rag import Citadelle
from rag.evidence import Evidence

GRID = {
    "SIMILARITY": (0.15, 0.25, 0.4, 0.6),
    "_COVERAGE": (0.0, 0.02, 0.05, 0.1, 0.15),
    "_COVERAGE_FOREIGN": (0.0, 0.02, 0.05, 0.1),
    "_FORM": (0.0, 0.03, 0.06),
    "_PASSAGE": (0.0, 0.3, 0.7, 1.5),
}


def main() -> None:
    """Print the tables."""
    given = arguments(str(__doc__).split("\n", 1)[0], 300)
    piaf, xling = given.data / "piaf-train.json", given.data / "piaf-train-xling.jsonl"
    sets = {
        "PIAF fr": load_squad(piaf, limit=given.questions),
        "PIAF en, nl": load_squad(piaf, questions=xling, limit=given.questions),
        "DILA": load_squad(given.data / "dila-train.json", limit=given.questions),
    }
    read = {name: list(_read(name, dataset)) for name, dataset in sets.items()}
    _print_ablation(read)
    _print_lead(read)


def _read(name: str, dataset: Dataset) -> Iterator[tuple[list[Evidence], list[bool]]]:
    """Yield for each question its evidence, and which of it holds the answer."""
    with tempfile.TemporaryDirectory() as folder:
        root = write_corpus(dataset.contexts, Path(folder))
        with Citadelle.open(
            corpus=root / "corpus", index=root / "index", reader="none"
        ) as citadelle:
            for item in track(dataset.items, description=name):
                ranking = citadelle.search(item.question, citadelle.settings.read_passages)
                found = citadelle.evidence(item.question, ranking)
                right = [
                    item.answerable
                    and citadelle.document(e.hit.chunk.doc_id).doc_id == item.doc
                    and contains(_text(citadelle, e), item.evidence[0])
                    for e in found
                ]
                yield found, right


def _text(citadelle: Citadelle, evidence: Evidence) -> str:
    return citadelle.document(evidence.hit.chunk.doc_id).plain[
        evidence.unit.start : evidence.unit.end
    ]


def _accuracy(rows: list[tuple[list[Evidence], list[bool]]], foreign: bool) -> tuple[float, int]:
    kept = [(f, r) for f, r in rows if f and f[0].foreign == foreign]
    hits = [r[max(range(len(f)), key=lambda i, f=f: f[i].score)] for f, r in kept]
    return (float(np.mean(hits)) if hits else float("nan")), len(hits)


def _print_ablation(read: dict[str, list[tuple[list[Evidence], list[bool]]]]) -> None:
    table = Table("weight", "value", *(f"{n} {k}" for n, k in product(read, ("own", "foreign"))))
    for name, values in GRID.items():
        chosen = getattr(evidence, name)
        for value in sorted({*values, chosen}):
            setattr(evidence, name, value)
            cells = [
                "{:.3f} ({})".format(*_accuracy(rows, foreign))
                for rows, foreign in product(read.values(), (False, True))
            ]
            table.add_row(name, f"{value}{' *' if value == chosen else ''}", *cells)
        setattr(evidence, name, chosen)
    Console().print(table)


def _print_lead(read: dict[str, list[tuple[list[Evidence], list[bool]]]]) -> None:
    leads, right = [], []
    for rows in read.values():
        for found, holds in rows:
            order = sorted(range(len(found)), key=lambda i, f=found: -f[i].score)
            if len(order) > 1:
                leads.append(found[order[0]].score - found[order[1]].score)
                right.append(holds[order[0]])
    model = LogisticRegression(C=100.0).fit(
        np.minimum(leads, confidence._LEAD_CAP)[:, None], np.array(right, dtype=int)
    )
    Console().print(
        f"P(right) = sigmoid({model.intercept_[0]:.2f} + {model.coef_[0, 0]:.1f} * lead), "
        f"{len(leads)} questions, quartiles of the lead {np.quantile(leads, [0.25, 0.5, 0.75])}"
    )


if __name__ == "__main__":
    main()
