"""Copy an answer with its sources, from a small menu under it."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import streamlit as st

from rag.types import Answer, Document
from ui.clock import today
from ui.export import Origin, answer_markdown, answer_memo, answer_text
from ui.texts import Texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamlit.components.v2.types import ComponentRenderer

__all__ = ["draw_copy"]

_HERE: Final = Path(__file__).parent / "templates"


def draw_copy(number: int, answer: Answer, documents: Mapping[str, Document], texts: Texts) -> None:
    """Offer an answer to be copied: as text, as Markdown, as a quotation with footnotes."""
    origin = Origin(st.context.url or "", today(), documents)
    forms = (
        (texts.copy_text, answer_text),
        (texts.copy_markdown, answer_markdown),
        (texts.copy_memo, answer_memo),
    )
    _component()(
        key=f"copy-{number}",
        data={
            "label": texts.copy,
            "copied": texts.copied,
            "failed": texts.copy_failed,
            "forms": [
                {"name": name, "text": write(answer, origin, texts)} for name, write in forms
            ],
        },
    )


@cache
def _component() -> ComponentRenderer:
    """Return the menu: files of this package, and nothing of a person or a document."""
    html, css, js = (
        (_HERE / f"copy.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css", "js")
    )
    return st.components.v2.component("citadelle_copy", html=html, css=css, js=js)
