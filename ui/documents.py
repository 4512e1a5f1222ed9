"""The view of the documents: their list, and one of them as it reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import streamlit as st

from rag.errors import CitadelleError
from rag.types import Source
from ui.engine import Engine
from ui.navigation import arrive, turn_page
from ui.rendering import document_html, notice_html, skipped_html, source_html
from ui.texts import Texts

__all__ = ["draw_documents"]

# More rows than this make a page slow to draw and slow to look through.
_DOCUMENTS_A_PAGE: Final = 20


def draw_documents(engine: Engine, texts: Texts) -> None:
    """Draw the document that is being read, or the list of all."""
    sources = {source.doc_id: source for source in engine.sources()}
    reading = sources.get(st.session_state.get("reading", ""))
    if reading is None:
        _list_documents(tuple(sources.values()), engine, texts)
    else:
        _read_document(reading, engine, texts)
    arrive()


def _list_documents(sources: Sequence[Source], engine: Engine, texts: Texts) -> None:
    st.html(
        f'<div class="cit-welcome"><h1 class="cit-h1">{texts.documents_title}</h1>'
        f"<p>{texts.documents_help}</p></div>"
    )
    if engine.skipped:
        st.html(skipped_html(engine.skipped, texts))
    if len(sources) > _DOCUMENTS_A_PAGE:
        wanted = st.text_input(texts.find_document, key="find").strip().casefold()
        sources = [
            source
            for source in sources
            if wanted in source.title.casefold() or wanted in source.doc_id.casefold()
        ]
        if not sources:
            st.html(notice_html(texts.documents_none))
    pages = max(1, -(-len(sources) // _DOCUMENTS_A_PAGE))
    page = st.pagination(pages, key=f"page-of-{pages}") if pages > 1 else 1
    first = (page - 1) * _DOCUMENTS_A_PAGE
    for source in sources[first : first + _DOCUMENTS_A_PAGE]:
        with st.container(key=f"source-{source.doc_id}", border=True, gap="small"):
            st.html(source_html(source, texts))
            st.button(
                texts.read,
                key=f"read-{source.doc_id}",
                type="tertiary",
                icon=":material/menu_book:",
                on_click=turn_page,
                args=("documents", source.doc_id),
            )


def _read_document(source: Source, engine: Engine, texts: Texts) -> None:
    st.button(
        texts.back,
        key="back",
        type="tertiary",
        icon=":material/arrow_back:",
        on_click=turn_page,
        args=("documents",),
    )
    st.html(source_html(source, texts, labels=False))
    try:
        document = engine.document(source.doc_id)
    except CitadelleError as error:
        st.html(notice_html(str(error), "error"))
        return
    st.html(document_html(document))
