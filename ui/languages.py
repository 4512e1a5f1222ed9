"""The language that the page speaks: the visitor's choice, or the settings', or the browser's."""

from __future__ import annotations

from typing import Final

import streamlit as st

from rag.config import load_settings
from rag.errors import CitadelleError
from ui.navigation import name_in_address, went_to
from ui.texts import TEXTS, InterfaceLanguage

__all__ = ["first_language", "keep_language", "recall_language"]

# In the address, so that it is still there when the page is loaded again or bookmarked.
_PARAMETER: Final = "lang"


def first_language() -> InterfaceLanguage:
    """Return the language to begin with."""
    chosen = st.query_params.get(_PARAMETER, "")
    # "nl-BE" is Dutch; what is neither of the three falls through to the settings' answer.
    browsers = (st.context.locale or "").partition("-")[0].lower()
    configured: str = "auto"
    fallback: InterfaceLanguage = "fr"
    try:
        settings = load_settings()
    except CitadelleError:
        pass  # Opening the engine will say what is wrong.
    else:
        configured, fallback = settings.language, settings.fallback_language
    for language in (chosen, configured, browsers):
        if language in TEXTS:
            return language
    return fallback


def keep_language() -> None:
    """Keep the language that was just chosen in the address of the page."""
    name_in_address(**{_PARAMETER: st.session_state.language})


def recall_language() -> dict[str, str]:
    """Speak the language that the address was changed to; return what names it there."""
    if "language" not in st.session_state or went_to(_PARAMETER) is not None:
        st.session_state.language = first_language()
    return {_PARAMETER: st.query_params.get(_PARAMETER, "")}
