"""The page: its session state and the order in which it draws. It knows nothing of retrieval."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Final, cast, get_args
from urllib.parse import urlsplit

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag.chat_model import host_of, is_here, writes_elsewhere
from rag.config import load_settings
from rag.errors import CitadelleError, IndexBusy, IndexMissing, NothingToIndex
from rag.logs import begin_request
from ui import engine as engines
from ui.collection import draw_beginning
from ui.documents import draw_documents
from ui.engine import Engine
from ui.evaluation import draw_evaluation
from ui.history import draw_history, draw_history_notices, recall
from ui.languages import keep_language, recall_language
from ui.login import draw_logout, let_in
from ui.navigation import View, name_in_address, recall_view, turn_page
from ui.questions import draw_questions, new_conversation
from ui.rendering.notices import how_far, notice_html
from ui.scripts import SPEAK, run_script
from ui.texts import LANGUAGE_NAMES, TEXTS, InterfaceLanguage, Texts

__all__ = ["main"]

_HERE: Final = Path(__file__).parent
_POLL_SECONDS: Final = 0.2


def main() -> None:
    """Draw the page."""
    st.set_page_config("Citadelle", page_icon=str(_HERE / "icon.svg"), layout="centered")
    st.html(_HERE / "style.css")
    state = st.session_state
    language = recall_language()
    texts = TEXTS[cast(InterfaceLanguage, state.language)]
    begin_request()
    run_script(SPEAK, '<div class="cit-unseen"></div>', language=state.language)
    if not let_in(texts):
        return
    name_in_address(**language, **recall(texts), **recall_view())
    view, history = _sidebar(texts)
    engine = _opened(texts)
    if engine is None:
        return
    st.html('<div id="top"></div>')
    try:
        engine.refresh()
    except CitadelleError as error:
        # What was opened before still answers.
        st.html(notice_html(texts.say(error.message), "warning"))
    draw_history(engine, texts, history)
    draw_history_notices(texts)
    draw = {
        "questions": draw_questions,
        "documents": draw_documents,
        "evaluation": draw_evaluation,
    }
    draw[view](engine, texts)


def _sidebar(texts: Texts) -> tuple[View, DeltaGenerator]:
    """Draw what frames every view; return the one chosen, and the place of the conversations."""
    names = {
        "questions": texts.view_questions,
        "documents": texts.view_documents,
        "evaluation": texts.view_evaluation,
    }
    with st.sidebar:
        st.html(
            '<div class="cit-brand"><span class="cit-name">Citadelle</span>'
            f'<span class="cit-tagline">{texts.tagline}</span></div>'
        )
        view = st.segmented_control(
            texts.view,
            get_args(View),
            format_func=lambda name: names[name],
            key="view",
            required=True,
            label_visibility="collapsed",
            width="stretch",
            on_change=turn_page,
        )
        st.button(
            texts.new_conversation,
            key="new",
            icon=":material/add:",
            width="stretch",
            disabled=not st.session_state.conversation,
            on_click=new_conversation,
        )
        history = st.container()
        st.segmented_control(
            texts.language,
            get_args(InterfaceLanguage),
            format_func=lambda code: LANGUAGE_NAMES[code],
            key="language",
            required=True,
            width="stretch",
            on_change=keep_language,
        )
        draw_logout(texts)
        st.html(f'<div class="cit-footnote">{escape(_footnote(texts))}</div>')
    return cast(View, view), history


def _footnote(texts: Texts) -> str:
    """Say whether anything leaves this machine."""
    try:
        settings = load_settings()
    except CitadelleError:
        return ""  # Opening the engine will say what is wrong with them.
    server = urlsplit(settings.chroma_url).netloc
    if server and not is_here(server):
        words = (
            texts.footnote_server_remote if writes_elsewhere(settings) else texts.footnote_server
        )
        return words.format(server=server, host=host_of(settings))
    if writes_elsewhere(settings):
        return texts.footnote_remote.format(here=texts.here(settings), host=host_of(settings))
    return texts.footnote.format(here=texts.here(settings))


# --- Opening the engine -------------------------------------------------------------------


def _opened(texts: Texts) -> Engine | None:
    """Return the engine; show how far it is meanwhile, and what to do if it cannot open."""
    opening = engines.opening()
    place = st.empty()
    with place.container():
        st.html(f'<h1 class="cit-h1">{texts.opening}</h1>')
        bar = st.empty()
    while not opening.wait(_POLL_SECONDS):
        fraction, words = how_far(opening.progress, texts)
        bar.progress(fraction, text=words)
    place.empty()
    if opening.engine is not None:
        return opening.engine
    # What failed is not kept: the next run, by anyone, tries again.
    engines.opening.clear()
    _draw_failure(opening.error, texts)
    return None


def _draw_failure(error: CitadelleError | None, texts: Texts) -> None:
    detail = texts.say(error.message) if error is not None else ""
    st.html(notice_html(texts.open_failed, "error", detail=detail))
    # The other errors have their own remedy, which their message gives.
    if isinstance(error, IndexBusy):
        st.html(notice_html(texts.index_busy))
    elif isinstance(error, (IndexMissing, NothingToIndex)):
        draw_beginning(load_settings(), texts)
    st.button(texts.retry, key="retry")
