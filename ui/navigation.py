"""Go from one view to another, and bring what matters into sight."""

from __future__ import annotations

from typing import Final, Literal

import streamlit as st

__all__ = ["View", "arrive", "bring", "turn_page"]

View = Literal["questions", "documents", "evaluation"]

_SCRIPT: Final = (
    "setTimeout(() => document.getElementById('{anchor}')?.scrollIntoView(), 50); "
    "innerWidth < 768 && document.querySelector('[data-testid=stSidebar][data-collapsed=false] "
    "[data-testid=stSidebarCollapseButton] button')?.click()"
)


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

    On a phone, where the side bar covers the page, close it as well. Anchor and
    occasion are words of ours; the occasion is there because a script that did not
    change does not run again.
    """
    st.html(
        f'<div class="cit-unseen" role="alert">{said}</div>'
        f"<script>/* {occasion} */ {_SCRIPT.format(anchor=anchor)}</script>",
        unsafe_allow_javascript=True,
    )
