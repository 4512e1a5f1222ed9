"""The source beside the conversation: the whole document, at the place that is checked.

What is open is kept in the session; links in answers, cards and addresses open it. The style
sheet puts it beside the conversation where there is room and over it where there is not, and
`reading.js` follows the links and brings the quote into view.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qsl

import streamlit as st

from rag.errors import DocumentNotFound
from rag.types import Answer, Citation, Document
from ui.addresses import Place, find, read_address, source_address
from ui.engine import Engine
from ui.navigation import name_in_address
from ui.rendering.documents import document_html, place_html, properties_html, source_heading_html
from ui.rendering.evidence import Mark, address_of, marked
from ui.rendering.notices import notice_html
from ui.texts import Texts

__all__ = [
    "Opened",
    "await_answer",
    "close_source",
    "draw_source",
    "open_address",
    "show_beside",
]

_QUOTE: Final = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})")
_KEY: Final = "sources"
# The parameters of the address that name a place.
_PARAMETERS: Final = ("doc", "at", "hash")


class Exchange(Protocol):
    """Say what is needed of an exchange: its answer, and the documents that it quotes.

    They are None where nobody has looked them up.
    """

    @property
    def answer(self) -> Answer | None: ...

    @property
    def documents(self) -> Mapping[str, Document] | None: ...


@dataclass(frozen=True, slots=True)
class Opened:
    """What is read: a quote of the answer with that number, or a place.

    `misplaced` tells that an address gave a place that could not be understood. What a person
    did not ask for is shown only where there is room beside the conversation.
    """

    answer: Answer | None = None
    number: int = 0
    key: str = ""
    place: Place | None = None
    misplaced: bool = False
    asked: bool = True


@dataclass(frozen=True, slots=True)
class _View:
    """What is drawn: a document with its highlights, or why there is none.

    `words` say where in it one is, `address` leads others there.
    """

    document: Document | None = None
    marks: tuple[Mark, ...] = ()
    words: str = ""
    address: str = ""
    notice: str = ""


# --- What is open ---------------------------------------------------------------------------


def open_address() -> None:
    """Open the place that the address of the page names, once."""
    state, params = st.session_state, st.query_params
    named = tuple(params.get(name, "") for name in _PARAMETERS)
    if state.get("address", ("",) * len(named)) == named:
        return
    state.address = named
    place = read_address(params.to_dict())
    if place is not None:
        _open(Opened(place=place, misplaced=bool(params.get("at")) and place.span is None))


def await_answer() -> None:
    """Let what is opened from now on stay open when the next answer is there."""
    st.session_state.awaited_turn = st.session_state.get("source_turn", 0)


def show_beside(number: int, answer: Answer) -> None:
    """Open an answer's first quote where there is room, if that is wished for or one is open.

    What a person opened while it was awaited stays.
    """
    state = st.session_state
    turned = state.get("source_turn", 0) != state.get("awaited_turn", 0)
    if turned and state.get("source") is not None:
        return
    if answer.citations and (state.get("beside", True) or state.get("source") is not None):
        _open(Opened(answer, number, answer.citations[0].key, asked=False))


def close_source() -> None:
    """Close the source, and leave the address that opened it."""
    st.session_state.source = None
    _leave_address()


def _open(opened: Opened) -> None:
    state = st.session_state
    state.source = opened
    state.source_turn = state.get("source_turn", 0) + 1


def _leave_address() -> None:
    # Loading the page again must not open what was closed since.
    name_in_address(**dict.fromkeys(_PARAMETERS, ""))


def _follow(exchanges: Mapping[int, Exchange]) -> None:
    """Open what the link leads to that was clicked: a quote of an answer, or an address."""
    link = st.session_state[_KEY].get("open")
    if not isinstance(link, str):
        return
    quote = _QUOTE.fullmatch(link)
    if quote is None:
        place = read_address(dict(parse_qsl(link.removeprefix("?"))))
        if place is not None:
            _leave_address()
            _open(Opened(place=place))
        return
    number, key = int(quote[1]), quote[2]
    answer = exchanges[number].answer if number in exchanges else None
    if answer is not None and any(citation.key == key for citation in answer.citations):
        _leave_address()
        _open(Opened(answer, number, key))


def _turn(opened: Opened, citation: Citation) -> None:
    _open(replace(opened, key=citation.key))


def _choose_beside() -> None:
    st.session_state.beside = st.session_state.beside_switch


def _recall_beside() -> None:
    st.session_state.beside = bool(st.session_state[_KEY].get("beside"))


# --- Drawing --------------------------------------------------------------------------------


@cache
def _script() -> Any:
    script = Path(__file__).with_name("reading.js").read_text(encoding="utf-8")
    return st.components.v2.component("citadelle-reading", js=script, isolate_styles=False)


@st.fragment
def draw_source(exchanges: Mapping[int, Exchange], engine: Engine, texts: Texts) -> None:
    """Draw what is open, and follow links to it; `exchanges` are those drawn, by number.

    In a fragment: opening, closing and turning to another quote draw nothing else again.
    """
    state = st.session_state
    opened: Opened | None = state.get("source")
    view = _view(opened, exchanges, engine, texts) if opened is not None else None
    if opened is None or view is None:
        opened = Opened()
    name = ""
    if view is not None and view.document is not None:
        name = f"{opened.number}.{view.document.content_hash[:16]}"
    with st.container(key="reading-script"):
        _script()(
            key=_KEY,
            data={
                "open": view is not None,
                "view": name,
                "key": opened.key,
                "quote": f"{opened.number}.{opened.key}" if opened.number else "",
                "turn": state.get("source_turn", 0),
                "beside": state.get("beside", True),
            },
            on_open_change=partial(_follow, exchanges),
            on_close_change=close_source,
            on_beside_change=_recall_beside,
        )
    if view is not None:
        with st.container(key="reading", gap=None):
            _draw(opened, view, name, texts)


def _view(
    opened: Opened, exchanges: Mapping[int, Exchange], engine: Engine, texts: Texts
) -> _View | None:
    """Return what to draw, None where the conversation of a quote is over."""
    if opened.place is not None:
        return _place_view(opened.place, opened.misplaced, engine, texts)
    answer = opened.answer
    exchange = exchanges.get(opened.number)
    if answer is None or exchange is None or exchange.answer is not answer:
        return None
    keys = [citation.key for citation in answer.citations]
    citation = answer.citations[keys.index(opened.key)]
    document = (exchange.documents or {}).get(citation.doc_id)
    words = texts.quote_place.format(place=keys.index(opened.key) + 1, count=len(keys))
    if document is None or document.content_hash != citation.content_hash:
        return _View(words=words, notice=texts.index_changed)
    return _View(document, marked(answer, document), words, source_address("", citation))


def _place_view(place: Place, misplaced: bool, engine: Engine, texts: Texts) -> _View:
    try:
        document = engine.document(place.doc_id)
    except DocumentNotFound:
        return _View(notice=texts.source_gone.format(doc=place.doc_id))
    if place.span is None:
        return _View(document, notice=texts.place_gone if misplaced else "")
    found = find(place, document.text)
    shown = document.offsets.to_plain(*found) if found is not None else (0, 0)
    if found is None or shown[0] >= shown[1]:
        return _View(document, notice=texts.place_changed if place.hash else texts.place_gone)
    words = texts.place_given if found == place.span else texts.place_moved
    return _View(document, (Mark(*shown, ""),), words, address_of(document, *found))


def _draw(opened: Opened, view: _View, name: str, texts: Texts) -> None:
    # Always the same places: one that comes or goes would move those after it, and what was
    # scrolled to its quote would begin at its top again.
    st.html(f'<div class="{"cit-asked" if opened.asked else "cit-unasked"}"></div>')
    with st.container(key="reading-head", horizontal=True, vertical_alignment="top", gap="small"):
        if view.document is not None:
            st.html(source_heading_html(view.document, texts))
        else:
            st.html(f'<h2 class="cit-title" id="source-title">{texts.source}</h2>')
        st.button(
            texts.source_close,
            key="source-close",
            type="tertiary",
            icon=":material/close:",
            on_click=close_source,
        )
    with st.container(key="reading-place", horizontal=True, vertical_alignment="center", gap=None):
        if view.words:
            _draw_place(opened, view, texts)
    with st.container(key="reading-text"):
        notice = notice_html(view.notice, "warning") if view.notice else ""
        body = ""
        if view.document is not None:
            body = properties_html(view.document, texts)
            body += document_html(view.document, view.marks, name, below_card=True)
        st.html(notice + body)
    with st.container(key="reading-foot"):
        st.session_state.beside_switch = st.session_state.get("beside", True)
        st.toggle(texts.source_beside, key="beside_switch", on_change=_choose_beside)


def _draw_place(opened: Opened, view: _View, texts: Texts) -> None:
    """Say which quote it is, and lead to the ones before and after it, round and round."""
    citations = opened.answer.citations if opened.answer is not None else ()
    if len(citations) > 1:
        at = [citation.key for citation in citations].index(opened.key)
        for key, label, icon, there in (
            ("quote-previous", texts.quote_previous, "chevron_left", at - 1),
            ("quote-next", texts.quote_next, "chevron_right", at + 1),
        ):
            st.button(
                label,
                key=key,
                type="tertiary",
                icon=f":material/{icon}:",
                on_click=_turn,
                args=(opened, citations[there % len(citations)]),
            )
    st.html(place_html(view.words, view.address, texts))
