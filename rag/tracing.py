"""Spans of OpenTelemetry: how long each step of an answer took, for a collector of one's own.

Nothing is loaded and nothing sent unless the environment names an exporter, with the variables
of OpenTelemetry. Spans hold counts, durations and names of modes, never a text.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from rag.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

__all__ = ["Span", "is_wanted", "set_up_tracing", "span", "trace_with"]

Event = TypeVar("Event")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
# The exporter of this protocol comes with Chroma.
_PROTOCOL = "grpc"

_tracer: Tracer | None = None


class Span:
    """A step of an answer, from when it is made until it is left; nothing without an exporter.

    It belongs to the step that is current when it is made.
    """

    __slots__ = ("_inner",)

    def __init__(self, name: str) -> None:
        # Not the tracer of the whole process: other libraries would send what they trace.
        self._inner = _tracer.start_span(f"citadelle.{name}") if _tracer is not None else None

    def note(self, **values: str | bool | int | float) -> None:
        """Keep values with the span."""
        if self._inner is not None:
            self._inner.set_attributes(
                {f"citadelle.{name}": value for name, value in values.items()}
            )

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make the steps that begin within belong to this one."""
        if self._inner is None:
            yield
            return
        from opentelemetry.trace import use_span

        # The message of an error may hold a text.
        with use_span(self._inner, record_exception=False, set_status_on_exception=False):
            yield

    def over(self, events: Iterator[Event]) -> Generator[Event, None, None]:
        """Yield events; what leads to each of them belongs to this span."""
        # Not around the yield: whoever takes the events would work within the span too.
        while True:
            with self.current():
                try:
                    event = next(events)
                except StopIteration:
                    return
            yield event

    def __enter__(self) -> Span:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._inner is None:
            return
        if isinstance(error, Exception):
            from opentelemetry.trace import Status, StatusCode

            self._inner.set_status(Status(StatusCode.ERROR, type(error).__name__))
        self._inner.end()


@contextmanager
def span(name: str, **values: str | bool | int | float) -> Iterator[Span]:
    """Do one step within a span of its own."""
    with Span(name) as step, step.current():
        step.note(**values)
        yield step


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Return whether variables of OpenTelemetry name an exporter of traces."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    named = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    return named != "none" and bool(named or any(environment.get(name) for name in _ENDPOINTS))


def set_up_tracing() -> None:
    """Send spans where the environment says; do nothing where it says nothing.

    Raises `ConfigurationError` where the exporter that it names is not installed.
    """
    if _tracer is None and is_wanted(os.environ):
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        names = os.environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
        trace_with(*(BatchSpanProcessor(_exporter(n.strip())) for n in names.split(",")))


def trace_with(*processors: Any) -> None:
    """Give spans to processors of OpenTelemetry's; to none, and nothing is traced."""
    global _tracer
    if not processors:
        _tracer = None
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    told = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(
        resource=Resource.create({} if told else {"service.name": "citadelle"})
    )
    for processor in processors:
        provider.add_span_processor(processor)
    _tracer = provider.get_tracer("citadelle")


def _exporter(name: str) -> SpanExporter:
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        # What a command prints is for its reader.
        return ConsoleSpanExporter(out=sys.stderr)
    if name == "otlp":
        protocol = next(filter(None, map(os.environ.get, _PROTOCOLS)), _PROTOCOL)
        name = "otlp_proto_" + protocol.partition("/")[0]
    for entry in entry_points(group="opentelemetry_traces_exporter", name=name):
        try:
            exporter: SpanExporter = entry.load()()
        except ImportError:
            continue
        return exporter
    raise ConfigurationError(
        "The exporter '{name}' that OTEL_TRACES_EXPORTER and OTEL_EXPORTER_OTLP_PROTOCOL ask for "
        "is not installed; run: pip install {package}",
        name=name,
        package=f"opentelemetry-exporter-{name.replace('_', '-')}",
    )
