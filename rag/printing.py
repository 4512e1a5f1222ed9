"""What the command line prints: answers, passages and progress."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from rag.errors import CitadelleError

if TYPE_CHECKING:
    from rag.pipeline import Citadelle
    from rag.retrieval import Explanation
    from rag.types import Answer, Document, Ranking, ScoredChunk
    from rag.writing import Event

__all__ = [
    "complain",
    "err_console",
    "explanation_lines",
    "explanation_record",
    "hit_record",
    "out_console",
    "place_of",
    "plain_of",
    "print_answer",
    "print_events",
    "print_json",
    "print_query",
    "progress_bars",
    "write",
]


def out_console() -> Console:
    return Console(highlight=False)


def err_console() -> Console:
    return Console(stderr=True, highlight=False)


def complain(error: CitadelleError) -> None:
    err_console().print(Text(str(error), style="yellow"), soft_wrap=True)


def write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # `citadelle text … | head` closes the pipe early, which is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(value: Any) -> None:
    write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def print_events(events: Iterator[Event]) -> Answer:
    """Print each sentence of a language model when it comes; return the answer."""
    from rag.types import Answer
    from rag.writing import Notice, Sentence

    out = out_console()
    begun = False
    for event in events:
        if isinstance(event, Answer):
            if begun:
                out.print()
            return event
        if isinstance(event, Sentence):
            out.print(Text(event.before + event.text), end="", soft_wrap=True)
            begun = True
        elif isinstance(event, Notice):
            if begun:
                out.print()
            begun = False
            words = f"{event.text} ({event.detail})" if event.detail else event.text
            err_console().print(Text(words, style="yellow"), soft_wrap=True)
    raise AssertionError("answering ended without an answer")


def print_answer(answer: Answer, citadelle: Citadelle, filters: dict[str, str] | None) -> None:
    from rag.answering import NEAREST, short_answers

    out = out_console()
    if answer.understood:
        out.print(Text(f"Understood as: {answer.understood}", style="dim"))
        out.print()
    # What a model wrote was printed while it came.
    if answer.mode != "written":
        body = Text(answer.text)
        body.highlight_words(short_answers(answer), style="bold")
        out.print(body)
    for hint in citadelle.hints(answer, filters):
        out.print(Text(f"- {hint}"))
    if answer.citations or answer.passages:
        out.print()
    for citation in answer.citations:
        document = citadelle.document(citation.doc_id)
        where = place_of(document.title, citation.heading_path)
        place = f"{citation.doc_id}, {citation.start}-{citation.end}"
        out.print(Text(f"[{citation.key}] {where} ({place})", style="dim"))
        if answer.mode == "written":
            # The words are the model's; these are the document's.
            plain = plain_of(document, citation.start, citation.end)
            out.print(Padding(Text(plain, style="dim"), (0, 0, 0, 4)))
    for sentence in answer.removed:
        out.print(Text(f"Taken away, not supported: {sentence}", style="dim strike"))
    if answer.abstained and answer.passages:
        tongue = answer.language
        fallback = citadelle.settings.fallback_language
        out.print(Text(NEAREST[fallback if tongue == "unknown" else tongue]))
        for passage in answer.passages[:3]:
            document = citadelle.document(passage.doc_id)
            plain = plain_of(document, passage.start, passage.end)
            out.print(Padding(Text(f"{document.title} : {plain}", style="dim"), (0, 0, 1, 2)))


def hit_record(hit: ScoredChunk) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "dense": None if hit.dense is None else round(hit.dense, 4),
        "late": None if hit.late is None else round(hit.late, 4),
        "lexical": None if hit.lexical is None else round(hit.lexical, 4),
        "relevance": None if hit.relevance is None else round(hit.relevance, 4),
        "rerank": None if hit.rerank is None else round(hit.rerank, 4),
        "doc_id": hit.chunk.doc_id,
        "title": hit.chunk.metadata["title"],
        "heading_path": list(hit.chunk.heading_path),
        "start": hit.chunk.start,
        "end": hit.chunk.end,
        "text": hit.chunk.text,
    }


def explanation_record(explanation: Explanation) -> dict[str, Any]:
    return {
        "language": explanation.hit.chunk.metadata["language"],
        "parts": {name: round(value, 4) for name, value in explanation.parts.items()},
        "terms": [
            {
                "word": term.word,
                "stands_for": term.origin,
                "kind": term.kind,
                "bm25": round(value, 4),
            }
            for term, value in explanation.terms
        ],
    }


def print_query(citadelle: Citadelle, ranking: Ranking) -> None:
    names = {"fr": "French", "en": "English", "nl": "Dutch"}
    language = names.get(ranking.language, "not clear; words count in any language")
    out_console().print(Text(f"Language of the question: {language}."))
    for alias in citadelle.retriever.aliases(ranking):
        out_console().print(Text(f"'{alias.name}' also looked for as '{alias.other}'."))
    out_console().print()


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    names = {
        "cosine": "meaning",
        "late": "token by token",
        "words": "words",
        "repeated": "says what a better passage says",
        "reader": "reading",
        "unread": "not read",
    }
    parts = (f"{names[name]} {value:+.3f}" for name, value in explanation.parts.items())
    line = ", ".join(parts)
    if explanation.hit.rerank is not None:
        line += f"; put in this place by the reranker ({explanation.hit.rerank:.3f})"
    yield line
    if explanation.terms:
        yield "words: " + ", ".join(
            f"{term.word} {value:.2f}"
            + ("" if term.kind == "word" else f" ({_KINDS[term.kind]} {term.origin})")
            for term, value in explanation.terms
        )


_KINDS = {"spelling": "for", "compound": "part or whole of", "alias": "another name of"}


def place_of(title: str, path: tuple[str, ...]) -> str:
    return " > ".join(dict.fromkeys([title, *path]))


def plain_of(document: Document, start: int, end: int) -> str:
    low, high = document.offsets.to_plain(start, end)
    return document.plain[low:high]


_STAGES = {
    "encoder": "Preparing the encoder (once)",
    "documents": "Reading documents",
    "embed": "Embedding passages",
}


@contextmanager
def progress_bars() -> Iterator[Callable[[str, int, int], None]]:
    """Show each stage of long work on stderr, where a person looks at it."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    console = err_console()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_STAGES.get(stage, stage), total=total or None)
            bars.update(tasks[stage], completed=done, total=total or None)

        yield report
