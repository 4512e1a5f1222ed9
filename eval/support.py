"""How well statements that passages support are told from those that they do not."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from eval.statements import Statement
from rag.config import Settings
from rag.encoder import open_encoder
from rag.errors import DatasetError
from rag.verification import open_verifier

__all__ = ["measure_statements", "print_statements", "write_measured"]


def measure_statements(statements: Sequence[Statement], settings: Settings) -> dict[str, Any]:
    """Return how many statements are accepted: overall, by language and by kind.

    `kept` is the share of supported statements that are accepted, `let_through` that of the
    others; `ms` the median time of a statement.
    """
    verifier = open_verifier(settings, open_encoder(settings))
    accepted: list[bool] = []
    times = []
    console = Console(stderr=True)
    for statement in track(statements, "Checking", console=console):
        begin = perf_counter()
        passages = [("", text) for text in statement.passages]
        support = verifier.verify(statement.statement, passages, question=statement.question)
        times.append((perf_counter() - begin) * 1000)
        accepted.append(support.supported)
    judged = list(zip(statements, accepted, strict=True))
    kinds: dict[str, list[bool]] = defaultdict(list)
    for statement, passed in judged:
        kinds[statement.kind].append(passed)
    languages = sorted({statement.lang for statement in statements})
    return {
        "overall": _shares(judged),
        "lang": {lang: _shares([p for p in judged if p[0].lang == lang]) for lang in languages},
        "kind": {
            kind: {"accepted": _share(passed), "count": len(passed)}
            for kind, passed in sorted(kinds.items())
        },
        "ms": round(median(times), 1),
    }


def _shares(judged: Sequence[tuple[Statement, bool]]) -> dict[str, float]:
    right = [passed for statement, passed in judged if statement.supported]
    wrong = [passed for statement, passed in judged if not statement.supported]
    return {
        "kept": _share(right),
        "let_through": _share(wrong),
        "supported": len(right),
        "wrong": len(wrong),
    }


def _share(passed: Sequence[bool]) -> float:
    return round(sum(passed) / len(passed), 4) if passed else 0.0


def write_measured(found: Mapping[str, Any], path: Path) -> None:
    """Write the measures as JSON; raises `DatasetError` where that fails."""
    try:
        path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written ({error.strerror}).") from error


def print_statements(found: Mapping[str, Any], console: Console) -> None:
    """Print the shares by language and by kind."""
    table = Table("", "supported: kept", "wrong: let through")
    for name, shares in {"all": found["overall"], **found["lang"]}.items():
        table.add_row(
            name,
            f"{shares['kept']:.2f} ({shares['supported']})",
            f"{shares['let_through']:.2f} ({shares['wrong']})",
        )
    console.print(table)
    kinds = Table("kind", "accepted")
    for kind, shares in found["kind"].items():
        kinds.add_row(kind, f"{shares['accepted']:.2f} ({shares['count']})")
    console.print(kinds)
    console.print(f"A statement takes {found['ms']:.0f} ms.")
