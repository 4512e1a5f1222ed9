"""The view of the evaluation, driven without a browser."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from streamlit.proto.SelectWidgetFilterMode_pb2 import SelectWidgetFilterMode
from streamlit.testing.v1 import AppTest

from eval.comparison import baseline_of
from eval.dataset import load_gold
from eval.experiment import measure
from eval.runs import save_run
from rag.config import Settings
from rag.errors import InvalidQuestion
from tests.conftest import ROOT
from tests.ui.conftest import GOLD, HOSTILE, FakeEngine, Start, shown
from tests.ui.test_evaluating import SlowEngine
from ui.evaluation_texts import EVALUATION_TEXTS
from ui.texts import TEXTS

FR = EVALUATION_TEXTS["fr"]
PATIENCE = 20.0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return the folder of the page's data, with a file of two questions in it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "fort.jsonl").write_text(GOLD, encoding="utf-8")
    return folder


def opened(start: Start, engine: FakeEngine | None = None) -> AppTest:
    return start(engine or FakeEngine()).button_group(key="view").set_value("evaluation").run()


def choose(page: AppTest, data: Path, name: str = "fort.jsonl") -> AppTest:
    return page.selectbox(key="questions").set_value(str(data / name)).run()


def keys(page: AppTest) -> set[str]:
    return {button.key or "" for button in page.button}


def evaluated(page: AppTest) -> AppTest:
    """Start the evaluation, and draw the page until it is over."""
    page.button(key="start").click().run()
    deadline = time.monotonic() + PATIENCE
    while "start" not in keys(page):
        assert time.monotonic() < deadline
        page.run()
    return page


def figures(page: AppTest) -> dict[str, str]:
    shown(page)
    return {metric.label: metric.value for metric in page.metric}


def changes(page: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.delta, metric.proto.delta_description) for metric in page.metric}


def embedded(page: AppTest) -> str:
    """Return the page within the page."""
    (frame,) = page.get("iframe")
    kind, _, content = frame.proto.src.partition(",")
    # Not from this address, whose scripts it could otherwise reach.
    assert kind == "data:text/html;charset=utf-8;base64"
    return base64.b64decode(content).decode()


def run_of(settings: Settings, gold: Path, **overall: float) -> dict[str, Any]:
    """Return a run of the fake engine, some of its overall figures replaced."""
    run = measure(FakeEngine(settings=settings), load_gold(gold))
    return {**run, "measures": {**run["measures"], "overall": run["measures"]["overall"] | overall}}


def keep(run: dict[str, Any], data: Path, name: str) -> Path:
    (data / "evaluations").mkdir(exist_ok=True)
    file = data / "evaluations" / f"{name}.json"
    save_run(run, file)
    return file


@pytest.mark.parametrize("language", ["fr", "en", "nl"])
def test_the_view_says_what_an_evaluation_is(start: Start, language: Any) -> None:
    page = start(FakeEngine())
    page.button_group(key="language").set_value(language).run()
    page.button_group(key="view").set_value("evaluation").run()
    words = EVALUATION_TEXTS[language]
    markup = shown(page)
    assert words.purpose in markup
    assert [button.label for button in page.button if button.key == "start"] == [words.start]


def test_questions_to_choose_are_named_and_counted(start: Start, data: Path) -> None:
    page = opened(start)
    assert page.selectbox(key="questions").options == [
        *(f"eval/{file.name}" for file in sorted((ROOT / "eval").glob("*.jsonl"))),
        "data/fort.jsonl",
        FR.other_file,
    ]
    choose(page, data)
    assert FR.asked.format(count=2, unanswerable=1) in shown(page)


def test_an_evaluation_ends_in_figures_a_page_and_a_file(start: Start, data: Path) -> None:
    page = evaluated(choose(opened(start), data))
    assert figures(page) == {
        "Réponses justes": "100,0\u202f%",
        "Citations fondées": "100,0\u202f%",
        "Preuves citées": "100,0\u202f%",
        "Preuves trouvées": "100,0\u202f%",
        # One question without an answer, and no abstention.
        "Abstentions à propos": "0,000",
        # Two answers of the same confidence, one of them wrong.
        "Risque d’erreur": "0,500",
        # Their confidence is 0.9: 0.4 above the half that is right.
        "Écart de confiance": "0,400",
        "Temps médian": "412 ms",
        "Temps, 95ᵉ centile": "412 ms",
    }
    counted = FR.outcome.format(items=2, answered=2, abstained=0, errors=0)
    assert counted in shown(page)
    assert "Quel temps fait-il ?" in embedded(page)
    (saved,) = (data / "evaluations").glob("*.json")
    assert page.selectbox(key="shown").value == str(saved)
    # What was waited for is brought into view, and said.
    (script,) = (e.value for e in page.html if "evaluated 1" in e.value)
    assert FR.finished in script and 'data-anchor="results"' in script
    # Every figure is explained.
    assert all(metric.help for metric in page.metric)


def test_how_far_it_is_can_be_seen_and_stopped_and_gone_on_with(start: Start, data: Path) -> None:
    engine = SlowEngine()
    page = choose(opened(start, engine), data)
    page.button(key="start").click().run()
    assert engine.reached.acquire(timeout=PATIENCE)
    assert "start" not in keys(page)
    assert page.get("progress")[0].proto.text == FR.progress.format(done=0, total=2)
    assert FR.meanwhile in shown(page)
    # The other views go on, and the evaluation with them.
    page.button_group(key="view").set_value("documents").run()
    page.button_group(key="view").set_value("evaluation").run()
    page.button(key="stop").click().run()
    assert FR.stopping in shown(page)
    assert page.button(key="stop").disabled
    engine.let.release()
    deadline = time.monotonic() + PATIENCE
    while "start" not in keys(page):
        assert time.monotonic() < deadline
        page.run()
    assert FR.stopped.format(done=1, total=2) in shown(page)
    assert page.selectbox(key="questions").value == str(data / "fort.jsonl")
    engine.let.release()
    evaluated(page)
    assert figures(page)["Réponses justes"] == "100,0\u202f%"
    assert [question for question, _ in engine.asked] == [
        "Que garde le fort ?",
        "Quel temps fait-il ?",
    ]


def test_changes_since_the_run_before_say_which_way_is_better(
    start: Start, data: Path, tmp_path: Path
) -> None:
    settings = Settings(data=data, cache=tmp_path / "cache")
    earlier = {"answer_recall": 0.905, "AURC": 0.4, "latency_p50_ms": 1912.0}
    run = run_of(settings, data / "fort.jsonl", **earlier, citation_recall=1.0002)
    keep(run, data, "2026-01-01 10.00.00 fort")
    page = evaluated(choose(opened(start), data))
    assert page.selectbox[2].value == str(data / "evaluations" / "2026-01-01 10.00.00 fort.json")
    assert changes(page) == {
        "Réponses justes": ("+9,5 points", "mieux"),
        "Citations fondées": ("0", "inchangé"),
        # A difference that the digits do not show is none.
        "Preuves citées": ("0", "inchangé"),
        "Preuves trouvées": ("0", "inchangé"),
        "Abstentions à propos": ("0", "inchangé"),
        # Lower is better for the ones that follow.
        "Risque d’erreur": ("+0,100", "moins bien"),
        "Écart de confiance": ("0", "inchangé"),
        "Temps médian": ("-1500 ms", "mieux"),
        "Temps, 95ᵉ centile": ("0", "inchangé"),
    }
    colours = {metric.label: metric.color for metric in page.metric}
    assert colours["Réponses justes"] == colours["Temps médian"] != colours["Risque d’erreur"]
    page.button_group(key="page").set_value("comparison").run()
    assert embedded(page) != ""
    assert [frame.proto.alt for frame in page.get("iframe")] == [FR.comparison_page]
    page.selectbox[2].set_value("").run()
    assert not any(delta for delta, _ in changes(page).values())
    assert "Quel temps fait-il ?" in embedded(page)


def test_a_first_run_is_compared_with_the_baseline_of_its_questions(
    start: Start, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "baselines").mkdir()
    run = run_of(Settings(data=data, cache=tmp_path / "cache"), data / "fort.jsonl")
    for name in ("dev", "fort"):
        save_run(baseline_of(run), tmp_path / "baselines" / f"{name}.json")
    monkeypatch.setattr("ui.evaluating._COMMITTED", tmp_path)
    page = opened(start)
    # A baseline, whose items are slim, can be opened by itself.
    assert page.selectbox(key="shown").options == ["Référence · dev", "Référence · fort"]
    assert figures(page)["Réponses justes"] == "100,0\u202f%"
    assert "Quel temps fait-il ?" in embedded(page)
    evaluated(choose(page, data))
    assert page.selectbox[2].value == str(tmp_path / "baselines" / "fort.json")
    assert set(changes(page).values()) == {("0", "inchangé")}


def test_runs_of_other_questions_or_documents_are_told_apart(
    start: Start, data: Path, tmp_path: Path
) -> None:
    settings = Settings(data=data, cache=tmp_path / "cache")
    run = run_of(settings, data / "fort.jsonl")
    keep(run, data, "2026-01-02 10.00.00 fort")
    same = {**run["config"]["dataset"], "name": "another name.jsonl"}
    other = {**run["config"]["dataset"], "sha256": "0"}
    manifest = {"corpus_hash": "another"}
    for name, changed in (
        ("01 10.00.00 same", {"dataset": same}),
        ("01 09.00.00 other", {"dataset": other}),
        ("01 08.00.00 moved", {"manifest": manifest}),
    ):
        keep({**run, "config": {**run["config"], **changed}}, data, f"2026-01-{name}")
    page = opened(start)
    said = {}
    for option in page.selectbox[2].options[1:4]:
        page.selectbox[2].select(option).run()
        markup = shown(page)
        said[option] = (FR.other_questions in markup, FR.other_documents in markup)
    assert said == {
        "2026-01-01 10:00 · same": (False, False),
        "2026-01-01 09:00 · other": (True, False),
        "2026-01-01 08:00 · moved": (False, True),
    }


def test_a_list_is_not_searched_by_typing(start: Start, data: Path, tmp_path: Path) -> None:
    # What was typed may not be what is highlighted yet, and Enter takes what is.
    run = run_of(Settings(data=data, cache=tmp_path / "cache"), data / "fort.jsonl")
    keep(run, data, "2026-01-01 10.00.00 fort")
    boxes = opened(start).selectbox
    assert [box.key for box in boxes][:2] == ["questions", "shown"]
    none = SelectWidgetFilterMode.FILTER_MODE_NONE
    assert [box.proto.filter_mode for box in boxes] == [none] * 3


def test_what_has_the_same_label_is_told_apart(
    start: Start, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The folder of the project and one's own are called the same, and so are two files in them.
    committed = tmp_path / "committed" / "data"
    committed.mkdir(parents=True)
    (committed / "fort.jsonl").write_text(GOLD.splitlines()[0], encoding="utf-8")
    monkeypatch.setattr("ui.evaluating._COMMITTED", committed)
    run = run_of(Settings(data=data, cache=tmp_path / "cache"), data / "fort.jsonl")
    first = keep(run, data, "2026-01-01 10.00.00 fort")
    second = keep(run, data, "2026-01-01 10.00.30 fort")
    page = opened(start)
    files = page.selectbox(key="questions")
    assert files.options[:2] == [
        f"data/fort.jsonl ({folder / 'fort.jsonl'})" for folder in (committed, data)
    ]
    # As the browser does it: by the label.
    page = files.select(files.options[1]).run()
    assert page.selectbox(key="questions").value == str(data / "fort.jsonl")
    assert FR.asked.format(count=2, unanswerable=1) in shown(page)
    runs = page.selectbox(key="shown")
    assert runs.options == [f"2026-01-01 10:00 · fort ({file.name})" for file in (second, first)]
    page = runs.select(runs.options[1]).run()
    assert page.selectbox(key="shown").value == str(first)


# --- What goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GOLD + "{broken\n", "ligne 3"),
        (GOLD.replace('"lang": "fr"', '"lang": "de"', 1), "ligne 1"),
        (GOLD.replace('"f2"', '"f1"'), "ligne 2"),
        ("\n", "il ne contient aucune question"),
        ("", "il ne contient aucune question"),
        (HOSTILE, "ligne 1"),
    ],
)
def test_a_broken_file_is_said_with_its_line(
    start: Start, data: Path, content: str, said: str
) -> None:
    (data / "broken.jsonl").write_text(content, encoding="utf-8")
    page = choose(opened(start), data, "broken.jsonl")
    markup = shown(page)
    assert "cit-notice-error" in markup and "broken.jsonl" in markup and said in markup
    assert page.button(key="start").disabled
    choose(page, data)
    assert not page.button(key="start").disabled


def test_a_file_of_ones_own_is_read_or_refused(start: Start, data: Path) -> None:
    page = opened(start)
    page.selectbox(key="questions").set_value("").run()
    assert page.button(key="start").disabled
    upload = page.file_uploader(key="upload")
    upload.set_value(("../mine.jsonl", (GOLD + "{broken").encode(), "")).run()
    markup = shown(page)
    # The name that the file has for its owner, and not where it lay for a moment.
    assert "<div>mine.jsonl, ligne 3\u00a0: JSON non valide" in markup
    assert page.button(key="start").disabled
    page.file_uploader(key="upload").set_value(("../mine.jsonl", GOLD.encode(), "")).run()
    assert "cit-notice-error" not in shown(page)
    evaluated(page)
    assert figures(page)["Réponses justes"] == "100,0\u202f%"
    (saved,) = (data / "evaluations").glob("*.json")
    assert saved.stem.endswith(" mine")


def test_a_document_that_is_not_there_ends_the_evaluation_in_a_sentence(
    start: Start, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.evaluating._COMMITTED", tmp_path)  # no baseline to show instead
    (data / "lost.jsonl").write_text(GOLD.replace('"note"', '"phare"'), encoding="utf-8")
    page = evaluated(choose(opened(start), data, "lost.jsonl"))
    markup = shown(page)
    assert FR.failed in markup and "Question f1, ligne 1\u00a0: Aucun document du corpus" in markup
    assert not page.metric and FR.none_yet in markup


def test_a_question_that_fails_is_counted_and_the_others_are_asked(
    start: Start, data: Path
) -> None:
    class Failing(FakeEngine):
        def ask(self, question: str, *arguments: Any, **options: Any) -> Any:
            self.gives = InvalidQuestion("odd") if question.startswith("Que ") else None
            return super().ask(question, *arguments, **options)

    page = evaluated(choose(opened(start, Failing()), data))
    assert FR.outcome.format(items=2, answered=1, abstained=0, errors=1) in shown(page)
    assert figures(page)["Réponses justes"] == "0,0\u202f%"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "ce n’est pas un fichier d’évaluation"),
        ('{"format": 1, "measures": {}}', "une autre version"),
        ("[]", "ce n’est pas un fichier d’évaluation"),
    ],
)
def test_a_run_that_cannot_be_read_is_said(
    start: Start, data: Path, content: str, said: str
) -> None:
    (data / "evaluations").mkdir()
    (data / "evaluations" / "odd.json").write_text(content, encoding="utf-8")
    page = opened(start)
    markup = shown(page)
    assert said in markup and "odd.json" in markup
    assert not page.metric
    assert not page.button(key="start").disabled


def test_a_file_that_only_looks_like_a_run_breaks_nothing(start: Start, data: Path) -> None:
    (data / "evaluations").mkdir()
    odd = {"format": 2, "config": {}, "counts": {}, "measures": {"overall": {}}, "items": []}
    (data / "evaluations" / "odd.json").write_text(json.dumps(odd), encoding="utf-8")
    page = opened(start)
    markup = shown(page)
    assert FR.page_failed in markup and TEXTS["fr"].server_log in markup
    assert not page.button(key="start").disabled


def test_hostile_names_and_questions_stay_text(start: Start, data: Path) -> None:
    name = "<b>:red[x]$y$.jsonl"
    hostile = json.dumps(HOSTILE)[1:-1]
    (data / name).write_text(GOLD.replace("Quel temps fait-il ?", hostile) + "{", encoding="utf-8")
    page = choose(opened(start), data, name)
    assert "&lt;b&gt;:red[x]$y$.jsonl, ligne 3" in shown(page)
    (data / name).write_text(GOLD.replace("Quel temps fait-il ?", hostile), encoding="utf-8")
    evaluated(page.run())
    report = embedded(page)
    assert "<img src=x" not in report and "alert(1)</script>" not in report
    for element in (*page.markdown, *page.button, *page.metric):
        assert ":red[x]" not in (getattr(element, "label", "") or "")


def test_the_other_views_do_not_wait_for_the_evaluation() -> None:
    code = (
        "import sys, ui.page; "
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'eval']"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=60)
