"""Logs: one line an event on stderr, for a person or for a machine, with the number of the request.

Modules log with `logging` alone; a program sets it up here. What was asked, answered or read is
never among what is logged: counts, durations and names of modes are.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO

from rag.config import Settings
from rag.errors import CitadelleError
from rag.types import Answer

__all__ = ["begin_request", "outline", "request_id", "set_up_logs", "unforeseen"]

# What other libraries say below a warning is noise, and may hold what was asked: clients of
# language models write whole requests at the level of debugging.
_OURS = ("rag", "ui", "eval")
# At the level of debugging these log what goes between the page and a browser: questions too.
_SERVING = ("uvicorn", "streamlit")
_OUTLINE = (
    "mode",
    "language",
    "abstained",
    "confidence",
    "follow_up",
    "passages",
    "citations",
    "removed",
)
_DURATIONS = (
    "rewrite_ms",
    "retrieve_ms",
    "read_ms",
    "write_ms",
    "first_sentence_ms",
    "verify_ms",
    "total_ms",
)
# A number that a program gives goes into the log and back to it as it is.
_NUMBER = re.compile(r"[\w.-]{1,64}", re.ASCII)

_request: ContextVar[str] = ContextVar("citadelle_request", default="")


def begin_request(number: str = "") -> str:
    """Number what is done from here on in this thread or task, and return the number.

    Without one that can be written in a log, it is made up: 12 hexadecimal digits.
    """
    chosen = number if _NUMBER.fullmatch(number) else secrets.token_hex(6)
    _request.set(chosen)
    return chosen


def request_id() -> str:
    """Return the number of the request that is answered here, empty where there is none."""
    return _request.get()


def unforeseen(error: Exception) -> CitadelleError:
    """Return a defect of ours as a problem to show: what it is, and its number in the log."""
    return CitadelleError(
        "{kind}: {problem} (in the log: {number})",
        kind=type(error).__name__,
        problem=str(error),
        number=request_id(),
    )


def outline(answer: Answer) -> dict[str, str | bool | int | float]:
    """Return what may be said of an answer: how it was made, never what it says."""
    return {
        "mode": answer.mode,
        "language": answer.language,
        "abstained": answer.abstained,
        "confidence": round(answer.confidence, 3),
        "follow_up": bool(answer.understood),
        "passages": len(answer.passages),
        "citations": len(answer.citations),
        "removed": len(answer.removed),
    }


def set_up_logs(settings: Settings, *, serving: bool = False) -> None:
    """Write logs to stderr as the settings say; may be called again.

    A command that answers once stays silent, unless a setting asks for logs. What serves the
    page is never heard below the level "info".
    """
    level = settings.log_level
    if level == "auto":
        if not serving and settings.log_format == "auto":
            return
        level = "info" if serving else "warning"
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(settings.log_format, sys.stderr))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    chosen = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(chosen, logging.WARNING))
    for name in _OURS:
        logging.getLogger(name).setLevel(chosen)
    for name in _SERVING:
        logging.getLogger(name).setLevel(max(chosen, logging.INFO))


def _formatter(wanted: str, stream: TextIO) -> logging.Formatter:
    # Imported here: commands that log nothing need not wait for it.
    from structlog.dev import ConsoleRenderer, plain_traceback
    from structlog.processors import JSONRenderer, TimeStamper, format_exc_info
    from structlog.stdlib import ExtraAdder, ProcessorFormatter, add_log_level, add_logger_name
    from structlog.typing import Processor

    text = wanted == "text" or (wanted == "auto" and stream.isatty())
    lines: list[Processor] = [ProcessorFormatter.remove_processors_meta]
    if text:
        # The plain traceback: the others print the values of variables, texts among them.
        lines.append(ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain_traceback))
    else:
        lines += [format_exc_info, JSONRenderer(ensure_ascii=False)]
    return ProcessorFormatter(
        processors=lines,
        foreign_pre_chain=[
            add_log_level,
            add_logger_name,
            TimeStamper(fmt="iso", utc=not text),
            _add_request,
            ExtraAdder(allow=(*_OUTLINE, *_DURATIONS)),
        ],
    )


def _add_request(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    number = request_id()
    if number:
        event["request_id"] = number
    return event
