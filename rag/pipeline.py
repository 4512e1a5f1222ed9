"""Wiring: settings, encoder, index, retriever, reader and composer into one object."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rag.answering import Composer, hints, join, reply
from rag.config import Settings, load_settings
from rag.conversation import standalone
from rag.courtesies import bare_question, courtesy
from rag.encoder import Encoder, Progress, open_encoder
from rag.errors import (
    DocumentNotFound,
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    InvalidQuestion,
)
from rag.evidence import Evidence
from rag.generations import current_generation, read_record
from rag.index import Index
from rag.indexing import IndexReport, are_elsewhere, build_index, is_stale
from rag.language import detect
from rag.library import Library
from rag.logs import outline
from rag.parts import parts
from rag.questions import asked_for
from rag.reader import EvidenceReader
from rag.reranking import ReaderStage, SecondStage, open_cross_encoder
from rag.retrieval import Explanation, Filters, HybridRetriever, facets
from rag.rewriting import rewritten
from rag.span_model import open_span_reader
from rag.store import open_store
from rag.tracing import Span, span
from rag.types import Answer, Chunk, Document, Facet, Language, Ranking, Skipped, Source, Turn
from rag.verification import open_verifier
from rag.writing import Event, Writer, open_writer

__all__ = ["Citadelle", "Found", "open_stages"]

# Told what was found, best first, before it is read: a ranking for each part of a question.
Found = Callable[[tuple[Ranking, ...]], None]

logger = logging.getLogger(__name__)

# How often, in seconds, a server is asked at most for a newer generation of the index.
_LOOK_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Heard:
    """A question as it is to be searched for and read, and the language to answer in.

    `tongue` is the language of `asked`, which is that of an earlier question where a
    follow-up in another language leaves most of it unsaid.
    """

    asked: str
    tongue: Language
    language: Language
    carried: bool


@dataclass(frozen=True, slots=True)
class _Live:
    index: Index
    retriever: HybridRetriever
    reader: EvidenceReader
    facets: tuple[Facet, ...]


def open_stages(
    settings: Settings, encoder: Encoder
) -> tuple[SecondStage | None, ReaderStage | None]:
    """Open what orders the best passages once more, and what reads them; often the same.

    Raises `RerankerError` and `ReaderError`.
    """
    trained = open_span_reader(settings, encoder)
    reading = ReaderStage(trained, settings.read_passages) if trained is not None else None
    return open_cross_encoder(settings) or reading, reading


class Citadelle:
    """Answer questions from a corpus, with citations.

    Safe to share between threads. `open` is the way to get one.
    """

    def __init__(
        self,
        settings: Settings,
        encoder: Encoder,
        index: Index,
        second: SecondStage | None = None,
        reading: ReaderStage | None = None,
        writer: Writer | None = None,
    ) -> None:
        self.settings = settings
        self.encoder = encoder
        self._second = second
        self._reading = reading
        self._writer = writer
        self._store = open_store(settings)
        self._looked = time.monotonic()
        self._lock = threading.Lock()
        self._use(index)

    @classmethod
    def open(
        cls,
        corpus: Path | str | None = None,
        index: Path | str | None = None,
        *,
        update: bool = False,
        progress: Progress | None = None,
        **settings: Any,
    ) -> Citadelle:
        """Open the index, building it from the corpus when there is none.

        With `corpus` given, or with `update`, an index that no longer agrees with its
        source files is brought in step first, unless a server holds it, where other machines
        may have other files. `settings` are fields of `Settings`.
        Raises `CitadelleError`.
        """
        in_force = load_settings(corpus=corpus, index=index, **settings)
        encoder = open_encoder(in_force, progress)
        second, reading = open_stages(in_force, encoder)
        writer = open_writer(in_force, encoder, lambda: open_verifier(in_force, encoder))
        update = (update or corpus is not None) and not in_force.chroma_url
        try:
            opened = Index.open(in_force, encoder)
        except (IndexMissing, IndexMismatch, IndexDamaged) as error:
            if not isinstance(error, IndexMissing) and not update:
                raise
            # It may have been made from other folders than the settings name.
            made = read_record(current_generation(in_force.index)).get("paths", ())
            paths = [] if corpus is not None else [Path(path) for path in made]
            build_index(paths or [in_force.corpus], in_force, encoder, progress)
            opened = Index.open(in_force, encoder)
        else:
            given = [in_force.corpus] if corpus is not None else None
            if update and is_stale(opened.manifest, given):
                sources = given or [Path(path) for path in opened.manifest["paths"]]
                build_index(sources, in_force, encoder, progress)
                opened = Index.open(in_force, encoder)
        return cls(in_force, encoder, opened, second, reading, writer)

    def __enter__(self) -> Citadelle:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the files of the index, and stop what a model still writes."""
        if self._writer is not None:
            self._writer.close()
        self._live.index.close()

    def _use(self, index: Index) -> None:
        # Published in one step: a question is answered from one generation from end to end.
        self._live = _Live(
            index,
            HybridRetriever(
                index=index,
                encoder=self.encoder,
                second=self._second,
                candidates=self.settings.candidates,
            ),
            EvidenceReader(self.encoder, index, self._reading),
            facets(index.documents),
        )

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What the index says of itself: encoder, dimension, chunking, corpus hash."""
        return self._live.index.manifest

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The source files that could not be read when the index was built."""
        return self._live.index.skipped

    @property
    def library(self) -> Library:
        """The files that the index was built from, to add some and take some away."""
        return Library(self.settings, [Path(path) for path in self.manifest["paths"]])

    def is_stale(self) -> bool:
        """Return whether the files, where they are here, have changed since it was built."""
        if self._store.shared and are_elsewhere(self.manifest):
            return False
        return is_stale(self.manifest)

    @property
    def reader(self) -> str:
        """The name of what reads the passages, for the record of a measurement."""
        return self._live.reader.name

    @property
    def model(self) -> str:
        """The name of the language model that writes the answers, empty where there is none."""
        return self._writer.model.name if self._writer is not None else ""

    @property
    def retriever(self) -> HybridRetriever:
        """The LangChain retriever over the live index."""
        return self._live.retriever

    def refresh(self) -> bool:
        """Take up a newer generation of the index; return whether there was one.

        A server is asked once in a few seconds. Raises `IndexUnusable`.
        """
        live = self._newest()
        with self._lock:
            if live is None or live == self._live.index.folder:
                return False
            # The generation before is released when the last question to it is answered.
            self._use(Index.open(self.settings, self.encoder))
            return True

    def _newest(self) -> Path | None:
        if self._store.shared and time.monotonic() - self._looked < _LOOK_SECONDS:
            return current_generation(self.settings.index)
        self._looked = time.monotonic()
        return self._store.live()

    def index(
        self,
        paths: Sequence[Path] | None = None,
        progress: Progress | None = None,
        *,
        may_empty: bool = False,
    ) -> IndexReport:
        """Bring the index in step with its source files, and use it.

        Where no document is left, raises `NothingToIndex` unless it `may_empty`.
        """
        report = build_index(
            list(paths or [self.settings.corpus]),
            self.settings,
            self.encoder,
            progress,
            may_lose="all" if may_empty else "most",
        )
        self.refresh()
        return report

    def ask(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Filters | None = None,
        progress: Progress | None = None,
        *,
        written: bool = True,
        found: Found | None = None,
    ) -> Answer:
        """Answer a question with citations, or abstain; reply to a courtesy.

        `history` holds earlier turns, oldest first; plain strings are earlier questions
        of the user. Where a language model is configured it writes the answer, unless
        `written` is False. `progress` is told when the search begins, `("search", 0, 0)`, and
        when the passages that it found are read, `("read", 0, passages)`; `found` is given
        these passages then, in the order of the first stage of ranking.
        Raises `InvalidQuestion` and `InvalidFilter`.
        """
        events = self._answering(question, history, filters, progress, None, written, found)
        (answer,) = (event for event in events if isinstance(event, Answer))
        return answer

    def stream(
        self,
        question: str,
        history: Sequence[str | Turn] = (),
        filters: Filters | None = None,
        progress: Progress | None = None,
        *,
        stopped: Callable[[], bool] | None = None,
        found: Found | None = None,
    ) -> Generator[Event, None, None]:
        """Yield what happens while a question is answered, then the answer.

        Without a language model that is the answer alone; with one, each sentence as soon as
        it was checked. Once `stopped` says so, the answer is what stands by then; closing it
        stops the model and gives none. `progress` and `found` are told what `ask` tells
        them, and `progress` `("write", 0, passages)` when the model is asked. Raises as `ask`.
        """
        return self._answering(question, history, filters, progress, stopped, True, found)

    def _answering(
        self,
        question: str,
        history: Sequence[str | Turn],
        filters: Filters | None,
        progress: Progress | None,
        stopped: Callable[[], bool] | None,
        written: bool,
        found: Found | None,
    ) -> Generator[Event, None, None]:
        begin = time.perf_counter()
        live = self._live
        with Span("ask") as whole:
            with whole.current():
                heard = self._understand(question, history)
                taken: dict[str, float] = {}
                if self._writer is not None and written and heard.carried:
                    with span("rewrite"):
                        heard = self._rewritten(self._writer, heard, question, history, stopped)
                    taken["rewrite_ms"] = (time.perf_counter() - begin) * 1000
                answer = self._quoting(live, question, heard, filters, progress, found)
                taken.update(answer.timings)
            if self._writer is not None and written and answer.mode == "extractive":
                quoting = answer
                events = self._writer.write(heard.asked, quoting, live.index.documents, stopped)
                with whole.current():
                    writing = Span("write")
                if progress is not None:
                    progress("write", 0, len(quoting.passages))
                with writing, closing(events):
                    for event in writing.over(events):
                        if isinstance(event, Answer):
                            answer = event
                        else:
                            yield event
                    writing.note(passages=len(quoting.passages), removed=len(answer.removed))
                taken.update(answer.timings)
            taken["total_ms"] = (time.perf_counter() - begin) * 1000
            answer = replace(answer, timings=taken)
            whole.note(**outline(answer))
        durations = {name: round(value, 1) for name, value in answer.timings.items()}
        logger.info("A question was answered.", extra={**outline(answer), **durations})
        yield answer

    def _quoting(
        self,
        live: _Live,
        question: str,
        heard: _Heard,
        filters: Filters | None,
        progress: Progress | None,
        found: Found | None,
    ) -> Answer:
        """Return the extractive answer, an abstention, or the reply to a courtesy."""
        begin = time.perf_counter()
        polite = courtesy(question)
        if polite is not None:
            answer = reply(question.strip(), polite, _searched(live, filters))
            total = (time.perf_counter() - begin) * 1000
            return replace(answer, timings={"retrieve_ms": 0.0, "read_ms": 0.0, "total_ms": total})
        if progress is not None:
            progress("search", 0, 0)
        k = self.settings.read_passages
        asked = self._parts(question, heard)
        with span("retrieve", parts=len(asked)) as step:
            firsts = [
                live.retriever.first_stage(part.asked, k=k, language=part.tongue, filters=filters)
                for _, part in asked
            ]
            step.note(found=sum(len(first.hits) for first in firsts))
        retrieved = time.perf_counter()
        to_read = sum(min(len(first.hits), k) for first in firsts)
        if progress is not None:
            progress("read", 0, to_read)
        if found is not None:
            found(tuple(firsts))
        with span("read", passages=to_read):
            answers = [
                self._answer(live, words, part, live.retriever.second_stage(first, k=k))
                for (words, part), first in zip(asked, firsts, strict=True)
            ]
            answer = self._joined(question, heard, asked, answers)
        end = time.perf_counter()
        return replace(
            answer,
            timings={
                "retrieve_ms": (retrieved - begin) * 1000,
                "read_ms": (end - retrieved) * 1000,
                "total_ms": (end - begin) * 1000,
            },
        )

    def _parts(self, question: str, heard: _Heard) -> list[tuple[str, _Heard]]:
        """Return what a question asks: its parts as written and as understood, or itself."""
        asked = () if heard.carried else parts(bare_question(question))
        if len(asked) < 2:
            return [(question, heard)]
        # The second leans on the first: "… et depuis quand ?".
        return [
            (part, replace(self._understand(part, asked[:number]), language=heard.language))
            for number, part in enumerate(asked)
        ]

    def _joined(
        self,
        question: str,
        heard: _Heard,
        asked: Sequence[tuple[str, _Heard]],
        answers: Sequence[Answer],
    ) -> Answer:
        if len(answers) == 1:
            return answers[0]
        words = [part for part, _ in asked]
        return join(question.strip(), heard.language, words, answers)

    def answer(
        self,
        question: str,
        ranking: Ranking,
        history: Sequence[str | Turn] = (),
        abstain_below: float | None = None,
    ) -> Answer:
        """Answer a question from given passages, such as those of `search`.

        `abstain_below` stands in for the setting; 0 gives the best answer there is, however
        unsure. Timings are left empty.
        """
        heard = self._understand(question, history)
        asked = self._parts(question, heard)
        answers = [
            self._answer(self._live, words, part, ranking, abstain_below) for words, part in asked
        ]
        return self._joined(question, heard, asked, answers)

    def _answer(
        self,
        live: _Live,
        question: str,
        heard: _Heard,
        ranking: Ranking,
        abstain_below: float | None = None,
    ) -> Answer:
        reading = live.reader.read(
            heard.asked,
            heard.tongue,
            ranking,
            live.index.documents,
            focus=_focus(heard.asked, bare_question(question)),
        )
        threshold = self.settings.abstain_below if abstain_below is None else abstain_below
        composer = Composer(self.settings.fallback_language, threshold)
        answer = composer.compose(question.strip(), heard.language, reading, live.index.documents)
        return replace(answer, understood=heard.asked) if heard.carried else answer

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a text has for the encoder, prompt and special ones included."""
        return self.encoder.count_tokens(text)

    def hints(self, answer: Answer, filters: Filters | None = None) -> tuple[str, ...]:
        """Return how to ask again what was not answered, in the language of the question.

        `filters` are those that it was asked with. Nothing for what was answered.
        Raises `InvalidFilter`.
        """
        if not answer.abstained:
            return ()
        live = self._live
        unknown = live.index.lexical.unknown_words(bare_question(answer.question), answer.language)
        tongue = (
            self.settings.fallback_language if answer.language == "unknown" else answer.language
        )
        searched = len(_searched(live, filters))
        return hints(tongue, unknown, searched, len(live.index.documents))

    def search(
        self,
        question: str,
        k: int = 10,
        history: Sequence[str | Turn] = (),
        filters: Filters | None = None,
    ) -> Ranking:
        """Return the `k` best passages for a question, best first."""
        heard = self._understand(question, history)
        return self._live.retriever.rank(heard.asked, k=k, language=heard.tongue, filters=filters)

    def explain(self, ranking: Ranking) -> list[Explanation]:
        """Return for each passage of a ranking of `search` why it stands where it does."""
        return self._live.retriever.explain(ranking)

    def evidence(self, question: str, ranking: Ranking) -> list[Evidence]:
        """Return every unit of the passages with what speaks for it, best first."""
        heard = self._understand(question, ())
        documents = self._live.index.documents
        return self._live.reader.evidence(heard.asked, heard.tongue, ranking, documents)

    def document(self, doc_id: str) -> Document:
        """Return a document by its identifier or a unique beginning of it.

        Raises `DocumentNotFound`.
        """
        documents = self._live.index.documents
        if doc_id in documents:
            return documents[doc_id]
        starting = [name for name in documents if name.startswith(doc_id)]
        if len(starting) == 1 and doc_id:
            return documents[starting[0]]
        if starting and doc_id:
            raise DocumentNotFound(
                "{count} documents begin with '{name}'; give more of the name.",
                count=len(starting),
                name=doc_id,
            )
        raise DocumentNotFound(
            "There is no document '{name}'; 'citadelle sources' lists what there is.", name=doc_id
        )

    def text(self, doc_id: str) -> str:
        """Return the canonical text of a document; raises `DocumentNotFound`."""
        return self.document(doc_id).text

    def chunks(self, doc_id: str) -> tuple[Chunk, ...]:
        """Return the passages of a document, in its order; none for a document that has gone."""
        return tuple(chunk for chunk in self._live.index.chunks if chunk.doc_id == doc_id)

    def sources(self, filters: Filters | None = None) -> tuple[Source, ...]:
        """Return the indexed documents, those that filters let through where some are given.

        Raises `InvalidFilter` when none is left.
        """
        live = self._live
        found = live.index.sources()
        if not filters:
            return found
        allowed = set(live.retriever.allowed(filters))
        return tuple(source for source in found if source.doc_id in allowed)

    def facets(self) -> tuple[Facet, ...]:
        """Return what the documents can be filtered by: keys and values of `filters`."""
        return self._live.facets

    def _understand(self, question: str, history: Sequence[str | Turn]) -> _Heard:
        text = " ".join(question.split())
        if not any(character.isalnum() for character in text):
            raise InvalidQuestion("The question is empty; type a question about the documents.")
        longest = self.settings.max_question_chars
        if len(text) > longest:
            raise InvalidQuestion(
                "The question has {length} characters; at most {longest} are read. Shorten it.",
                length=len(text),
                longest=longest,
            )
        bare = bare_question(text)
        understood = standalone(bare, _earlier(history))
        asked = understood.question
        language = detect(bare)
        tongue = detect(asked) if understood.carried else language
        if language == "unknown":
            language = tongue if understood.carried else detect(text)
        if tongue == "unknown":
            tongue = language
        return _Heard(asked, tongue, language, understood.carried)

    def _rewritten(
        self,
        writer: Writer,
        heard: _Heard,
        question: str,
        history: Sequence[str | Turn],
        stopped: Callable[[], bool] | None,
    ) -> _Heard:
        """Return a follow-up as the model says it, or as the rules do."""
        bare = bare_question(" ".join(question.split()))
        asked = rewritten(writer.model, bare, _sendable(history), heard.language, stopped)
        return heard if asked is None else replace(heard, asked=asked, tongue=heard.language)


def _earlier(history: Sequence[str | Turn]) -> list[str]:
    """Return the user's own questions of a conversation."""
    return [
        turn if isinstance(turn, str) else turn.text
        for turn in history
        if isinstance(turn, str) or turn.role == "user"
    ]


def _sendable(history: Sequence[str | Turn]) -> list[str]:
    """Return the user's questions since the last that is private.

    Without it, a model would take what a question leans on from one that is further back.
    """
    private = [i for i, turn in enumerate(history) if isinstance(turn, Turn) and turn.private]
    return _earlier(history[private[-1] + 1 :] if private else history)


def _searched(live: _Live, filters: Filters | None) -> list[Document]:
    """Return the documents that filters let through; raises `InvalidFilter`."""
    documents = live.index.documents
    allowed = live.retriever.allowed(filters) if filters else documents
    return [documents[doc_id] for doc_id in allowed]


def _focus(asked: str, question: str) -> str:
    """Return the user's own words where they say what kind of thing is asked for.

    "Où siège le BCC ?" then "et sa date de création ?" asks for a date; then "et l'ENISA ?"
    asks again for what the earlier question did.
    """
    return question if asked_for(question) != "other" else asked
