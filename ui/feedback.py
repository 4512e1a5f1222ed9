"""What a person says of an answer: right or not, and if they like what was wrong with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast, get_args

import streamlit as st

from rag import __version__
from rag.config import Settings
from rag.errors import CitadelleError
from rag.feedback import FeedbackStore, Reason, Verdict
from rag.logs import request_id
from rag.types import Answer
from ui.rendering.notices import help_html, notice_html
from ui.texts import Texts

__all__ = ["Judgement", "Said", "draw_feedback", "recalled_judgement"]

logger = logging.getLogger(__name__)

# Room for a paragraph; the store would keep more.
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class Said:
    """What a person said of an answer, as it is stored."""

    verdict: Verdict
    reasons: tuple[Reason, ...] = ()
    expected: str = ""
    comment: str = ""


@dataclass
class Judgement:
    """An answer, and what was said of it so far; nothing is stored before a click.

    `history` are the earlier questions that the answer was made with, `corpus_hash` stands
    for the documents as they were. `error` is what kept the last click from being stored.
    """

    answer: Answer
    history: tuple[str, ...]
    corpus_hash: str
    said: Said | None = None
    identifier: str = ""
    explaining: bool = False
    error: str = ""

    @property
    def verdict(self) -> Verdict | None:
        return self.said.verdict if self.said is not None else None


def recalled_judgement(
    answer: Answer, history: Sequence[str], corpus_hash: str, folder: Path
) -> Judgement:
    """Return an answer of an earlier session with what was said of it, kept below `folder`."""
    judgement = Judgement(answer, tuple(history), corpus_hash)
    try:
        found = FeedbackStore(folder).find(answer, history)
    except CitadelleError as error:
        judgement.error = error.message
        return judgement
    if found is not None:
        judgement.identifier = found.id
        judgement.said = Said(found.verdict, found.reasons, found.expected, found.comment)
    return judgement


def draw_feedback(number: int, judgement: Judgement, settings: Settings, texts: Texts) -> None:
    """Ask whether the answer is right, keep what is said, and thank."""
    folder = settings.data
    labels: dict[Verdict, str] = {
        "right": f":material/thumb_up: {texts.feedback_right}",
        "wrong": f":material/thumb_down: {texts.feedback_wrong}",
    }
    key = f"verdict-{number}"
    # A widget that was out of sight begins anew: with what is stored.
    st.session_state.setdefault(key, judgement.verdict)
    with st.container(key=f"feedback-{number}", gap="small"):
        st.pills(
            texts.feedback_ask,
            get_args(Verdict),
            format_func=lambda verdict: labels[verdict],
            key=key,
            on_change=_judge,
            args=(key, judgement, folder, texts),
        )
        if judgement.error:
            detail = texts.say(judgement.error)
            st.html(notice_html(texts.feedback_failed, "error", detail=detail))
        elif judgement.said is not None:
            with st.container(horizontal=True, vertical_alignment="center"):
                thanks = texts.feedback_thanks.format(here=texts.here(settings))
                st.html(help_html(thanks), width="content")
                if judgement.verdict == "wrong" and not judgement.explaining:
                    st.button(
                        texts.feedback_more,
                        key=f"more-{number}",
                        type="tertiary",
                        icon=":material/edit_note:",
                        on_click=_explain,
                        args=(judgement,),
                    )
        if judgement.explaining:
            _draw_form(number, judgement, folder, texts)


def _draw_form(number: int, judgement: Judgement, folder: Path, texts: Texts) -> None:
    labels: dict[Reason, str] = {
        "not_true": texts.reason_not_true,
        "not_asked": texts.reason_not_asked,
        "incomplete": texts.reason_incomplete,
        "missing_source": texts.reason_missing_source,
    }
    said = judgement.said or Said("wrong")
    state = st.session_state
    state.setdefault(f"reasons-{number}", list(said.reasons))
    state.setdefault(f"expected-{number}", said.expected)
    state.setdefault(f"comment-{number}", said.comment)
    with st.form(f"explanation-{number}"):
        # What is wrong with an abstention is that there is an answer.
        if not judgement.answer.abstained:
            st.pills(
                texts.feedback_why,
                get_args(Reason),
                format_func=lambda reason: labels[reason],
                selection_mode="multi",
                key=f"reasons-{number}",
            )
        for label, name in (
            (texts.feedback_expected, "expected"),
            (texts.feedback_comment, "comment"),
        ):
            st.text_area(label, key=f"{name}-{number}", max_chars=_LONGEST, height=80)
        st.form_submit_button(
            texts.feedback_save,
            key=f"save-{number}",
            on_click=_keep,
            args=(number, judgement, folder, texts),
        )


def _explain(judgement: Judgement) -> None:
    judgement.explaining = True


def _judge(key: str, judgement: Judgement, folder: Path, texts: Texts) -> None:
    """Store the verdict that was clicked, or take it back when it was clicked away."""
    verdict = cast("Verdict | None", st.session_state[key])
    if _store(judgement, Said(verdict) if verdict is not None else None, folder, texts):
        judgement.explaining = verdict == "wrong"
    else:
        st.session_state[key] = judgement.verdict


def _keep(number: int, judgement: Judgement, folder: Path, texts: Texts) -> None:
    """Store what was filled in, and close the form once that is done."""
    state = st.session_state
    said = Said(
        "wrong",
        tuple(state[f"reasons-{number}"]),
        state[f"expected-{number}"].strip(),
        state[f"comment-{number}"].strip(),
    )
    judgement.explaining = not _store(judgement, said, folder, texts)


def _store(judgement: Judgement, said: Said | None, folder: Path, texts: Texts) -> bool:
    """Store what was said in place of what was said before; tell whether that succeeded."""
    store = FeedbackStore(folder)
    judgement.error = ""
    try:
        if said is None:
            store.remove(judgement.identifier)
        else:
            judgement.identifier = store.add(
                judgement.answer,
                said.verdict,
                history=judgement.history,
                reasons=said.reasons,
                expected=said.expected,
                comment=said.comment,
                corpus_hash=judgement.corpus_hash,
                version=__version__,
            )
    except CitadelleError as error:
        judgement.error = error.message
        return False
    except Exception:
        # A defect of ours must not take the conversation with it.
        logger.exception("The feedback could not be stored.")
        judgement.error = texts.numbered(texts.server_log, request_id())
        return False
    judgement.said = said
    return True
