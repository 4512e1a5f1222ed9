"""What can be changed about the documents: add some, take one away, put it back, index again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, get_args

import streamlit as st

from rag.config import Settings
from rag.documents import MAX_BYTES, SUFFIXES
from rag.errors import IndexBusy
from rag.library import TRASH, Existing, Library, Removed, Upload
from rag.types import Source
from ui.changes import Change, Desk, Task, adding, indexing, removing, restoring
from ui.clock import visitor_zone
from ui.engine import Engine
from ui.navigation import turn_page
from ui.rendering.lists import added_html, removed_html
from ui.rendering.notices import help_html, how_far, notice_html
from ui.texts import Texts

__all__ = ["ask_to_remove", "draw_beginning", "draw_changes", "draw_trash", "written"]

_POLL_SECONDS: Final = 1.0
_MOST_MEGABYTES: Final = MAX_BYTES // 2**20
_MOST_REMOVED: Final = 50
# Walking thousands of files at every click would be felt.
_STALE_SECONDS: Final = 15


def written(when: datetime, texts: Texts) -> str:
    """Return a time where the visitor is, as a person writes it."""
    there = when.astimezone(visitor_zone())
    return f"{texts.date(there.date())}, {there:%H:%M}"


@st.cache_resource(show_spinner=False)
def _desk() -> Desk:
    return Desk()


def _current() -> Change | None:
    return _desk().current


def _watched(change: Change) -> bool:
    """Return whether this visitor began a change or saw it under way."""
    return st.session_state.get("watched_change") is change


def draw_changes(engine: Engine, texts: Texts) -> None:
    """Draw how far a change is, or what came of it and what can be done next."""
    state = st.session_state
    allowed = engine.settings.allow_changes
    change = _current()
    if change is not None and change.running:
        state.watched_change = change
        _watch(change, texts)
    elif change is not None and _watched(change):
        _report(change, engine.settings, texts)
    _folder_state(engine.library, texts)
    if not allowed:
        st.html(help_html(texts.changes_off))
        return
    running = change is not None and change.running
    told = change is not None and (change.running or change.behind)
    if not told and _is_stale(engine, str(engine.manifest.get("signature"))):
        st.html(notice_html(texts.stale, "warning"))
    with st.container(key="changes", gap="small"):
        if engine.library.state() in ("writable", "missing"):
            with st.expander(texts.add, key="add-open", icon=":material/upload_file:"):
                _upload(engine.library, engine, texts, running=running)
        st.button(
            texts.index_again,
            key="index-again",
            type="tertiary",
            icon=":material/sync:",
            disabled=running,
            on_click=_start,
            args=(indexing(engine), texts),
        )


def draw_beginning(settings: Settings, texts: Texts) -> None:
    """Say where documents go when there are none, and let a person add the first ones."""
    library = Library(settings)
    st.html(
        notice_html(
            texts.documents_empty,
            detail=texts.no_documents_help.format(folder=library.folder, command="citadelle index"),
        )
    )
    change = _current()
    if change is not None and change.running:
        st.session_state.watched_change = change
        _watch(change, texts)
    elif change is not None and _watched(change):
        _report(change, settings, texts)
    if settings.allow_changes:
        _folder_state(library, texts)
        _upload(library, None, texts, running=change is not None and change.running)


def ask_to_remove(source: Source, engine: Engine, texts: Texts) -> None:
    """Ask whether a document is to be taken away, saying what happens to its file."""
    trash = engine.library.trash

    @st.dialog(texts.remove_title)
    def ask() -> None:
        st.html(
            help_html(
                texts.remove_text.format(
                    title=source.title, name=source.doc_id, folder=trash.resolve()
                )
            )
        )
        if len(engine.sources()) == 1:
            st.html(notice_html(texts.remove_last, "warning"))
        with st.container(horizontal=True, gap="small"):
            # Done by the callback: the view that is gone to cannot be set once it is drawn.
            if st.button(
                texts.remove,
                key="remove-yes",
                type="primary",
                icon=":material/delete:",
                on_click=_remove,
                args=(source, engine, texts),
            ):
                st.rerun()
            if st.button(texts.cancel, key="remove-no"):
                st.rerun()

    ask()


def _remove(source: Source, engine: Engine, texts: Texts) -> None:
    _start(removing(engine.library, source.doc_id, engine), texts)
    # The list is where the change is watched.
    turn_page("documents")


def draw_trash(engine: Engine, texts: Texts) -> None:
    """List what was taken away or replaced, the newest first, each to be put back."""
    library = engine.library
    removed = library.removed()
    if not removed or not engine.settings.allow_changes:
        return
    change = _current()
    label = f"{texts.trash} ({texts.count(len(removed))})"
    whole = st.expander(label, key="trash", icon=":material/delete:", on_change="rerun")
    if not whole.open:
        return
    with whole:
        st.html(help_html(texts.trash_help.format(folder=library.trash.resolve())))
        for entry in removed[:_MOST_REMOVED]:
            _draw_removed(entry, library, engine, texts, change)


def _draw_removed(
    entry: Removed, library: Library, engine: Engine, texts: Texts, change: Change | None
) -> None:
    with st.container(
        key=f"removed-{entry.key}",
        horizontal=True,
        vertical_alignment="center",
        horizontal_alignment="distribute",
    ):
        st.html(removed_html(entry, written(entry.when, texts), texts), width="content")
        st.button(
            texts.put_back,
            key=f"restore-{entry.key}",
            type="tertiary",
            icon=":material/restore:",
            disabled=change is not None and change.running,
            on_click=_start,
            args=(restoring(library, entry.key, engine), texts),
        )


# --- Adding -------------------------------------------------------------------------------


def _upload(library: Library, engine: Engine | None, texts: Texts, *, running: bool) -> None:
    """Let a person choose files, say what to do with names that are taken, and add them."""
    state = st.session_state
    # Under a new key the box is empty again.
    number = state.setdefault("additions", 0)
    st.html(
        help_html(
            texts.add_help.format(
                formats=_formats(), size=_MOST_MEGABYTES, folder=library.folder.resolve()
            )
        )
    )
    # The button of Streamlit speaks English, whatever the page.
    st.html(
        '<style>[class*="st-key-add-"] .stFileUploader button [data-testid=stMarkdownContainer]'
        f'::after {{ content: "{texts.add_browse}" }}</style>'
    )
    # Of every type and size: what is refused is, with the reason, in the language of the page.
    files = st.file_uploader(
        texts.add_drop,
        accept_multiple_files=True,
        key=f"add-{number}",
    )
    existing: Existing | None = "skip"
    taken = library.taken([file.name for file in files])
    if taken:
        choices = {
            "replace": texts.add_replace,
            "rename": texts.add_rename,
            "skip": texts.add_skip,
        }
        st.html(notice_html(texts.add_taken.format(names=", ".join(taken)), "warning"))
        existing = st.radio(
            texts.add_choice,
            get_args(Existing),
            index=None,
            format_func=lambda choice: choices[choice],
            key=f"existing-{number}",
        )
    if files:
        st.button(
            texts.add_start,
            key="add-start",
            type="primary",
            icon=":material/add:",
            disabled=running or existing is None,
            on_click=_add,
            args=(files, existing, library, engine, texts),
        )


def _add(
    files: Sequence[Any],
    existing: Existing,
    library: Library,
    engine: Engine | None,
    texts: Texts,
) -> None:
    uploads = [Upload(file.name, file.getvalue()) for file in files]
    state = st.session_state
    before = state.get("watched_change")
    _start(adding(library, uploads, existing, engine), texts)
    if state.get("watched_change") is not before:
        # The box is emptied once its files are taken.
        state.additions += 1


def _start(task: Task, texts: Texts) -> None:
    """Start a change and watch it; say so when another visitor was first."""
    change = _desk().start(task)
    if change is None:
        st.toast(texts.change_running, icon=":material/hourglass_top:")
        return
    st.session_state.watched_change = change


def _formats() -> str:
    return ", ".join(SUFFIXES)


# --- Watching -----------------------------------------------------------------------------


@st.fragment(run_every=_POLL_SECONDS)
def _watch(change: Change, texts: Texts) -> None:
    """Show how far a change is, without drawing the rest of the page again."""
    if not change.running:
        st.rerun()
    fraction, words = how_far(change.progress, texts)
    st.progress(fraction, text=words)


def _report(change: Change, settings: Settings, texts: Texts) -> None:
    """Say what came of a change, until the visitor hides it."""
    with st.container(key="change-report", gap="small"):
        if change.added:
            st.html(added_html(change.added, texts, _formats(), _MOST_MEGABYTES))
        if change.removed is not None:
            where = (settings.data / TRASH).resolve() / change.removed.key
            st.html(
                notice_html(
                    texts.removed.format(name=change.removed.doc_id),
                    detail=texts.removed_where.format(folder=where),
                )
            )
        if change.restored is not None:
            st.html(notice_html(texts.restored.format(name=change.restored.doc_id)))
        if change.error is not None:
            said = texts.change_not_indexed if change.behind else texts.change_failed
            busy = isinstance(change.error, IndexBusy)
            detail = texts.index_busy if busy else texts.say(change.error.message)
            st.html(notice_html(said, "error", detail=detail))
        report = change.report
        if report is not None:
            done = texts.index_done.format(
                added=texts.count(len(report.added)),
                replaced=texts.count(len(report.replaced)),
                removed=texts.count(len(report.removed)),
                unchanged=texts.count(len(report.unchanged)),
            )
            st.html(help_html(done))
        st.button(
            texts.dismiss,
            key="dismiss",
            type="tertiary",
            icon=":material/close:",
            on_click=_dismiss,
        )


def _dismiss() -> None:
    st.session_state.pop("watched_change", None)


def _folder_state(library: Library, texts: Texts) -> None:
    sentences = {
        "missing": texts.folder_missing,
        "unreadable": texts.folder_unreadable,
        "read-only": texts.folder_read_only,
        "file": texts.folder_file,
    }
    found = library.state()
    if found in sentences:
        sentence = sentences[found].format(folder=library.folder.resolve())
        st.html(notice_html(sentence, "error" if found == "unreadable" else "warning"))


@st.cache_data(ttl=_STALE_SECONDS, show_spinner=False)
def _is_stale(_engine: Engine, signature: str) -> bool:
    return _engine.is_stale()
