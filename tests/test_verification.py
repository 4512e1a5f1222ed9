"""What is said of a passage and stands there, and what does not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eval.__main__ import app
from rag.config import load_settings
from rag.encoder import open_encoder
from rag.names import absent_names
from rag.support_model import Judgement
from rag.verification import TrainedVerifier, Verifier, open_verifier

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
        ("A member of the ICTRF.", "Membre de l'ICRTF.", ("ICTRF",), 0.0),
        ("A member of the ICRTF.", "Membre de l'ICRTF.", (), 0.0),
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


# --- What the network is asked ------------------------------------------------------------


class Saying:
    """A network that says the same of everything."""

    def __init__(self, support: float, doubt: float) -> None:
        self.said = (support, doubt)
        self.asked: list[str] = []

    def judge(self, statement: str, passages: Sequence[tuple[str, str]]) -> Judgement:
        self.asked.append(statement)
        return Judgement(*self.said, passages[0][1])


SURE, UNSURE = (20.0, -20.0), (-20.0, 20.0)
OFFICE = ("Le bureau", "Le bureau est à Bruxelles, sauf en été. Il compte douze personnes.")


@pytest.mark.parametrize(
    "statement",
    ["Le bureau a des fenêtres.", "The office has windows.", "Het kantoor heeft ramen.", "Et ici"],
)
def test_the_network_decides(statement: str) -> None:
    assert TrainedVerifier(Saying(*SURE)).verify(statement, [OFFICE]).supported
    refused = TrainedVerifier(Saying(*UNSURE)).verify(statement, [OFFICE])
    assert not refused.supported and refused.reasons == ("meaning",)
    assert refused.score < 0.01


@pytest.mark.parametrize(
    ("statement", "body"),
    [
        ("Le bureau n'a pas de fenêtres.", "Le bureau a des fenêtres."),
        ("The office has windows.", "Le bureau n’a aucune fenêtre."),
        ("Het kantoor heeft geen ramen.", "Le bureau a des fenêtres."),
    ],
)
def test_a_denial_on_one_side_is_refused_whatever_the_network_says(
    statement: str, body: str
) -> None:
    support = TrainedVerifier(Saying(*SURE)).verify(statement, [("", body)])
    assert not support.supported and support.reasons == ("negation",)


@pytest.mark.parametrize(
    ("statement", "body", "reason"),
    [
        ("Le bureau doit être ouvert.", "Le bureau est ouvert.", "modality"),
        ("The office may be closed.", "Le bureau doit être fermé.", "modality"),
        ("La Belgique représente le CCB.", "Le CCB représente la Belgique.", "role"),
    ],
)
def test_duties_and_names_in_another_order_are_refused(
    statement: str, body: str, reason: str
) -> None:
    support = TrainedVerifier(Saying(*SURE)).verify(statement, [("", body)])
    assert support.reasons == (reason,)


def test_a_network_in_two_minds_supports_nothing() -> None:
    for statement in ("Le bureau a des fenêtres.", "The office has windows."):
        assert not TrainedVerifier(Saying(0.0, 0.0)).verify(statement, [OFFICE]).supported


@pytest.mark.parametrize(
    ("statement", "reason"),
    [("Le bureau a 300 fenêtres.", "number"), ("Le bureau est celui de la CIA.", "name")],
)
def test_what_is_missing_is_not_put_to_the_network(statement: str, reason: str) -> None:
    network = Saying(*SURE)
    support = TrainedVerifier(network).verify(statement, [OFFICE])
    assert support.reasons == (reason,) and not network.asked


@pytest.mark.parametrize(
    ("statement", "asked"),
    [
        ("Il compte douze personnes.", False),
        ("il compte 12 personnes", True),
        # A part of a sentence, without what limits it.
        ("Le bureau est à Bruxelles.", True),
    ],
)
def test_a_whole_sentence_word_for_word_needs_no_network(statement: str, asked: bool) -> None:
    network = Saying(*UNSURE)
    support = TrainedVerifier(network).verify(statement, [OFFICE])
    assert bool(network.asked) is asked
    assert support.supported is not asked


@pytest.mark.parametrize(
    ("passage", "statement"),
    [
        ("Le permis B est valable en ville.", "Le permis C est valable en ville."),
        ("Le bureau est-il ouvert le dimanche ?", "Le bureau est ouvert le dimanche."),
        ("Est-ce ouvert le dimanche ?", "Est-ce ouvert le dimanche."),
        ("Elle n'ose contester la décision.", "Elle ose contester la décision."),
        ("La salle reste > 5 °C en hiver.", "La salle reste < 5 °C en hiver."),
        ("La salle descend à -5 °C en hiver.", "La salle descend à 5 °C en hiver."),
    ],
)
def test_a_letter_or_a_sign_makes_another_sentence(passage: str, statement: str) -> None:
    assert not TrainedVerifier(Saying(*UNSURE)).verify(statement, [("", passage)]).supported
    own = passage.replace("'", "’").upper()
    assert TrainedVerifier(Saying(*UNSURE)).verify(own, [("", passage)]).supported
