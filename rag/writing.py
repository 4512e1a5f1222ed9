"""Answers written by a language model, of which only what the passages support is shown.

The model is never trusted: each of its sentences is checked against the passages that it cites
before anybody sees it, a wrong marker is replaced where another passage supports the sentence,
and the rest is taken away. When nothing stands, the passages are quoted instead.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np

from rag import tracing
from rag.chat_model import ChatModel, Readable, Stopped, open_chat_model, stoppable
from rag.chunking import heading_path_at, units
from rag.citation import cite, marker
from rag.config import Settings
from rag.draft import NO_ANSWER, Draft, Drafted
from rag.encoder import Encoder, Vectors
from rag.errors import ModelError, ModelSlow
from rag.language import detect
from rag.lexical import fold, surface_tokens
from rag.prompting import filled_prompt
from rag.types import Answer, Citation, Document, Passage
from rag.verification import Reason, Support, Verifier

__all__ = [
    "NOTICES",
    "Event",
    "Notice",
    "Probe",
    "Removed",
    "Sentence",
    "Trouble",
    "Writer",
    "WritingModel",
    "notice_in",
    "open_writer",
    "prompt",
]

Trouble = Literal["slow", "failed", "declined", "empty", "unsupported", "stopped", "cut", "ended"]
# Why the passages are quoted instead, or why a written answer stops.
NOTICES: Mapping[Trouble, Mapping[str, str]] = {
    "slow": {
        "fr": "Le modèle de langue n’a pas répondu à temps\u00a0; voici ce que disent les "
        "documents, mot pour mot.",
        "en": "The language model did not answer in time; here is what the documents say, word "
        "for word.",
        "nl": "Het taalmodel antwoordde niet op tijd; dit zeggen de documenten, woord voor woord.",
    },
    "failed": {
        "fr": "Le modèle de langue ne répond pas\u00a0; voici ce que disent les documents, mot "
        "pour mot.",
        "en": "The language model does not respond; here is what the documents say, word for word.",
        "nl": "Het taalmodel reageert niet; dit zeggen de documenten, woord voor woord.",
    },
    "declined": {
        "fr": "Le modèle de langue n’a pas trouvé de réponse dans les passages\u00a0; voici ceux "
        "qui s’en approchent le plus, mot pour mot.",
        "en": "The language model found no answer in the passages; here is what comes nearest, "
        "word for word.",
        "nl": "Het taalmodel vond geen antwoord in de passages; dit komt er het dichtst bij, woord "
        "voor woord.",
    },
    "empty": {
        "fr": "Le modèle de langue n’a rien écrit d’utilisable\u00a0; voici ce que disent les "
        "documents, mot pour mot.",
        "en": "The language model wrote nothing that can be used; here is what the documents say, "
        "word for word.",
        "nl": "Het taalmodel schreef niets bruikbaars; dit zeggen de documenten, woord voor woord.",
    },
    "unsupported": {
        "fr": "Les documents ne confirment rien de ce que le modèle de langue a écrit\u00a0; voici "
        "ce qu’ils disent, mot pour mot.",
        "en": "The documents confirm nothing of what the language model wrote; here is what they "
        "say, word for word.",
        "nl": "De documenten bevestigen niets van wat het taalmodel schreef; dit zeggen ze, woord "
        "voor woord.",
    },
    "stopped": {
        "fr": "Vous avez arrêté le modèle de langue avant sa première phrase vérifiée\u00a0; voici "
        "ce que disent les documents, mot pour mot.",
        "en": "You stopped the language model before its first checked sentence; here is what the "
        "documents say, word for word.",
        "nl": "U hebt het taalmodel gestopt voor de eerste gecontroleerde zin; dit zeggen de "
        "documenten, woord voor woord.",
    },
    "cut": {
        "fr": "Le modèle de langue s’est interrompu\u00a0; la réponse peut être incomplète.",
        "en": "The language model stopped early; the answer may not be complete.",
        "nl": "Het taalmodel stopte te vroeg; het antwoord is misschien niet volledig.",
    },
    "ended": {
        "fr": "Vous avez arrêté le modèle de langue\u00a0; la réponse peut être incomplète.",
        "en": "You stopped the language model; the answer may not be complete.",
        "nl": "U hebt het taalmodel gestopt; het antwoord is misschien niet volledig.",
    },
}

# Bytes of text to a token, fewer than French has in any common vocabulary: counting in the
# model's own would ask its server, or the network, for every passage.
_BYTES_A_TOKEN = 3
_TOKENS_A_SENTENCE = 60
# A model that says the same again this often will not stop.
_MOST_REPEATS = 3
# It may write this many times the sentences asked for, because some are taken away.
_MOST_WRITTEN = 4
# A sentence of this many words in one of the three languages is known to be.
_LONG = 8
# Units that are tried as the quote of a sentence, the likeliest first.
_TRIED_UNITS = 3
_SHARED_WORDS = 0.3
_QUOTED = re.compile(r"«[^»]*»|“[^”]*”|\"[^\"]*\"")
_PASSAGE_TAG = re.compile(r"<(?=\s*/?\s*passage\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence that its citations support, with their markers.

    `before` parts it from the sentence before it: the texts of an answer's sentences, each with
    it in front, are the answer's text. `repaired` tells that the model cited another passage.
    """

    text: str
    citations: tuple[Citation, ...]
    repaired: bool = False
    before: str = ""
    score: float = 1.0


@dataclass(frozen=True, slots=True)
class Removed:
    """A sentence that the model wrote and nobody is shown, because no passage supports it."""

    text: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Why there is no written answer, or not a whole one, in words for a person.

    `detail` is for who runs the system: what the model's server said.
    """

    kind: Trouble
    text: str
    detail: str = ""


Event = Sentence | Removed | Notice | Answer


@dataclass(frozen=True, slots=True)
class Probe:
    """What a trial showed of a model: the seconds it took, and whether it cites as asked."""

    seconds: float
    cites: bool


class WritingModel(Protocol):
    """What the writer needs of `rag.chat_model.ChatModel`."""

    name: str

    def ask(self, system: str, user: str) -> Readable: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Given:
    """A passage that the model is given: plain[start:end] of its document."""

    passage: Passage
    document: Document
    head: str
    start: int
    end: int

    @property
    def body(self) -> str:
        return self.document.plain[self.start : self.end]

    @property
    def source(self) -> tuple[str, str]:
        return self.head, self.body


@dataclass(slots=True)
class _Desk:
    """What stands of an answer so far."""

    sentences: list[Sentence] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    citations: dict[tuple[str, int, int], Citation] = field(default_factory=dict)
    used: set[tuple[str, int, int]] = field(default_factory=set)
    lead: str = ""
    seen: set[str] = field(default_factory=set)
    repeats: int = 0
    first: float | None = None
    checking: float = 0.0
    stopped: Callable[[], bool] | None = None
    # The units of each passage that was cited, as they are and as the encoder sees them.
    units: dict[tuple[str, int], tuple[list[tuple[int, int]], Vectors]] = field(
        default_factory=dict
    )


def open_writer(
    settings: Settings, encoder: Encoder, verifier: Callable[[], Verifier]
) -> Writer | None:
    """Open the writer of the settings, None where there is no model.

    `verifier` opens what checks its sentences. Raises `ModelError`.
    """
    if not settings.llm:
        return None
    return Writer(open_chat_model(settings), verifier(), encoder, settings)


class Writer:
    """Write answers with a model, and check every sentence before it is passed on."""

    def __init__(
        self,
        model: WritingModel | ChatModel,
        verifier: Verifier,
        encoder: Encoder,
        settings: Settings,
    ) -> None:
        self.model = model
        self._verifier = verifier
        self._encoder = encoder
        self._settings = settings

    def close(self) -> None:
        """Stop what the model still writes."""
        self.model.close()

    def write(
        self,
        question: str,
        found: Answer,
        documents: Mapping[str, Document],
        stopped: Callable[[], bool] | None = None,
    ) -> Generator[Event, None, None]:
        """Yield what happens while an answer is written, then the answer.

        `found` is the extractive answer, which is given when nothing that the model writes
        stands. Once `stopped` says so, the answer is what stands by then. Closing it stops the
        model and yields nothing more.
        """
        begin = time.monotonic()
        fallback = self._settings.fallback_language
        tongue = found.language if found.language != "unknown" else fallback
        given, system, user = self._prompt(tongue, question, found, documents)
        desk = _Desk(stopped=stopped)
        trouble: Trouble | None
        reply = self.model.ask(system, user)
        detail = ""
        try:
            read = stoppable(reply, stopped) if stopped is not None else reply.read
            trouble = yield from self._sentences(read, given, question, tongue, desk, begin)
        except Stopped:
            trouble = "stopped"
        except ModelError as error:
            trouble = "slow" if isinstance(error, ModelSlow) else "failed"
            detail = str(error)
        finally:
            reply.close()
        timings = {
            "write_ms": (time.monotonic() - begin) * 1000,
            "verify_ms": desk.checking * 1000,
        }
        if desk.first is not None:
            timings["first_sentence_ms"] = (desk.first - begin) * 1000
        if not desk.sentences:
            kind = trouble or ("unsupported" if desk.removed else "empty")
            notice = Notice(kind, NOTICES[kind][tongue], detail)
            yield notice
            yield replace(found, removed=tuple(desk.removed), notice=notice.text, timings=timings)
            return
        cut = trouble in ("slow", "failed", "stopped")
        kind = "ended" if trouble == "stopped" else "cut"
        notice = Notice(kind, NOTICES[kind][tongue], detail)
        if cut:
            yield notice
        answer = self._answer(found, desk)
        yield replace(answer, notice=notice.text if cut else "", timings=timings)

    def probe(self) -> Probe:
        """Ask the model something small, to see how it does.

        Raises `ModelError`, and `ModelSlow` when the first words take too long.
        """
        begin = time.monotonic()
        system, user = prompt(
            "fr",
            passages=_passage_text(1, "Musée", "Le musée ouvre à 9 heures et ferme à 17 heures."),
            question="À quelle heure ouvre le musée ?",
            sentences=1,
        )
        reply, draft = self.model.ask(system, user), Draft(1)
        drafted: list[Drafted] = []
        try:
            while True:
                left = begin + self._settings.llm_timeout - time.monotonic()
                piece = reply.read(left)
                if piece is None:
                    break
                drafted += draft.feed(piece)
                if len(drafted) > _MOST_WRITTEN or draft.endless:
                    break
        finally:
            reply.close()
        drafted += draft.finish()
        cites = any(1 in sentence.cited for sentence in drafted)
        return Probe(time.monotonic() - begin, cites)

    # --- The question to the model --------------------------------------------------------

    def _prompt(
        self,
        tongue: str,
        question: str,
        found: Answer,
        documents: Mapping[str, Document],
    ) -> tuple[list[_Given], str, str]:
        """Return the passages that fit, and the two messages with them."""
        settings = self._settings

        def messages(passages: Sequence[str]) -> tuple[str, str]:
            return prompt(
                tongue,
                passages="\n\n".join(passages),
                question=question,
                sentences=settings.llm_max_sentences,
            )

        room = settings.llm_context_tokens - _TOKENS_A_SENTENCE * settings.llm_max_sentences
        given: list[_Given] = []
        texts: list[str] = []
        # Those that the extractive answer quotes come first: they must be there.
        for passage in sorted(found.passages, key=lambda passage: not passage.used):
            entry = _given(passage, documents[passage.doc_id])
            text = _passage_text(len(given) + 1, entry.head, entry.body)
            if given and _tokens("".join(messages([*texts, text]))) > room:
                break
            given.append(entry)
            texts.append(text)
        return given, *messages(texts)

    # --- Its answer -----------------------------------------------------------------------

    def _sentences(
        self,
        read: Callable[[float], str | None],
        given: Sequence[_Given],
        question: str,
        tongue: str,
        desk: _Desk,
        begin: float,
    ) -> Generator[Event, None, Trouble | None]:
        """Yield the sentences that stand and those that do not; return what went wrong."""
        settings = self._settings
        draft = Draft(len(given))
        most = settings.llm_max_sentences
        written = 0
        piece: str | None = ""
        while piece is not None:
            limit = settings.llm_timeout
            if not desk.sentences:
                limit = min(limit, settings.llm_first_seconds)
            piece = read(begin + limit - time.monotonic())
            for drafted in draft.finish() if piece is None else draft.feed(piece):
                written += 1
                began = time.monotonic()
                with tracing.span("verify") as step:
                    event = self._checked(drafted, given, question, tongue, desk)
                    step.note(supported=isinstance(event, Sentence))
                desk.checking += time.monotonic() - began
                if event is not None:
                    yield event
                if len(desk.sentences) >= most:
                    return None
            if draft.endless or written >= _MOST_WRITTEN * most or desk.repeats >= _MOST_REPEATS:
                return None
        return "declined" if draft.declined and not desk.removed else None

    def _checked(
        self,
        drafted: Drafted,
        given: Sequence[_Given],
        question: str,
        tongue: str,
        desk: _Desk,
    ) -> Sentence | Removed | None:
        """Return what becomes of a sentence; one that was there already is passed over."""
        key = fold(drafted.statement)
        if key in desk.seen:
            desk.repeats += 1
            return None
        desk.seen.add(key)
        if _foreign(drafted, tongue):
            desk.removed.append(drafted.text)
            return Removed(drafted.text, ("language",))
        sources, support, repaired = self._supporting(drafted, given, question, desk)
        if not sources:
            desk.removed.append(drafted.text)
            return Removed(drafted.text, support.reasons)
        cited: list[Citation] = []
        for source in sources:
            desk.used.add((source.passage.doc_id, source.passage.start, source.passage.end))
            for start, end in self._quotes(drafted, source, question, desk):
                cited.append(_cited(source.document, start, end, desk.citations))
        cited = list(dict.fromkeys(cited))
        text = _with_markers(drafted.text, cited)
        before = drafted.before
        if drafted.lead:
            text = f"- {text}"
            if drafted.lead != desk.lead:
                text = f"{drafted.lead}\n{text}"
        desk.lead = drafted.lead
        if not desk.sentences:
            before = ""
            desk.first = time.monotonic()
        sentence = Sentence(text, tuple(cited), repaired, before, support.score)
        desk.sentences.append(sentence)
        return sentence

    def _supporting(
        self, drafted: Drafted, given: Sequence[_Given], question: str, desk: _Desk
    ) -> tuple[list[_Given], Support, bool]:
        """Return the passages that support a sentence, none if there are none.

        First each that it cites, then those together, then the others: the likeliest of them
        takes the place of a wrong marker.
        """

        def check(*sources: _Given) -> Support:
            # On a slow machine a sentence takes seconds, all its passages together.
            if desk.stopped is not None and desk.stopped():
                raise Stopped
            pairs = [source.source for source in sources]
            return self._verifier.verify(drafted.statement, pairs, question=question)

        cited = [given[number - 1] for number in drafted.cited if 1 <= number <= len(given)]
        checked = [(source, check(source)) for source in cited]
        alone = [(source, support) for source, support in checked if support.supported]
        if alone:
            best = max((support for _, support in alone), key=lambda support: support.score)
            return [source for source, _ in alone], best, False
        if len(cited) > 1:
            together = check(*cited)
            if together.supported:
                return cited, together, False
        others = [(source, check(source)) for source in given if source not in cited]
        standing = [pair for pair in others if pair[1].supported]
        if standing:
            source, support = max(standing, key=lambda pair: pair[1].score)
            return [source], support, True
        # What is wrong with what it cites says more than what is wrong with the others.
        tried = [support for _, support in checked or others]
        nothing = Support(False, 0.0, ("meaning",))
        return [], max(tried, key=lambda support: support.score, default=nothing), False

    def _quotes(
        self, drafted: Drafted, source: _Given, question: str, desk: _Desk
    ) -> list[tuple[int, int]]:
        """Return the plain spans of a passage that support a sentence: one unit, two, or all."""
        plain = source.document.plain
        place = source.document.doc_id, source.start
        if place not in desk.units:
            desk.units[place] = self._units(source)
        spans, vectors = desk.units[place]
        if len(spans) < 2:
            return spans or [(source.start, source.end)]
        (statement,) = self._encoder.encode_passages([drafted.statement])
        said = set(surface_tokens(drafted.statement))
        words = [set(surface_tokens(plain[start:end])) for start, end in spans]
        shared = [len(said & own) / max(len(said), 1) for own in words]
        scores = vectors @ statement + _SHARED_WORDS * np.array(shared)
        likeliest = [spans[int(index)] for index in np.argsort(-scores, kind="stable")]

        def holds(*chosen: tuple[int, int]) -> bool:
            body = "\n".join(plain[start:end] for start, end in chosen)
            pair = (source.head, body)
            return self._verifier.verify(drafted.statement, [pair], question=question).supported

        for span in likeliest[:_TRIED_UNITS]:
            if holds(span):
                return [span]
        pair = sorted(likeliest[:2])
        return pair if holds(*pair) else [(source.start, source.end)]

    def _units(self, source: _Given) -> tuple[list[tuple[int, int]], Vectors]:
        spans = [(u.start, u.end) for u in units(source.document, source.start, source.end)]
        texts = [source.document.plain[start:end] for start, end in spans]
        return spans, self._encoder.encode_passages(texts)

    def _answer(self, found: Answer, desk: _Desk) -> Answer:
        text = "".join(sentence.before + sentence.text for sentence in desk.sentences)
        scores = [sentence.score for sentence in desk.sentences]
        citations = tuple(desk.citations.values())
        short = fold(found.short_answer)
        said = [text, *(citation.quote for citation in citations)]
        return replace(
            found,
            text=text,
            # The few words that answer are only those of this answer if it says or quotes them.
            short_answer=found.short_answer if any(short in fold(part) for part in said) else "",
            citations=citations,
            passages=tuple(
                replace(p, used=(p.doc_id, p.start, p.end) in desk.used) for p in found.passages
            ),
            # As sure as the less sure of two: that the passages answer, that they say this.
            confidence=min(found.confidence, sum(scores) / len(scores)),
            mode="written",
            model=self.model.name,
            removed=tuple(desk.removed),
        )


def notice_in(notice: str, language: str) -> str:
    """Return the notice of an answer in another language, as it is where it is not known."""
    for words in NOTICES.values():
        if notice in words.values():
            return words[language]
    return notice


def prompt(tongue: str, *, passages: str, question: str, sentences: int) -> tuple[str, str]:
    """Return the message that says how to answer, and the one with passages and question."""
    return filled_prompt(
        tongue,
        {"sentences": str(sentences), "no_answer": NO_ANSWER},
        {"passages": passages, "question": question},
    )


def _given(passage: Passage, document: Document) -> _Given:
    start, end = document.offsets.to_plain(passage.start, passage.end)
    path = heading_path_at(document, start)
    head = " > ".join(dict.fromkeys(part for part in (document.title, *path) if part))
    return _Given(passage, document, head, start, end)


def _passage_text(number: int, head: str, body: str) -> str:
    """Return a passage as data between tags, which its own text cannot close."""
    text = _PASSAGE_TAG.sub("‹", f"{head}\n{body}")
    return f'<passage number="{number}">\n{text}\n</passage>'


def _tokens(text: str) -> int:
    return len(text.encode()) // _BYTES_A_TOKEN + 1


def _foreign(drafted: Drafted, tongue: str) -> bool:
    """Tell whether a sentence is in another language than the question; names do not tell."""
    said = _QUOTED.sub(" ", drafted.statement)
    language = detect(said)
    if language == "unknown":
        return len(said.split()) >= _LONG
    return language != tongue


def _cited(
    document: Document, start: int, end: int, known: dict[tuple[str, int, int], Citation]
) -> Citation:
    citation = cite(
        document,
        start,
        end,
        key=str(len(known) + 1),
        path=heading_path_at(document, start),
    )
    return known.setdefault((citation.doc_id, citation.start, citation.end), citation)


def _with_markers(text: str, citations: Sequence[Citation]) -> str:
    """Return a sentence with its markers before the full stop."""
    markers = "".join(marker(citation) for citation in citations)
    end = re.search(r"\s*[.!?…]+[”\"'’)»\s]*$", text)
    if end is None:
        return f"{text} {markers}"
    return f"{text[: end.start()]} {markers}{end.group()}"
