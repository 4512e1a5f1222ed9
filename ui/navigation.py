"""Go from one view to another, and bring what matters into sight."""

from __future__ import annotations

from html import escape
from typing import Literal

import streamlit as st

from ui.scripts import BRING, run_script

__all__ = ["View", "arrive", "bring", "turn_page"]

View = Literal["questions", "documents", "evaluation"]


def turn_page(view: View | None = None, reading: str = "") -> None:
    """Go to a view, and to a document there; what is shown next is shown from its top."""
    state = st.session_state
    state.view = view or state.view
    state.reading = reading
    state.turned = state.get("turned", 0) + 1


def arrive() -> None:
    """Show a view that was gone to from its top."""
    bring("top", f"turned {st.session_state.get('turned', 0)}")


def bring(anchor: str, occasion: str, said: str = "") -> None:
    """Scroll to an anchor, and tell screen readers what is `said`.

    On a phone, where the side bar covers the page, close it as well. The occasion is
    there because a script that did not change does not run again.
    """
    unseen = f'<div class="cit-unseen" role="alert">{escape(said)}</div>'
    run_script(BRING, unseen, anchor=anchor, occasion=occasion)
