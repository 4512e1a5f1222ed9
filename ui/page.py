"""The page: its session state and the order in which it draws. It knows nothing of retrieval."""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast, get_args

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag.config import load_settings
from rag.errors import CitadelleError, IndexMissing, NothingToIndex
from ui import engine as engines
from ui.documents import draw_documents
from ui.engine import Engine, Progress
from ui.evaluation import draw_evaluation
from ui.history import draw_history, draw_history_notices, recall
from ui.languages import first_language, keep_language
from ui.login import draw_logout, let_in
from ui.navigation import View, turn_page
from ui.questions import draw_questions, new_conversation
from ui.rendering import notice_html
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
    if "language" not in state:
        state.language = first_language()
    texts = TEXTS[cast(InterfaceLanguage, state.language)]
    run_script(SPEAK, '<div class="cit-unseen"></div>', language=state.language)
    if not let_in(texts):
        return
    recall(texts)
    view, history = _sidebar(texts)
    engine = _opened(texts)
    if engine is None:
        return
    st.html('<div id="top"></div>')
    try:
        engine.refresh()
    except CitadelleError as error:
        # What was opened before still answers.
        st.html(notice_html(str(error), "warning"))
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
        # A key that is pushed from elsewhere must be set before its widget is drawn.
        st.session_state.setdefault("view", "questions")
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
        st.html(f'<div class="cit-footnote">{texts.footnote}</div>')
    return cast(View, view), history


# --- Opening the engine -------------------------------------------------------------------


def _opened(texts: Texts) -> Engine | None:
    """Return the engine; show how far it is meanwhile, and what to do if it cannot open."""
    opening = engines.opening()
    place = st.empty()
    with place.container():
        st.html(f'<h1 class="cit-h1">{texts.opening}</h1>')
        bar = st.empty()
    while not opening.wait(_POLL_SECONDS):
        fraction, words = _how_far(opening.progress, texts)
        bar.progress(fraction, text=words)
    place.empty()
    if opening.engine is not None:
        return opening.engine
    # What failed is not kept: the next run, by anyone, tries again.
    engines.opening.clear()
    _draw_failure(opening.error, texts)
    return None


def _how_far(progress: Progress | None, texts: Texts) -> tuple[float, str]:
    stages = {
        "encoder": texts.stage_encoder,
        "documents": texts.stage_documents,
        "embed": texts.stage_embed,
    }
    if progress is None:
        return 0.0, f"{texts.stage_encoder}…"
    label = stages.get(progress.stage, texts.opening)
    done = texts.count(progress.done)
    if progress.total > 0:
        fraction = min(progress.done / progress.total, 1.0)
        return fraction, f"{label} · {done} / {texts.count(progress.total)}"
    # How many there will be is not known yet.
    return 0.0, f"{label} · {done}"


def _draw_failure(error: CitadelleError | None, texts: Texts) -> None:
    st.html(notice_html(texts.open_failed, "error", detail=str(error or "")))
    # The other errors have their own remedy, which their message gives.
    if isinstance(error, (IndexMissing, NothingToIndex)):
        folder = load_settings().corpus
        help_text = texts.no_documents_help.format(folder=folder, command="citadelle index")
        st.html(notice_html(help_text))
    st.button(texts.retry, key="retry")
