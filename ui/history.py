"""The conversations that are kept: the one in the address, and the list of all at the side.

What the page holds and what the file holds are brought in step at every run, so that a page
that is loaded again, or opened twice, shows the same. When the file cannot be read or
written the page says so once, and goes on with what it holds.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, tzinfo
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from rag.config import load_settings
from rag.errors import CitadelleError, HistoryError
from rag.history import LONGEST_TITLE, ConversationStore, KeptConversation, new_identifier
from rag.types import Document
from ui.clock import today, visitor_zone
from ui.engine import Engine
from ui.exchange import Exchange, keepable, recalled, unchanged_documents
from ui.export import (
    Origin,
    conversation_html,
    conversation_json,
    conversation_markdown,
    file_name,
)
from ui.filters import clear_filters
from ui.login import own_folder
from ui.navigation import turn_page, went_to
from ui.rendering.notices import help_html, label_of, notice_html
from ui.texts import InterfaceLanguage, Texts

__all__ = [
    "draw_history",
    "draw_history_notices",
    "first_number",
    "leave_conversation",
    "recall",
    "settle",
    "submit",
    "turn_to_answer",
]

# The parameter of the address that names the conversation.
_PARAMETER: Final = "c"
# How many are listed before more are asked for, and how few need no search.
_LISTED: Final = 15
_FEW: Final = 5
# Widgets are named after the number of their exchange. Numbers that another conversation had
# are not given again: a widget would begin with what was chosen there.
_NUMBERS_APART: Final = 1000
# How long one window waits for another that is answering the same question, in seconds.
_LONGEST_ANSWER: Final = 300.0


# --- The conversation that is shown -------------------------------------------------------


def recall(texts: Texts) -> dict[str, str]:
    """Show the conversation that was gone to, with what was added to it elsewhere.

    Return what names the one that is shown in the address.
    """
    state = st.session_state
    state.setdefault("conversation", [])
    state.setdefault("conversation_id", "")
    folder = _folder()
    if folder is None:
        return {}  # Opening the engine will say what is wrong with the settings.
    store = ConversationStore(folder)
    gone_to = went_to(_PARAMETER)
    wanted = state.pop("opening", "") or gone_to
    # The address of a first question is there after the question.
    settled = not any(exchange.pending for exchange in state.conversation)
    with _guarded():
        if "purged" not in state:
            store.purge()
            state.purged = True
        if wanted and wanted != state.conversation_id:
            _show(wanted, store, folder, texts)
        elif wanted == "" and settled:
            # Before its first question, where a person went back to.
            leave_conversation()
            clear_filters()
        elif state.conversation_id:
            _bring_in_step(store, folder, texts)
    return {_PARAMETER: state.conversation_id}


def leave_conversation() -> None:
    """Begin a conversation that has no address until its first question."""
    st.session_state.conversation = []
    st.session_state.conversation_id = ""
    for name in ("refused", "arrived", "gone", "quoted", "answer-mode"):
        st.session_state.pop(name, None)


def submit(exchange: Exchange, folder: Path) -> None:
    """Put a question in the conversation, and keep it before it is answered."""
    state = st.session_state
    state.conversation.append(exchange)
    state.pop("gone", None)
    # It may have been found in this very run: it stays for the answer, and goes after that.
    if "unkept" in state and not state.unkept_once:
        state.unkept_once = True
    else:
        state.pop("unkept", None)
    if not state.conversation_id:
        state.conversation_id = new_identifier()
    store = ConversationStore(folder)
    with _guarded():
        # All of it where nothing is there: its file may have been set aside.
        new = store.get(state.conversation_id) is None
        exchanges = state.conversation if new else [exchange]
        store.add(state.conversation_id, [keepable(entry) for entry in exchanges])


def settle(exchange: Exchange, folder: Path) -> None:
    """Keep what came of a question."""
    # The session is not looked at before this is done: there a click stops the run.
    with _guarded():
        ConversationStore(folder).settle(keepable(exchange))


@contextmanager
def turn_to_answer(exchange: Exchange, folder: Path) -> Iterator[bool]:
    """Wait while another window answers the same question; tell whether it is still to be done."""
    with _turns().turn(exchange.identifier):
        settled = False
        with _guarded():
            settled = ConversationStore(folder).is_settled(exchange.identifier)
        yield not settled


def first_number() -> int:
    """Return the number of the conversation's first exchange, after which widgets are named."""
    number: int = st.session_state.get("first_number", 1)
    return number


def _show(wanted: str, store: ConversationStore, folder: Path, texts: Texts) -> None:
    state = st.session_state
    found = store.get(wanted)
    numbered = bool(state.conversation)
    leave_conversation()
    if found is None or found.deleted:
        state.gone = True
        if found is not None:
            _offer_undo(found)
        return
    kept = store.exchanges(wanted)
    clear_filters()
    state.conversation = [recalled(exchange, folder, texts) for exchange in kept]
    state.conversation_id = wanted
    if kept:
        state.quoted = kept[-1].quoted
    if numbered:
        state.first_number = first_number() + _NUMBERS_APART
    # Its last question is brought into view, as if it had just been answered.
    state.arrived = first_number() + len(kept) - 1


def _bring_in_step(store: ConversationStore, folder: Path, texts: Texts) -> None:
    """Take over what other windows added, and add what could not be kept before."""
    state = st.session_state
    found = store.get(state.conversation_id)
    if found is None:
        return
    if found.deleted:
        leave_conversation()
        state.gone = True
        _offer_undo(found)
        return
    settled = store.settled(found.id)
    held = {exchange.identifier: exchange for exchange in state.conversation}
    news = [
        identifier
        for identifier, done in settled.items()
        if identifier not in held or (done and held[identifier].pending)
    ]
    if news:
        kept = store.exchanges(found.id, news)
        held |= {exchange.id: recalled(exchange, folder, texts) for exchange in kept}
        state.conversation = [held.pop(name) for name in settled] + list(held.values())
    missing = [
        exchange
        for exchange in state.conversation
        if exchange.identifier not in settled
        or not (settled[exchange.identifier] or exchange.pending)
    ]
    store.add(found.id, [keepable(exchange) for exchange in missing])


def _folder() -> Path | None:
    try:
        return own_folder(load_settings().data)
    except CitadelleError:
        return None


@contextmanager
def _guarded() -> Iterator[None]:
    """Say on the page, and not by an error, that conversations cannot be read or kept."""
    try:
        yield
    except HistoryError as error:
        st.session_state.unkept = error.message
        st.session_state.unkept_once = False


class _Turns:
    """One at a time for each name; names are forgotten when nobody waits any more."""

    class _Turn:
        def __init__(self) -> None:
            self.lock = threading.Lock()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: WeakValueDictionary[str, _Turns._Turn] = WeakValueDictionary()

    @contextmanager
    def turn(self, name: str) -> Iterator[None]:
        with self._lock:
            turn = self._turns.setdefault(name, self._Turn())
        mine = turn.lock.acquire(timeout=_LONGEST_ANSWER)
        try:
            yield
        finally:
            if mine:
                turn.lock.release()


@st.cache_resource(show_spinner=False)
def _turns() -> _Turns:
    return _Turns()


# --- The list -----------------------------------------------------------------------------


def draw_history_notices(texts: Texts) -> None:
    """Say what became of a conversation that cannot be shown or kept."""
    state = st.session_state
    if "unkept" in state:
        st.html(notice_html(texts.history_unkept, "warning", detail=texts.say(state.unkept)))
    if "gone" in state:
        st.html(notice_html(texts.history_gone))


def draw_history(engine: Engine, texts: Texts, place: DeltaGenerator) -> None:
    """List the conversations, newest first, with what can be done with each."""
    store = ConversationStore(own_folder(engine.settings.data))
    with place, st.container(key="history", gap="xsmall"), _guarded():
        _draw_undo(store, texts)
        _draw_list(store, engine, texts)


def _draw_list(store: ConversationStore, engine: Engine, texts: Texts) -> None:
    state = st.session_state
    limit = state.get("history_limit", _LISTED)
    found = store.list(limit=limit + 1)
    if not found:
        return
    st.html(f'<h2 class="cit-h2">{texts.history}</h2>')
    if len(found) > _FEW:
        wanted = st.text_input(
            texts.history_search,
            key="history-search",
            placeholder=texts.history_search,
            label_visibility="collapsed",
            icon=":material/search:",
        )
        if wanted.strip():
            found = store.list(wanted, limit=limit + 1)
            if not found:
                st.html(help_html(texts.history_none))
    day, zone = today(), visitor_zone()
    for age, group in groupby(found[:limit], key=lambda entry: _age(entry, day, zone)):
        st.html(f'<h3 class="cit-age">{_ages(texts)[age]}</h3>')
        for entry in group:
            _draw_entry(entry, store, engine, texts)
    if len(found) > limit:
        st.button(
            texts.history_more,
            key="history-more",
            type="tertiary",
            icon=":material/expand_more:",
            on_click=_show_more,
            args=(limit,),
        )


def _draw_entry(
    entry: KeptConversation, store: ConversationStore, engine: Engine, texts: Texts
) -> None:
    current = entry.id == st.session_state.conversation_id
    kind = "current" if current else "kept"
    with st.container(key=f"{kind}-{entry.id}", horizontal=True, gap=None):
        st.button(
            label_of(entry.title),
            key=f"open-{entry.id}",
            type="tertiary",
            icon=":material/arrow_right:" if current else None,
            width="stretch",
            on_click=_open,
            args=(entry.id,),
        )
        # Tracked, so that what is in it is made for the one that is opened.
        menu = st.popover(
            label_of(texts.history_actions.format(title=entry.title)),
            key=f"actions-{entry.id}",
            type="tertiary",
            icon=":material/more_horiz:",
            on_change="rerun",
        )
        if menu.open:
            with menu:
                _draw_actions(entry, store, engine, texts)


def _draw_actions(
    entry: KeptConversation, store: ConversationStore, engine: Engine, texts: Texts
) -> None:
    with st.form(f"rename-{entry.id}", border=False):
        st.text_input(
            texts.history_title, entry.title, key=f"title-{entry.id}", max_chars=LONGEST_TITLE
        )
        st.form_submit_button(
            texts.history_rename,
            icon=":material/edit:",
            width="stretch",
            on_click=_rename,
            args=(entry, store),
        )
    st.button(
        texts.history_delete,
        key=f"delete-{entry.id}",
        icon=":material/delete:",
        width="stretch",
        on_click=_delete,
        args=(entry, store),
    )
    st.html(f'<h3 class="cit-age">{texts.export}</h3>')
    language: InterfaceLanguage = st.session_state.language
    base_url, day = st.context.url or "", today()
    for suffix, kind, label in (
        ("md", "text/markdown", texts.export_markdown),
        ("html", "text/html", texts.export_html),
        ("json", "application/json", texts.export_json),
    ):
        st.download_button(
            label,
            # Made when it is asked for, outside of the run: nothing of the session is in it.
            data=partial(_exported, suffix, entry, store, engine, base_url, day, texts, language),
            file_name=file_name(entry, suffix),
            mime=kind,
            key=f"export-{suffix}-{entry.id}",
            icon=":material/download:",
            width="stretch",
            on_click="ignore",
        )


def _exported(
    suffix: str,
    entry: KeptConversation,
    store: ConversationStore,
    engine: Engine,
    base_url: str,
    day: date,
    texts: Texts,
    language: InterfaceLanguage,
) -> bytes:
    """Return a conversation as a file of a kind."""
    exchanges = store.exchanges(entry.id)
    documents: dict[str, Document] = {}
    for exchange in exchanges:
        if exchange.answer is not None:
            documents |= unchanged_documents(exchange.answer, engine)
    origin = Origin(base_url, day, documents)
    write: dict[str, Callable[[], str]] = {
        "md": lambda: conversation_markdown(entry, exchanges, origin, texts),
        "html": lambda: conversation_html(entry, exchanges, origin, texts, language),
        "json": lambda: conversation_json(entry, exchanges, origin),
    }
    # Names of files may hold what is no text.
    return write[suffix]().encode("utf-8", "replace")


def _draw_undo(store: ConversationStore, texts: Texts) -> None:
    deleted: Sequence[KeptConversation] = st.session_state.get("deleted", ())
    if not deleted:
        return
    last = deleted[-1]
    st.html(help_html(texts.history_deleted.format(title=last.title)))
    st.button(
        texts.history_undo,
        key=f"undo-{last.id}",
        icon=":material/undo:",
        width="stretch",
        on_click=_undo,
        args=(last, store),
    )


def _open(conversation: str) -> None:
    st.session_state.pop("unkept", None)
    st.session_state.opening = conversation
    turn_page("questions")


def _show_more(limit: int) -> None:
    st.session_state.history_limit = limit + _LISTED


def _rename(entry: KeptConversation, store: ConversationStore) -> None:
    with _guarded():
        store.rename(entry.id, st.session_state[f"title-{entry.id}"])
    st.session_state[f"actions-{entry.id}"] = False


def _delete(entry: KeptConversation, store: ConversationStore) -> None:
    with _guarded():
        store.delete(entry.id)
        _offer_undo(entry)
        if entry.id == st.session_state.conversation_id:
            leave_conversation()
            turn_page("questions")


def _undo(entry: KeptConversation, store: ConversationStore) -> None:
    with _guarded():
        store.restore(entry.id)
        _open(entry.id)
    # Gone or back: in neither case is there anything left to undo.
    st.session_state.deleted = [kept for kept in st.session_state.deleted if kept.id != entry.id]


def _offer_undo(entry: KeptConversation) -> None:
    earlier = [kept for kept in st.session_state.get("deleted", ()) if kept.id != entry.id]
    st.session_state.deleted = [*earlier, entry]


def _age(entry: KeptConversation, day: date, zone: tzinfo | None) -> int:
    """Return 0 for today, 1 for yesterday, 2 for the last seven days, 3 for earlier."""
    days = (day - datetime.fromisoformat(entry.updated).astimezone(zone).date()).days
    return 0 if days <= 0 else 1 if days == 1 else 2 if days <= 7 else 3


def _ages(texts: Texts) -> tuple[str, ...]:
    return (
        texts.history_today,
        texts.history_yesterday,
        texts.history_week,
        texts.history_earlier,
    )
