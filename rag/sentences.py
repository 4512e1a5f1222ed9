"""Split plain text into sentences, in French, Dutch and English.

A rule with an abbreviation list: the libraries tried split `n° 1202`, `p. ex.` and
`d.w.z.` in the wrong place. A line end always ends a sentence, because the plain
text of a document has one block per line.
"""

from __future__ import annotations

import re

__all__ = ["sentences"]


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Titles and references always announce what follows: never the end of a sentence.
_NEVER_LAST = _set(
    "m mm mme mmes mlle mlles mgr dr pr prof dhr mevr mw drs ir ing st ste mr mrs ms cf p pp éd "
    "rééd nr nrs tél blz bd boul vs c-à-d càd bijv bv zgn evt resp env hr lt gén maj sgt cdt "
    "capt adj av apr §"
)
# The same, but also ordinary words: the end of a sentence where a new one clearly starts.
_SELDOM_LAST = _set("col cap gen rev hon ex me num réf ref tel ca fam ed max min")
# References to a number, and words otherwise ("un musée d'art. Il").
_BEFORE_NUMBER = _set(
    "n no art artt vol chap fig al alin par lid let litt liv sect ann annexe tab tabl hoofdst"
)
# Words that start sentences and never stand behind an initial in a name.
_STARTERS = _set(
    "le la les l un une des du ce cet cette ces c il elle ils elles on nous vous je en dans pour "
    "par sur à au aux selon depuis après avant lors si son sa ses leur leurs qui que quand "
    "comment pourquoi mais et ou or donc car ainsi enfin ensuite toutefois cependant "
    "the a an it its this that these those he she they we you in at by for from with when "
    "while however but and or if there his her their "
    "de het een dit dat deze die hij zij ze wij we er in op bij met voor van naar als maar dus "
    "zijn haar hun"
)
# Behind these an initial belongs to a name even when it is followed by "Le" or "De".
_BEFORE_NAME = _set("par de et à avec selon chez by and with of door van en met bij")

_CLOSERS = "»”)],;:"
_OPENERS = "\"'“‘«([—–-"
# A terminator, what closes around it (French quotes with a space before), and a gap.
_CANDIDATE = re.compile(
    r"(?P<mark>[.!?…]+)(?P<close>(?:[”’\"')\]]|[ \u00a0\u202f]?»)*)(?=\s|$)",
)
_TOKEN = re.compile(r"[^\s.…!?]*(?:\.[^\s.…!?]+)*$")
_LONGEST_TOKEN = 40
_WORD = re.compile(r"[\s\W]*([^\W\d_]+)")
# "art. 12", "art. L. 511-1", "vol. XIV"
_REFERENCE = re.compile(r"\s*[\[(]?(?:\d|[A-Z]\.|[IVXLC]+\b)")


def sentences(text: str) -> list[tuple[int, int]]:
    """Return the spans of the sentences of `text`, in order, without outer spaces.

    Together they hold every character of `text` that is not white space.
    """
    spans: list[tuple[int, int]] = []
    start = 0
    while start <= len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        _split_line(text, start, end, spans)
        start = end + 1
    return spans


def _split_line(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    begin = start
    for match in _CANDIDATE.finditer(text, start, end):
        if match.end() < end and _ends_sentence(text, begin, end, match):
            _append_trimmed(text, begin, match.end(), spans)
            begin = match.end()
    _append_trimmed(text, begin, end, spans)


def _append_trimmed(text: str, start: int, end: int, spans: list[tuple[int, int]]) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        spans.append((start, end))


def _ends_sentence(text: str, begin: int, end: int, match: re.Match[str]) -> bool:
    first = _first_letter(text, match.end(), end)
    if first is None or first.islower() or first in _CLOSERS:
        return False
    mark = match["mark"]
    if "!" in mark or "?" in mark:
        return True
    if "…" in mark or len(mark) > 1:
        # "de 10... 20" goes on, "Toolbox... Le" does not.
        return not first.isdigit()
    if match["close"]:
        return _closed(text, begin, match)
    return _period_ends(text, begin, end, match, first)


def _closed(text: str, begin: int, match: re.Match[str]) -> bool:
    """A bracket that only holds an abbreviation ("(art. 3, al.) Le") is no sentence end."""
    token = _token_before(text, begin, match.start("mark"))
    return token.lower() not in _NEVER_LAST or len(token) == 1


def _period_ends(text: str, begin: int, end: int, match: re.Match[str], first: str) -> bool:
    token = _token_before(text, begin, match.start("mark"))
    lower = token.lower()
    if not token or text[match.start() - 1].isspace():
        return True
    following = _word_at(text, match.end(), end)
    if lower in _NEVER_LAST:
        return False
    if lower in _SELDOM_LAST and following not in _STARTERS:
        return False
    if lower in _BEFORE_NUMBER and _REFERENCE.match(text, match.end(), end):
        return False
    if token.isdigit() and len(token) <= 3 and _starts_at(text, begin, match.start("mark"), token):
        return False
    if _is_dotted(token):
        return _dotted_ends(text, begin, match, token, following)
    if len(token) == 1 and token.isalpha() and token.isupper():
        return _initial_ends(text, begin, match, following)
    return True


def _dotted_ends(text: str, begin: int, match: re.Match[str], token: str, following: str) -> bool:
    """Decide for "d.w.z.", "U.S.", "J.-C." and the like, `token` without its last period."""
    if token.islower():
        return token in {"a.m", "p.m", "e.a", "o.a"} and following in _STARTERS
    before = _previous_word(text, begin, match.start("mark") - len(token))
    if token == "J.-C":  # noqa: S105
        return before in {"av", "ap", "apr"} or following in _STARTERS
    return following in _STARTERS


def _initial_ends(text: str, begin: int, match: re.Match[str], following: str) -> bool:
    if following not in _STARTERS:
        return False
    before = _previous_word(text, begin, match.start("mark") - 1)
    return before.islower() and before not in _BEFORE_NAME and before not in _NEVER_LAST


def _is_dotted(token: str) -> bool:
    parts = re.split(r"[.\-]+", token)
    return "." in token and all(len(part) <= 1 or part.lower() == "à" for part in parts)


def _token_before(text: str, begin: int, end: int) -> str:
    found = _TOKEN.search(text[max(begin, end - _LONGEST_TOKEN) : end])
    token = found.group() if found else ""
    token = token.lstrip(_OPENERS)
    # "d'art." and "l'éd." are abbreviations behind an elided word.
    for apostrophe in ("'", "’"):
        head, mark, tail = token.rpartition(apostrophe)
        if mark and len(head) <= 5:
            token = tail
    return token


def _starts_at(text: str, begin: int, end: int, token: str) -> bool:
    return not text[begin : end - len(token)].strip()


def _previous_word(text: str, begin: int, end: int) -> str:
    head = text[max(begin, end - _LONGEST_TOKEN) : end].split()
    return head[-1].strip(".,;:" + _OPENERS) if head else ""


def _first_letter(text: str, start: int, end: int) -> str | None:
    """Return the first letter, digit or symbol behind spaces and opening punctuation."""
    for index in range(start, end):
        character = text[index]
        if not character.isspace() and character not in _OPENERS:
            return character
    return None


def _word_at(text: str, start: int, end: int) -> str:
    found = _WORD.match(text, start, min(end, start + 60))
    return found.group(1).lower() if found else ""
