"""What is said of a passage and stands there, and what does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from rag.config import Settings, load_settings
from rag.encoder import TokenVectors, open_encoder
from rag.names import absent_names
from rag.span_model import PassageScores, SpanReader, open_span_reader
from rag.verification import SignalVerifier, Verifier, open_verifier
from tests.conftest import ToyEncoder

PASSAGE = (
    "Belgian Cyber Command",
    "Le BCC siège à Bruxelles depuis le 3 mai 2022. Il compte 300 membres. "
    "La Belgique et l'Allemagne coopèrent au sein de l'OTAN.",
)


@pytest.fixture(scope="module")
def verifier() -> Verifier:
    settings = load_settings()
    return open_verifier(settings, open_encoder(settings))


@pytest.mark.parametrize(
    "statement",
    [
        "Le BCC siège à Bruxelles.",
        "Depuis 2022, le BCC siège à Bruxelles.",
        "Het BCC is sinds 3 mei 2022 gevestigd in Brussel.",
        "Belgium and Germany cooperate within NATO.",
    ],
)
def test_what_stands_in_a_passage_is_supported(verifier: Verifier, statement: str) -> None:
    support = verifier.verify(statement, [PASSAGE])
    assert support.supported and not support.reasons
    assert 0.5 < support.score <= 1.0


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("Le BCC siège à Bruxelles depuis 2021.", "number"),
        ("The BCC has 400 members.", "number"),
        ("Het BCC is sinds 3 juni 2022 gevestigd in Brussel.", "date"),
        ("Belgium and Poland cooperate within NATO.", "name"),
        ("Le BCC coopère avec la CIA.", "name"),
        ("Le BCC ne siège pas à Bruxelles.", "negation"),
        ("Belgium and Germany never cooperate within NATO.", "negation"),
        ("Le BCC recrute des musiciens pour la fanfare.", "meaning"),
        ("Et puis ?", "meaning"),
        ("", "meaning"),
    ],
)
def test_what_does_not_is_not(verifier: Verifier, statement: str, reason: str) -> None:
    support = verifier.verify(statement, [PASSAGE])
    assert not support.supported
    assert reason in support.reasons


def test_what_the_question_says_needs_no_other_source(verifier: Verifier) -> None:
    statement = "Depuis 2022, le BCC siège à Bruxelles, comme demandé en 2024."
    asked = verifier.verify(statement, [PASSAGE], question="Où siège le BCC en 2024 ?")
    assert "number" not in asked.reasons
    assert "number" in verifier.verify(statement, [PASSAGE]).reasons


def test_without_passages_nothing_is_supported(verifier: Verifier) -> None:
    assert not verifier.verify("Le BCC siège à Bruxelles.", []).supported


@pytest.mark.parametrize(
    ("statement", "text", "acronyms", "share"),
    [
        ("Belgium works with NATO.", "La Belgique travaille avec l'OTAN.", (), 0.0),
        ("In Nederland en Duitsland.", "Aux Pays-Bas et en Allemagne.", (), 0.0),
        ("Dat is in Polen zo.", "C'est ainsi en Allemagne.", (), 1.0),
        ("In Nigeria.", "Au Niger.", (), 1.0),
        ("Naar Brussel.", "À Bruxelles.", (), 0.0),
        ("The work of ENISA.", "Le travail de l'agence.", ("ENISA",), 0.0),
        ("The European Union decides.", "L'Union européenne décide.", (), 0.0),
        ("On Monday in May 2022.", "Le lundi en mai 2022.", (), 0.0),
    ],
)
def test_names_are_found_in_their_french_form(
    statement: str, text: str, acronyms: tuple[str, ...], share: float
) -> None:
    assert absent_names(statement, text) == (acronyms, share)


def test_labelled_statements_are_measured(tmp_path: Path) -> None:
    rows = [
        {"statement": "Le BCC siège à Bruxelles.", "supported": True, "kind": "paraphrase"},
        {
            "statement": "Le BCC siège à Bruxelles depuis 2019.",
            "supported": False,
            "kind": "number",
            "note": "2022",
        },
    ]
    file = tmp_path / "statements.jsonl"
    common = {"lang": "fr", "passages": [PASSAGE[1]], "question": "Où ?", "doc": "bcc"}
    file.write_text(
        "\n".join(json.dumps({"id": f"s{n}", **common, **row}) for n, row in enumerate(rows))
    )
    out = tmp_path / "out.json"
    result = CliRunner().invoke(app, ["statements", str(file), "--json", str(out)])
    assert result.exit_code == 0, result.output
    measured = json.loads(out.read_text())
    assert measured["overall"] == {"kept": 1.0, "let_through": 0.0, "supported": 1, "wrong": 1}
    assert measured["kind"]["number"] == {"accepted": 0.0, "count": 1}
    assert "paraphrase" in result.output
    missing = CliRunner().invoke(app, ["statements", str(tmp_path / "none.jsonl")])
    assert missing.exit_code != 0


def test_settings_without_a_reader_check_too() -> None:
    settings = load_settings(reader="none")
    assert isinstance(settings, Settings)
    verifier = open_verifier(settings, open_encoder(settings))
    assert "number" in verifier.verify("Le BCC compte 400 membres.", [PASSAGE]).reasons


# --- What is worked out once, or not at all -----------------------------------------------


class CountingEncoder(ToyEncoder):
    """Keep the texts whose tokens were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def token_vectors(self, texts: Sequence[str], *, query: bool = False) -> list[TokenVectors]:
        self.read += texts
        return super().token_vectors(texts, query=query)


class Liking:
    """A reader that finds everything relevant, as far as it goes."""

    name = "liking"

    def __init__(self, relevance: float) -> None:
        self.highest_relevance = relevance
        self.asked: list[str] = []

    def read(self, question: str, passages: Sequence[tuple[str, str]]) -> list[PassageScores]:
        self.asked.append(question)
        nothing = np.zeros(0)
        scores = PassageScores(nothing, nothing, nothing, nothing, self.highest_relevance)
        return [scores for _ in passages]


OFFICE = ("Le bureau", "Le bureau est à Bruxelles. Il compte douze personnes.")
PROJECT = ("Le projet", "Le projet avec le Niger a commencé en 2021.")


def test_a_statement_and_a_passage_are_encoded_once() -> None:
    encoder = CountingEncoder()
    verifier = SignalVerifier(encoder, None)
    for statement in ("Le bureau a des fenêtres.", "Le bureau a des portes."):
        for passages in ([OFFICE], [PROJECT], [OFFICE, PROJECT]):
            verifier.verify(statement, passages)
    assert sorted(encoder.read) == [
        "Le bureau\nLe bureau est à Bruxelles. Il compte douze personnes.",
        "Le bureau a des fenêtres.",
        "Le bureau a des portes.",
        "Le projet\nLe projet avec le Niger a commencé en 2021.",
    ]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("Le bureau a 300 fenêtres.", "number"),
        ("Le bureau n'est pas à Bruxelles.", "negation"),
        ("Le bureau doit être à Bruxelles.", "modality"),
    ],
)
def test_what_every_sentence_contradicts_is_not_encoded(statement: str, reason: str) -> None:
    encoder, reader = CountingEncoder(), Liking(5.0)
    support = SignalVerifier(encoder, reader).verify(statement, [OFFICE, PROJECT])
    assert support.reasons == (reason,)
    assert not encoder.read and not reader.asked


def test_what_only_some_sentences_contradict_is_compared() -> None:
    body = "Le bureau n'est pas à Bruxelles. Le bureau est au Niger."
    encoder = CountingEncoder()
    SignalVerifier(encoder, None).verify("Le bureau n'est pas au Niger.", [("", body)])
    assert encoder.read


@pytest.mark.parametrize(("relevance", "asked"), [(5.0, False), (500.0, True)])
def test_the_reader_is_asked_where_it_can_decide(relevance: float, asked: bool) -> None:
    # No word of it but the first is like one there: the weakest three have a cosine below 0.2,
    # and -12.85 + 16.74 · 0.2 + 0.131 · 5 is far below 1.13, the logit of the threshold.
    reader = Liking(relevance)
    support = SignalVerifier(CountingEncoder(), reader).verify(
        "Bruxelles certification représenter défense.", [("", "Le Niger et le Niger.")]
    )
    assert bool(reader.asked) is asked
    assert support.supported is asked


def test_no_relevance_is_above_the_highest() -> None:
    settings = load_settings()
    reader: SpanReader | None = open_span_reader(settings, open_encoder(settings))
    assert reader is not None
    sentences = (PASSAGE[1], "Où siège le BCC ?", "x", "", "1 2 3 4 5")
    found = [scores.relevance for one in sentences for scores in reader.read(one, [PASSAGE])]
    assert max(found) <= reader.highest_relevance < 20
    # It is no bound that anything would keep.
    assert max(found) > 0
