"""Spans: their tree, what they hold, and that nothing happens without an exporter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import INVALID_SPAN, get_current_span

from rag.chat_model import ChatModel
from rag.config import Settings
from rag.errors import ConfigurationError, InvalidFilter
from rag.index import Index
from rag.indexing import build_index
from rag.pipeline import Citadelle
from rag.tracing import is_wanted, set_up_tracing, trace_with
from rag.writing import Writer
from tests.conftest import ROOT, ToyEncoder
from tests.test_cli import BUREAU, WRITTEN, Verbatim
from tests.test_offline import GUARD

Spans = Callable[[], Sequence[ReadableSpan]]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Trace into memory; return what gives the spans so far, in the order of their ends."""
    exporter = InMemorySpanExporter()
    trace_with(SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    trace_with()


@pytest.fixture
def opened(settings: Settings, toy: ToyEncoder) -> Iterator[Citadelle]:
    build_index([settings.corpus], settings, toy)
    model = ChatModel(FakeListChatModel(responses=[WRITTEN]), "ollama:small")
    writer = Writer(model, Verbatim(), toy, settings)
    with Citadelle(settings, toy, Index.open(settings, toy), writer=writer) as citadelle:
        yield citadelle


def tree(found: Sequence[ReadableSpan]) -> list[tuple[str, str]]:
    """Return each span with the one that it belongs to, in the order of their beginnings."""
    names = {span.context.span_id: span.name for span in found if span.context is not None}
    ordered = sorted(found, key=lambda span: span.start_time or 0)
    return [(s.name, names[s.parent.span_id] if s.parent is not None else "") for s in ordered]


def values(found: Sequence[ReadableSpan], name: str) -> list[dict[str, object]]:
    return [
        {key.removeprefix("citadelle."): value for key, value in (span.attributes or {}).items()}
        for span in found
        if span.name == f"citadelle.{name}"
    ]


def test_an_answer_of_quotes(opened: Citadelle, spans: Spans) -> None:
    answer = opened.ask(BUREAU, written=False)
    found = spans()
    assert tree(found) == [
        ("citadelle.ask", ""),
        ("citadelle.retrieve", "citadelle.ask"),
        ("citadelle.read", "citadelle.ask"),
    ]
    (whole,) = values(found, "ask")
    assert whole == {
        "mode": "extractive",
        "language": "fr",
        "abstained": False,
        "confidence": round(answer.confidence, 3),
        "follow_up": False,
        "passages": len(answer.passages),
        "citations": len(answer.citations),
        "removed": 0,
    }
    # There are fewer passages than are read for an answer: each of them is found.
    there = len(opened.retriever.index.chunks)
    assert values(found, "retrieve") == [{"parts": 1, "found": there}]
    assert values(found, "read") == [{"passages": there}]


def test_an_answer_that_a_model_writes(opened: Citadelle, spans: Spans) -> None:
    for _ in opened.stream(BUREAU):
        # Whoever takes what happens works outside the spans.
        assert get_current_span() is INVALID_SPAN
    found = spans()
    assert tree(found) == [
        ("citadelle.ask", ""),
        ("citadelle.retrieve", "citadelle.ask"),
        ("citadelle.read", "citadelle.ask"),
        ("citadelle.write", "citadelle.ask"),
        ("citadelle.verify", "citadelle.write"),
        ("citadelle.verify", "citadelle.write"),
        ("citadelle.verify", "citadelle.write"),
    ]
    # The office is not in Ghent.
    assert values(found, "verify") == [{"supported": s} for s in (True, False, True)]
    there = len(opened.retriever.index.chunks)
    assert values(found, "write") == [{"passages": there, "removed": 1}]
    (whole,) = values(found, "ask")
    assert (whole["mode"], whole["citations"]) == ("written", 2)


def test_a_follow_up_that_a_model_is_asked_to_say(opened: Citadelle, spans: Spans) -> None:
    opened.ask("Et ses missions ?", [BUREAU])
    assert tree(spans())[:3] == [
        ("citadelle.ask", ""),
        ("citadelle.rewrite", "citadelle.ask"),
        ("citadelle.retrieve", "citadelle.ask"),
    ]
    opened.ask("Et ses missions ?", [BUREAU], written=False)
    assert len(values(spans(), "rewrite")) == 1


def test_spans_hold_no_text(opened: Citadelle, spans: Spans) -> None:
    opened.ask(BUREAU)
    with pytest.raises(InvalidFilter):
        opened.ask(BUREAU, filters={"tag": "secret"})
    told = "".join(span.to_json() for span in spans())
    for text in ("certification", "Bruxelles", "secret", "bureau"):
        assert text not in told


def test_what_fails_says_what_it_was(opened: Citadelle, spans: Spans) -> None:
    with pytest.raises(InvalidFilter):
        opened.ask(BUREAU, filters={"tag": "none"})
    assert {(s.name, s.status.description) for s in spans()} == {
        ("citadelle.retrieve", "InvalidFilter"),
        ("citadelle.ask", "InvalidFilter"),
    }


def test_an_answer_that_nobody_waits_for_ends_its_spans(opened: Citadelle, spans: Spans) -> None:
    events = opened.stream(BUREAU)
    next(events)
    assert "citadelle.ask" not in [span.name for span in spans()]
    events.close()
    assert {"citadelle.ask", "citadelle.write"} <= {span.name for span in spans()}


def test_without_an_exporter_nothing_is_traced(opened: Citadelle) -> None:
    exporter = InMemorySpanExporter()
    trace_with(SimpleSpanProcessor(exporter))
    trace_with()
    opened.ask(BUREAU)
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "citadelle"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4317"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_an_exporter_is_named_by_the_environment(environment: dict[str, str], wanted: bool) -> None:
    assert is_wanted(environment) is wanted


def test_an_exporter_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "acme")
    with pytest.raises(ConfigurationError, match=r"'acme' .* opentelemetry-exporter-acme"):
        set_up_tracing()


# --- In a process of its own --------------------------------------------------------------

SET_UP = """
import json
import sys
import threading

from rag.cli import _observe
from rag.config import load_settings
from rag.tracing import Span, span

_observe(load_settings())
with Span("ask") as whole, whole.current(), span("read", passages=3):
    pass
print(json.dumps({
    "attempts": ATTEMPTS,
    "threads": threading.active_count(),
    "loaded": sorted({".".join(n.split(".")[:2]) for n in sys.modules if "opentelemetry" in n}),
    "structlog": "structlog" in sys.modules,
}))
"""


def run(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("OTEL_", "CITADELLE_"))}
    return subprocess.run(
        [sys.executable, "-c", GUARD + code],
        cwd=cwd,
        env=kept | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def test_without_an_exporter_nothing_is_loaded(tmp_path: Path) -> None:
    done = run(SET_UP, tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "attempts": [],
        "threads": 1,
        "loaded": [],
        "structlog": False,
    }


def test_an_exporter_of_the_environment_gets_the_spans(tmp_path: Path) -> None:
    done = run(SET_UP, tmp_path, OTEL_TRACES_EXPORTER="console")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["attempts"] == []
    assert "opentelemetry.sdk" in told["loaded"]
    # What was not sent by the end of the process is sent then, and not on stdout.
    assert done.stderr.index('"citadelle.read"') < done.stderr.index('"citadelle.ask"')
    assert '"service.name": "citadelle"' in done.stderr


def test_chroma_sends_no_spans_of_its_own(
    settings: Settings, toy: ToyEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chromadb.telemetry import opentelemetry

    # Chroma reads these two.
    monkeypatch.setenv("CHROMA_OTEL_GRANULARITY", "all")
    monkeypatch.setenv("CHROMA_OTEL_COLLECTION_ENDPOINT", "http://127.0.0.1:4317")
    build_index([settings.corpus], settings, toy)
    Index.open(settings, toy).close()
    assert opentelemetry.tracer is None
