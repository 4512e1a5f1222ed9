"""Measure the network alone, the passage of the answer given: `python -m training.measure`.

Prints by language EM, F1 and how often the chosen sentence holds the answer, and how long
reading takes. What the system makes of it, `python -m eval squad` and `run` measure.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from eval.matching import contains
from eval.measures import exact_match, token_f1
from rag.config import load_settings
from rag.encoder import open_encoder
from rag.sentences import sentences
from rag.span_model import BUNDLED_WEIGHTS, SpanModel


@dataclass(frozen=True, slots=True)
class _Question:
    lang: str
    text: str
    title: str
    context: str
    answers: tuple[str, ...]


def _questions(path: Path, wordings: Path | None = None) -> list[_Question]:
    data = json.loads(path.read_text(encoding="utf-8"))["data"]
    found = {
        entry["id"]: _Question(
            entry.get("lang", "fr"),
            entry["question"],
            article.get("title", ""),
            paragraph["context"],
            tuple(answer["text"] for answer in entry["answers"]),
        )
        for article in data
        for paragraph in article["paragraphs"]
        for entry in paragraph["qas"]
        if not entry.get("is_impossible")
    }
    if wordings is None:
        return list(found.values())
    records = [
        json.loads(line) for line in wordings.read_text(encoding="utf-8").splitlines() if line
    ]
    return [
        _Question(r["lang"], r["question"], of.title, of.context, of.answers)
        for r in records
        for of in (found[r["id"]],)
    ]


def passage_given(model: SpanModel, questions: Sequence[_Question]) -> dict[str, str]:
    """Return, by language, EM / F1 / share of answers in the chosen sentence."""
    scores: dict[str, list[tuple[float, float, float]]] = {}
    for asked in questions:
        (found,) = model.read(asked.text, [(asked.title, asked.context)])
        best = found.best_span(0, len(asked.context))
        assert best is not None
        _, start, end = best
        said = asked.context[start:end].strip()
        middle = (start + end) / 2
        sentence = next(
            (
                asked.context[low:high]
                for low, high in _lines(asked.context)
                if low <= middle <= high
            ),
            "",
        )
        scores.setdefault(asked.lang, []).append(
            (
                exact_match(said, asked.answers),
                token_f1(said, asked.answers),
                float(any(contains(sentence, answer) for answer in asked.answers)),
            )
        )
    return {
        lang: " / ".join(f"{v:.3f}" for v in np.mean(rows, axis=0)) + f" ({len(rows)})"
        for lang, rows in sorted(scores.items())
    }


def _lines(text: str) -> list[tuple[int, int]]:
    found, at = [], 0
    for line in text.split("\n"):
        found += [(at + low, at + high) for low, high in sentences(line)]
        at += len(line) + 1
    return found


def reading_time(model: SpanModel, questions: Sequence[_Question]) -> float:
    """Return the median time of reading ten passages for a question, in milliseconds."""
    passages = list(dict.fromkeys((asked.title, asked.context) for asked in questions))
    times = []
    for number, asked in enumerate(questions[:30]):
        ten = [passages[(number + k) % len(passages)] for k in range(10)]
        begin = time.perf_counter()
        model.read(asked.text, ten)
        times.append((time.perf_counter() - begin) * 1000)
    return float(np.median(times))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.measure", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--weights", type=Path, default=BUNDLED_WEIGHTS)
    parser.add_argument("--limit", type=int, help="questions of each set")
    given = parser.parse_args()
    console = Console()
    encoder = open_encoder(load_settings())
    model = SpanModel.load(given.weights, encoder.model.transformer, encoder.model.tokenizer)
    piaf, dila = given.data / "piaf-dev.json", given.data / "dila-dev.json"
    sets = {
        "PIAF dev": _questions(piaf),
        "PIAF dev, wordings": _questions(piaf, given.data / "piaf-dev-xling.jsonl"),
        "DILA dev": _questions(dila),
    }
    for name, questions in sets.items():
        step = max(1, len(questions) // given.limit) if given.limit else 1
        console.print(name, passage_given(model, questions[::step]))
    milliseconds = reading_time(model, sets["PIAF dev"])
    console.print(f"ten passages are read in {milliseconds:.0f} ms (median)")


if __name__ == "__main__":
    main()
