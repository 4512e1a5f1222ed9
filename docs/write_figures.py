"""Write the figures of the baseline into the README: `python -m docs.write_figures`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eval.runs import load_run

__all__ = ["README", "row", "rows", "write"]

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
_NAMES = {"fr": "French", "en": "English", "nl": "Dutch"}
_COLUMNS = ("R@1", "R@5", "answer_recall", "citation_precision", "citation_recall")


def row(lang: str, counts: dict[str, Any], figures: dict[str, Any]) -> str:
    """Return the cells of a language, from the count of questions to abstention."""
    cells = [_NAMES[lang], str(counts["items"]), *(f"{figures[name]:.2f}" for name in _COLUMNS)]
    abstention = (figures["abstention_precision"], figures["abstention_recall"])
    cells.append(" / ".join("–" if value is None else f"{value:.2f}" for value in abstention))
    return " | ".join(cells)


def rows() -> list[str]:
    """Return the rows of the README for the gold set, as the committed baseline has them."""
    run = load_run(ROOT / "eval" / "baselines" / "gold.json")
    lead = {"fr": "`eval/gold.jsonl`, the two documents here "}
    return [
        f"| {lead.get(lang, '')}| {row(lang, run['counts']['lang'][lang], figures)} |"
        for lang in _NAMES
        if (figures := run["measures"]["lang"].get(lang)) is not None
    ]


def write() -> None:
    """Replace the rows in the README."""
    lines = README.read_text(encoding="utf-8").splitlines()
    first = next(n for n, line in enumerate(lines) if line.startswith("| `eval/gold.jsonl`"))
    lines[first : first + len(_NAMES)] = rows()
    README.write_bytes(("\n".join(lines) + "\n").encode())


if __name__ == "__main__":
    write()
