"""Opening the engine, and what frames every view."""

from __future__ import annotations

import gc
import threading
from html import escape
from pathlib import Path

import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

from rag.errors import IndexDamaged, IndexMissing, IndexUnreachable, NothingToIndex
from rag.generations import read_manifest
from tests.conftest import ROOT
from tests.ui.conftest import FakeEngine, Start, shown
from ui.engine import ProgressCallback
from ui.texts import TEXTS


def test_a_failure_that_nobody_foresaw_is_named_and_can_be_retried(start: Start) -> None:
    page = start(ValueError("odd"))
    assert "ValueError\u00a0: odd" in shown(page)
    assert "Traceback" not in shown(page)
    st.cache_resource.clear()
    assert start(FakeEngine()).chat_input


@pytest.mark.parametrize(
    "failure",
    [
        IndexMissing("There is no index in .citadelle/index."),
        NothingToIndex("There is no file or folder corpus."),
    ],
)
def test_failure_to_open_says_what_to_do_and_can_be_retried(
    start: Start, failure: Exception
) -> None:
    page = start(failure)
    markup = shown(page)
    assert str(failure) in markup
    assert "citadelle index" in markup and "corpus" in markup
    assert not page.chat_input
    st.cache_resource.clear()
    page = start(FakeEngine())
    assert page.chat_input


def test_a_damaged_index_is_said_in_the_language_of_the_page(start: Start, tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged) as raised:
        read_manifest(tmp_path / "20261122T000000000000Z")
    page = start(raised.value)
    assert f"Le manifeste de l’index dans {tmp_path} ne peut pas être lu." in shown(page)
    assert "Lancez «\u00a0citadelle index\u00a0» pour le reconstruire." in shown(page)
    page.button_group(key="language").set_value("nl").run()
    assert f"Het manifest van de index in {tmp_path} kan niet worden gelezen." in shown(page)
    page.button_group(key="language").set_value("en").run()
    assert escape(str(raised.value)) in shown(page)


def test_opening_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_resource.clear()
    monkeypatch.chdir(ROOT)
    drawn: list[str] = []
    seen = threading.Semaphore(0)

    def opener(progress: ProgressCallback) -> FakeEngine:
        for stage in (("documents", 7, 0), ("embed", 3, 1200)):
            progress(*stage)
            while not drawn or not drawn[-1].endswith(str(stage[2] or stage[1])[-3:]):
                seen.acquire(timeout=5)
        return FakeEngine()

    def record(_bar: DeltaGenerator, value: float, text: str = "") -> None:
        drawn.append(f"{value:.4f} {text}")
        seen.release()

    monkeypatch.setattr("ui.engine.open_engine", opener)
    monkeypatch.setattr(DeltaGenerator, "progress", record)
    page = AppTest.from_file(str(ROOT / "app.py"), default_timeout=20).run()
    assert list(dict.fromkeys(drawn))[-2:] == [
        "0.0000 Lecture des documents · 7",
        "0.0025 Indexation des passages · 3 / 1\u202f200",
    ]
    assert page.chat_input


def test_what_the_engine_is_made_of_is_not_looked_at_after_every_run(start: Start) -> None:
    gc.unfreeze()
    start(FakeEngine())
    assert gc.get_freeze_count() > 0


def test_index_damaged_since_the_opening_is_said_and_the_old_one_answers(start: Start) -> None:
    engine = FakeEngine()
    page = start(engine)
    engine.damage = "The index is incomplete."
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "The index is incomplete." in shown(page)
    assert "Il garde la Meuse." in shown(page)


def test_a_server_that_is_away_is_said_and_asked_again(start: Start) -> None:
    engine = FakeEngine(gives=IndexUnreachable("The server of the index does not answer."))
    page = start(engine)
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "The server of the index does not answer." in shown(page)
    engine.gives = None
    page.chat_input[0].set_value("Que garde le fort ?").run()
    assert "Il garde la Meuse." in shown(page)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:8000", TEXTS["fr"].footnote.format(here=TEXTS["fr"].this_computer)),
        ("http://10.0.0.5:8000", TEXTS["fr"].footnote_server.format(server="10.0.0.5:8000")),
    ],
)
def test_an_index_elsewhere_is_said_below(
    start: Start, monkeypatch: pytest.MonkeyPatch, url: str, words: str
) -> None:
    monkeypatch.setenv("CITADELLE_CHROMA_URL", url)
    assert words in shown(start(FakeEngine()))


@pytest.mark.parametrize(("language", "word"), [("en", "Ask your"), ("nl", "Bevraag uw")])
def test_interface_speaks_the_chosen_language(start: Start, language: str, word: str) -> None:
    page = start(FakeEngine())
    page.button_group(key="language").set_value(language).run()
    assert word in shown(page)
    assert TEXTS["fr"].welcome_title not in shown(page)


def test_a_page_that_cannot_be_drawn_says_so_with_a_number(numbers: list[str]) -> None:
    def script() -> None:
        import streamlit as st

        from ui.server import say_failed

        st.session_state.language = "nl"
        st.session_state.said = say_failed(RuntimeError("secret detail"))

    page = AppTest.from_function(script).run()
    markup = shown(page)
    assert page.session_state["said"] is True
    (number,) = numbers
    texts = TEXTS["nl"]
    assert texts.page_broken in markup and texts.log_number.format(number=number) in markup
    assert "secret detail" not in markup
