"""The view of the documents: their list, and one of them as it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import streamlit as st

from rag.errors import CitadelleError, InvalidFilter
from rag.lexical import fold
from rag.types import Source
from ui.collection import ask_to_remove, draw_changes, draw_trash, written
from ui.engine import Engine
from ui.filters import draw_filters, filters_in_force, limit_to
from ui.navigation import arrive, turn_page
from ui.rendering.documents import chunk_html, document_html, properties_html
from ui.rendering.lists import skipped_html, source_html
from ui.rendering.notices import help_html, notice_html
from ui.texts import Texts

__all__ = ["draw_documents"]

# More rows than this make a page slow to draw and slow to look through.
_DOCUMENTS_A_PAGE: Final = 20
_CHUNKS_A_PAGE: Final = 20
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def draw_documents(engine: Engine, texts: Texts) -> None:
    """Draw the document that is being read, or the list of all."""
    sources = {source.doc_id: source for source in engine.sources()}
    reading = sources.get(st.session_state.get("reading", ""))
    if reading is None:
        _list_documents(tuple(sources.values()), engine, texts)
    else:
        _read_document(reading, engine, texts)
    arrive()


# --- The list -----------------------------------------------------------------------------


def _list_documents(sources: Sequence[Source], engine: Engine, texts: Texts) -> None:
    st.html(
        f'<div class="cit-welcome"><h1 class="cit-h1">{texts.documents_title}</h1>'
        f"<p>{texts.documents_help}</p></div>"
    )
    st.html(help_html(_summary(sources, engine, texts)))
    draw_changes(engine, texts)
    if engine.skipped:
        st.html(skipped_html(engine.skipped, texts))
    shown = _chosen(sources, engine, texts) if len(sources) > 1 else list(sources)
    if not shown:
        st.html(notice_html(texts.documents_none if sources else texts.documents_empty))
    pages = max(1, -(-len(shown) // _DOCUMENTS_A_PAGE))
    page = st.session_state.get(f"page-of-{pages}", 1) if pages > 1 else 1
    first = (page - 1) * _DOCUMENTS_A_PAGE
    for source in shown[first : first + _DOCUMENTS_A_PAGE]:
        _draw_source(source, engine, texts)
    if pages > 1:
        st.pagination(pages, key=f"page-of-{pages}")
    draw_trash(engine, texts)


def _summary(sources: Sequence[Source], engine: Engine, texts: Texts) -> str:
    """Return how much there is, and since when."""
    passages = sum(source.chunks for source in sources)
    parts = [
        texts.document_count
        if len(sources) == 1
        else texts.documents_count.format(count=texts.count(len(sources))),
        texts.passage_count
        if passages == 1
        else texts.passages_count.format(count=texts.count(passages)),
    ]
    created = str(engine.manifest.get("created", ""))
    if created:
        parts.append(
            texts.documents_indexed.format(when=written(datetime.fromisoformat(created), texts))
        )
    return " · ".join(parts)


def _chosen(sources: Sequence[Source], engine: Engine, texts: Texts) -> list[Source]:
    """Return the documents that a person looks for, in the order wanted."""
    left, right = st.columns([3, 2], gap="small")
    wanted = fold(left.text_input(texts.documents_find, key="find", icon=":material/search:"))
    orders = _orders(engine)
    names = {
        "title": texts.sort_title,
        "name": texts.sort_name,
        "changed": texts.sort_changed,
        "size": texts.sort_size,
        "passages": texts.sort_passages,
    }
    order = right.selectbox(
        texts.sort,
        orders,
        format_func=lambda name: names[name],
        key="sort",
        filter_mode=None,
        persist_state="session",
    )
    draw_filters(engine, texts)
    limits = {entry.name: entry.value for entry in filters_in_force()}
    if limits:
        st.html(help_html(texts.filters_shared))
    try:
        found = engine.sources(limits) if limits else tuple(sources)
    except InvalidFilter:
        found = ()
    words = wanted.split()
    shown = [source for source in found if not words or _has(source, words)]
    if len(shown) < len(sources):
        counts = texts.documents_shown.format(
            shown=texts.count(len(shown)), count=texts.count(len(sources))
        )
        st.html(help_html(counts))
    return sorted(shown, key=orders[order])


def _orders(engine: Engine) -> Mapping[str, Callable[[Source], Any]]:
    """Return the orders that a list can have; what is the same is in the order of names."""
    library = engine.library

    def changed(source: Source) -> Any:
        when = library.changed(source.doc_id) or _LONG_AGO
        return -(when - _LONG_AGO).total_seconds(), source.doc_id

    return {
        "title": lambda source: (fold(source.title), source.doc_id),
        "name": lambda source: fold(source.doc_id),
        "changed": changed,
        "size": lambda source: (-source.characters, source.doc_id),
        "passages": lambda source: (-source.chunks, source.doc_id),
    }


def _has(source: Source, words: Sequence[str]) -> bool:
    """Return whether each of the folded words is in the title, the name or an alias."""
    aliases = source.metadata.get("aliases", ())
    others = (aliases,) if isinstance(aliases, str) else aliases
    text = fold("\n".join((source.title, source.doc_id, *others)))
    return all(word in text for word in words)


def _draw_source(source: Source, engine: Engine, texts: Texts) -> None:
    changed = engine.library.changed(source.doc_id)
    with st.container(key=f"source-{source.doc_id}", border=True, gap="small"):
        st.html(source_html(source, texts, changed=written(changed, texts) if changed else ""))
        with st.container(horizontal=True, gap="small"):
            st.button(
                texts.read,
                key=f"read-{source.doc_id}",
                type="tertiary",
                icon=":material/menu_book:",
                on_click=turn_page,
                args=("documents", source.doc_id),
            )
            _actions(source, engine, texts)


def _actions(source: Source, engine: Engine, texts: Texts) -> None:
    """Offer what can be done with a document besides reading it."""
    st.button(
        texts.ask_only,
        key=f"only-{source.doc_id}",
        type="tertiary",
        icon=":material/forum:",
        on_click=_ask_only,
        args=(source,),
    )
    if not engine.settings.allow_changes:
        return
    remove = st.button(
        texts.remove,
        key=f"remove-{source.doc_id}",
        type="tertiary",
        icon=":material/delete:",
    )
    if remove:
        ask_to_remove(source, engine, texts)


def _ask_only(source: Source) -> None:
    limit_to("doc", source.doc_id, source.title)
    turn_page("questions")


# --- One document -------------------------------------------------------------------------


def _read_document(source: Source, engine: Engine, texts: Texts) -> None:
    st.button(
        texts.back,
        key="back",
        type="tertiary",
        icon=":material/arrow_back:",
        on_click=turn_page,
        args=("documents",),
    )
    changed = engine.library.changed(source.doc_id)
    st.html(
        source_html(source, texts, labels=False, changed=written(changed, texts) if changed else "")
    )
    with st.container(key="document-actions", horizontal=True, gap="small"):
        _actions(source, engine, texts)
    try:
        document = engine.document(source.doc_id)
    except CitadelleError as error:
        st.html(notice_html(texts.say(error.message), "error"))
        return
    properties = properties_html(document, texts)
    if properties:
        with st.expander(texts.properties, key=f"properties-{source.doc_id}"):
            st.html(properties)
    _draw_passages(source, engine, texts)
    st.html(document_html(document, below_card=bool(properties)))


def _draw_passages(source: Source, engine: Engine, texts: Texts) -> None:
    """Show the passages of a document to whoever opens them."""
    whole = st.expander(texts.passages_seen, key=f"passages-{source.doc_id}", on_change="rerun")
    if not whole.open:
        return
    with whole:
        st.html(help_html(texts.passages_seen_help))
        chunks = engine.chunks(source.doc_id)
        pages = max(1, -(-len(chunks) // _CHUNKS_A_PAGE))
        page = st.pagination(pages, key=f"passages-page-{source.doc_id}") if pages > 1 else 1
        first = (page - 1) * _CHUNKS_A_PAGE
        st.html(
            "".join(
                chunk_html(chunk, number, texts)
                for number, chunk in enumerate(chunks[first : first + _CHUNKS_A_PAGE], first + 1)
            )
        )
