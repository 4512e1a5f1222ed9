"""Answers that a language model writes: when it may, while it does, and what stands beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag.chat_model import host_of, writes_elsewhere
from rag.config import Settings
from rag.errors import CitadelleError
from rag.types import Answer, Turn
from ui.consent import consented, keep_consent
from ui.engine import Engine, FoundCallback, ProgressCallback
from ui.exchange import Exchange, present_documents, unchanged_documents
from ui.login import own_folder
from ui.rendering.answers import (
    answer_html,
    consent_html,
    evidence_html,
    footer_html,
    unsupported_html,
    written_html,
)
from ui.rendering.evidence import evidence
from ui.rendering.notices import notice_html
from ui.texts import Texts
from ui.writing import Writing

__all__ = [
    "awaits_consent",
    "draw_beneath",
    "draw_consent",
    "draw_mode",
    "draw_standing",
    "draw_stop",
    "is_allowed",
    "quotes_only",
    "write",
]

_MODE: Final = "answer-mode"
_POLL_SECONDS: Final = 0.2
# How often the page is drawn again meanwhile: a link into a source waits for the end of a run.
_REDRAW_SECONDS: Final = 2.0


# --- Whether a model writes ---------------------------------------------------------------


def quotes_only() -> bool:
    """Tell whether no model may answer the next question of this conversation."""
    return bool(st.session_state.get("quoted", False))


def draw_mode(texts: Texts) -> None:
    """Offer to have the next questions answered by quotes only."""
    state = st.session_state
    if "consent_unkept" in state:
        detail = texts.say(state.consent_unkept)
        st.html(notice_html(texts.consent_unkept, "warning", detail=detail))
    names = {"written": texts.mode_written, "quoted": texts.mode_quoted}
    # A widget that was out of sight begins anew, with what is in force.
    state.setdefault(_MODE, "quoted" if quotes_only() else "written")
    chosen = st.segmented_control(
        texts.answer_mode,
        tuple(names),
        format_func=lambda mode: names[mode],
        key=_MODE,
        required=True,
        label_visibility="collapsed",
    )
    state.quoted = chosen == "quoted"


def is_allowed(settings: Settings) -> bool:
    """Tell whether the model may get what is asked: it is on this machine, or a person agreed."""
    return (
        not writes_elsewhere(settings)
        or _destination(settings) in st.session_state.get("consents", ())
        or consented(settings, own_folder(settings.data))
    )


def awaits_consent(exchange: Exchange, settings: Settings) -> bool:
    """Tell whether a person is to say first whether a model may write this answer."""
    return (
        exchange.pending
        and exchange.proposed is not None
        and not exchange.quoted
        and not is_allowed(settings)
    )


def draw_consent(number: int, exchange: Exchange, engine: Engine, texts: Texts) -> None:
    """Ask whether the question and the passages found for it may go to the model's host."""
    found, settings = exchange.proposed, engine.settings
    if found is None:
        return
    documents = present_documents((passage.doc_id for passage in found.passages), engine)
    titles = dict.fromkeys(document.title for document in documents.values())
    question = found.understood or exchange.question
    st.html(consent_html(question, titles, settings, texts))
    with st.container(key=f"consent-{number}", horizontal=True, gap="small"):
        st.button(
            texts.consent_yes,
            key=f"consent-yes-{number}",
            icon=":material/send:",
            on_click=_agree,
            args=(settings,),
        )
        st.button(
            texts.consent_no,
            key=f"consent-no-{number}",
            icon=":material/format_quote:",
            on_click=_refuse,
            args=(exchange,),
        )


def _agree(settings: Settings) -> None:
    state = st.session_state
    state.consents = {*state.get("consents", ()), _destination(settings)}
    try:
        keep_consent(settings, own_folder(settings.data))
    except CitadelleError as error:
        state.consent_unkept = error.message


def _refuse(exchange: Exchange) -> None:
    exchange.quoted = True
    st.session_state.quoted = True
    st.session_state[_MODE] = "quoted"


def _destination(settings: Settings) -> tuple[str, str]:
    return settings.llm, host_of(settings)


# --- While it writes ----------------------------------------------------------------------


def draw_stop(number: int, exchange: Exchange, texts: Texts) -> None:
    """Offer to end an answer with what stands of it."""
    st.button(
        texts.stop,
        key=f"stop-{number}",
        icon=":material/stop_circle:",
        on_click=_stop,
        args=(exchange,),
    )


def _stop(exchange: Exchange) -> None:
    if exchange.writing is not None:
        exchange.writing.stop()
    else:
        exchange.quoted = True


def write(
    exchange: Exchange,
    history: Sequence[Turn],
    filters: Mapping[str, str],
    engine: Engine,
    place: DeltaGenerator,
    progress: ProgressCallback,
    found: FoundCallback,
    texts: Texts,
) -> Answer:
    """Return the answer that a model writes; draw in `place` each sentence that stands.

    Until one does, `found` is told what was found.
    What another run of the page began, here or in another window, is gone on with. Raises as
    `Engine.ask`.
    """
    drawn, told = 0, False
    redraw = time.monotonic() + _REDRAW_SECONDS
    while True:
        writing = _writings().get(exchange.identifier)
        if writing is None or writing.abandoned:
            stream = partial(engine.stream, exchange.question, history=history, filters=filters)
            writing = _writings()[exchange.identifier] = Writing(stream)
        exchange.writing = writing
        stage, total = writing.stage
        progress(stage, 0, total)
        if len(writing.sentences) != drawn:
            drawn = draw_standing(writing, engine, place, texts)
        elif writing.found and not drawn and not told:
            found(writing.found)
            told = True
        # Looking at the session lets a click end this run; the next one goes on from here.
        st.session_state.get("conversation_id")
        if writing.wait(_POLL_SECONDS) and not writing.abandoned:
            exchange.writing = None
            return writing.result()
        if time.monotonic() > redraw:
            st.rerun()


def draw_standing(writing: Writing, engine: Engine, place: DeltaGenerator, texts: Texts) -> int:
    """Draw the sentences that stand so far; return how many there are."""
    stands = writing.sentences
    text = "".join(sentence.before + sentence.text for sentence in stands)
    citations = {each.key: each for sentence in stands for each in sentence.citations}
    documents = present_documents((each.doc_id for each in citations.values()), engine)
    # There is no answer yet whose quotes could be turned to: they lead by address.
    place.html(written_html(text, citations.values(), 0, documents, texts))
    return len(stands)


@st.cache_resource(show_spinner=False)
def _writings() -> WeakValueDictionary[str, Writing]:
    """Return what is being written, by exchange: a page that is loaded again finds it."""
    return WeakValueDictionary()


# --- Beneath it ---------------------------------------------------------------------------


def draw_beneath(
    number: int, exchange: Exchange, answer: Answer, engine: Engine, texts: Texts
) -> None:
    """Show what was taken away from an answer, and the one without a model to compare with."""
    if answer.removed:
        count = len(answer.removed)
        many = texts.removed_many.format(count=texts.count(count))
        with st.expander(
            texts.removed_one if count == 1 else many,
            key=f"unsupported-{number}",
            icon=":material/ink_eraser:",
        ):
            st.html(unsupported_html(answer.removed, texts))
    if answer.mode != "written":
        return
    # Tracked, so that it is answered once more only when somebody wants to see it.
    compared = st.expander(
        texts.quotes_instead,
        key=f"quotes-{number}",
        icon=":material/format_quote:",
        on_change="rerun",
    )
    if compared.open:
        with compared:
            _draw_compared(exchange, engine, texts)


def _draw_compared(exchange: Exchange, engine: Engine, texts: Texts) -> None:
    judgement = exchange.judgement
    if exchange.compared is None:
        try:
            exchange.compared = engine.ask(
                exchange.question,
                history=judgement.history if judgement is not None else (),
                filters={entry.name: entry.value for entry in exchange.filters},
                written=False,
            )
        except CitadelleError as error:
            st.html(notice_html(texts.say(error.message), "error"))
            return
    answer = exchange.compared
    documents = unchanged_documents(answer, engine)
    if answer.abstained:
        st.html(notice_html(answer.text))
        return
    st.html(answer_html(answer, 0, documents, texts) + footer_html(answer, texts))
    for shown in evidence(answer, documents):
        st.html(evidence_html(shown, 0, texts))
