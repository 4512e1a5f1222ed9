"""What limits a conversation to some of the documents: the choice, and what is in force."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from rag.types import Facet, FacetValue
from ui.engine import Engine
from ui.rendering.answers import filters_html
from ui.texts import Texts

__all__ = [
    "Filter",
    "clear_filters",
    "draw_filters",
    "filter_labels",
    "filters_in_force",
    "limit_to",
]


@dataclass(frozen=True, slots=True)
class Filter:
    """A key and value as the engine takes them, and how a person reads the value.

    The label is kept with it: a document that has gone has no title to look up.
    """

    name: str
    value: str
    label: str


def filters_in_force() -> tuple[Filter, ...]:
    """Return what the next question is limited to."""
    filters: tuple[Filter, ...] = st.session_state.get("filters", ())
    return filters


def clear_filters() -> None:
    """Ask all documents again."""
    for entry in filters_in_force():
        st.session_state.pop(_key(entry.name), None)
    st.session_state.filters = ()


def limit_to(name: str, value: str, label: str) -> None:
    """Limit the next question to one value, and to nothing else."""
    clear_filters()
    st.session_state.pop(_key(name), None)
    st.session_state.filters = (Filter(name, value, label),)


def draw_filters(engine: Engine, texts: Texts) -> None:
    """Offer what the documents can be filtered by, and show what is in force.

    Nothing is drawn where nothing can be narrowed.
    """
    facets = engine.facets()
    if not facets:
        st.session_state.filters = ()
        return
    with st.container(key="filters", horizontal=True, vertical_alignment="center", gap="small"):
        with st.popover(
            texts.filters, key="filters-open", type="tertiary", icon=":material/filter_list:"
        ):
            chosen = [_choose(facet, texts) for facet in facets]
        st.session_state.filters = tuple(entry for entry in chosen if entry is not None)
        if st.session_state.filters:
            st.html(filters_html(filter_labels(filters_in_force(), texts), texts), width="content")
            st.button(
                texts.filters_clear,
                key="filters-clear",
                type="tertiary",
                icon=":material/filter_list_off:",
                on_click=clear_filters,
            )


def filter_labels(filters: tuple[Filter, ...], texts: Texts) -> tuple[str, ...]:
    """Return each filter as a person reads it, such as "Country: Niger"."""
    return tuple(
        texts.filter_label.format(
            name=texts.facet(entry.name),
            value=texts.name_of(entry.value) if entry.name == "language" else entry.label,
        )
        for entry in filters
    )


def _choose(facet: Facet, texts: Texts) -> Filter | None:
    """Let a person choose one value of a facet, or none."""
    values = {entry.value: entry for entry in facet.values}
    key = _key(facet.name)
    state = st.session_state
    # A widget that was out of sight begins anew, with what is in force; what the documents no
    # longer have cannot be.
    held = {entry.name: entry.value for entry in filters_in_force()}.get(facet.name)
    if state.setdefault(key, held) not in values:
        state[key] = None
    chosen = st.selectbox(
        texts.facet(facet.name),
        values,
        index=None,
        format_func=lambda value: _choice(facet.name, values[value], texts),
        key=key,
        placeholder=texts.filter_any,
        # Typing is worth its hazard here: documents may be hundreds, and what was taken is seen.
        filter_mode="contains",
    )
    return Filter(facet.name, chosen, values[chosen].label) if chosen is not None else None


def _choice(name: str, entry: FacetValue, texts: Texts) -> str:
    label = texts.name_of(entry.value) if name == "language" else entry.label
    # Of documents each is there once.
    return label if name == "doc" else f"{label} ({texts.count(entry.documents)})"


def _key(name: str) -> str:
    return f"filter-{name}"
