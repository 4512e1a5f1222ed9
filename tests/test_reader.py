"""Reading with the toy encoder: which units are chosen, and how surely.

The toy encoder gives a word of an axis ("certification") a cosine of 1 with itself, of
0.1 / √1.01 = 0.0995 with a word of no axis, of 0.01 / 1.01 = 0.0099 with another axis;
two words of no axis have a cosine of 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from rag.chunking import chunk_document, passage_text
from rag.documents import parse
from rag.encoder import TokenVectors
from rag.evidence import Evidence, ReadUnit
from rag.lexical import LexicalIndex
from rag.reader import EvidenceReader, _at_odds, whole_words
from rag.reranking import ReaderStage
from rag.span_model import PassageScores, SpanReader
from rag.types import Chunk, Document, Language, Ranking, Reading, ScoredChunk
from tests.conftest import ToyEncoder

FAR = 0.1 / math.sqrt(1.01)


class Tokens:
    """Token vectors as the encoder gives them, so that cosines can be derived by hand."""

    def __init__(self, encoder: ToyEncoder, texts: Sequence[str]) -> None:
        self.encoder = encoder
        self.texts = texts

    def question(self, tokens: TokenVectors) -> TokenVectors:
        return tokens

    def tokens(self, passage: int) -> TokenVectors:
        (found,) = self.encoder.token_vectors([self.texts[passage]])
        return found


@dataclass(frozen=True)
class Shelf:
    """What the reader needs of an index."""

    lexical: LexicalIndex
    late: Tokens
    chunks: Sequence[Chunk]

    def position(self, chunk: Chunk) -> int:
        return self.chunks.index(chunk)


class Desk:
    """Every passage of some notes, equally ranked, with a reader for them."""

    def __init__(
        self,
        *notes: str,
        dense: float = 0.83,
        encoder: ToyEncoder | None = None,
        trained: SpanReader | None = None,
    ) -> None:
        self.encoder = encoder or ToyEncoder()
        parsed = [parse(note, f"{i}.md", format="markdown") for i, note in enumerate(notes)]
        self.documents = {document.doc_id: document for document in parsed}
        chunks = [
            chunk
            for document in parsed
            for chunk in chunk_document(
                document, max_tokens=64, count_tokens=self.encoder.count_tokens
            )
        ]
        texts = [passage_text(self.documents[chunk.doc_id], chunk) for chunk in chunks]
        languages: list[Language] = [self.documents[chunk.doc_id].language for chunk in chunks]
        self.hits = tuple(
            ScoredChunk(chunk, score=0.5, rank=rank, dense=dense)
            for rank, chunk in enumerate(chunks, start=1)
        )
        lexical = LexicalIndex.build(texts, languages)
        self.shelf = Shelf(lexical, Tokens(self.encoder, texts), chunks)
        stage = ReaderStage(trained, len(chunks)) if trained is not None else None
        self.reader = EvidenceReader(self.encoder, self.shelf, stage)

    def read(self, question: str, language: Language = "fr") -> Reading:
        return self.reader.read(question, language, Ranking(question, self.hits), self.documents)

    def evidence(self, question: str, language: Language = "fr") -> dict[str, Evidence]:
        ranking = Ranking(question, self.hits)
        found = self.reader.evidence(question, language, ranking, self.documents)
        return {self._show(e.hit, e.unit.start, e.unit.end): e for e in found}

    def quoted(self, reading: Reading) -> list[str]:
        return [
            self._show(hit, span.start, span.end)
            for hit, spans in zip(reading.passages, reading.spans, strict=True)
            for span in spans
        ]

    def short(self, reading: Reading) -> str:
        assert reading.short is not None
        number, span = reading.short
        return self._show(reading.passages[number], span.start, span.end)

    def _show(self, hit: ScoredChunk, start: int, end: int) -> str:
        document: Document = self.documents[hit.chunk.doc_id]
        return document.plain[start:end]


LAWS = (
    "# Le bureau\n\nLe bureau suit les lois de Bruxelles. "
    "Ces lois incluent la certification. Il est grand.\n"
)
CARD = (
    "# Le bureau\n\n> [!note] Fiche\n> * **Siège** : Bruxelles\n> * **Création** : 2022\n"
    "> * **Rôle** : La certification\n"
)
MISSIONS = (
    "# Le bureau\n\n## Missions\nSes missions sont :\n1. la defense des bases ;\n"
    "2. la formation des équipes ;\n3. le projet au Niger.\n\nLe bureau est à Bruxelles.\n"
)


# --- Evidence -----------------------------------------------------------------------------


def test_late_interaction_is_the_mean_of_the_best_cosines() -> None:
    found = Desk(LAWS).evidence("Bruxelles certification")
    # First sentence: "Bruxelles" 1, "certification" at best 0.0995; second: the reverse;
    # third: neither. The heading is not part of any unit.
    assert {text: e.similarity for text, e in found.items()} == pytest.approx(
        {
            "Le bureau suit les lois de Bruxelles.": (1 + FAR) / 2,
            "Ces lois incluent la certification.": (FAR + 1) / 2,
            "Il est grand.": FAR,
        },
        abs=1e-6,
    )
    # Without a word of no axis, "certification" meets another axis at best.
    assert Desk("Bruxelles").evidence("certification")["Bruxelles"].similarity == pytest.approx(
        0.01 / 1.01, abs=1e-6
    )


def test_coverage_counts_the_headings_above() -> None:
    found = Desk(MISSIONS).evidence("missions du bureau au Niger")
    # The content words are "missions", "bureau" and "Niger"; title and heading hold the
    # first two for every unit below them.
    assert found["le projet au Niger."].coverage == pytest.approx(1)
    for text in ("Ses missions sont :", "la defense des bases ;"):
        assert 0 < found[text].coverage < 1
        # The whole passage is the list.
        assert found[text].passage_coverage == pytest.approx(1)
    assert found["le projet au Niger."].form == 0


def test_evidence_is_sorted_and_knows_its_place() -> None:
    desk = Desk(MISSIONS, LAWS)
    question = "Quelle certification ?"
    found = desk.reader.evidence(question, "fr", Ranking(question, desk.hits), desk.documents)
    scores = [e.score for e in found]
    assert scores == sorted(scores, reverse=True)
    assert all(e.hit is desk.hits[e.passage] for e in found)
    assert len(found) == 5 + 3


def test_the_language_of_question_and_document_may_differ() -> None:
    desk = Desk(LAWS)
    assert all(e.foreign for e in desk.evidence("certification", "en").values())
    assert not any(e.foreign for e in desk.evidence("certification", "fr").values())
    assert not any(e.foreign for e in desk.evidence("certification", "unknown").values())


@pytest.mark.parametrize(
    ("question", "row"),
    [("Où siège le bureau ?", "Siège"), ("Quand a-t-il été créé ?", "Création")],
)
def test_the_asked_row_gains_and_the_others_lose(question: str, row: str) -> None:
    for text, evidence in Desk(CARD).evidence(question).items():
        assert (evidence.form > 0) is text.startswith(row)
        assert (evidence.form < 0) is not text.startswith(row)


def test_a_date_gains_where_one_is_asked_for() -> None:
    desk = Desk("Il est né en mai 2021. Il est grand.")
    found = desk.evidence("Quand est-il né ?")
    assert found["Il est né en mai 2021."].form > 0 == found["Il est grand."].form
    assert all(e.form == 0 for e in desk.evidence("Pourquoi est-il né ?").values())


def test_the_question_alone_is_encoded() -> None:
    class Counting(ToyEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.read: list[str] = []

        def token_vectors(self, texts: Sequence[str], *, query: bool = False):  # type: ignore[no-untyped-def]
            self.read.extend(texts)
            return super().token_vectors(texts, query=query)

    encoder = Counting()
    desk = Desk(MISSIONS, LAWS)
    desk.reader = EvidenceReader(encoder, desk.shelf)
    first = desk.read("Quelle certification ?")
    assert encoder.read == ["Quelle certification ?"]
    assert desk.read("Quelle certification ?") == first


# --- Chosen units -------------------------------------------------------------------------


def test_one_sentence_answers() -> None:
    desk = Desk(LAWS, MISSIONS)
    reading = desk.read("Pourquoi la certification ?")
    assert desk.quoted(reading) == ["Ces lois incluent la certification."]
    # Each note is one passage.
    assert [len(spans) for spans in reading.spans] == [1, 0]
    assert reading.passages == desk.hits


def test_a_question_for_several_things_gets_the_whole_list() -> None:
    desk = Desk(LAWS, MISSIONS)
    reading = desk.read("Quelles sont les missions de defense ?")
    assert desk.quoted(reading) == [
        "la defense des bases ;",
        "la formation des équipes ;",
        "le projet au Niger.",
    ]
    assert reading.short is None


def test_a_question_for_one_thing_gets_its_item() -> None:
    desk = Desk(LAWS, MISSIONS)
    assert desk.quoted(desk.read("Où est le projet au Niger ?")) == ["le projet au Niger."]


LEAD_IN = "# Le guide\n\nLa certification comprend :\n- un examen ;\n- un contrôle.\n"


def test_a_lead_in_is_quoted_with_what_it_introduces() -> None:
    desk = Desk(LEAD_IN)
    assert desk.quoted(desk.read("Que comprend la certification ?")) == [
        "La certification comprend :\nun examen ;\nun contrôle.",
    ]
    assert desk.quoted(desk.read("Quelles étapes comprend la certification ?")) == [
        "un examen ;",
        "un contrôle.",
    ]


def test_units_that_are_as_good_are_quoted_too_up_to_three() -> None:
    same = ["La certification aide.", "La certification sert.", "La certification dure."]
    for count in (1, 2, 3):
        desk = Desk(" ".join(same[:count]) + " Il est grand.")
        assert desk.quoted(desk.read("certification")) == same[:count]
    desk = Desk(" ".join([*same, "La certification coûte."]))
    assert desk.quoted(desk.read("certification")) == same


def test_units_of_another_kind_are_not_as_good() -> None:
    desk = Desk("La certification aide.\n\n- La certification sert.\n- Un point.\n")
    assert desk.quoted(desk.read("certification")) == ["La certification aide."]


def test_units_of_several_documents_are_quoted() -> None:
    desk = Desk("La certification aide.", "La certification sert.", "Il est grand.")
    reading = desk.read("certification")
    assert desk.quoted(reading) == ["La certification aide.", "La certification sert."]
    assert [len(spans) for spans in reading.spans] == [1, 1, 0]


def test_a_row_answers_with_its_value() -> None:
    desk = Desk(CARD, LAWS)
    reading = desk.read("Où siège le bureau ?")
    assert desk.quoted(reading) == ["Siège : Bruxelles"]
    assert desk.short(reading) == "Bruxelles"
    reading = desk.read("Quand le bureau a-t-il été créé ?")
    assert desk.quoted(reading) == ["Création : 2022"]
    assert desk.short(reading) == "2022"


def test_an_enumeration_in_the_next_sentence_is_quoted_too() -> None:
    desk = Desk(LAWS)
    both = ["Le bureau suit les lois de Bruxelles.", "Ces lois incluent la certification."]
    assert desk.quoted(desk.read("Quelles lois de Bruxelles suit le bureau ?")) == both
    # One law is asked for, or the next sentence begins something else.
    assert desk.quoted(desk.read("Quel bureau suit les lois de Bruxelles ?")) == both[:1]
    other = Desk(LAWS.replace("Ces lois incluent", "Il aime"))
    assert other.quoted(other.read("Quelles lois de Bruxelles suit le bureau ?")) == both[:1]


# --- Confidence ---------------------------------------------------------------------------


def test_nothing_found_is_nothing_read() -> None:
    desk = Desk()
    reading = desk.read("Où siège le bureau ?")
    assert reading == Reading(passages=(), spans=(), answerability=0.0, short=None)


@pytest.mark.parametrize("dense", [-1.0, 0.0, 0.83, 1.0])
@pytest.mark.parametrize("question", ["certification", "Quand ?", "zèbre", "Qui est Zoé Zut ?"])
def test_confidence_is_a_probability(question: str, dense: float) -> None:
    assert 0 <= Desk(LAWS, dense=dense).read(question).answerability <= 1


# With a single unit there is no rival, so that only the difference that is named counts.


@pytest.mark.parametrize(
    ("question", "with_it", "without"),
    [
        ("Quand commence la certification ?", "en 2021", "bientôt"),
        ("Combien coûte la certification ?", "pour 12 euros", "pour tous"),
        ("Qui est le directeur de la certification ?", "avec Anne Peeters", "avec le directeur"),
        ("Pourquoi la certification au Niger ?", "au Niger", "au Mali"),
        ("Pourquoi la certification de l'ECCG ?", "à l'ECCG", "à l'ENISA"),
        ("le zèbre", "avec un zèbre", "avec un lion"),
    ],
    ids=["date", "sum", "person", "name", "acronym", "word"],
)
def test_what_is_missing_lowers_the_confidence(question: str, with_it: str, without: str) -> None:
    sure, unsure = (
        Desk(f"La certification commence {end}.").read(question).answerability
        for end in (with_it, without)
    )
    assert sure > unsure


def test_more_missing_names_lower_it_more() -> None:
    desk = Desk("La certification est à Bruxelles.")
    none, one, both = (
        desk.read(f"Pourquoi la certification à {places} ?").answerability
        for places in ("Bruxelles", "Bruxelles et à Anvers", "Gand et à Anvers")
    )
    assert none > one > both


def test_names_of_another_language_are_not_missed() -> None:
    desk = Desk("La certification est à Bruxelles.")
    named, unnamed = (
        desk.read(f"Why certification in {place}?", "en").answerability
        for place in ("Brussels", "town")
    )
    assert named == unnamed


def test_a_code_is_missed_in_every_language() -> None:
    desk = Desk("La loi NIS du 7 avril désigne la certification.")
    same, other = (
        desk.read(f"Does {law} appoint the certification?", "en").answerability
        for law in ("NIS", "NIS2")
    )
    assert same > other


def test_nearness_and_lead_raise_it() -> None:
    question = "Pourquoi la certification ?"
    far, near = (Desk(LAWS, dense=d).read(question).answerability for d in (0.80, 0.86))
    assert far < near
    # Four sentences are as good and three are quoted: the fourth leaves no lead.
    rival = " ".join(f"La certification {verb}." for verb in ("aide", "sert", "dure", "coûte"))
    alone = Desk("La certification aide.").read("certification")
    assert alone.answerability > Desk(rival).read("certification").answerability


# --- With a trained reader ----------------------------------------------------------------


class Finger:
    """A reader that points at a word: it is the answer with probability 0.81 where it stands.

    The passage with the word has the relevance 4, every other one -4. Tokens are words.
    """

    name = "finger"

    def __init__(self, word: str) -> None:
        self.word = word
        self.asked: list[tuple[str, tuple[tuple[str, str], ...]]] = []

    def read(self, question: str, passages: Sequence[tuple[str, str]]) -> list[PassageScores]:
        self.asked.append((question, tuple(passages)))
        found = []
        for _, body in passages:
            words = list(re.finditer(r"\S+", body))
            pointed = [word.group().startswith(self.word) for word in words]
            logs = np.log(np.where(pointed, 0.9, 1e-4)).astype(np.float32)
            found.append(
                PassageScores(
                    start=logs,
                    end=logs,
                    starts=np.array([word.start() for word in words], dtype=np.int64),
                    ends=np.array([word.end() for word in words], dtype=np.int64),
                    relevance=4.0 if any(pointed) else -4.0,
                )
            )
        return found


def test_what_is_pointed_at_is_quoted() -> None:
    desk = Desk(LAWS, MISSIONS, trained=Finger("grand"))
    reading = desk.read("Pourquoi ainsi ?")
    assert desk.quoted(reading) == ["Il est grand."]
    # Without the mark at its end.
    assert desk.short(reading) == "grand"
    assert desk.reader.name == "finger"


def test_the_trained_reader_is_given_headings_and_plain_text() -> None:
    finger = Finger("grand")
    desk = Desk(MISSIONS, trained=finger)
    desk.read("Où ?")
    question, passages = finger.asked[0]
    assert question == "Où ?"
    assert passages[0][0] == "Le bureau > Missions"
    assert passages[0][1].startswith("Ses missions sont :\nla defense")


def test_the_span_raises_the_score_down_to_a_bound() -> None:
    def score(span: float) -> float:
        unit = next(iter(Desk("La certification aide.").evidence("certification").values()))
        return replace(unit, read=ReadUnit(1.0, span, 0, 1)).score

    assert score(-1) > score(-2)
    assert score(-50) == score(-60)


def test_lists_and_rows_are_answered_as_without() -> None:
    lists = Desk(LAWS, MISSIONS, trained=Finger("défense"))
    reading = lists.read("Quelles sont les missions de defense ?")
    assert len(lists.quoted(reading)) == 3
    assert reading.short is None
    card = Desk(CARD, LAWS, trained=Finger("Bruxelles"))
    reading = card.read("Où siège le bureau ?")
    assert card.quoted(reading) == ["Siège : Bruxelles"]
    assert card.short(reading) == "Bruxelles"


def test_an_irrelevant_passage_makes_unsure() -> None:
    question = "Pourquoi la certification ?"
    sure = Desk(LAWS, trained=Finger("certification")).read(question).answerability
    unsure = Desk(LAWS, trained=Finger("zèbre")).read(question).answerability
    assert 0 <= unsure < sure <= 1


FIFTY = "# Un\n\nLe bureau fut ouvert en 1950."
FIFTY_TOO = "# Deux\n\nEn 1950 le bureau ouvre."
SIXTY = "# Trois\n\nLe bureau fut ouvert en 1960."


def test_a_second_document_that_says_the_same_is_quoted_too() -> None:
    desk = Desk(FIFTY, FIFTY_TOO, MISSIONS, trained=Finger("19"))
    reading = desk.read("En quelle année le bureau fut-il ouvert ?")
    assert sorted(desk.quoted(reading)) == [
        "En 1950 le bureau ouvre.",
        "Le bureau fut ouvert en 1950.",
    ]
    assert desk.short(reading) == "1950"
    assert not reading.differ


def test_documents_that_give_different_years_are_both_shown() -> None:
    desk = Desk(FIFTY, SIXTY, trained=Finger("19"))
    reading = desk.read("En quelle année le bureau fut-il ouvert ?")
    assert sorted(desk.quoted(reading)) == [
        "Le bureau fut ouvert en 1950.",
        "Le bureau fut ouvert en 1960.",
    ]
    assert reading.differ
    # Neither is the answer.
    assert reading.short is None


@pytest.mark.parametrize(
    ("question", "said", "says", "odds"),
    [
        ("Combien d'agents ?", "1 500", "1500", False),
        ("Combien d'agents ?", "3.000 agents", "3000 agents", False),
        ("Combien d'agents ?", "3 000", "4 000", True),
        ("Combien d'agents ?", "beaucoup", "3000", False),
        ("Quand ?", "21 juin 2021", "21 mai 2019", True),
        ("Quand ?", "2021", "le 21 juin 2021", False),
        ("Où ?", "en 1950", "en 1960", False),
    ],
)
def test_numbers_are_at_odds(question: str, said: str, says: str, odds: bool) -> None:
    assert _at_odds(question, said, says) is odds


def test_the_law_under_which_somebody_acts_is_not_who() -> None:
    desk = Desk("# Un\n\nLe bureau agit en vertu du CSA depuis 2022.", trained=Finger("CSA"))
    assert desk.read("Qui agit ?").short is None
    assert desk.short(desk.read("Pourquoi le bureau agit-il ?")) == "CSA"


def test_different_words_are_no_contradiction() -> None:
    desk = Desk("# Un\n\nIl est grand.", "# Deux\n\nIl est grandiose.", trained=Finger("grand"))
    assert not desk.read("Comment est-il ?").differ


def test_one_document_does_not_contradict_itself() -> None:
    desk = Desk("# Un\n\nOuvert en 1950.\n\n# Autre\n\nFermé en 1960.", trained=Finger("19"))
    assert not desk.read("En quelle année ?").differ


@pytest.mark.parametrize(
    ("text", "span", "words"),
    [
        ("à Bruxelles, en", "ruxell", "Bruxelles"),
        ("à Bruxelles, en", " Bruxelles,", "Bruxelles"),
        ("le BCC (Belgique) ici", "(Belgique", "Belgique"),
        ("le BCC (Belgique) ici", "BCC (Belgique", "BCC (Belgique)"),
        ("l'an 1950.", "1950.", "1950"),
        ("oui ; non", " ;", None),
        ("il fait -20 °C", "-20 °C", "-20 °C"),
        ("un - deux", "- deux", "deux"),
    ],
)
def test_short_answers_are_whole_words(text: str, span: str, words: str | None) -> None:
    start = text.index(span)
    found = whole_words(text, start, start + len(span))
    assert (text[slice(*found)] if found else None) == words
