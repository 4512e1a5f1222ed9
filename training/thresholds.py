"""Print the weights and thresholds of `rag/verification.py`: `python -m training.thresholds FILE…`.

The files hold labelled statements, in the format of `eval/statements.jsonl`, which is itself not
for this: it reports.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.optimize import minimize

from eval.statements import Statement, load_statements
from rag.config import BUNDLED_ENCODER, load_settings
from rag.encoder import open_encoder
from rag.language import detect
from rag.support_model import BUNDLED_WEIGHTS, SupportModel
from rag.types import Language
from rag.verification import contradicted, decided_by_words

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

__all__ = ["Judged", "fitted", "judge", "threshold"]

_LET_THROUGH = (0.01, 0.02, 0.03, 0.05, 0.08)
_PENALTY = 1e-3


@dataclass(frozen=True, slots=True)
class Judged:
    """A statement with its label, what words alone decide of it, and else what the network says.

    `decided` is None where words decide nothing.
    """

    language: Language
    supported: bool
    decided: bool | None
    said: tuple[float, float]


def judge(statements: Sequence[Statement], model: SupportModel) -> Iterator[Judged]:
    """Judge labelled statements as `rag/verification.py` does."""
    for one in track(statements, "Judging", console=Console(stderr=True)):
        passages = [("", text) for text in one.passages]
        plain = decided_by_words(one.statement, passages, one.question)
        language = detect(one.statement)
        if plain is not None:
            yield Judged(language, one.supported, plain.supported, (0.0, 0.0))
            continue
        found = model.judge(one.statement, passages)
        if contradicted(one.statement, found.nearest) is not None:
            yield Judged(language, one.supported, False, (0.0, 0.0))
            continue
        yield Judged(language, one.supported, None, (found.support, found.doubt))


def fitted(features: Floats, labels: Flags) -> Floats:
    """Return the weights of a logistic regression, the intercept last."""
    with_one = np.c_[features, np.ones(len(features))]
    sign = np.where(labels, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        logits = sign * (with_one @ weights)
        slope = with_one.T @ (-sign / (1 + np.exp(logits))) / len(sign)
        penalty = _PENALTY * weights * [1, 1, 0]
        value = np.logaddexp(0, -logits).mean() + (penalty @ weights) / 2
        return float(value), slope + penalty

    weights: Floats = minimize(loss, np.zeros(3), jac=True, method="L-BFGS-B").x
    return weights


def threshold(
    judged: Sequence[Judged], scores: Sequence[float], share: float
) -> tuple[float, float]:
    """Return the lowest threshold that lets a share of all wrong ones through, and what it keeps.

    `scores` are those of the statements; what words alone accept or refuse counts as well.
    """
    wrong = [(one, score) for one, score in zip(judged, scores, strict=True) if not one.supported]
    allowed = int(share * len(wrong)) - sum(one.decided is True for one, _ in wrong)
    left = sorted((score for one, score in wrong if one.decided is None), reverse=True)
    least = left[max(allowed, 0)] if len(left) > max(allowed, 0) else 0.0
    right = [(one, score) for one, score in zip(judged, scores, strict=True) if one.supported]
    kept = [one.decided or (one.decided is None and score > least) for one, score in right]
    return least, sum(map(bool, kept)) / max(len(kept), 1)


def main() -> None:
    """Fit, and print for each language what would be kept at some thresholds."""
    parser = argparse.ArgumentParser(prog="python -m training.thresholds", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="labelled statements")
    parser.add_argument("--weights", type=Path, default=BUNDLED_WEIGHTS)
    given = parser.parse_args()
    encoder = open_encoder(load_settings(encoder=BUNDLED_ENCODER))
    model = SupportModel.load(given.weights, encoder.model)
    judged = list(judge([one for file in given.files for one in load_statements(file)], model))
    open_ones = [one for one in judged if one.decided is None]
    features = np.array([one.said for one in open_ones])
    weights = fitted(features, np.array([one.supported for one in open_ones]))
    console = Console()
    console.print(f"support {weights[0]:.3f}, doubt {weights[1]:.3f}, intercept {weights[2]:.3f}")
    table = Table("language", "let through", "threshold", "right ones kept")
    for language in ("fr", "en", "nl"):
        own = [one for one in judged if one.language == language]
        scores = [1 / (1 + math.exp(-(np.dot(one.said, weights[:2]) + weights[2]))) for one in own]
        for share in _LET_THROUGH:
            least, kept = threshold(own, scores, share)
            table.add_row(language, f"{share:.2f}", f"{least:.3f}", f"{kept:.2f}")
    console.print(table)


if __name__ == "__main__":
    main()
