"""Logs: their forms, the number of a request, and what they never hold."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path

import pytest

from rag.config import Settings, load_settings
from rag.index import Index
from rag.indexing import build_index
from rag.logs import begin_request, request_id, set_up_logs, unforeseen
from rag.pipeline import Citadelle
from tests.conftest import ToyEncoder
from tests.test_cli import BUREAU, WRITTEN, Command, citadelle, model, toy_encoder

__all__ = ["citadelle", "model", "toy_encoder"]

logger = logging.getLogger("rag.test")
DURATIONS = {"retrieve_ms", "read_ms", "total_ms"}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the loggers of this process as they were."""
    names = ("", "rag", "ui", "eval", "uvicorn", "streamlit")
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """Return the lines on stderr since the last call."""
    return lambda: capsys.readouterr().err.splitlines()


def test_a_command_is_silent_unless_it_is_asked_to_log(said: Callable[[], list[str]]) -> None:
    before = logging.getLogger().handlers[:]
    set_up_logs(Settings())
    logger.info("Heard by nobody.")
    assert logging.getLogger().handlers == before
    set_up_logs(Settings(log_level="info"))
    logger.info("Heard.")
    assert [json.loads(line)["event"] for line in said()] == ["Heard."]


def test_json_lines_have_the_number_of_the_request(said: Callable[[], list[str]]) -> None:
    set_up_logs(Settings(log_format="json"), serving=True)
    number = begin_request()
    logger.info("À savoir.", extra={"mode": "extractive", "question": "Un secret ?"})
    (line,) = said()
    record = json.loads(line)
    assert len(number) == 12
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "event": "À savoir.",
        "level": "info",
        "logger": "rag.test",
        "request_id": number,
        "mode": "extractive",
    }


def test_text_lines_are_for_a_person(said: Callable[[], list[str]]) -> None:
    set_up_logs(Settings(log_format="text"), serving=True)
    begin_request("abc")
    logger.warning("The disk is full.")
    (line,) = said()
    assert "The disk is full." in line
    assert "warning" in line and "request_id=abc" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_is_told_without_the_values_of_variables(
    said: Callable[[], list[str]], form: str
) -> None:
    set_up_logs(load_settings(log_format=form), serving=True)

    def fail(question: str) -> None:
        raise ZeroDivisionError

    try:
        fail(" ".join(["Un", "secret", "?"]))
    except ZeroDivisionError:
        logger.exception("It failed.")
    told = "\n".join(said())
    assert "ZeroDivisionError" in told and "in fail" in told
    assert "Un secret" not in told


def test_what_other_libraries_debug_is_not_logged(said: Callable[[], list[str]]) -> None:
    set_up_logs(Settings(log_level="debug"))
    logging.getLogger("openai._base_client").debug("Request: the whole question")
    logging.getLogger("httpx").info("HTTP Request")
    logging.getLogger("httpx").warning("Slow.")
    logger.debug("Ours.")
    assert [json.loads(line)["event"] for line in said()] == ["Slow.", "Ours."]


@pytest.mark.parametrize("name", ["uvicorn.error", "streamlit.runtime"])
def test_what_serves_the_page_does_not_debug(said: Callable[[], list[str]], name: str) -> None:
    set_up_logs(Settings(log_level="debug"), serving=True)
    logging.getLogger(name).debug("A frame with the whole question")
    assert said() == []


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "une\nligne", "é"])
def test_a_number_that_cannot_be_written_is_replaced(given: str) -> None:
    number = begin_request(given)
    assert number != given
    assert request_id() == number


def test_threads_have_numbers_of_their_own() -> None:
    begin_request("here")
    seen = []
    for run in (lambda work: work(), copy_context().run):
        thread = threading.Thread(target=run, args=(lambda: seen.append(request_id()),))
        thread.start()
        thread.join()
    assert seen == ["", "here"]


def test_a_defect_names_its_number() -> None:
    begin_request("n-1")
    assert str(unforeseen(ValueError("odd"))) == "ValueError: odd (in the log: n-1)"


def test_a_question_is_one_line_without_its_words(
    settings: Settings, toy: ToyEncoder, said: Callable[[], list[str]]
) -> None:
    build_index([settings.corpus], settings, toy)
    set_up_logs(Settings(log_level="info"))
    with Citadelle(settings, toy, Index.open(settings, toy)) as opened:
        answer = opened.ask("Où est le bureau ?", history=["Que dit le projet ?"])
    (line,) = said()
    record = json.loads(line)
    assert {name: record[name] for name in ("mode", "language", "passages", "citations")} == {
        "mode": answer.mode,
        "language": "fr",
        "passages": len(answer.passages),
        "citations": len(answer.citations),
    }
    assert set(record) >= DURATIONS
    assert all(isinstance(record[name], float) for name in DURATIONS)
    for text in ("bureau", "Bruxelles", "projet", *(p.text for p in answer.passages)):
        assert text not in line


def test_how_long_a_follow_up_took_to_say_is_logged(
    citadelle: Command, model: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    citadelle("index")
    model(WRITTEN)
    monkeypatch.setenv("CITADELLE_LOG_LEVEL", "info")
    asked = citadelle("ask", "--llm", "ollama:small", "--history", BUREAU, "Et ses missions ?")
    record = json.loads(asked.err.splitlines()[-1])
    assert record["follow_up"] is True
    assert 0 < record["rewrite_ms"] <= record["total_ms"]


def test_what_a_command_prints_stays_the_same(
    citadelle: Command,
    model: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    citadelle("index")
    model(WRITTEN)
    quiet = citadelle("ask", "--llm", "ollama:small", "--json", BUREAU)
    assert quiet.err == ""
    monkeypatch.setenv("CITADELLE_LOG_LEVEL", "info")
    loud = citadelle("ask", "--llm", "ollama:small", "--json", BUREAU)
    assert {**loud.json, "timings": 0} == {**quiet.json, "timings": 0}
    (line,) = loud.err.splitlines()
    record = json.loads(line)
    assert (record["mode"], record["citations"], record["removed"]) == ("written", 2, 1)
    assert 0 < record["verify_ms"] <= record["write_ms"] <= record["total_ms"]
    assert len(record["request_id"]) == 12
