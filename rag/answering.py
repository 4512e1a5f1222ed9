"""Compose an answer from what was read, or abstain; reply to courtesies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rag.chunking import heading_path_at
from rag.citation import cite, marker
from rag.courtesies import Courtesy, CourtesyKind
from rag.types import Answer, Citation, Document, Language, Passage, Reading

__all__ = [
    "ABSTENTION",
    "NEAREST",
    "REPLIES",
    "Composer",
    "hints",
    "join",
    "reply",
    "short_answers",
]

# The one place where the sentence is written; page, command line and tests use it.
ABSTENTION: Mapping[str, str] = {
    "fr": "Je n’ai pas trouvé de réponse à cette question dans les documents.",
    "en": "I did not find an answer to this question in the documents.",
    "nl": "Ik heb in de documenten geen antwoord op deze vraag gevonden.",
}

# What stands above the passages that are shown instead of an answer.
NEAREST: Mapping[str, str] = {
    "fr": "Les passages les plus proches, qui ne sont pas une réponse\u00a0:",
    "en": "The nearest passages, which are not an answer:",
    "nl": "De dichtstbijzijnde passages, die geen antwoord zijn:",
}
_UNKNOWN_WORDS: Mapping[str, str] = {
    "fr": "Aucun document ne contient {words}.",
    "en": "No document contains {words}.",
    "nl": "Geen enkel document bevat {words}.",
}
_OR: Mapping[str, str] = {"fr": " ni ", "en": " or ", "nl": " of "}
_LIMITED: Mapping[str, str] = {
    "fr": "Un filtre a limité la recherche à {some} des {all} documents\u00a0; essayez sans lui.",
    "en": "A filter limited the search to {some} of the {all} documents; try without it.",
    "nl": "Een filter beperkte het zoeken tot {some} van de {all} documenten; probeer zonder.",
}
_ASK_OTHERWISE: Mapping[str, str] = {
    "fr": "Nommez en entier ce que vous cherchez, et ne demandez qu’une chose à la fois.",
    "en": "Name what you are looking for in full, and ask for one thing at a time.",
    "nl": "Noem voluit wat u zoekt, en vraag één ding tegelijk.",
}
# More than these would hide the others.
_MOST_WORDS = 3

# Between the short answers to the parts of a question.
_APART = "; "

# What is said to a courtesy; of the documents only where some are named.
REPLIES: Mapping[CourtesyKind, Mapping[str, str]] = {
    "greeting": {
        "fr": "Bonjour. Posez une question sur les documents.",
        "en": "Hello. Ask a question about the documents.",
        "nl": "Hallo. Stel een vraag over de documenten.",
    },
    "wellbeing": {
        "fr": "Je suis un programme, et prêt à répondre. Posez une question sur les documents.",
        "en": "I am a program, and ready to answer. Ask a question about the documents.",
        "nl": "Ik ben een programma, en klaar om te antwoorden. Stel een vraag over de documenten.",
    },
    "thanks": {"fr": "Avec plaisir.", "en": "You are welcome.", "nl": "Graag gedaan."},
    "goodbye": {"fr": "Au revoir.", "en": "Goodbye.", "nl": "Tot ziens."},
    "assistant": {
        "fr": "Je suis Citadelle, un programme qui répond aux questions en citant des passages "
        "des documents, mot pour mot. Quand je n’y trouve rien, je le dis.",
        "en": "I am Citadelle, a program that answers questions by quoting passages of the "
        "documents, word for word. When I find nothing in them, I say so.",
        "nl": "Ik ben Citadelle, een programma dat vragen beantwoordt door passages uit de "
        "documenten te citeren, woord voor woord. Als ik er niets in vind, zeg ik dat.",
    },
    "corpus": {
        "fr": "Je réponds à partir de {count} documents\u00a0: {titles}.",
        "en": "I answer from {count} documents: {titles}.",
        "nl": "Ik antwoord op basis van {count} documenten: {titles}.",
    },
}
_ONE_DOCUMENT: Mapping[str, str] = {
    "fr": "Je réponds à partir d’un seul document\u00a0: {titles}.",
    "en": "I answer from one document: {titles}.",
    "nl": "Ik antwoord op basis van één document: {titles}.",
}
_NO_DOCUMENT: Mapping[str, str] = {
    "fr": "Aucun document n’est indexé.",
    "en": "No document is indexed.",
    "nl": "Er is geen document geïndexeerd.",
}
_MORE: Mapping[str, str] = {
    "fr": "{titles}, et d’autres",
    "en": "{titles}, and others",
    "nl": "{titles}, en andere",
}
_MOST_TITLES = 5

_LEAD_IN: Mapping[str, str] = {
    "fr": "Selon «\u00a0{title}\u00a0»\u00a0:",
    "en": "According to “{title}”:",
    "nl": "Volgens “{title}”:",
}
_LEAD_IN_SEVERAL: Mapping[str, str] = {
    "fr": "Selon les documents\u00a0:",
    "en": "According to the documents:",
    "nl": "Volgens de documenten:",
}
_LEAD_IN_DIFFERENT: Mapping[str, str] = {
    "fr": "Les documents ne disent pas la même chose\u00a0:",
    "en": "The documents do not say the same:",
    "nl": "De documenten zeggen niet hetzelfde:",
}
_QUOTES: Mapping[str, tuple[str, str]] = {
    "fr": ("«\u00a0", "\u00a0»"),
    "en": ("“", "”"),
    "nl": ("“", "”"),
}


@dataclass(frozen=True, slots=True)
class Composer:
    """Write the extractive answer: quoted units, each with its marker.

    `default_language` answers questions whose language is not clear; `threshold` is the
    confidence below which it abstains.
    """

    default_language: str
    threshold: float

    def compose(
        self,
        question: str,
        language: Language,
        reading: Reading,
        documents: Mapping[str, Document],
    ) -> Answer:
        """Return the answer to a question from its reading; timings are left empty."""
        tongue = self.default_language if language == "unknown" else language
        abstained = reading.answerability < self.threshold or not any(reading.spans)
        citations = [] if abstained else _citations(reading, documents)
        text = (
            ABSTENTION[tongue]
            if abstained
            else _text(tongue, citations, documents, differ=reading.differ)
        )
        short = ""
        if not abstained and reading.short is not None:
            number, span = reading.short
            document = documents[reading.passages[number].chunk.doc_id]
            short = document.plain[span.start : span.end]
        return Answer(
            question=question,
            language=language,
            text=text,
            short_answer=short,
            citations=tuple(citations),
            passages=tuple(
                Passage(
                    doc_id=hit.chunk.doc_id,
                    start=hit.chunk.start,
                    end=hit.chunk.end,
                    text=hit.chunk.text,
                    score=round(hit.score, 4),
                    used=bool(reading.spans[number]) and not abstained,
                )
                for number, hit in enumerate(reading.passages)
            ),
            abstained=abstained,
            confidence=reading.answerability,
            mode="abstention" if abstained else "extractive",
        )


def join(
    question: str, language: Language, asked: Sequence[str], answers: Sequence[Answer]
) -> Answer:
    """Return the answers to the parts of a question as one, each under its part.

    A part without an answer says so; the whole abstains where all of them do. The confidence
    is that of the least sure part that is answered. Timings are left empty.
    """
    answered = [answer for answer in answers if not answer.abstained]
    if not answered:
        surest = max(answers, key=lambda answer: answer.confidence)
        return replace(surest, question=question, timings={})
    citations: dict[tuple[str, int, int], Citation] = {}
    passages: dict[tuple[str, int, int], Passage] = {}
    lines = []
    for part, answer in zip(asked, answers, strict=True):
        renamed = {}
        for citation in answer.citations:
            place = citation.doc_id, citation.start, citation.end
            known = citations.setdefault(place, replace(citation, key=str(len(citations) + 1)))
            renamed[marker(citation)] = marker(known)
        for passage in answer.passages:
            where = passage.doc_id, passage.start, passage.end
            used = passage.used or (where in passages and passages[where].used)
            passages[where] = replace(passages.get(where, passage), used=used)
        lines += [part, _renumbered(answer.text, renamed)]
    shorts = dict.fromkeys(a.short_answer for a in answered if a.short_answer)
    return Answer(
        question=question,
        language=language,
        text="\n".join(lines),
        short_answer=(f"\u00a0{_APART}" if language == "fr" else _APART).join(shorts),
        citations=tuple(citations.values()),
        passages=tuple(passages.values()),
        abstained=False,
        confidence=min(answer.confidence for answer in answered),
        mode="extractive",
    )


def short_answers(answer: Answer) -> tuple[str, ...]:
    """Return the short answers that stand in an answer's text: one, or one for each part."""
    whole = answer.short_answer
    shorts = [whole] if whole in answer.text else whole.split(_APART)
    return tuple(short.removesuffix("\u00a0") for short in shorts if short)


def _renumbered(text: str, renamed: Mapping[str, str]) -> str:
    """Return an answer's text with other markers, which end its lines."""
    lines = []
    for line in text.split("\n"):
        body, space, last = line.rpartition(" ")
        lines.append(f"{body}{space}{renamed.get(last, last)}")
    return "\n".join(lines)


def reply(question: str, courtesy: Courtesy, documents: Sequence[Document]) -> Answer:
    """Return the reply to a courtesy, without citations; `documents` are those to be named."""
    tongue = courtesy.language
    text = REPLIES[courtesy.kind][tongue]
    if courtesy.kind == "corpus":
        text = _described(tongue, text, documents)
    return Answer(
        question=question,
        language=tongue,
        text=text,
        short_answer="",
        citations=(),
        passages=(),
        abstained=False,
        confidence=1.0,
        mode="courtesy",
    )


def _described(tongue: str, text: str, documents: Sequence[Document]) -> str:
    if not documents:
        return _NO_DOCUMENT[tongue]
    titles = ", ".join(_quoted(tongue, document.title) for document in documents[:_MOST_TITLES])
    if len(documents) > _MOST_TITLES:
        titles = _MORE[tongue].format(titles=titles)
    text = _ONE_DOCUMENT[tongue] if len(documents) == 1 else text
    return text.format(count=len(documents), titles=titles)


def hints(tongue: str, unknown: Sequence[str], searched: int, indexed: int) -> tuple[str, ...]:
    """Return how to ask again what was not answered, a sentence each.

    `unknown` are words that no document has; `searched` of the `indexed` documents were let
    through by filters.
    """
    found = []
    if searched < indexed:
        found.append(_LIMITED[tongue].format(some=searched, all=indexed))
    if unknown:
        words = _OR[tongue].join(_quoted(tongue, word) for word in unknown[:_MOST_WORDS])
        found.append(_UNKNOWN_WORDS[tongue].format(words=words))
    return (*found, _ASK_OTHERWISE[tongue])


def _quoted(tongue: str, text: str) -> str:
    opening, closing = _QUOTES[tongue]
    return f"{opening}{text}{closing}"


def _citations(reading: Reading, documents: Mapping[str, Document]) -> list[Citation]:
    citations: list[Citation] = []
    for hit, spans in zip(reading.passages, reading.spans, strict=True):
        document = documents[hit.chunk.doc_id]
        for span in spans:
            citations.append(
                cite(
                    document,
                    span.start,
                    span.end,
                    key=str(len(citations) + 1),
                    path=heading_path_at(document, span.start),
                )
            )
    return citations


def _text(
    tongue: str,
    citations: Sequence[Citation],
    documents: Mapping[str, Document],
    *,
    differ: bool,
) -> str:
    titles = list(dict.fromkeys(citation.title for citation in citations))
    several = _LEAD_IN_DIFFERENT if differ else _LEAD_IN_SEVERAL
    lead = _LEAD_IN if len(titles) == 1 and not differ else several
    lines = [lead[tongue].format(title=titles[0])]
    for citation in citations:
        document = documents[citation.doc_id]
        start, end = document.offsets.to_plain(citation.start, citation.end)
        quote = document.plain[start:end].replace("\n", " ")
        bullet = "- " if len(citations) > 1 else ""
        lines.append(f"{bullet}{_quoted(tongue, quote)} {marker(citation)}")
    return "\n".join(lines)
