"""The page: its session state and the order in which it draws. It knows nothing of retrieval."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, cast, get_args

import streamlit as st

from rag.config import load_settings
from rag.errors import CitadelleError, IndexBusy, IndexMissing, NothingToIndex
from rag.types import Answer, Document, Source
from ui import engine as engines
from ui.engine import Engine, Opening, Progress
from ui.rendering import (
    Evidence,
    answer_html,
    document_html,
    evidence,
    evidence_html,
    footer_html,
    nearest,
    notice_html,
    question_html,
    skipped_html,
    source_html,
)
from ui.texts import EXAMPLES, LANGUAGE_NAMES, TEXTS, InterfaceLanguage, Texts

__all__ = ["Exchange", "main"]

logger = logging.getLogger(__name__)

View = Literal["questions", "documents"]

_HERE: Final = Path(__file__).parent
_USER_AVATAR: Final = ":material/person:"
_ANSWER_AVATAR: Final = ":material/fort:"
_POLL_SECONDS: Final = 0.2
_SCRIPT: Final = (
    "setTimeout(() => document.getElementById('{anchor}')?.scrollIntoView(), 50); "
    "innerWidth < 768 && document.querySelector('[data-testid=stSidebar][data-collapsed=false] "
    "[data-testid=stSidebarCollapseButton] button')?.click()"
)
# More rows than this make a page slow to draw and slow to look through.
_DOCUMENTS_A_PAGE: Final = 20


@dataclass
class Exchange:
    """A question and what came of it: an answer, an error, or nothing yet.

    `documents` are the ones that were quoted, as they were then: an answer goes
    on showing what it was made from when a document changes or goes.
    """

    question: str
    answer: Answer | None = None
    error: str = ""
    documents: dict[str, Document] = field(default_factory=dict)

    @property
    def pending(self) -> bool:
        return self.answer is None and not self.error


def main() -> None:
    """Draw the page."""
    st.set_page_config("Citadelle", page_icon=str(_HERE / "icon.svg"), layout="centered")
    st.html(_HERE / "style.css")
    state = st.session_state
    state.setdefault("conversation", [])
    state.setdefault("language", _configured_language())
    texts = TEXTS[cast(InterfaceLanguage, state.language)]
    view = _sidebar(texts)
    engine = _opened(texts)
    if engine is None:
        return
    st.html('<div id="top"></div>')
    try:
        engine.refresh()
    except CitadelleError as error:
        # What was opened before still answers.
        st.html(notice_html(str(error), "warning"))
    if view == "documents":
        _documents(engine, texts)
    else:
        _questions(engine, texts)


def _configured_language() -> InterfaceLanguage:
    try:
        return load_settings().language
    except CitadelleError:
        return "fr"  # Opening the engine will say what is wrong with the settings.


def _sidebar(texts: Texts) -> View:
    names = {"questions": texts.view_questions, "documents": texts.view_documents}
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
            on_change=_turn_page,
        )
        st.button(
            texts.new_conversation,
            key="new",
            icon=":material/add:",
            width="stretch",
            disabled=not st.session_state.conversation,
            on_click=_new_conversation,
        )
        st.segmented_control(
            texts.language,
            get_args(InterfaceLanguage),
            format_func=lambda code: LANGUAGE_NAMES[code],
            key="language",
            required=True,
            width="stretch",
        )
        # Streamlit says that every page is in English, which screen readers then speak.
        st.html(
            f'<div class="cit-footnote">{texts.footnote}</div>'
            f"<script>document.documentElement.lang = '{st.session_state.language}'</script>",
            unsafe_allow_javascript=True,
        )
    return cast(View, view)


def _turn_page(view: View | None = None, reading: str = "") -> None:
    """Go to a view, and to a document there; what is shown next is shown from its top."""
    state = st.session_state
    state.view = view or state.view
    state.reading = reading
    state.turned = state.get("turned", 0) + 1


def _new_conversation() -> None:
    st.session_state.conversation = []
    _turn_page("questions")
    for name in ("refused", "arrived"):
        st.session_state.pop(name, None)


# --- Opening the engine -------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def _opening() -> Opening:
    # Looked up at the call, so that whoever replaces it is obeyed.
    return Opening(lambda progress: engines.open_engine(progress))


def _opened(texts: Texts) -> Engine | None:
    """Return the engine; show how far it is meanwhile, and what to do if it cannot open."""
    opening = _opening()
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
    _opening.clear()
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


# --- Questions and answers ----------------------------------------------------------------


def _questions(engine: Engine, texts: Texts) -> None:
    state = st.session_state
    conversation: list[Exchange] = state.conversation
    # Places that are always there: the welcome goes at once with the first question, and
    # the box below keeps its focus because nothing moves it.
    welcome, talk = st.empty(), st.container()
    if not conversation:
        with welcome.container():
            _welcome(engine, texts)
    with talk:
        for number, exchange in enumerate(conversation, start=1):
            _draw_exchange(number, exchange, texts)
    if "returned" in state:
        # A question that was refused is put back in the box, to be mended there.
        state.question = state.pop("returned")
    # In a container, because a page whose box is its own scrolls to the end of every
    # answer: the last passage, with the answer itself out of sight. The style sheet
    # keeps the container at the bottom of the window.
    with st.container(key="ask"):
        refusal = st.empty()
        if "refused" in state:
            refusal.html(notice_html(state.refused, "warning"))
        question = st.chat_input(texts.placeholder, key="question")
    if question is not None:
        _submit(question, engine, texts)
        st.rerun()
    if conversation:
        _settle(len(conversation), conversation[-1], engine, texts)
    else:
        _bring("top", f"turned {state.get('turned', 0)}")


def _settle(number: int, exchange: Exchange, engine: Engine, texts: Texts) -> None:
    """Bring the last exchange into view, and answer it if that is still to be done.

    Everything else is drawn by then, so that nothing is missing or faded meanwhile.
    """
    state = st.session_state
    if exchange.pending:
        _bring(f"exchange-{number}", "asked")
        _answer(exchange, state.conversation[:-1], engine, texts)
        state.arrived = number
        st.rerun()
    if state.get("arrived") == number:
        _bring(f"exchange-{number}", "answered", said=texts.answer_ready)


def _bring(anchor: str, occasion: str, said: str = "") -> None:
    """Scroll to an anchor, and tell screen readers what is `said`.

    On a phone, where the side bar covers the page, close it as well. Anchor and
    occasion are words of ours; the occasion is there because a script that did not
    change does not run again.
    """
    st.html(
        f'<div class="cit-unseen" role="alert">{said}</div>'
        f"<script>/* {occasion} */ {_SCRIPT.format(anchor=anchor)}</script>",
        unsafe_allow_javascript=True,
    )


def _welcome(engine: Engine, texts: Texts) -> None:
    sources = engine.sources()
    st.html(
        f'<div class="cit-welcome"><h1 class="cit-h1">{texts.welcome_title}</h1>'
        f"<p>{texts.welcome_text}</p></div>"
    )
    known = {source.doc_id for source in sources}
    examples = [example for example in EXAMPLES if example.doc_id in known]
    if examples:
        st.html(f'<h2 class="cit-h2">{texts.examples}</h2>')
        with st.container(key="examples"):
            for number, example in enumerate(examples):
                st.button(
                    example.question,
                    key=f"example-{number}",
                    width="stretch",
                    on_click=_submit,
                    args=(example.question, engine, texts),
                )
    many = texts.see_documents.format(count=texts.count(len(sources)))
    st.button(
        texts.see_document if len(sources) == 1 else many,
        key="see-documents",
        type="tertiary",
        icon=":material/menu_book:",
        on_click=_turn_page,
        args=("documents",),
    )
    if engine.skipped:
        st.html(skipped_html(engine.skipped, texts))


def _submit(question: str, engine: Engine, texts: Texts) -> None:
    """Put a question in the conversation, or say why not and leave it in the box."""
    state = st.session_state
    state.pop("refused", None)
    limit = engine.settings.max_question_chars
    if not question.strip():
        state.refused = texts.question_empty
    elif len(question) > limit:
        state.refused = texts.question_too_long.format(
            length=texts.count(len(question)), limit=texts.count(limit)
        )
        state.returned = question
    else:
        state.conversation.append(Exchange(question.strip()))


def _draw_exchange(number: int, exchange: Exchange, texts: Texts) -> None:
    with st.chat_message("user", avatar=_USER_AVATAR):
        st.html(question_html(exchange.question, f"exchange-{number}"))
    with st.chat_message("assistant", avatar=_ANSWER_AVATAR):
        if exchange.pending:
            st.status(texts.searching, type="compact")
        elif exchange.answer is None:
            st.html(notice_html(exchange.error, "error"))
        else:
            _draw_answer(number, exchange, exchange.answer, texts)


def _answer(exchange: Exchange, earlier: Sequence[Exchange], engine: Engine, texts: Texts) -> None:
    history = [previous.question for previous in earlier if previous.answer is not None]
    try:
        answer = engine.ask(exchange.question, history=history)
        quoted = {citation.doc_id for citation in answer.citations}
        quoted |= {passage.doc_id for passage in answer.passages}
        documents = {doc_id: engine.document(doc_id) for doc_id in quoted}
        if any(documents[c.doc_id].content_hash != c.content_hash for c in answer.citations):
            # Another visitor took up a new index in between: what is marked must be what is quoted.
            raise IndexBusy(texts.index_changed)
        exchange.documents = documents
        exchange.answer = answer
    except CitadelleError as error:
        exchange.error = str(error)
    except Exception:
        # A defect of ours must not take the conversation with it.
        logger.exception("The question could not be answered.")
        exchange.error = texts.unexpected_error


def _draw_answer(number: int, exchange: Exchange, answer: Answer, texts: Texts) -> None:
    anchor = f"passage-{number}"
    if answer.abstained:
        st.html(notice_html(answer.text))
        close = nearest(answer, exchange.documents)
        if close:
            with st.expander(texts.perhaps, key=f"perhaps-{number}"):
                st.html(f'<p class="cit-help">{texts.perhaps_help}</p>')
                for shown in close:
                    st.html(evidence_html(shown, ""))
        return
    st.html(answer_html(answer, anchor, texts) + footer_html(answer, texts))
    passages = evidence(answer, exchange.documents)
    title = texts.passage if len(passages) == 1 else texts.passages
    if passages:
        st.html(f'<h2 class="cit-h2">{title}</h2>')
    for place, shown in enumerate(passages):
        _draw_evidence(shown, anchor, f"whole-{number}-{place}", texts)


def _draw_evidence(shown: Evidence, anchor: str, key: str, texts: Texts) -> None:
    with st.container(key=f"card-{key}", border=True, gap=None):
        st.html(evidence_html(shown, anchor))
        if shown.document is None:
            return
        # Tracked, so that a whole document is sent only to those who open it.
        whole = st.expander(texts.whole_document, key=key, type="compact", on_change="rerun")
        if whole.open:
            with whole, st.container(height=480, border=False):
                st.html(document_html(shown.document, shown.marks, f"{key}-in"))
                if shown.keys[0].isdigit():
                    _bring(f"{key}-in-{shown.keys[0]}", "opened")


# --- Documents ----------------------------------------------------------------------------


def _documents(engine: Engine, texts: Texts) -> None:
    sources = {source.doc_id: source for source in engine.sources()}
    reading = sources.get(st.session_state.get("reading", ""))
    if reading is None:
        _list_documents(tuple(sources.values()), engine, texts)
    else:
        _read_document(reading, engine, texts)
    _bring("top", f"turned {st.session_state.get('turned', 0)}")


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
                on_click=_turn_page,
                args=("documents", source.doc_id),
            )


def _read_document(source: Source, engine: Engine, texts: Texts) -> None:
    st.button(
        texts.back,
        key="back",
        type="tertiary",
        icon=":material/arrow_back:",
        on_click=_turn_page,
        args=("documents",),
    )
    st.html(source_html(source, texts, labels=False))
    try:
        document = engine.document(source.doc_id)
    except CitadelleError as error:
        st.html(notice_html(str(error), "error"))
        return
    st.html(document_html(document))
