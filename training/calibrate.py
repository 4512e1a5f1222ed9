"""Choose the weights of ranking, choice and confidence: `python -m training.calibrate`.

Asks the questions of the held-out articles of PIAF train and DILA train over the passages
of both. Each question that has an answer is judged twice: with the passages that the
retriever finds, and with those of its own document taken away, when nothing answers it.
Prints conditional logits over the passages (which one answers) and over their units (which
one holds the answer), and a logistic regression of "the chosen unit is right" with its
reliability. Never looks at the files that results are reported on.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

import rag.confidence as confidence
import rag.evidence as evidence
import rag.reranking as reranking
from eval.matching import contains
from eval.measures import expected_calibration_error, reliability
from eval.squad import write_corpus
from rag import Citadelle
from rag.chunking import head_and_body
from rag.config import load_settings
from rag.encoder import open_encoder
from rag.evidence import Evidence
from rag.language import detect
from rag.reader import choose
from rag.span_model import BUNDLED_WEIGHTS, SpanModel
from rag.types import Document, Language
from training.data import Asked, asked_over_french, contexts_of, held_out

__all__ = ["Case", "collect", "fit_passages", "fit_sureness", "fit_units", "with_reader"]

# A few more than are read, so that as many are left when a question's own are taken away.
PASSAGES = 13
READ = load_settings().read_passages

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """A question with every unit of the passages found, and which units answer it.

    `right` is about units, `holds` about passages, by their number; `own` is the document
    that the question was written about.
    """

    source: str
    question: str
    language: Language
    evidence: tuple[Evidence, ...]
    right: tuple[bool, ...]
    holds: Mapping[int, bool]
    own: str


def collect(data: Path, limit: int) -> tuple[list[Case], dict[str, Document]]:
    """Return the cases without the trained reader's part, and the documents."""
    contexts = contexts_of(data)
    asked = [entry for entry in asked_over_french(data) if held_out(entry.title)]
    random.Random(7).shuffle(asked)
    by_source: dict[str, list[Asked]] = {}
    for entry in asked:
        by_source.setdefault(entry.source, []).append(entry)
    chosen = [entry for entries in by_source.values() for entry in entries[:limit]]
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        root = write_corpus(list(contexts.values()), Path(folder))
        with Citadelle.open(
            corpus=root / "corpus", index=root / "index", reader="none"
        ) as citadelle:
            for entry in track(chosen, "Finding passages"):
                ranking = citadelle.search(entry.question, PASSAGES)
                found = tuple(citadelle.evidence(entry.question, ranking))
                own = contexts[entry.context].doc_id

                def answers(doc_id: str, text: str, entry: Asked = entry, own: str = own) -> bool:
                    return doc_id == own and any(contains(text, a) for a, _ in entry.answers)

                right = tuple(
                    answers(e.hit.chunk.doc_id, _text(citadelle.document(e.hit.chunk.doc_id), e))
                    for e in found
                )
                holds = {
                    number: answers(hit.chunk.doc_id, hit.chunk.text)
                    for number, hit in enumerate(ranking.hits)
                }
                language = detect(entry.question)
                cases.append(Case(entry.source, entry.question, language, found, right, holds, own))
        documents = {s.doc_id: citadelle.document(s.doc_id) for s in citadelle.sources()}
    return cases, documents


def _text(document: Document, evidence: Evidence) -> str:
    return document.plain[evidence.unit.start : evidence.unit.end]


def with_reader(
    cases: Sequence[Case], documents: Mapping[str, Document], model: SpanModel
) -> list[Case]:
    """Return the cases with what the trained reader says of each unit."""
    done = []
    for case in track(cases, "Reading passages"):
        chunks = {e.passage: e.hit.chunk for e in case.evidence}
        numbers = sorted(chunks)
        pairs = [head_and_body(documents[chunks[n].doc_id], chunks[n]) for n in numbers]
        scores = dict(zip(numbers, model.read(case.question, pairs), strict=True))
        read = []
        for e in case.evidence:
            chunk = e.hit.chunk
            start, _ = documents[chunk.doc_id].offsets.to_plain(chunk.start, chunk.end)
            found = evidence.read_unit(scores[e.passage], e.unit, start)
            read.append(replace(e, read=found))
        done.append(replace(case, evidence=tuple(read)))
    return done


def ranked(case: Case) -> Case:
    """Return a case with the relevance in the scores of its passages, as the second stage does."""
    moved = {}
    for e in case.evidence:
        if e.read is not None:
            part = reranking.relevance_part(e.read.relevance)
            moved[e.passage] = replace(e.hit, score=e.hit.score + part, relevance=part)
    evidence = tuple(replace(e, hit=moved.get(e.passage, e.hit)) for e in case.evidence)
    return replace(case, evidence=evidence)


def views(case: Case) -> list[tuple[list[Evidence], list[bool]]]:
    """Return what is read of a case, and the same without its own document."""
    result = []
    for keep in (True, False):
        numbers = sorted(
            {e.passage for e in case.evidence if keep or e.hit.chunk.doc_id != case.own}
        )
        read = set(numbers[:READ])
        kept = [(e, r) for e, r in zip(case.evidence, case.right, strict=True) if e.passage in read]
        if kept:
            result.append(([e for e, _ in kept], [r for _, r in kept]))
    return result if any(case.right) else result[:1]


# --- Which passage ------------------------------------------------------------------------


def _passages(case: Case) -> tuple[Floats, NDArray[np.bool_]]:
    """Return fused score and clipped relevance of the passages read, and which hold the answer."""
    reach = reranking.RELEVANCE_RANGE
    rows = {
        e.passage: (e.hit.score, min(max(e.read.relevance, -reach), reach))
        for e in case.evidence
        if e.read is not None and e.passage < READ
    }
    numbers = sorted(rows)
    return np.array([rows[n] for n in numbers]), np.array([case.holds[n] for n in numbers])


def fit_passages(cases: Sequence[Case]) -> Floats:
    """Return the weights of fused score and relevance that make the right passages likeliest."""
    found = [pair for case in cases if (pair := _passages(case))[1].any()]
    return _conditional_logit([x for x, _ in found], [y for _, y in found], np.array([50.0, 0.5]))


# --- Which unit ---------------------------------------------------------------------------

UNIT = ("similarity", "coverage", "coverage foreign", "form", "passage", "span")


def features(e: Evidence) -> list[float]:
    """Return what the score of a unit is made of, in the order of `UNIT`."""
    assert e.read is not None
    return [
        e.similarity,
        0.0 if e.foreign else e.coverage,
        e.coverage if e.foreign else 0.0,
        e.form,
        e.hit.score,
        max(e.read.span, evidence.SPAN_FLOOR),
    ]


def fit_units(cases: Sequence[Case]) -> Floats:
    """Return the weights that make the right units likeliest."""
    found = [(np.array([features(e) for e in f]), np.array(r)) for f, r in _answerable(cases)]
    begin = np.array([5.0, 0.6, 1.0, 10.0, 14.0, 0.4])
    return _conditional_logit([x for x, _ in found], [y for _, y in found], begin)


def _answerable(cases: Sequence[Case]) -> list[tuple[list[Evidence], list[bool]]]:
    return [view for case in cases if any((view := views(case)[0])[1])]


def _conditional_logit(
    rows: Sequence[Floats], rights: Sequence[NDArray[np.bool_]], begin: Floats
) -> Floats:
    weights = torch.tensor(begin, dtype=torch.float64, requires_grad=True)
    data = [(torch.tensor(x), torch.tensor(y)) for x, y in zip(rows, rights, strict=True)]
    optimiser = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        total = torch.zeros((), dtype=torch.float64)
        for x, right in data:
            logits = x @ weights
            total = total + torch.logsumexp(logits, 0) - torch.logsumexp(logits[right], 0)
        value = total / len(data) + 1e-5 * (weights**2).sum()
        value.backward()
        return float(value.detach())

    optimiser.step(closure)
    return weights.detach().numpy()


# --- How sure -----------------------------------------------------------------------------

SURE = ("lead", "near", "relevance")


def sureness(
    cases: Sequence[Case], documents: Mapping[str, Document]
) -> tuple[Floats, Floats, NDArray[np.bool_], NDArray[np.int64]]:
    """Return features, what is taken away for words and forms, whether right, and the case."""
    rows, offsets, rights, numbers = [], [], [], []
    for number, case in enumerate(cases):
        for found, right in views(case):
            ordered = sorted(zip(found, right, strict=True), key=lambda pair: -pair[0].score)
            evidence = [e for e, _ in ordered]
            chosen = choose(case.question, evidence, documents)
            ids = {id(e) for e in chosen}
            lead, *others = confidence.sureness_features(evidence, chosen)
            rows.append([min(lead, confidence.READ_LEAD_CAP), *others])
            offsets.append(
                -confidence.taken_away(case.question, case.question, evidence, chosen, documents)
            )
            rights.append(any(r for e, r in ordered if id(e) in ids))
            numbers.append(number)
    return np.array(rows), np.array(offsets), np.array(rights), np.array(numbers)


def fit_sureness(rows: Floats, offsets: Floats, right: NDArray[np.bool_]) -> Floats:
    """Return intercept and weights of a logistic regression beside the given offsets."""
    x = torch.tensor(np.column_stack([np.ones(len(rows)), rows]))
    offset, y = torch.tensor(offsets), torch.tensor(right, dtype=torch.float64)
    weights = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        logits = x @ weights + offset
        value = torch.nn.functional.binary_cross_entropy_with_logits(logits, y)
        value = value + 1e-5 * (weights**2).sum()
        value.backward()
        return float(value.detach())

    optimiser.step(closure)
    return weights.detach().numpy()


def cross_fitted(
    rows: Floats, offsets: Floats, right: NDArray[np.bool_], numbers: NDArray[np.int64]
) -> Floats:
    """Return confidences, each from the four fifths of the cases that it is not in."""
    confidence = np.zeros(len(right))
    for fold in range(5):
        kept = numbers % 5 != fold
        weights = fit_sureness(rows[kept], offsets[kept], right[kept])
        logits = np.column_stack([np.ones((~kept).sum()), rows[~kept]]) @ weights + offsets[~kept]
        confidence[~kept] = 1 / (1 + np.exp(-logits))
    return confidence


# --- Printing -----------------------------------------------------------------------------


def accuracy(cases: Sequence[Case], weights: Floats | None = None) -> dict[str, str]:
    """Return by set and language how often the best unit is right; None: as the system does."""
    hits: dict[str, list[bool]] = {}
    for case in cases:
        found, right = views(case)[0]
        if any(case.right):
            scores = [
                e.score if weights is None else float(np.dot(weights, features(e))) for e in found
            ]
            name = f"{case.source} {case.language}"
            hits.setdefault(name, []).append(right[int(np.argmax(scores))])
    return {name: f"{np.mean(v):.3f} ({len(v)})" for name, v in sorted(hits.items())}


def first_passage(cases: Sequence[Case], weight: float) -> dict[str, str]:
    """Return by set and language how often the first passage holds the answer."""
    hits: dict[str, list[bool]] = {}
    for case in cases:
        x, right = _passages(case)
        if any(case.holds.values()) and len(x):
            best = int(np.argmax(x @ np.array([1.0, weight])))
            hits.setdefault(f"{case.source} {case.language}", []).append(bool(right[best]))
    return {name: f"{np.mean(v):.3f} ({len(v)})" for name, v in sorted(hits.items())}


def reliability_lines(confidence: Floats, right: NDArray[np.bool_]) -> list[str]:
    """Return how far confidence is from the share right, and what thresholds give."""
    points = list(zip(confidence.tolist(), (~right).astype(float).tolist(), strict=True))
    lines = [
        f"{part.low:.1f}: {part.count:4d}, said {part.confidence:.3f}, right {part.right:.3f}"
        for part in reliability(points)
    ]
    lines.append(f"expected calibration error {expected_calibration_error(points):.3f}")
    for threshold in (0.2, 0.3, 0.4, 0.5, 0.6):
        kept = confidence >= threshold
        precise = right[kept].mean() if kept.any() else 0.0
        lines.append(
            f"threshold {threshold}: answered {kept.mean():.2f}, right of those {precise:.2f}, "
            f"right ones kept {kept[right].mean():.2f}"
        )
    return lines


def report(cases: Sequence[Case], documents: Mapping[str, Document], console: Console) -> None:
    """Print the weights and what they give."""
    passage = fit_passages(cases)
    console.print(f"relevance over fused score: {passage[1] / passage[0]:.4f}")
    for weight in (0.0, passage[1] / passage[0] / 2, passage[1] / passage[0]):
        console.print(f"first passage right, weight {weight:.4f}", first_passage(cases, weight))
    moved = [ranked(case) for case in cases]
    weights = fit_units(moved)
    scaled = (weights / weights[0] * evidence.SIMILARITY).round(4).tolist()
    console.print("weights of a unit", dict(zip(UNIT, scaled, strict=True)))
    console.print("sentence right, as it is   ", accuracy(moved))
    console.print("sentence right, these ones ", accuracy(moved, weights))
    rows, offsets, right, numbers = sureness(moved, documents)
    sure = fit_sureness(rows, offsets, right).round(3).tolist()
    console.print("confidence", dict(zip(("intercept", *SURE), sure, strict=True)))
    for line in reliability_lines(cross_fitted(rows, offsets, right, numbers), right):
        console.print(line)


def main() -> None:
    """Collect the cases, read them, and report."""
    parser = argparse.ArgumentParser(prog="python -m training.calibrate", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--weights", type=Path, default=BUNDLED_WEIGHTS)
    parser.add_argument("--limit", type=int, default=120, help="questions of each set")
    given = parser.parse_args()
    cases, documents = collect(given.data, given.limit)
    encoder = open_encoder(load_settings())
    model = SpanModel.load(given.weights, encoder.model.transformer, encoder.model.tokenizer)
    report(with_reader(cases, documents, model), documents, Console())


if __name__ == "__main__":
    main()
