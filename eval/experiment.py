"""Ask a system every question of a dataset and record what came of it.

A run is a JSON object: `config`, `counts`, `measures` and `items`. Nothing in it depends
on the clock except the timings, and no path of the machine is written into it.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from eval import measures
from eval.dataset import Dataset, Item
from eval.runs import presentable
from rag import Citadelle, __version__
from rag.config import Settings
from rag.errors import CitadelleError, DatasetError
from rag.types import Answer, Document, Ranking, ScoredChunk, Source

__all__ = [
    "Outcome",
    "QuoteError",
    "System",
    "measure",
    "open_system",
    "resolve_document",
]

SEARCH_DEPTH = 10
SLICES = ("lang", "type", "doc")


class QuoteError(CitadelleError):
    """Report a citation that is not the text of its document; no figure is worth having then."""


class System(Protocol):
    """What an experiment needs of `rag.Citadelle`."""

    @property
    def settings(self) -> Settings: ...

    @property
    def manifest(self) -> Mapping[str, Any]: ...

    def ask(self, question: str, *, history: Sequence[str] = ()) -> Answer: ...

    def search(self, question: str, *, k: int = 10, history: Sequence[str] = ()) -> Ranking: ...

    def document(self, doc_id: str) -> Document: ...

    def sources(self) -> tuple[Source, ...]: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one item; `error` is empty unless the system raised.

    `evidence` and `answers` are in the document's plain text, and `doc_id` is resolved.
    `scores` holds every item measure, `None` where it does not apply.
    """

    item: Item
    doc_id: str
    answer: Answer | None
    ranking: Ranking | None
    scores: Mapping[str, float | None]
    groups: tuple[int, int] | None
    error: str = ""

    @property
    def state(self) -> str:
        if self.answer is None:
            return "error"
        return "abstained" if self.answer.abstained else "answered"

    @property
    def confidence(self) -> float:
        return self.answer.confidence if self.answer is not None else 0.0

    @property
    def correct(self) -> bool:
        """Tell whether answering helped: a right answer was said to an answerable question.

        An abstention never is: the answer that was withheld is unknown, so on the
        risk-coverage curve it is a loss, at its low confidence. A run with
        `abstain_below` 0 gives the curve without that reserve.
        """
        return self.state == "answered" and self.scores["answer_recall"] == 1.0


def open_system(
    corpus: Path, index: Path, progress: Callable[[str, int, int], None] | None = None
) -> AbstractContextManager[System]:
    """Open Citadelle over a corpus, indexing what is not indexed yet."""
    return Citadelle.open(corpus=corpus, index=index, progress=progress)


def measure(
    system: System, dataset: Dataset, advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """Ask every question and return the run; `advance` is called after each.

    A `CitadelleError` on a question is its outcome, not the end of the run. Raises
    `QuoteError` when a citation is not in its document letter by letter, and
    `DatasetError` when an item names no document of the corpus or more than one.
    """
    documents = _Documents(system)
    known = [source.doc_id for source in system.sources()]
    located = [_located(item, known, documents) for item in dataset.items]
    outcomes, verified = [], 0
    for item, doc_id, _ in located:
        outcome = _outcome(system, item, doc_id, documents)
        if outcome.answer is not None:
            verified += _verify(outcome.answer, item, documents)
        outcomes.append(outcome)
        advance()
    missing = [item.id for item, _, complete in located if not complete]
    counts, figures = _tables(outcomes)
    return presentable(
        {
            "config": _config(system, dataset),
            "counts": {
                "quotes_verified": verified,
                "evidence_not_in_document": missing,
                **counts,
            },
            "measures": figures,
            "items": [_item_record(outcome) for outcome in outcomes],
        }
    )


def resolve_document(name: str, known: Iterable[str]) -> str:
    """Return the document whose identifier or file name is `name`, or alone begins with it.

    Raises `DatasetError` when there is none or more than one.
    """
    known = sorted(known)
    for matches in (
        [doc_id for doc_id in known if name in (doc_id, PurePosixPath(doc_id).name)],
        [
            doc_id
            for doc_id in known
            if doc_id.startswith(name) or PurePosixPath(doc_id).name.startswith(name)
        ],
    ):
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise DatasetError(f"The document {name!r} may be any of {', '.join(matches)}.")
    raise DatasetError(f"No document of the corpus is named or begins with {name!r}.")


class _Documents:
    """Fetch each document once; long corpora are asked about many times."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._fetched: dict[str, Document] = {}

    def __getitem__(self, doc_id: str) -> Document:
        if doc_id not in self._fetched:
            self._fetched[doc_id] = self._system.document(doc_id)
        return self._fetched[doc_id]

    def plain(self, doc_id: str, start: int, end: int) -> str:
        document = self[doc_id]
        low, high = document.offsets.to_plain(start, end)
        return document.plain[low:high]


def _located(item: Item, known: Sequence[str], documents: _Documents) -> tuple[Item, str, bool]:
    """Return the item in plain text, its document, and whether all its evidence is in there."""
    if not item.answerable:
        return item, "", True
    try:
        doc_id = resolve_document(item.doc, known)
    except DatasetError as error:
        raise DatasetError(f"Item {item.id}: {error}") from error
    document = documents[doc_id]

    def plain(text: str) -> str:
        # Gold may quote the canonical text, with its marks; all comparing is done in plain text.
        start = document.text.find(text)
        if start < 0 or measures.contains(document.plain, text):
            return text
        return documents.plain(doc_id, start, start + len(text)) or text

    located = replace(
        item,
        answers=tuple(map(plain, item.answers)),
        evidence=tuple(map(plain, item.evidence)),
        answer_groups=tuple(tuple(map(plain, group)) for group in item.answer_groups),
    )
    complete = all(measures.contains(document.plain, text) for text in located.evidence)
    return located, doc_id, complete


def _outcome(system: System, item: Item, doc_id: str, documents: _Documents) -> Outcome:
    answer: Answer | None = None
    ranking: Ranking | None = None
    error = ""
    history = list(item.history)
    # Asking comes first: what searching leaves in caches must not flatter the latency.
    try:
        answer = system.ask(item.question, history=history)
        ranking = system.search(item.question, k=SEARCH_DEPTH, history=history)
    except CitadelleError as raised:
        error = f"{type(raised).__name__}: {raised}"
    scores: dict[str, float | None] = dict.fromkeys(measures.ITEM_MEASURES)
    groups = None
    if item.answerable:
        hits = ranking.hits if ranking is not None else ()
        found = [_evidence_in(hit, item, doc_id, documents) for hit in hits]
        scores |= measures.ranking_scores(found, len(item.wanted))
        given = answer if answer is not None and not answer.abstained else None
        text = _unmarked(given) if given is not None else ""
        short = given.short_answer if given is not None else ""
        groups = measures.groups_said(text, item.answers, item.answer_groups)
        quotes = [
            documents.plain(doc_id, cited.start, cited.end) if cited.doc_id == doc_id else None
            for cited in (given.citations if given is not None else ())
        ]
        precision, recall = measures.citation_scores(quotes, item.wanted, item.answers)
        scores |= {
            "EM": measures.exact_match(short, item.answers),
            "F1": measures.token_f1(short, item.answers),
            "answer_recall": measures.answer_recall(text, item.answers, item.answer_groups),
            "citation_precision": precision,
            "citation_recall": recall,
        }
    return Outcome(item, doc_id, answer, ranking, scores, groups, error)


def _evidence_in(
    hit: ScoredChunk, item: Item, doc_id: str, documents: _Documents
) -> frozenset[int]:
    if hit.chunk.doc_id != doc_id:
        return frozenset()
    text = documents.plain(doc_id, hit.chunk.start, hit.chunk.end)
    return frozenset(
        index
        for index, group in enumerate(item.wanted)
        if any(measures.contains(text, part) for part in group)
    )


def _unmarked(answer: Answer) -> str:
    """Return the answer's text without its citation markers, which may split an answer."""
    text = answer.text
    for citation in answer.citations:
        text = text.replace(f" [{citation.key}]", "").replace(f"[{citation.key}]", "")
    return text


def _verify(answer: Answer, item: Item, documents: _Documents) -> int:
    for citation in answer.citations:
        try:
            document = documents[citation.doc_id]
        except CitadelleError as error:
            raise QuoteError(f"Item {item.id}: a citation's document: {error}") from error
        true = document.text[citation.start : citation.end]
        if true != citation.quote or not true or document.content_hash != citation.content_hash:
            raise QuoteError(
                f"Item {item.id}: the citation [{citation.key}] of {citation.doc_id}, "
                f"{citation.start} to {citation.end}, is not verbatim: {citation.quote[:80]!r} "
                f"instead of {true[:80]!r}."
            )
    return len(answer.citations)


def _tables(outcomes: Sequence[Outcome]) -> tuple[dict[str, Any], dict[str, Any]]:
    counts: dict[str, Any] = {"overall": _counts(outcomes)}
    figures: dict[str, Any] = {"overall": _figures(outcomes)}
    for name in SLICES:
        parts: dict[str, list[Outcome]] = {}
        for outcome in outcomes:
            key = outcome.doc_id if name == "doc" else getattr(outcome.item, name)
            parts.setdefault(key or "(none)", []).append(outcome)
        counts[name] = {key: _counts(parts[key]) for key in sorted(parts)}
        figures[name] = {key: _figures(parts[key]) for key in sorted(parts)}
    return counts, figures


def _counts(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Count the items and, in `measured`, how many each figure is the mean of.

    `excluded` says how many were left out of it and why.
    """
    answerable = [outcome for outcome in outcomes if outcome.item.answerable]
    states = [outcome.state for outcome in outcomes]
    measured: dict[str, int] = {
        name: sum(outcome.scores[name] is not None for outcome in outcomes)
        for name in measures.ITEM_MEASURES
    }
    measured |= dict.fromkeys(measures.SET_MEASURES, len(outcomes))
    measured |= dict.fromkeys(("latency_p50_ms", "latency_p95_ms"), len(_latencies(outcomes)))
    return {
        "items": len(outcomes),
        "answerable": len(answerable),
        "unanswerable": len(outcomes) - len(answerable),
        "answered": states.count("answered"),
        "abstained": states.count("abstained"),
        "errors": states.count("error"),
        "measured": measured,
        "excluded": {
            "unanswerable_from_retrieval_and_answer_measures": len(outcomes) - len(answerable),
            "without_citation_from_citation_precision": len(answerable)
            - measured["citation_precision"],
            "without_timing_from_latency": len(outcomes) - measured["latency_p50_ms"],
        },
    }


def _figures(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    figures: dict[str, float | None] = {
        name: measures.mean(
            [value for outcome in outcomes if (value := outcome.scores[name]) is not None]
        )
        for name in measures.ITEM_MEASURES
    }
    figures |= measures.abstention(
        [(outcome.item.answerable, outcome.state == "abstained") for outcome in outcomes]
    )
    figures["AURC"] = measures.aurc(
        [(outcome.confidence, float(not outcome.correct)) for outcome in outcomes]
    )
    latencies = _latencies(outcomes)
    figures["latency_p50_ms"] = measures.percentile(latencies, 50)
    figures["latency_p95_ms"] = measures.percentile(latencies, 95)
    return figures


def _latencies(outcomes: Sequence[Outcome]) -> list[float]:
    return [
        outcome.answer.timings["total_ms"]
        for outcome in outcomes
        if outcome.answer is not None and "total_ms" in outcome.answer.timings
    ]


def _item_record(outcome: Outcome) -> dict[str, Any]:
    item = outcome.item
    return {
        "id": item.id,
        "lang": item.lang,
        "type": item.type,
        "question": item.question,
        "history": list(item.history),
        "answerable": item.answerable,
        "expected": {
            "doc_id": outcome.doc_id,
            "answers": list(item.answers),
            "answer_groups": [list(group) for group in item.answer_groups],
            "evidence": list(item.evidence),
        },
        "outcome": outcome.state,
        "error": outcome.error or None,
        "confidence": outcome.confidence,
        "correct": outcome.correct,
        "groups_said": list(outcome.groups) if outcome.groups else None,
        "scores": dict(outcome.scores),
        "given": outcome.answer.to_dict() if outcome.answer is not None else None,
        "ranking": [
            {
                "chunk_id": hit.chunk.chunk_id,
                "doc_id": hit.chunk.doc_id,
                "start": hit.chunk.start,
                "end": hit.chunk.end,
                "score": hit.score,
            }
            for hit in (outcome.ranking.hits if outcome.ranking is not None else ())
        ],
    }


def _config(system: System, dataset: Dataset) -> dict[str, Any]:
    return {
        "settings": system.settings.model_dump(mode="json"),
        "fingerprint": system.settings.fingerprint(),
        # The list of all files is in its corpus hash; the clock says nothing about the run.
        "manifest": {
            name: value
            for name, value in system.manifest.items()
            if name != "created" and not isinstance(value, Mapping)
        },
        "code": {"version": __version__, "sources_sha256": _sources_sha256()},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "dataset": dict(dataset.source),
    }


def _sources_sha256() -> str:
    """Hash the code that was run: it says more than a commit when files were edited since."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(path for part in ("rag", "eval") for path in (root / part).rglob("*.py")):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
