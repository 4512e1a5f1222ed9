from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eval.dataset import Dataset, Item
from eval.experiment import QuoteError, configuration, measure
from eval.journal import Journal
from eval.runs import save_run
from rag.answering import reply
from rag.courtesies import Courtesy
from rag.errors import DatasetError
from rag.types import Passage
from tests.eval.conftest import document

if TYPE_CHECKING:
    from tests.eval.conftest import FakeSystem

SEAT = Item("a", "fr", "Où ?", ("Bruxelles",), ("Siège : Bruxelles.",), "note", "fact")
YEAR = Item("b", "en", "When?", ("2022",), ("**Création** : 2022.",), "note.md", "date")
BOTH = Item(
    "c",
    "nl",
    "Met wie?",
    ("Niger", "ENISA"),
    ("Le CCB coopère avec le Niger.", "Il siège à l'ENISA."),
    "page",
    "list",
    answer_groups=(("Niger",), ("ENISA",)),
    history=("Wat is het CCB?",),
)
NONE = Item("d", "fr", "Combien ?", type="unanswerable", answerable=False)
LATE = Item("e", "fr", "Quel prix ?", type="unanswerable", answerable=False)


def dataset(*items: Item) -> Dataset:
    return Dataset({"kind": "gold", "name": "g.jsonl", "sha256": "0"}, items)


def scripted(system: FakeSystem) -> dict[str, Any]:
    seat, year = "**Siège** : Bruxelles.", "**Création** : 2022."
    niger = "Le CCB coopère avec le Niger."
    system.script(
        "Où ?",
        "Le siège est à Bruxelles [1].",
        "Bruxelles",
        [system.cite("note.md", seat), system.cite("note.md", "Le chef est Anne.", "2")],
        confidence=0.9,
        ms=10,
        ranking=[year, seat],
    )
    system.script("When?", "?", "", confidence=0.2, abstained=True, ms=20, ranking=[year])
    system.script(
        "Met wie?",
        "Niger [1].",
        "le Niger",
        [system.cite("page.txt", niger)],
        confidence=0.8,
        ms=30,
        ranking=[seat, niger],
    )
    system.script("Combien ?", "?", confidence=0.1, abstained=True, ms=40, ranking=[seat])
    return measure(system, dataset(SEAT, YEAR, BOTH, NONE, LATE))


def test_what_a_language_model_did_is_recorded(system: FakeSystem) -> None:
    system.settings = system.settings.model_copy(update={"llm": "ollama:small"})
    cited = [system.cite("note.md", "**Siège** : Bruxelles.")]
    system.script("Où ?", "Le siège est à Bruxelles [1].\nIl y est [2].", "Bruxelles", cited)
    system.answers["Où ?"] = replace(system.answers["Où ?"], removed=("Il est à Gand.",))
    system.script("Combien ?", "?", confidence=0.1, abstained=True)
    seat, none = measure(system, dataset(SEAT, NONE))["items"]
    assert seat["written"] == {
        "sentences": 2,
        "repaired": 1,
        "removed": 1,
        "right_language": True,
        "fell_back": False,
        "notices": [],
        "first_sentence_ms": 5.0,
    }
    assert seat["given"]["removed"] == ["Il est à Gand."]
    # The model is not asked where nothing was found.
    assert "written" not in none


def test_scores_of_items(system: FakeSystem) -> None:
    items = {item["id"]: item for item in scripted(system)["items"]}
    # Evidence at rank 2; two citations, one right; the one evidence covered.
    assert items["a"]["scores"] == {
        "R@1": 0.0,
        "R@5": 1.0,
        "R@10": 1.0,
        "RR@10": 0.5,
        "nDCG@10": 0.63093,
        "EM": 1.0,
        "F1": 1.0,
        "answer_recall": 1.0,
        "citation_precision": 0.5,
        "citation_recall": 1.0,
        # The same is said when the gold passage is given.
        "reading_EM": 1.0,
        "reading_F1": 1.0,
        "reading_answer_recall": 1.0,
        "reading_citation_precision": 0.5,
    }
    # Abstained though answerable: retrieval counts, citation precision does not apply.
    # The evidence quotes the canonical text, and is found in the plain text.
    assert items["b"]["scores"]["R@1"] == 1.0
    assert items["b"]["scores"]["answer_recall"] == 0.0
    assert items["b"]["scores"]["EM"] == 0.0
    assert items["b"]["scores"]["citation_precision"] is None
    assert items["b"]["scores"]["citation_recall"] == 0.0
    assert items["b"]["expected"]["evidence"] == ["Création : 2022."]
    # One of two groups said, one of two evidence strings retrieved and cited.
    assert items["c"]["scores"]["answer_recall"] == 0.0
    assert items["c"]["groups_said"] == [1, 2]
    assert items["c"]["scores"]["EM"] == 1.0
    assert items["c"]["scores"]["R@5"] == 0.5
    assert items["c"]["scores"]["citation_recall"] == 0.5
    assert set(items["d"]["scores"].values()) == {None}


def test_counts_and_measures(system: FakeSystem) -> None:
    run = scripted(system)
    counts, overall = run["counts"]["overall"], run["measures"]["overall"]
    assert run["counts"]["quotes_verified"] == 3
    assert {name: counts[name] for name in ("items", "answerable", "unanswerable")} == {
        "items": 5,
        "answerable": 3,
        "unanswerable": 2,
    }
    assert (counts["answered"], counts["abstained"], counts["errors"]) == (2, 2, 1)
    assert counts["measured"]["R@1"] == 3
    assert counts["measured"]["citation_precision"] == 2
    assert counts["excluded"] == {
        "unanswerable_from_retrieval_and_answer_measures": 2,
        "without_citation_from_citation_precision": 1,
        "without_whole_passage_from_reading_measures": 0,
        "without_timing_from_latency": 1,
    }
    assert overall["R@5"] == pytest.approx((1 + 1 + 0.5) / 3, abs=1e-6)
    assert overall["citation_precision"] == 0.75  # (0.5 + 1) / 2
    # Abstained on b (wrongly) and d (rightly); e, an error, is not an abstention.
    assert overall["abstention_precision"] == 0.5
    assert overall["abstention_recall"] == 0.5
    assert overall["abstention_F1"] == 0.5
    # By falling confidence: a right, then c, b, d and the error (confidence 0) losses:
    # risks 0, 1/2, 2/3, 3/4, 4/5.
    assert overall["AURC"] == pytest.approx((0 + 1 / 2 + 2 / 3 + 3 / 4 + 4 / 5) / 5, abs=1e-6)
    # In the same order 0.9 right, then 0.8, 0.2, 0.1 and 0 wrong, each in a bin of its own.
    assert overall["ECE"] == pytest.approx((0.1 + 0.8 + 0.2 + 0.1 + 0) / 5, abs=1e-6)
    assert overall["latency_p50_ms"] == 25.0  # of 10 20 30 40
    assert overall["latency_p95_ms"] == pytest.approx(38.5)  # position 2.85


def test_every_figure_is_sliced(system: FakeSystem) -> None:
    run = scripted(system)
    assert list(run["measures"]["lang"]) == ["en", "fr", "nl"]
    assert list(run["measures"]["type"]) == ["date", "fact", "list", "unanswerable"]
    assert list(run["measures"]["doc"]) == ["(none)", "note.md", "page.txt"]
    assert run["measures"]["doc"]["note.md"]["answer_recall"] == 0.5
    assert run["measures"]["lang"]["en"]["citation_precision"] is None
    assert run["measures"]["type"]["unanswerable"]["R@1"] is None
    assert run["counts"]["lang"]["fr"]["items"] == 3
    names = set(run["measures"]["overall"])
    assert all(
        set(part) == names
        for table in ("measures", "intervals")
        for by in ("lang", "type", "doc")
        for part in run[table][by].values()
    )


def test_every_item_ends_in_one_stage(system: FakeSystem) -> None:
    run = scripted(system)
    # b abstained, and what was read (nothing, in the script) had no evidence; c read nothing
    # with both pieces of evidence either.
    assert {item["id"]: item["stage"] for item in run["items"]} == {
        "a": "right",
        "b": "not_retrieved",
        "c": "not_retrieved",
        "d": "rightly_abstained",
        "e": "error",
    }
    for counts in (run["counts"]["overall"], *run["counts"]["lang"].values()):
        assert sum(counts["stages"].values()) == counts["items"]


SEAT_LINE, YEAR_LINE = "**Siège** : Bruxelles.", "**Création** : 2022."


@pytest.mark.parametrize(
    ("read", "abstained", "stage"),
    [
        ([(YEAR_LINE, True)], False, "not_retrieved"),
        ([(SEAT_LINE, False)], True, "wrongly_abstained"),
        ([(SEAT_LINE, False), (YEAR_LINE, True)], False, "not_chosen"),
        ([(SEAT_LINE, True)], False, "wrong_span"),
        ([(YEAR_LINE, False)], True, "not_retrieved"),
    ],
)
def test_the_stage_is_the_first_thing_that_went_wrong(
    system: FakeSystem, read: list[tuple[str, bool]], abstained: bool, stage: str
) -> None:
    text = system.documents["note.md"].text
    passages = tuple(
        Passage("note.md", text.index(line), text.index(line) + len(line), line, 1.0, used)
        for line, used in read
    )
    system.script("Où ?", "Ailleurs.", abstained=abstained)
    system.answers["Où ?"] = replace(system.answers["Où ?"], passages=passages)
    (item,) = measure(system, dataset(SEAT))["items"]
    assert item["stage"] == stage
    assert [passage["evidence"] for passage in item["given"]["passages"]] == [
        [0] if line == SEAT_LINE else [] for line, _ in read
    ]


def test_answering_where_there_is_no_answer_has_its_stage(
    system: FakeSystem,
) -> None:
    system.script("Combien ?", "Douze.", confidence=0.9)
    assert measure(system, dataset(NONE))["items"][0]["stage"] == "wrongly_answered"


def test_a_courtesy_is_no_answer_and_no_abstention(system: FakeSystem) -> None:
    # It rests on no passage; whoever asked did not get what the documents say, or do not say.
    system.script("Où ?")
    system.script("Combien ?")
    for question in ("Où ?", "Combien ?"):
        system.answers[question] = reply(question, Courtesy("greeting", "fr"), [])
    run = measure(system, dataset(SEAT, NONE))
    assert [item["outcome"] for item in run["items"]] == ["answered"] * 2
    assert [item["correct"] for item in run["items"]] == [False] * 2
    assert [item["stage"] for item in run["items"]] == ["not_retrieved", "wrongly_answered"]
    assert [item["given"]["mode"] for item in run["items"]] == ["courtesy"] * 2


def test_reading_alone_is_given_the_passage_with_the_evidence(system: FakeSystem) -> None:
    system.script("Met wie?", "?", abstained=True)
    both = replace(system.answers["Met wie?"], text="Niger, ENISA", abstained=False)
    system.readings["Met wie?", 0.0] = both
    (item,) = measure(system, dataset(BOTH))["items"]
    # The ranking was empty; each piece of evidence has its passage, in order.
    assert ("Met wie?", tuple(system.documents["page.txt"].text.splitlines())) in system.read
    assert item["scores"]["answer_recall"] == 0.0
    assert item["scores"]["reading_answer_recall"] == 1.0
    assert item["scores"]["reading_citation_precision"] is None  # nothing was cited
    # What abstaining withheld would have been right: no loss on the risk-coverage curve.
    assert item["withheld_correct"] is True
    assert measure(system, dataset(BOTH))["measures"]["overall"]["AURC"] == 0.0


def test_evidence_that_no_passage_holds_whole_is_excluded_from_reading(
    system: FakeSystem,
) -> None:
    system.script("Où ?", "Bruxelles")
    across = replace(SEAT, evidence=("Siège : Bruxelles.\nCréation",))
    run = measure(system, dataset(across))
    assert run["items"][0]["scores"]["reading_answer_recall"] is None
    assert run["items"][0]["expected"]["passage"] is None
    excluded = run["counts"]["overall"]["excluded"]
    assert excluded["without_whole_passage_from_reading_measures"] == 1


def test_an_acronym_is_accepted_for_its_expansion(system: FakeSystem) -> None:
    evidence = "Le Centre d'Alerte (CA) siège ici."
    system.documents["note.md"] = document("note.md", evidence)
    system.script("Qui ?", "Le Centre d'Alerte.")
    system.script("Que veut dire CA ?", "CA.")
    who = Item("a", "fr", "Qui ?", ("CA",), (evidence,), "note.md", "fact")
    told = measure(system, dataset(who))["items"][0]
    assert told["expected"]["answers"] == ["CA", "Centre d'Alerte"]
    assert told["scores"]["answer_recall"] == 1.0
    # To repeat the acronym that was asked about says nothing.
    what = replace(who, question="Que veut dire CA ?", answers=("Centre d'Alerte",))
    assert measure(system, dataset(what))["items"][0]["scores"]["answer_recall"] == 0.0


def test_expected_places_are_canonical(system: FakeSystem) -> None:
    items = {item["id"]: item for item in scripted(system)["items"]}
    text = system.documents["note.md"].text
    ((start, end),) = items["b"]["expected"]["places"]
    assert text[start:end] == "Création** : 2022."
    assert items["b"]["expected"]["doc_language"] == "fr"
    assert items["b"]["expected"]["passage"]["text"] == YEAR_LINE
    assert items["d"]["expected"]["places"] == []


def test_an_error_is_an_outcome(system: FakeSystem) -> None:
    item = scripted(system)["items"][4]
    assert item["outcome"] == "error"
    assert item["error"] == "InvalidQuestion: Not in the script, see script.json."
    assert item["given"] is None
    # An answerable item that fails scores 0; only citation precision does not apply.
    failed = measure(system, dataset(replace(SEAT, question="Inconnu ?")))["items"][0]["scores"]
    assert failed.pop("citation_precision") is None
    assert failed.pop("reading_citation_precision") is None
    assert set(failed.values()) == {0.0}


def test_history_goes_to_the_system(system: FakeSystem) -> None:
    scripted(system)
    assert ("Met wie?", ("Wat is het CCB?",)) in system.asked


def test_a_quote_that_is_not_verbatim_ends_the_run(system: FakeSystem) -> None:
    good = system.cite("note.md", "Le chef est Anne.")
    for bad in (
        replace(good, quote="Le chef est Jean."),
        replace(good, start=good.start + 1),
        replace(good, content_hash="old"),
        replace(good, doc_id="gone.md"),
        replace(good, start=0, end=0, quote=""),
    ):
        system.script("Où ?", "x", cited=[bad])
        with pytest.raises(QuoteError, match="Item a: "):
            measure(system, dataset(SEAT))
    # Also where there was nothing to answer.
    system.script("Combien ?", "x", cited=[replace(good, quote="x")])
    with pytest.raises(QuoteError, match="Item d: "):
        measure(system, dataset(NONE))


def test_evidence_in_the_same_place_of_another_document_does_not_count(system: FakeSystem) -> None:
    quote = system.cite("page.txt", "Le CCB")
    system.script("Où ?", "à Bruxelles", "", [quote], ranking=["Il siège à l'ENISA."])
    scores = measure(system, dataset(SEAT))["items"][0]["scores"]
    assert scores["R@10"] == 0.0
    assert scores["citation_precision"] == 0.0


def test_markers_do_not_split_an_answer(system: FakeSystem) -> None:
    quote = system.cite("note.md", "Bruxelles")
    item = replace(SEAT, answers=("Bruxelles et Anvers",))
    system.script("Où ?", "Bruxelles [1] et Anvers [1].", "", [quote])
    assert measure(system, dataset(item))["items"][0]["scores"]["answer_recall"] == 1.0


def test_evidence_missing_from_its_document_is_counted(system: FakeSystem) -> None:
    system.script("Où ?", "x")
    run = measure(system, dataset(replace(SEAT, evidence=("Siège : Anvers.",))))
    assert run["counts"]["evidence_not_in_document"] == ["a"]


def test_an_item_of_an_unknown_document_is_named(system: FakeSystem) -> None:
    with pytest.raises(DatasetError, match="Item a: No document"):
        measure(system, dataset(replace(SEAT, doc="gone")))


def test_a_run_file_is_strict_json_without_paths_of_the_machine(
    system: FakeSystem, tmp_path: Path
) -> None:
    system.script("Où ?", "x", confidence=float("nan"), ranking=["Le chef est Anne."])
    save_run(measure(system, dataset(SEAT)), tmp_path / "run.json")
    text = (tmp_path / "run.json").read_text()

    def refuse(name: str) -> None:
        raise AssertionError(name)

    run = json.loads(text, parse_constant=refuse)
    assert run["items"][0]["confidence"] is None
    assert "/home" not in text
    assert str(Path.cwd()) not in text
    assert run["config"]["settings"]["corpus"] == "corpus"
    assert run["config"]["manifest"] == {"encoder": "fake", "paths": ["corpus"]}
    assert run["config"]["fingerprint"] == system.settings.fingerprint()
    assert run["config"]["dataset"]["name"] == "g.jsonl"
    assert run["items"][0]["ranking"][0]["doc_id"] == "note.md"


def test_two_runs_are_equal_and_progress_is_told(system: FakeSystem) -> None:
    first = scripted(system)
    told: list[int] = []
    second = measure(system, dataset(SEAT, YEAR, BOTH, NONE, LATE), advance=lambda: told.append(1))
    assert first == second
    assert len(told) == 5


def test_a_run_that_was_stopped_goes_on(system: FakeSystem, tmp_path: Path) -> None:
    whole = scripted(system)
    questions = dataset(SEAT, YEAR, BOTH, NONE, LATE)

    def stop_after_two() -> None:
        told.append(1)
        if len(told) == 2:
            raise KeyboardInterrupt

    told: list[int] = []
    key = configuration(system, questions)
    with pytest.raises(KeyboardInterrupt), Journal(tmp_path, key) as journal:
        measure(system, questions, stop_after_two, journal)
    system.asked.clear()
    with Journal(tmp_path, key) as journal:
        assert measure(system, questions, journal=journal) == whole
    assert [question for question, _ in system.asked] == ["Met wie?", "Combien ?", "Quel prix ?"]
    # Other questions are another run.
    other = Dataset({**questions.source, "sha256": "1"}, questions.items)
    with Journal(tmp_path, configuration(system, other)) as journal:
        assert journal.records == {}
