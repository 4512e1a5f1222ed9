"""Go from one view to another, also with the browser, and bring what matters into sight.

What is shown is named in the address. The browser keeps each address that the page had, and
tells the page when a person goes back to one: so all that changes in it is changed at once.
"""

from __future__ import annotations

from html import escape
from typing import Final, Literal, cast, get_args

import streamlit as st

from ui.scripts import BRING, run_script

__all__ = ["View", "arrive", "bring", "name_in_address", "recall_view", "turn_page", "went_to"]

View = Literal["questions", "documents", "evaluation"]

# The parameters of the address that name the view, and the document that is read there.
_VIEW: Final = "view"
_READING: Final = "read"


def turn_page(view: View | None = None, reading: str = "") -> None:
    """Go to a view, and to a document there; what is shown next is shown from its top."""
    state = st.session_state
    state.view = view or state.view
    state.reading = reading
    state.turned = state.get("turned", 0) + 1


def went_to(name: str) -> str | None:
    """Return what a person went to with the browser, by its name in the address.

    None where the address is as the page left it.
    """
    there: str = st.query_params.get(name, "")
    return None if there == st.session_state.get("named", {}).get(name, "") else there


def name_in_address(**named: str) -> None:
    """Name in the address what is shown; what is empty is named no longer."""
    there = st.query_params.to_dict()
    wanted = {name: value for name, value in (there | named).items() if value}
    if wanted != there:
        st.query_params.from_dict(wanted)
    st.session_state.named = st.session_state.get("named", {}) | named


def recall_view() -> dict[str, str]:
    """Show the view that a person went to with the browser; return what names the one shown."""
    state, params = st.session_state, st.query_params
    if went_to(_VIEW) is not None or went_to(_READING) is not None:
        wanted = params.get(_VIEW, "")
        view = cast(View, wanted) if wanted in get_args(View) else "questions"
        turn_page(view, params.get(_READING, ""))
    shown = state.setdefault("view", "questions")
    reading = state.get("reading", "") if shown == "documents" else ""
    return {_VIEW: "" if shown == "questions" else shown, _READING: reading}


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
