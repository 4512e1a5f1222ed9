"""The public question sets that the measurements use, where they are at hand."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rag.sentences import sentences

__all__ = ["arguments", "distinct_passages", "peak", "write_files"]

# French but for the last, which is English.
_FRENCH = (
    "piaf-train.json",
    "piaf-dev.json",
    "dila-train.json",
    "dila-dev.json",
    "dila-passages.jsonl",
    "cnil-faq-dev.json",
)
_ENGLISH = ("xquad.en.json",)
# Shorter ones are headings and list items, which say little on their own.
_SHORTEST = 40


def arguments(description: str, questions: int) -> argparse.Namespace:
    """Return the folder of the data sets and how many questions to take of each.

    Ends the program, with a sentence and exit code 0, where the data sets are not there:
    they are not part of the project, and `make bench` runs in any clone.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=Path("../shared/datasets"))
    parser.add_argument("--questions", type=int, default=questions)
    given = parser.parse_args()
    if not (given.data / "piaf-train.json").is_file():
        reason = f"there is no piaf-train.json in {given.data} (see --data)"
        sys.stdout.write(f"{description} Not run: {reason}.\n")
        sys.exit(0)
    return given


def distinct_passages(data: Path, count: int) -> list[str]:
    """Return so many passages, each different, of French and English sentences.

    First come the paragraphs of the question sets themselves. Then every passage is made of
    sentences of as many different paragraphs in one language, as long as a paragraph is. The
    first passages are the same whatever the count.
    """
    found = list(dict.fromkeys(islice(_passages(data), count + count // 10 + 1000)))[:count]
    if len(found) < count:
        raise ValueError(f"the data sets gave {len(found)} distinct passages, not {count}")
    return found


def peak() -> float:
    """Return the most memory that this process took, in MiB.

    `getrusage` would count that of the process which started it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def write_files(folder: Path, passages: Sequence[str]) -> list[Path]:
    """Write each passage into a file of its own, where it is not there yet; return the files."""
    paths = []
    for number, passage in enumerate(passages):
        # Thousands of files in one folder are slow to list.
        path = folder / f"{number // 1000:03}" / f"{number:06}.txt"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(passage, encoding="utf-8")
        paths.append(path)
    return paths


def _passages(data: Path) -> Iterator[str]:
    pools: list[tuple[list[str], list[list[str]]]] = []
    for names in (_FRENCH, _ENGLISH):
        paragraphs = [text for name in names for text in _paragraphs(data / name)]
        yield from paragraphs
        parts = [found for text in paragraphs if (found := _sentences(text))]
        if parts:
            pools.append((paragraphs, parts))
    if not pools:
        return
    chance = random.Random(20261122)  # noqa: S311 - nothing secret: the same at every run
    weights = [len(paragraphs) for paragraphs, _ in pools]
    while True:
        paragraphs, parts = chance.choices(pools, weights)[0]
        length = len(chance.choice(paragraphs))
        taken: list[str] = []
        while sum(map(len, taken)) < length:
            taken.append(chance.choice(chance.choice(parts)))
        yield " ".join(taken)


def _paragraphs(path: Path) -> Iterator[str]:
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    articles: list[dict[str, Any]]
    if path.suffix == ".jsonl":
        articles = [{"paragraphs": [json.loads(line)]} for line in text.splitlines()]
    else:
        articles = json.loads(text)["data"]
    for article in articles:
        for paragraph in article["paragraphs"]:
            yield paragraph["context"].strip()


def _sentences(text: str) -> list[str]:
    found = (text[start:end] for start, end in sentences(text))
    return [sentence for sentence in found if len(sentence) >= _SHORTEST]
