"""Questions that ask two things, such as "Quand et où le BCC a-t-il été créé ?"."""

from __future__ import annotations

import re

__all__ = ["parts"]

_PREPOSITIONS = (
    r"depuis|jusqu['’](?:à|en)|à|en|de|d['’]|par|pour|avec|chez|sur|sous|dans|vers|"
    r"since|until|in|at|by|for|with|from|to|of|on|under|"
    r"sinds|tot|op|bij|met|door|voor|van|aan|onder|uit"
)
# Those that ask by themselves, and may share the rest of the question with another.
_ADVERBS = r"quand|où|comment|pourquoi|combien|when|where|how|why|wanneer|waar|hoe|waarom|hoeveel"
_PRONOUNS = (
    r"qui|quoi|que|qu['’]est-ce|lequel|laquelle|lesquels|lesquelles|quel|quelle|quels|quelles|"
    r"who|whom|whose|what|which|wie|wat|welk|welke"
)
_ASKING = rf"(?:(?:{_PREPOSITIONS})\s*)?(?:{_ADVERBS}|{_PRONOUNS})\b"
_AND = r"\s*,?\s+(?:et|and|en|ainsi que|as well as|evenals)\s+"
_FLAGS = re.IGNORECASE
_ALONE = (
    rf"(?:(?:{_PREPOSITIONS})\s*)?"
    rf"(?:{_ADVERBS}|qui|who|wie|(?:quel(?:le)?s?|what|which|welke?)\s+\w+)"
)
_SHARED = re.compile(rf"^({_ALONE}){_AND}({_ALONE})\s+(?!(?:et|and|en)\b)(\S.*)$", _FLAGS)
_OPENS = re.compile(rf"^(?:c['’]est\s+)?{_ASKING}", _FLAGS)
_SECOND = re.compile(rf"{_AND}(?={_ASKING})", _FLAGS)
_SENTENCE = re.compile(r"(?<=\?)\s+(?=\w)")
# "l'agence qui coordonne et qui finance": words that also join clauses.
_RELATIVE = re.compile(
    r"(?<=\S )(?:qui|que|qu['’]|où|who|which|that|where|whose|waar|die|dat)\b", _FLAGS
)
_JOINS = re.compile(r"(?:qui|que|où|who|which|where|whose|waar|wie)\b", _FLAGS)
# "decides where and when to meet"
_UNFINISHED = re.compile(rf"\b(?:{_ADVERBS}|{_PRONOUNS})$", _FLAGS)
_MARK = re.compile(r"[\s?.!]+$")
# More than two would be an interrogation; they are asked as one.
_MOST = 2
# What is longer is a text with a question in it, and too long for patterns that look back.
_LONGEST = 400
# "Who leads and who funds ENISA?": fewer words ask nothing by themselves.
_FEWEST_WORDS = 3


def parts(question: str) -> tuple[str, ...]:
    """Return the two questions that a question asks, or the question alone.

    A rest that both share is given to both; the second may lean on the first in other ways
    ("et depuis quand ?"), for `rag/conversation.py` to complete.
    """
    if len(question) > _LONGEST:
        return (question,)
    sentences = [part.strip() for part in _SENTENCE.split(question.strip()) if part.strip()]
    if len(sentences) > 1:
        asking = all(_OPENS.match(_without_and(sentence)) for sentence in sentences)
        return tuple(sentences) if asking and len(sentences) <= _MOST else (question,)
    mark = _MARK.search(question)
    end = mark.group() if mark else ""
    body = question[: len(question) - len(end)].strip()
    shared = _SHARED.match(body)
    if shared:
        first, second, rest = shared.groups()
        return f"{first} {rest}{end}", f"{second[0].upper()}{second[1:]} {rest}{end}"
    cuts = list(_SECOND.finditer(body))
    if len(cuts) != 1 or not _OPENS.match(body):
        return (question,)
    first, second = body[: cuts[0].start()], body[cuts[0].end() :]
    relative = _JOINS.match(second) and _RELATIVE.search(first)
    if relative or _UNFINISHED.search(first) or len(first.split()) < _FEWEST_WORDS:
        return (question,)
    return f"{first}{end}", f"{second[0].upper()}{second[1:]}{end}"


def _without_and(sentence: str) -> str:
    return re.sub(r"^(?:et|and|en)\s+", "", sentence, flags=_FLAGS)
