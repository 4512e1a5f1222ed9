"""The examples: questions with the passages that answer them and passages that look like it.

The passages are those that the system itself cuts and ranks: the contexts of PIAF and DILA
are indexed, and what ranks high for a question without holding its answer is a hard
negative. A twelfth of the articles is held out, for calibration and for early figures.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.dataset import Context
from eval.squad import load_squad, write_corpus
from rag import Citadelle
from rag.chunking import head_and_body
from rag.language import detect
from rag.lexical import fold
from rag.types import Chunk, Document

__all__ = [
    "Asked",
    "Example",
    "Gold",
    "Text",
    "asked_over_french",
    "contexts_of",
    "gather",
    "held_out",
    "load_examples",
    "typed",
]

# Each set's share of an epoch, in times its size: most questions are French, English or
# Dutch over French passages; XQuAD's other languages teach reading across languages.
WEIGHTS = {
    "piaf": 1.0,
    "dila": 1.0,
    "wording": 0.7,
    "unanswerable": 1.0,
    "written": 0.7,
    "xquad": 0.5,
}
_NEGATIVES = 8
_HELD_OUT = 12
# Question and passage language of XQuAD examples: Spanish and Romanian stand in for French
# passages, German for Dutch questions.
_XQUAD_PAIRS = (("en", "es"), ("en", "ro"), ("de", "es"), ("es", "es"), ("en", "en"), ("ro", "es"))
# The weights of rag.retrieval, applied to all questions at once.
_WITHIN, _ACROSS = 0.10, 0.045


@dataclass(frozen=True, slots=True)
class Text:
    """A passage as the reader sees it: the line with title and headings, and the body."""

    head: str
    body: str


@dataclass(frozen=True, slots=True)
class Gold:
    """Where a passage answers: its number and the characters of its body."""

    passage: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Example:
    """A question, the places that answer it, and passages that do not.

    `gold` is empty for an unanswerable question; `negatives` then begins with the passage
    that it was written about.
    """

    source: str
    lang: str
    question: str
    gold: tuple[Gold, ...]
    negatives: tuple[int, ...]
    held_out: bool


def held_out(title: str) -> bool:
    """Return whether an article is kept back from training."""
    return hashlib.sha256(title.encode()).digest()[0] % _HELD_OUT == 0


def gather(folder: Path, cache: Path, seed: int, more: Path | None = None) -> Path:
    """Return the file with the examples, mining them first where these data were not yet.

    `more` is a folder with further data: `*.json` in the form of `dila-train.json`, and
    `*.jsonl` with further wordings of questions of PIAF and DILA (`id`, `lang`, `question`).
    Raises `OSError` or `ValueError` when a file is missing or not what it should be.
    """
    digest = hashlib.sha256(str(seed).encode())
    for path in (*_sources(folder, more), *_wordings(folder, more), *folder.glob("xquad.*.json")):
        digest.update(path.read_bytes())
    stored = cache / f"examples-{digest.hexdigest()[:12]}.json"
    if not stored.is_file():
        texts, examples = _over_french(folder, more)
        _add_xquad(folder, texts, examples, random.Random(seed))
        cache.mkdir(parents=True, exist_ok=True)
        draft = stored.with_suffix(".tmp")
        record = {"texts": list(map(asdict, texts)), "examples": list(map(asdict, examples))}
        draft.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
        draft.replace(stored)
    return stored


def load_examples(stored: Path) -> tuple[list[Text], list[Example]]:
    """Return the passages and the examples over them, from the file of `gather`."""
    record = json.loads(stored.read_text(encoding="utf-8"))
    return [Text(**text) for text in record["texts"]], [
        Example(
            **{
                **example,
                "gold": tuple(Gold(**gold) for gold in example["gold"]),
                "negatives": tuple(example["negatives"]),
            }
        )
        for example in record["examples"]
    ]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question over a French passage, with its answers and where they begin; none: no answer."""

    source: str
    lang: str
    question: str
    title: str
    context: str
    answers: tuple[tuple[str, int], ...]


def _sources(folder: Path, more: Path | None) -> dict[Path, str]:
    """Return the files with questions over French passages, and the name of each set."""
    written = sorted(more.glob("*.json")) if more is not None else []
    return {
        folder / "piaf-train.json": "piaf",
        folder / "dila-train.json": "dila",
        **dict.fromkeys(written, "written"),
    }


def _wordings(folder: Path, more: Path | None) -> list[Path]:
    further = sorted(more.glob("*.jsonl")) if more is not None else []
    return [folder / "piaf-train-xling.jsonl", *further]


def asked_over_french(folder: Path, more: Path | None = None) -> Iterator[Asked]:
    """Yield the questions of every set over French passages, in all their wordings."""
    titles: dict[str, str] = {}
    known: dict[str, Asked] = {}
    for path, name in _sources(folder, more).items():
        for article, context, entry in _entries(path):
            titles[context] = article
            asked = Asked(
                source=name,
                lang=entry.get("lang", "fr"),
                question=entry["question"],
                title=article,
                context=context,
                answers=()
                if entry.get("is_impossible")
                else tuple((a["text"], a["answer_start"]) for a in entry["answers"]),
            )
            known[entry["id"]] = asked
            yield asked
    for path in _wordings(folder, more):
        for record in _lines(path):
            of = known[record["id"]]
            yield replace(of, source="wording", lang=record["lang"], question=record["question"])
    for record in _lines(folder / "piaf-train-unanswerable.jsonl"):
        context = record["context"]
        title = titles.get(context, record["pid"])
        yield Asked("unanswerable", record["lang"], record["question"], title, context, ())


def contexts_of(folder: Path, more: Path | None = None) -> dict[str, Context]:
    """Return the French passages that there are questions about, by their text."""
    # Read as one file, so that each passage gets a name of its own.
    data = [
        article
        for path in _sources(folder, more)
        for article in json.loads(path.read_text(encoding="utf-8"))["data"]
    ]
    with tempfile.TemporaryDirectory() as temporary:
        merged = Path(temporary) / "merged.json"
        merged.write_text(json.dumps({"data": data}), encoding="utf-8")
        found = load_squad(merged, unanswerable=folder / "piaf-train-unanswerable.jsonl").contexts
    return {context.text: context for context in found}


def _over_french(folder: Path, more: Path | None) -> tuple[list[Text], list[Example]]:
    contexts = contexts_of(folder, more)
    asked = list(asked_over_french(folder, more))
    with tempfile.TemporaryDirectory() as temporary:
        root = write_corpus(list(contexts.values()), Path(temporary))
        with Citadelle.open(
            corpus=root / "corpus", index=root / "index", precision="bf16", reader="none"
        ) as citadelle:
            index = citadelle.retriever.index
            chunks, documents = index.chunks, index.documents
            texts = [Text(*head_and_body(documents[chunk.doc_id], chunk)) for chunk in chunks]
            folded = [fold(text.body) for text in texts]
            of_document: dict[str, list[int]] = {}
            for number, chunk in enumerate(chunks):
                of_document.setdefault(chunk.doc_id, []).append(number)
            vectors = index.vectors(range(len(chunks)))
            # Wordings of the same question share what looks like an answer to it.
            mined: dict[tuple[str, tuple[tuple[str, int], ...]], tuple[int, ...]] = {}
            examples = []
            for entry in asked:
                doc_id = contexts[entry.context].doc_id
                own = of_document.get(doc_id, [])
                gold = _gold(entry, documents[doc_id], [chunks[i] for i in own], own)
                if entry.answers and not gold:
                    continue
                same = (entry.context, entry.answers)
                if same not in mined:
                    language = detect(entry.question)
                    weight = _WITHIN if language in ("fr", "unknown") else _ACROSS
                    (vector,) = citadelle.encoder.encode_queries([entry.question])
                    words = index.lexical.scores(entry.question, language)
                    scores = vectors @ vector + weight / math.log(1 + len(chunks)) * words
                    answers = [fold(text) for text, _ in entry.answers]
                    others = [
                        int(i)
                        for i in np.argsort(-scores)[: 4 * _NEGATIVES]
                        if i not in own and not any(answer in folded[i] for answer in answers)
                    ]
                    mined[same] = (*(() if gold else own), *others[:_NEGATIVES])
                examples.append(
                    Example(
                        entry.source,
                        entry.lang,
                        entry.question,
                        gold,
                        mined[same],
                        held_out(entry.title),
                    )
                )
    return texts, examples


def _gold(
    entry: Asked, document: Document, chunks: Sequence[Chunk], numbers: Sequence[int]
) -> tuple[Gold, ...]:
    """Return where the first answer stands; plain text may have shifted it a little."""
    for text, at in entry.answers[:1]:
        places = [match.start() for match in re.finditer(re.escape(text), document.plain)]
        if not places:
            continue
        place = min(places, key=lambda p: abs(p - at))
        for number, chunk in zip(numbers, chunks, strict=True):
            start, end = document.offsets.to_plain(chunk.start, chunk.end)
            if start <= place and place + len(text) <= end:
                return (Gold(number, place - start, place - start + len(text)),)
    return ()


def _add_xquad(
    folder: Path, texts: list[Text], examples: list[Example], rng: random.Random
) -> None:
    entries = {
        lang: {entry["id"]: (title, context, entry) for title, context, entry in found}
        for lang in ("en", "es", "de", "ro")
        if (found := list(_entries(folder / f"xquad.{lang}.json")))
    }
    numbers: dict[tuple[str, str], int] = {}
    of_article: dict[tuple[str, str], list[int]] = {}
    for lang in ("en", "es", "ro"):
        for title, context, _ in entries[lang].values():
            if (lang, context) not in numbers:
                numbers[lang, context] = len(texts)
                of_article.setdefault((lang, title), []).append(len(texts))
                texts.append(Text(title.replace("_", " "), context))
    for identifier in entries["en"]:
        asks, over = _XQUAD_PAIRS[rng.randrange(len(_XQUAD_PAIRS))]
        title, context, entry = entries[over][identifier]
        answer = entry["answers"][0]
        number = numbers[over, context]
        start = answer["answer_start"]
        end = start + len(answer["text"])
        others = [i for i in of_article[over, title] if answer["text"] not in texts[i].body]
        rng.shuffle(others)
        examples.append(
            Example(
                "xquad",
                asks,
                entries[asks][identifier][2]["question"],
                (Gold(number, start, end),),
                tuple(others[:_NEGATIVES]),
                False,
            )
        )


def _entries(path: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for article in json.loads(path.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                yield article.get("title", ""), paragraph["context"], entry


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.strip():
                yield json.loads(line)


def typed(question: str, rng: random.Random) -> str:
    """Return a question as people type them: at times without accents, capitals or mark."""
    if rng.random() < 0.25:
        question = question.rstrip(" ?\u00a0\u202f")
    draw = rng.random()
    if draw < 0.15:
        question = fold(question)
    elif draw < 0.25:
        question = question.lower()
    if rng.random() < 0.08:
        question = _slip(question, rng)
    return question


def _slip(question: str, rng: random.Random) -> str:
    letters = [i for i in range(1, len(question) - 1) if question[i : i + 2].isalpha()]
    if not letters:
        return question
    i = rng.choice(letters)
    before, pair, after = question[:i], question[i : i + 2], question[i + 2 :]
    return before + rng.choice((pair[::-1], pair[0], pair[0] + pair)) + after
