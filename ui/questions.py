"""The view of the questions: the conversation, and the box in which to ask."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.mutable_status_container import StatusContainer

from rag.chat_model import writes_elsewhere
from rag.config import Settings
from rag.errors import CitadelleError, InvalidFilter
from rag.logs import begin_request
from rag.types import Answer, Ranking, Turn
from rag.writing import notice_in
from ui.copying import draw_copy
from ui.engine import Engine, FoundCallback, ProgressCallback
from ui.exchange import Exchange, present_documents, recall_documents
from ui.feedback import Judgement, draw_feedback
from ui.filters import clear_filters, draw_filters, filter_labels, filters_in_force
from ui.history import first_number, leave_conversation, settle, submit, turn_to_answer
from ui.login import own_folder
from ui.navigation import arrive, bring, turn_page
from ui.reading import await_answer, close_source, draw_source, open_address, show_beside
from ui.rendering.answers import (
    answer_html,
    evidence_html,
    filters_html,
    footer_html,
    found_html,
    question_html,
    understood_html,
)
from ui.rendering.evidence import evidence, first_found, nearest, quoted_document
from ui.rendering.lists import skipped_html
from ui.rendering.notices import notice_html
from ui.texts import EXAMPLES, Texts
from ui.written_answers import (
    awaits_consent,
    draw_beneath,
    draw_consent,
    draw_mode,
    draw_standing,
    draw_stop,
    is_allowed,
    quotes_only,
    write,
)

__all__ = ["draw_questions", "new_conversation"]

logger = logging.getLogger(__name__)

_USER_AVATAR: Final = ":material/person:"
_ANSWER_AVATAR: Final = ":material/fort:"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where it is shown how far an answer is, and what stands of it."""

    status: StatusContainer
    answer: DeltaGenerator


def new_conversation() -> None:
    """Forget the conversation, and go to where the next one begins."""
    leave_conversation()
    clear_filters()
    close_source()
    turn_page("questions")


def draw_questions(engine: Engine, texts: Texts) -> None:
    """Draw the conversation, and answer the question that was just asked."""
    state = st.session_state
    conversation: list[Exchange] = state.conversation
    open_address()
    # Places that are always there: the welcome goes at once with the first question, and
    # the box below keeps its focus because nothing moves it.
    welcome, talk = st.empty(), st.container()
    if not conversation:
        with welcome.container():
            _welcome(engine, texts)
    with talk:
        places = [
            _draw_exchange(number, exchange, engine, texts)
            for number, exchange in enumerate(conversation, start=first_number())
        ]
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
        if engine.settings.llm:
            with st.container(
                key="ask-options", horizontal=True, vertical_alignment="center", gap="small"
            ):
                draw_filters(engine, texts)
                draw_mode(texts)
        else:
            draw_filters(engine, texts)
        question = st.chat_input(texts.placeholder, key="question")
    if question is not None:
        _submit(question, engine, texts)
        st.rerun()
    draw_source(dict(enumerate(conversation, start=first_number())), engine, texts)
    if conversation:
        _settle(conversation, places, engine, texts)
    else:
        arrive()


def _settle(
    conversation: Sequence[Exchange],
    places: Sequence[_Place | None],
    engine: Engine,
    texts: Texts,
) -> None:
    """Bring the last exchange into view; answer first what is still to be answered.

    In the `places` it is said meanwhile what is being done.
    Everything else is drawn by then, so that nothing is missing or faded meanwhile.
    """
    state = st.session_state
    for before, (exchange, place) in enumerate(zip(conversation, places, strict=True)):
        number = first_number() + before
        if awaits_consent(exchange, engine.settings):
            bring(f"exchange-{number}", "consent", said=texts.consent_asked)
            return
        if exchange.pending and place is not None:
            bring(f"exchange-{number}", "asked")
            with turn_to_answer(exchange, own_folder(engine.settings.data)) as wanted:
                if wanted:
                    _answer(exchange, conversation[:before], place, engine, texts)
            if exchange.answer is not None:
                show_beside(number, exchange.answer)
            if not awaits_consent(exchange, engine.settings):
                state.arrived = number
            st.rerun()
    last = first_number() + len(conversation) - 1
    if state.get("arrived") == last:
        # Not the occasion before: a conversation may be opened while the last one is still drawn.
        occasion = f"answered {state.get('turned', 0)}"
        bring(f"exchange-{last}", occasion, said=texts.answer_ready)


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
    if sources:
        many = texts.see_documents.format(count=texts.count(len(sources)))
        st.button(
            texts.see_document if len(sources) == 1 else many,
            key="see-documents",
            type="tertiary",
            icon=":material/menu_book:",
            on_click=turn_page,
            args=("documents",),
        )
    else:
        st.html(notice_html(texts.documents_empty))
    if engine.skipped:
        st.html(skipped_html(engine.skipped, texts))


def _submit(question: str, engine: Engine, texts: Texts) -> None:
    """Put a question in the conversation, or say why not and leave it in the box."""
    state = st.session_state
    state.pop("refused", None)
    limit = engine.settings.max_question_chars
    if not any(character.isalnum() for character in question):
        state.refused = texts.question_empty
    elif len(question) > limit:
        state.refused = texts.question_too_long.format(
            length=texts.count(len(question)), limit=texts.count(limit)
        )
        state.returned = question
    else:
        _put(Exchange(question.strip(), filters_in_force()), engine)


def _put(exchange: Exchange, engine: Engine) -> None:
    """Put a question in the conversation, to be answered as is wished for now."""
    state = st.session_state
    state.pop("consent_unkept", None)
    for earlier in state.conversation:
        # Who asks on instead of allowing a model to write is answered by quotes.
        if awaits_consent(earlier, engine.settings):
            earlier.quoted = True
    exchange.quoted = quotes_only()
    await_answer()
    submit(exchange, own_folder(engine.settings.data))


def _ask_again(exchange: Exchange, engine: Engine) -> None:
    """Ask a question again, of other documents or without what came before it."""
    conversation = st.session_state.conversation
    # A second click comes while the first is being answered.
    if not conversation[-1].pending:
        _put(exchange, engine)


def _draw_exchange(number: int, exchange: Exchange, engine: Engine, texts: Texts) -> _Place | None:
    """Draw a question and what came of it; return the place of an answer that is not there yet."""
    place = None
    settings = engine.settings
    with st.chat_message("user", avatar=_USER_AVATAR):
        st.html(question_html(exchange.question, f"exchange-{number}"))
        if exchange.filters:
            st.html(filters_html(filter_labels(exchange.filters, texts), texts))
        if exchange.answer is not None and exchange.answer.understood:
            st.html(understood_html(exchange.answer.understood, texts))
            st.button(
                texts.ask_alone,
                key=f"alone-{number}",
                type="tertiary",
                icon=":material/undo:",
                on_click=_ask_again,
                args=(Exchange(exchange.question, exchange.filters, alone=True), engine),
            )
    with st.chat_message("assistant", avatar=_ANSWER_AVATAR):
        if awaits_consent(exchange, settings):
            draw_consent(number, exchange, engine, texts)
        elif exchange.pending:
            # Of an answer that is gone on with, the same is said as before.
            writes = exchange.writing is not None and exchange.writing.stage[0] == "write"
            words = texts.writing if writes else texts.searching
            place = _Place(st.status(words, type="compact"), st.empty())
            if exchange.writing is not None and exchange.writing.sentences:
                draw_standing(exchange.writing, engine, place.answer, texts)
            elif exchange.writing is not None:
                _finds(place.answer, engine)(exchange.writing.found)
            if settings.llm and not exchange.quoted and is_allowed(settings):
                draw_stop(number, exchange, texts)
        elif exchange.answer is None:
            st.html(notice_html(exchange.error, "error"))
        else:
            _draw_answer(number, exchange, exchange.answer, engine, texts)
        unanswered = exchange.error or (exchange.answer is not None and exchange.answer.abstained)
        if exchange.filters and unanswered:
            st.button(
                texts.ask_everywhere,
                key=f"everywhere-{number}",
                type="tertiary",
                icon=":material/filter_list_off:",
                on_click=_ask_again,
                args=(Exchange(exchange.question, alone=exchange.alone), engine),
            )
    return place


def _history(exchange: Exchange, earlier: Sequence[Exchange], settings: Settings) -> list[Turn]:
    """Return the questions that an exchange follows: none before one that was asked alone.

    Those that were to be answered by quotes alone are private where a model is elsewhere.
    """
    history: list[Turn] = []
    elsewhere = writes_elsewhere(settings)
    for one in (*earlier, exchange):
        if one.alone:
            history.clear()
        if one is not exchange and one.answer is not None:
            history.append(Turn("user", one.question, private=one.quoted and elsewhere))
    return history


def _steps(status: StatusContainer, texts: Texts) -> ProgressCallback:
    """Return what says in `status` which step an answer is at, when it comes to one."""
    reached = "search"

    def say(stage: str, _done: int, total: int) -> None:
        nonlocal reached
        if stage == reached or stage not in ("read", "write"):
            return
        reached = stage
        words = texts.reading_passages.format(count=texts.count(total))
        read = texts.reading_passage if total == 1 else words
        status.update(label=texts.writing if stage == "write" else read)

    return say


def _finds(place: DeltaGenerator, engine: Engine) -> FoundCallback:
    """Return what shows in `place` the best of the passages found, until there is an answer."""

    def show(found: tuple[Ranking, ...]) -> None:
        hits = (hit for ranking in found for hit in ranking.hits)
        documents = present_documents((hit.chunk.doc_id for hit in hits), engine)
        shown = first_found(found, documents)
        if shown:
            place.html(found_html(shown))

    return show


def _answer(
    exchange: Exchange,
    earlier: Sequence[Exchange],
    place: _Place,
    engine: Engine,
    texts: Texts,
) -> None:
    """Answer a question, unless a person is to be asked first who may get it."""
    history = _history(exchange, earlier, engine.settings)
    number = begin_request(exchange.identifier)
    try:
        filters = {entry.name: entry.value for entry in exchange.filters}
        answer = _given(exchange, history, filters, place, engine, texts)
        if answer is None:
            return
        quoted = {citation.doc_id for citation in answer.citations}
        quoted |= {passage.doc_id for passage in answer.passages}
        documents = present_documents(quoted, engine)
        if any(quoted_document(c, documents) is None for c in answer.citations):
            # Another visitor took up a new index in between: what is marked must be what is quoted.
            exchange.error = texts.index_changed
        else:
            corpus_hash = str(engine.manifest.get("corpus_hash", ""))
            exchange.documents = documents
            exchange.hints = engine.hints(answer, filters)
            if answer.mode != "courtesy":
                exchange.judgement = Judgement(
                    answer, tuple(turn.text for turn in history), corpus_hash
                )
            exchange.answer = answer
    except InvalidFilter:
        exchange.error = texts.filters_none
    except CitadelleError as error:
        # Kept as it was said, like the answers.
        exchange.error = texts.say(error.message)
    except Exception:
        # A defect of ours must not take the conversation with it.
        logger.exception("The question could not be answered.")
        exchange.error = texts.numbered(texts.unexpected_error, number)
    settle(exchange, own_folder(engine.settings.data))


def _given(
    exchange: Exchange,
    history: Sequence[Turn],
    filters: Mapping[str, str],
    place: _Place,
    engine: Engine,
    texts: Texts,
) -> Answer | None:
    """Return the answer that may be given; None, with another proposed, where that is asked."""
    progress, found = _steps(place.status, texts), _finds(place.answer, engine)
    if not engine.settings.llm:
        return engine.ask(
            exchange.question, history=history, filters=filters, progress=progress, found=found
        )
    if not exchange.quoted and is_allowed(engine.settings):
        return write(exchange, history, filters, engine, place.answer, progress, found, texts)
    answer = exchange.proposed or engine.ask(
        exchange.question,
        history=history,
        filters=filters,
        progress=progress,
        written=False,
        found=found,
    )
    # Of what is answered by no quote, no model is asked.
    if exchange.quoted or answer.mode != "extractive":
        return answer
    exchange.proposed = answer
    return None


def _draw_answer(
    number: int, exchange: Exchange, answer: Answer, engine: Engine, texts: Texts
) -> None:
    documents = recall_documents(exchange, engine)
    if answer.notice:
        st.html(notice_html(notice_in(answer.notice, texts.code)))
    if answer.abstained:
        st.html(notice_html(answer.text, points=exchange.hints))
    else:
        footer = "" if answer.mode == "courtesy" else footer_html(answer, texts)
        st.html(answer_html(answer, number, documents, texts) + footer)
    if exchange.judgement is not None:
        draw_feedback(number, exchange.judgement, engine.settings, texts)
    if answer.citations:
        draw_copy(number, answer, documents, texts)
    if answer.abstained:
        close = nearest(answer, documents)
        if close:
            with st.expander(texts.perhaps, key=f"perhaps-{number}"):
                st.html(f'<p class="cit-help">{texts.perhaps_help}</p>')
                for shown in close:
                    st.html(evidence_html(shown, 0, texts))
        return
    draw_beneath(number, exchange, answer, engine, texts)
    passages = evidence(answer, documents)
    title = texts.passage if len(passages) == 1 else texts.passages
    if passages:
        st.html(f'<h2 class="cit-h2">{title}</h2>')
    for place, shown in enumerate(passages):
        with st.container(key=f"card-{number}-{place}", border=True, gap=None):
            st.html(evidence_html(shown, number, texts))
