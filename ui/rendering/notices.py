"""Notices, labels, and how far something is, as HTML and in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final, Literal

from ui.texts import Texts

if TYPE_CHECKING:
    from ui.engine import Progress

__all__ = ["help_html", "how_far", "label_of", "labels_html", "notice_html"]

# Notes that repeat the same few labels hundreds of times would hide what they label.
_MOST_LABELS: Final = 20


def notice_html(
    message: str,
    kind: Literal["info", "warning", "error"] = "info",
    detail: str = "",
    points: Sequence[str] = (),
) -> str:
    """Show one sentence in a box; an error or a warning is announced to screen readers.

    Under it stand the `detail`, or `points` of advice.
    """
    role = "status" if kind == "info" else "alert"
    more = f'<div class="cit-detail">{escape(detail)}</div>' if detail else ""
    lines = "".join(f"<li>{escape(point)}</li>" for point in points)
    advice = f'<ul class="cit-detail">{lines}</ul>' if lines else ""
    return (
        f'<div class="cit-notice cit-notice-{kind}" role="{role}">'
        f"<div>{escape(message)}</div>{more}{advice}</div>"
    )


def label_of(text: str) -> str:
    """Return text of a person for the label of a widget, which Streamlit reads as Markdown.

    A word joiner, which is not seen, keeps apart what Streamlit replaces after the marks are
    read: names of icons and emoji, arrows.
    """
    line = " ".join(text.split())
    line = re.sub(r"(?<=[:<>~=-])(?=\S)", "\N{WORD JOINER}", line)
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line)


def how_far(progress: Progress | None, texts: Texts) -> tuple[float, str]:
    """Return which share of a piece of work is done, and the words beside it."""
    stages = {
        "encoder": texts.stage_encoder,
        "files": texts.stage_files,
        "documents": texts.stage_documents,
        "embed": texts.stage_embed,
    }
    if progress is None:
        return 0.0, f"{texts.opening}…"
    label = stages.get(progress.stage, texts.opening)
    done = texts.count(progress.done)
    if progress.total > 0:
        fraction = min(progress.done / progress.total, 1.0)
        return fraction, f"{label} · {done} / {texts.count(progress.total)}"
    # How many there will be is not known yet.
    return 0.0, f"{label} · {done}"


def help_html(message: str) -> str:
    """Show a sentence that stands back behind what is around it."""
    return f'<p class="cit-help" role="status">{escape(message)}</p>'


def labels_html(name: str, values: str | tuple[str, ...]) -> str:
    names = (values,) if isinstance(values, str) else values
    if not names:
        return ""
    chips = "".join(
        f'<span class="cit-chip">{escape(value)}</span>' for value in names[:_MOST_LABELS]
    )
    more = f'<span class="cit-more">+ {len(names) - _MOST_LABELS}</span>'
    rest = more if len(names) > _MOST_LABELS else ""
    return f'<div class="cit-labels"><span>{escape(name)}</span>{chips}{rest}</div>'
