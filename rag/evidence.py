"""What speaks for each unit of the passages found: tokens, words, form, and the trained reader."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rag.chunking import Unit, heading_paths, passage_text, units
from rag.encoder import Encoder, TokenVectors, Vectors
from rag.index import Index
from rag.late import token_weights
from rag.lexical import surface_tokens
from rag.questions import ACRONYM, DATE, NUMBER, Asks, asked_for, asked_key
from rag.reranking import Documents, ReaderStage
from rag.span_model import PassageScores
from rag.types import Document, Language, Ranking, ScoredChunk

__all__ = [
    "ASKED_ROW",
    "SPAN_FLOOR",
    "Documents",
    "Evidence",
    "EvidenceFinder",
    "ReadUnit",
    "read_unit",
    "subjects",
]

# Chosen on PIAF train and DILA train, where `benchmarks/reader.py` prints the table, and on
# eval/dev.jsonl where those do not decide. Late interaction without the means spreads several
# times wider than a cosine: the first weight brings it to the scale of the others.
SIMILARITY = 0.25
_COVERAGE = 0.03
_COVERAGE_FOREIGN = 0.05
_FORM = 0.03
ASKED_ROW = 0.15
# The weight of the trained reader's span, chosen as that of relevance in `rag/reranking.py`; cut
# off, because beyond, more is not surer.
_SPAN = 0.01
SPAN_FLOOR = -12.0
_NAMED = 2 / 3
_PASSAGE = 0.7


@dataclass(frozen=True, slots=True)
class ReadUnit:
    """What the trained reader says of a unit.

    `relevance` is the logit of "its passage answers", `span` the logarithmic probability of
    the likeliest answer within the unit, which is plain[start:end] of its document.
    """

    relevance: float
    span: float
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A unit of a passage with what speaks for it.

    `similarity` is the late interaction of question and unit. `coverage` is the share of the
    question's words in the unit or in the title and headings above it: a note on the BCC
    need not repeat the name. `passage_coverage` is that share in the whole passage.
    `form` is what the unit's form adds: something when it has that of what is asked for (a
    date, a number), much when it is the asked row of a card on what the question names,
    less than nothing when it is a row that is not asked for.
    `foreign` tells that question and document are in different languages. `read` is what
    the trained reader says of the unit, where there is one.
    """

    hit: ScoredChunk
    passage: int
    unit: Unit
    similarity: float
    coverage: float
    passage_coverage: float
    form: float
    foreign: bool
    read: ReadUnit | None = None

    @property
    def score(self) -> float:
        """How well the unit answers, for comparing the units of one question."""
        coverage = _COVERAGE_FOREIGN if self.foreign else _COVERAGE
        similarity = SIMILARITY * self.similarity
        score = similarity + coverage * self.coverage + self.form + _PASSAGE * self.hit.score
        if self.read is None:
            return score
        return score + _SPAN * max(self.read.span, SPAN_FLOOR)


class EvidenceFinder:
    """Score units by the encoder, the shared words and, where there is one, a trained reader."""

    def __init__(self, encoder: Encoder, index: Index, trained: ReaderStage | None = None) -> None:
        self._trained = trained
        self._encoder = encoder
        self._index = index
        self._lexical = index.lexical

    def find(
        self,
        question: str,
        language: Language,
        ranking: Ranking,
        documents: Documents,
        *,
        focus: str | None = None,
    ) -> list[Evidence]:
        """Return every unit of the passages with its evidence, best first."""
        if not ranking.hits:
            return []
        late = self._index.late
        (tokens,) = self._encoder.token_vectors([question], query=True)
        weights = token_weights(question, language, tokens)
        asked = late.question(tokens)
        focus = focus or question
        asks = asked_for(focus)
        evidence = []
        trained = self._trained and self._trained.scores(question, ranking.hits, documents)
        for number, hit in enumerate(ranking.hits):
            passage = late.tokens(self._index.position(hit.chunk))
            document = documents[hit.chunk.doc_id]
            names_it = _names_subject(question, document)

            paths = heading_paths(document)

            def covered(
                part: str,
                path: Sequence[str],
                title: str = document.title,
                own: Language = document.language,
            ) -> float:
                text = " ".join([title, *path, part])
                return self._lexical.coverage(question, language, text, own)

            start, end = document.offsets.to_plain(hit.chunk.start, hit.chunk.end)
            shift = len(passage_text(document, hit.chunk)) - (end - start) - start
            passage_coverage = covered(document.plain[start:end], hit.chunk.heading_path)
            for unit in units(document, start, end):
                text = document.plain[unit.start : unit.end]
                evidence.append(
                    Evidence(
                        hit=hit,
                        passage=number,
                        unit=unit,
                        similarity=_late_interaction(
                            asked, weights, passage, unit.start + shift, unit.end + shift
                        ),
                        coverage=covered(text, paths[unit.block]),
                        passage_coverage=passage_coverage,
                        form=_form(focus, asks, unit, text, names_it),
                        foreign=language not in ("unknown", document.language),
                        read=read_unit(trained[number], unit, start) if trained else None,
                    )
                )
        return sorted(evidence, key=lambda e: -e.score)


def read_unit(scores: PassageScores, unit: Unit, start: int) -> ReadUnit:
    """Return what the trained reader says of a unit; its passage begins at plain `start`."""
    found = scores.best_span(unit.start - start, unit.end - start)
    if found is None:
        return ReadUnit(scores.relevance, SPAN_FLOOR, unit.start, unit.end)
    likely, low, high = found
    return ReadUnit(scores.relevance, likely, start + low, start + high)


def _late_interaction(
    asked: TokenVectors, weights: Vectors, passage: TokenVectors, start: int, end: int
) -> float:
    """Return the mean, over the question's tokens, of the best cosine with a unit's tokens.

    As in `rag/late.py`, each token read in the context of its whole passage.
    """
    middle = (passage.starts + passage.ends) / 2
    inside = passage.vectors[(start <= middle) & (middle <= end)]
    if not len(inside) or not len(asked.vectors):
        return 0.0
    return float((asked.vectors @ inside.T).max(axis=1) @ weights / weights.sum())


def _form(question: str, asks: Asks, unit: Unit, text: str, names_it: bool) -> float:
    if unit.kind in ("fact", "property"):
        if not asked_key(question, text.split(":", 1)[0]):
            return -_FORM
        return ASKED_ROW if names_it else _FORM
    pattern = {"date": DATE, "number": NUMBER, "expansion": ACRONYM}.get(asks)
    return _FORM if pattern is not None and pattern.search(text) is not None else 0.0


def _names_subject(question: str, document: Document) -> bool:
    """Return whether a question names what a document is on, by its title or an alias.

    "cyber command belge" names "Belgian Cyber Command": two words in three are enough.
    """
    # A title such as "Belgian Cyber Command (BCC)" is two names.
    parts = [part for subject in subjects(document) for part in re.split(r"[()]", subject)]
    asked = set(surface_tokens(question))
    words = [set(surface_tokens(part)) for part in parts]
    return any(len(name & asked) >= _NAMED * len(name) for name in words if name)


def subjects(document: Document) -> list[str]:
    """Return what a document is on: its title and its aliases."""
    aliases = document.metadata.get("aliases", ())
    return [document.title, *([aliases] if isinstance(aliases, str) else aliases)]
