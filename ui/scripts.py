"""The page's own scripts, each a constant: the browser runs these and no other.

The server names their hashes in the Content-Security-Policy, so a script never holds a
value. What it acts upon stands in the attributes of its element, escaped.
"""

from __future__ import annotations

from html import escape
from typing import Final

import streamlit as st

__all__ = ["BRING", "SCRIPTS", "SPEAK", "run_script"]

# Scroll to an anchor; on a phone, where the side bar covers the page, close it as well.
# In braces, because the scripts of a page share what they declare.
BRING: Final = (
    "{ const anchor = document.currentScript.dataset.anchor; "
    "setTimeout(() => document.getElementById(anchor)?.scrollIntoView(), 50); "
    "innerWidth < 768 && document.querySelector('[data-testid=stSidebar][data-collapsed=false] "
    "[data-testid=stSidebarCollapseButton] button')?.click() }"
)
# Streamlit says that every page is in English, which screen readers then speak.
SPEAK: Final = "document.documentElement.lang = document.currentScript.dataset.language"

SCRIPTS: Final = (BRING, SPEAK)


def run_script(script: str, before: str = "", **data: str) -> None:
    """Run one of the scripts above with its `data`, after the HTML that stands `before` it.

    Streamlit runs it again only when something of all this has changed.
    """
    attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    st.html(f"{before}<script{attributes}>{script}</script>", unsafe_allow_javascript=True)
