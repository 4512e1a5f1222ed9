"""Follow-ups that a language model says as questions which stand alone.

It is asked only where the rules of `rag/conversation.py` found that a question leans on those
before it, and gets the person's questions alone: no answer, no passage. What it writes is taken
where nothing in it is new; otherwise what the rules made of the question stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from rag.chat_model import Stopped, stoppable
from rag.conversation import standalone
from rag.courtesies import bare_question, courtesy
from rag.draft import Draft, Drafted
from rag.errors import ModelError
from rag.language import detect
from rag.lexical import content_words, stems
from rag.names import absent_names
from rag.prompting import filled_prompt
from rag.quantities import missing
from rag.types import Language
from rag.writing import WritingModel

__all__ = ["rewritten"]

# The rules need no time: a model that takes long is not waited for.
_SECONDS: Final = 6.0
# What a follow-up leaves unsaid was said shortly before.
_EARLIER: Final = 5
_LONGEST: Final = 300
# Of the words that matter, how many may be new (a verb, say), and how many must stay.
_NEW_WORDS: Final = 1 / 3
_KEPT_WORDS: Final = 1 / 2
# What a model puts before a question although it was asked not to.
_LABEL: Final = re.compile(
    r"^(?:(?:the|la|de) )?(?:[\w-]+ )?(?:question|vraag)(?: [\w-]+)?\s*:\s*", re.IGNORECASE
)
_TAG: Final = re.compile(r"<(?=\s*/?\s*question\b)", re.IGNORECASE)


def rewritten(
    model: WritingModel,
    question: str,
    earlier: Sequence[str],
    language: Language,
    stopped: Callable[[], bool] | None = None,
) -> str | None:
    """Return a follow-up as a question that stands alone; None where the model gives none.

    `earlier` holds the questions before it, oldest first, `language` is that of the answer.
    A model that fails, is late, is stopped or adds something gives none.
    """
    before = [asked for asked in map(bare_question, earlier) if asked and courtesy(asked) is None]
    before = before[-_EARLIER:]
    if not before or language == "unknown":
        return None
    system, user = filled_prompt(
        f"follow-up.{language}",
        {},
        {"earlier": "\n".join(map(_tagged, before)), "question": _tagged(question)},
    )
    try:
        drafted = _written(model, system, user, stopped)
    except (ModelError, Stopped):
        return None
    if len(drafted) != 1:
        return None
    text = _LABEL.sub("", drafted[0].text).strip("«»“”\"' \u00a0\u202f")
    text = text[:1].upper() + text[1:]
    return text if _acceptable(text, question, before, language) else None


def _written(
    model: WritingModel, system: str, user: str, stopped: Callable[[], bool] | None
) -> list[Drafted]:
    """Return the sentences that a model writes, or as many as show that they are too many."""
    end = time.monotonic() + _SECONDS
    reply, draft = model.ask(system, user), Draft(0)
    read = stoppable(reply, stopped) if stopped is not None else reply.read
    drafted: list[Drafted] = []
    try:
        while (piece := read(end - time.monotonic())) is not None:
            drafted += draft.feed(piece)
            if len(drafted) > 1 or draft.endless:
                return [*drafted, *draft.finish()]
    finally:
        reply.close()
    return drafted + draft.finish()


def _acceptable(text: str, question: str, earlier: Sequence[str], language: Language) -> bool:
    """Tell whether a question stands alone and says what the conversation does, and no more."""
    conversation = [question, *earlier]
    return (
        text.endswith("?")
        and len(text) <= _LONGEST
        and detect(text) == language
        and not missing(text, *conversation)
        and not missing(question, text)
        and not any(absent_names(text, *conversation))
        and not any(absent_names(question, text))
        and _same_words(text, question, conversation, language)
        and not standalone(text, earlier).carried
    )


def _same_words(text: str, question: str, conversation: Sequence[str], language: Language) -> bool:
    """Tell whether the words that matter are those of the conversation, and of the question."""
    known = {stem for said in conversation for stem in stems(said, language)}
    said = stems(text, language)
    new = [stem for stem in said if stem not in known]
    asked = stems(question, language)
    kept = [stem for stem in asked if stem in said]
    # The capital of the first word does not tell whether it is a name.
    opening = content_words(text.split()[0], language)
    return (
        len(new) <= _NEW_WORDS * len(said)
        and len(kept) >= _KEPT_WORDS * len(asked)
        and all(stem in known for word in opening for stem in stems(word, language))
    )


def _tagged(question: str) -> str:
    """Return a question as data between tags, which its own text cannot close."""
    return f"<question>{_TAG.sub('‹', question)}</question>"
