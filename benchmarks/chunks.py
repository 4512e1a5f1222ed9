"""Choose how documents are cut into passages: three sizes, four strategies.

Ranks the passages by cosine and words. As longer passages are found more easily and take longer
to read, what decides is the share of questions whose evidence stands in the first 2,500
characters of what is found; R@1 is beside it. The documents are DILA dev, CNIL dev, and the
articles of PIAF dev, each put together from its paragraphs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data import arguments
from rich.console import Console
from rich.table import Table

import rag.chunking as chunking
import rag.retrieval as fusion
from eval.dataset import Context, Item
from eval.matching import contains
from eval.squad import load_squad
from rag.chunking import chunk_document, heading_paths, passage_text, units
from rag.config import load_settings
from rag.documents import parse
from rag.encoder import E5Encoder, Vectors, open_encoder
from rag.language import detect
from rag.lexical import LexicalIndex
from rag.types import Chunk, Document

SIZES = (128, 256, 400)
READ = 2500
LANGUAGES = ("fr", "en", "nl")

# Strategies share questions and passages; each is encoded once.
_ASKED: dict[str, Vectors] = {}
_KNOWN: dict[str, dict[str, Vectors]] = {}

Chunker = Callable[[Document, int, Callable[[str], int]], list[Chunk]]


@dataclass(frozen=True)
class Task:
    """Documents, and questions with where the evidence stands: a document and a text in it."""

    name: str
    documents: Sequence[Document]
    items: Sequence[tuple[Item, str, int]]


def main() -> None:
    """Print the table."""
    given = arguments(str(__doc__).split("\n", 1)[0], 0)
    encoder = open_encoder(load_settings())
    tasks = list(_tasks(given.data, given.questions or None))
    columns = [
        f"{task.name} {language}"
        for task in tasks
        for language in LANGUAGES
        if any(item.lang == language for item, _, _ in task.items)
    ]
    table = Table("passages", "tokens", *columns)
    for label, chunker in STRATEGIES.items():
        for size in SIZES:
            cells = [cell for task in tasks for cell in _measure(task, chunker, size, encoder)]
            table.add_row(label, str(size), *cells)
    console = Console(width=50 + 18 * len(columns))
    console.print(table, f"Evidence in the first {READ} characters found, and R@1.")


def _tasks(data: Path, limit: int | None) -> Iterator[Task]:
    for name, file in (("DILA", "dila-dev.json"), ("CNIL", "cnil-faq-dev.json")):
        found = load_squad(data / file, limit=limit)
        texts = {context.doc_id: context.text for context in found.contexts}
        items = [(i, i.doc, texts[i.doc].find(i.evidence[0])) for i in found.items if i.answerable]
        yield Task(name, _read(found.contexts), items)
    yield _articles(data, limit)


def _articles(data: Path, limit: int | None) -> Task:
    file = data / "piaf-dev.json"
    articles: dict[str, list[str]] = {}
    place: dict[str, tuple[str, int]] = {}
    for number, article in enumerate(json.loads(file.read_text(encoding="utf-8"))["data"]):
        name = f"{number}/{article['title'].replace('/', ' ')}.txt"
        texts = articles.setdefault(name, [])
        for paragraph in article["paragraphs"]:
            if paragraph["context"] not in texts:
                place[paragraph["context"]] = (name, sum(len(text) + 2 for text in texts))
                texts.append(paragraph["context"])
    french = load_squad(file, limit=limit)
    worded = load_squad(file, questions=data / "piaf-dev-xling.jsonl", limit=limit)
    contexts = {context.doc_id: context.text for context in french.contexts}
    items = []
    for item in (*french.items, *worded.items):
        name, start = place[contexts[item.doc]]
        items.append((item, name, start + contexts[item.doc].find(item.evidence[0])))
    whole = [Context(name, "\n\n".join(texts)) for name, texts in articles.items()]
    return Task("PIAF articles", _read(whole), items)


def _read(contexts: Sequence[Context]) -> list[Document]:
    return [parse(context.text, context.doc_id, format="text") for context in contexts]


def _measure(task: Task, chunker: Chunker, size: int, encoder: E5Encoder) -> list[str]:
    chunks = [c for d in task.documents for c in chunker(d, size, encoder.count_tokens)]
    documents = {document.doc_id: document for document in task.documents}
    texts = [passage_text(documents[chunk.doc_id], chunk) for chunk in chunks]
    lexical = LexicalIndex.build(texts, [documents[c.doc_id].language for c in chunks])
    questions = [item.question for item, _, _ in task.items]
    known = _KNOWN.setdefault(task.name, {})
    new = [text for text in dict.fromkeys(texts) if text not in known]
    known.update(zip(new, encoder.encode_passages(new), strict=True))
    if task.name not in _ASKED:
        _ASKED[task.name] = encoder.encode_queries(questions)
    cosines = _ASKED[task.name] @ np.array([known[text] for text in texts]).T
    found: dict[str, list[tuple[bool, bool]]] = {}
    for (item, doc_id, place), cosine in zip(task.items, cosines, strict=True):
        language = detect(item.question)
        own = lexical.in_language(language)
        weights = np.where(own, fusion._FIRST_WITHIN_LANGUAGE, fusion._FIRST_ACROSS_LANGUAGES)
        words = lexical.scores(item.question, language) / math.log(1 + len(chunks))
        order = np.argsort(-(cosine + weights * words))
        right = [_holds(chunks[i], doc_id, place, item.evidence[0]) for i in order[:40]]
        read = np.cumsum([0, *(len(chunks[i].text) for i in order[:40])])
        early = any(hit for hit, before in zip(right, read, strict=False) if before < READ)
        found.setdefault(item.lang, []).append((early, right[0]))
    return [
        "{:.3f}  {:.3f}".format(*np.mean(found[language], axis=0))
        for language in LANGUAGES
        if language in found
    ]


def _holds(chunk: Chunk, doc_id: str, place: int, evidence: str) -> bool:
    if chunk.doc_id != doc_id:
        return False
    if chunk.start <= place and place + len(evidence) <= chunk.end:
        return True
    # A whole page as evidence is in no passage; then each passage of the page is right.
    return contains(evidence, chunk.text)


# --- Strategies ---------------------------------------------------------------------------


def _with(small: int | None) -> Chunker:
    """Return the product's own chunker with another bound for small sections; None never joins."""

    def chunker(document: Document, size: int, count: Callable[[str], int]) -> list[Chunk]:
        before = chunking._SMALL_SECTION, chunking._parted
        try:
            chunking._SMALL_SECTION = small or 0
            if small is None:
                chunking._parted = lambda last, piece, noise: True
            return chunk_document(document, max_tokens=size, count_tokens=count)
        finally:
            chunking._SMALL_SECTION, chunking._parted = before

    return chunker


def _windows(document: Document, size: int, count: Callable[[str], int]) -> list[Chunk]:
    """Cut between sentences wherever the size is reached; each window begins half way into the
    one before, and headings do not matter."""
    paths = heading_paths(document)
    found = units(document)
    sizes = [count(document.plain[unit.start : unit.end]) for unit in found]
    chunks, first = [], 0
    while first < len(found):
        last, used = first, 0
        while last < len(found) and (last == first or used + sizes[last] <= size):
            used += sizes[last]
            last += 1
        low, high = document.offsets.to_canonical(found[first].start, found[last - 1].end)
        chunks.append(
            Chunk(
                f"{document.doc_id}:{low}-{high}",
                document.doc_id,
                low,
                high,
                document.text[low:high],
                paths[found[first].block],
                {"title": document.title, "language": document.language},
            )
        )
        if last == len(found):
            break
        half, passed = first, 0
        while half < last and passed < used / 2:
            passed += sizes[half]
            half += 1
        first = max(half, first + 1)
    return chunks


STRATEGIES: dict[str, Chunker] = {
    "a paragraph or list each": _with(None),
    "joined within sections": _with(0),
    "and small sections joined": _with(chunking._SMALL_SECTION),
    "overlapping windows of sentences": _windows,
}


if __name__ == "__main__":
    main()
