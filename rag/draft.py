"""Read what a language model writes, as it comes: sentences, and the passages that they cite.

Models are asked for `[1]` at the end of a sentence, and write what they are used to: another
bracket, a superscript, the marker behind the full stop, Markdown, their reasoning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from rag.sentences import sentences

__all__ = ["NO_ANSWER", "Draft", "Drafted"]

# What a model is asked to write when the passages do not answer.
NO_ANSWER = "NO_ANSWER"

# Characters that steer a terminal, or the direction of the text, and hide what stands there.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
# Characters that a reader is never shown as one piece; a model that writes on is going round.
_LONGEST_LINE = 4000

# --- What is not meant for the reader: reasoning, calls of tools, tokens of the template ------

_HIDDEN = "think|thinking|thought|reasoning|reflection|analysis|scratchpad|tool_calls?"
_OPEN = re.compile(
    rf"<(?P<tag>{_HIDDEN}|function_call)\b[^<>]*>|(?P<think>\[THINK\])|"
    r"(?P<channel><\|channel\|>\s*(?:analysis|commentary))|(?P<tools>\[TOOL_CALLS\])",
    re.IGNORECASE,
)
# A close without an open: the open one stands in the prompt.
_LONE_CLOSE = re.compile(rf"</(?:{_HIDDEN})>|\[/THINK\]", re.IGNORECASE)
_TOKEN = re.compile(r"<\|channel\|>\s*final|<\|start\|>\w*|<\|[^|<>]{1,30}\|>|</?s>")
# What may still become one of these.
_PARTIAL = re.compile(r"(?:<[^<>\n]{0,40}|<\|(?:channel|start)\|>\s*\w{0,12}|\[/?[A-Z_]{0,11})$")
_LONGEST_TAG = 60

# --- Markers ------------------------------------------------------------------------------

_WORD = (
    r"(?:sources?|passages?|documents?|docs?|extraits?|réf(?:érence)?s?\.?|refs?\.?|"
    r"bron(?:nen)?|voir|see|zie)"
)
_NUMBER = rf"(?:(?:{_WORD}|\^|\#|n°|no\.?|nr\.?)\s*:?\s*)*\d{{1,2}}"
_LIST = rf"{_NUMBER}(?:\s*(?:,|;|&|et|and|en|-|–)\s*{_NUMBER})*"
_TITLE = r"(?:\s*[†:|,–-]\s*[^\]】］\d][^\]】］]{0,120})?"
# One character of a private area stands for each marker that was read.
_FIRST, _LAST = 0xE000, 0xF8FF
_HELD = f"[{chr(_FIRST)}-{chr(_LAST)}]"
_PRIVATE = re.compile(_HELD)
_MARKER = re.compile(
    rf"(?:\[{{1,2}}\s*(?P<square>{_LIST}){_TITLE}\s*\]{{1,2}}|"
    rf"【\s*(?P<lenticular>{_LIST})(?::\d+)?{_TITLE}\s*】|［\s*(?P<wide>{_LIST}){_TITLE}\s*］)"
    r"(?:\([^()\s]*\))?"
    rf"|\((?P<round>\s*{_LIST}\s*)\)"
    r"|<sup>\s*\[?(?P<tag>\d{1,2}(?:\s*,\s*\d{1,2})*)\]?\s*</sup>"
    # "25 m²" and "10³" are no markers.
    r"|(?:(?<=[^\W\d_]{3})|(?<=[.!?»”\"')])|(?<=[¹²³⁰⁴-⁹]\s)|(?<={_HELD}\s))(?P<raised>[¹²³⁰⁴-⁹]{1,2}(?:[,˒ʼ]?[¹²³⁰⁴-⁹]{1,2})*)",
    re.IGNORECASE,
)
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
# "article 3 (2)" is a paragraph of a law.
_LEGAL = re.compile(
    r"(?:\b(?:art(?:icle|ikel)?|par|lid|alinéa|section|annexe?|bijlage)s?\.?|§)"
    r"\s*[\w.-]+\s*$",
    re.IGNORECASE,
)
_SPAN = re.compile(r"(\d+)\s*[-–]\s*(?:\D*?)(\d+)")
# "Selon le passage 2, ..." is a marker in words.
_ACCORDING = re.compile(
    rf"^(?:selon|d['’]après|according to|volgens)\s+(?:l[ea]s?\s+|the\s+|de\s+|het\s+)?"
    rf"{_WORD}\s+(?P<list>{_LIST})\s*[,:]?\s*",
    re.IGNORECASE,
)
_BETWEEN = re.compile(rf"(?<={_HELD})(?:[\s,;&]|et|and|en)+(?={_HELD})", re.IGNORECASE)
_AROUND = re.compile(rf"[(\[]\s*(?:{_WORD}\s*:?\s*)?({_HELD}+)\s*[)\]]", re.IGNORECASE)
_BEHIND = re.compile(rf"([.!?…]+(?:[”\"'’)]|\s?»)*)(\s*)({_HELD}+)")
_OPENED = re.compile(r"(?:\[|\(|【|［|<)[^\])】］>\n]{0,140}$")
_UNSURE_END = re.compile(
    rf"(?:[\s,;¹²³⁰⁴-⁹]|{_HELD}|\[[^\[\]\n]{{0,140}}\]+|\([^()\n]{{0,140}}\)|【[^【】]*】|［[^［］]*］|"
    r"<sup>[^<]*</sup>)+$"
)

# --- Markdown -----------------------------------------------------------------------------

_FENCE = re.compile(r"^(?:```|~~~)\s*([\w-]*)")
_PROSE_FENCES = ("", "markdown", "md", "text", "txt", "plain", "plaintext")
_BULLET = re.compile(r"^\s*(?:>\s*)*(?:[-*•–+▪◦]|\d{1,2}[.)]|\(\d{1,2}\))\s+")
_QUOTED = re.compile(r"^\s*(?:>\s*)+")
# Lines that say nothing: headings, rules, rows that part a table, definitions of footnotes.
_SILENT = re.compile(
    r"^\s*(?:\#{1,6}\s|[-*_=|:\s]{3,}$|\[\^?\d{1,2}\]:)",
)
# Only whole lines can be told to be one of these.
_WAITING = re.compile(r"^\s*(?:\#|`{1,3}|~~~|\||[-*_=]*$|\[)")
_REFERENCES = re.compile(
    r"^(?:sources?|références?|references?|citations?|bronnen|passages cités)\s*:?$", re.IGNORECASE
)
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_TAG = re.compile(r"</?(?:b|i|em|strong|p|br|u|sup|sub|span|div|a|ul|ol|li|h\d)\b[^<>]*>", re.I)
_EMPHASIS = re.compile(r"(\*{1,3}|__|~~|`+)(?=\S)(.+?)(?<=\S)\1")
_STRAY = re.compile(r"\*{2,}|`+|(?<!\w)_{2,}|^\s*[|]|[|]\s*$")


@dataclass(frozen=True, slots=True)
class Drafted:
    """A sentence that a model wrote, without marks, and the passages that it cites.

    `cited` are numbers as written, which may be those of no passage. `before` is what parts it
    from the text before. An item of a list only says something with the line that introduces
    it, its `lead`.
    """

    text: str
    cited: tuple[int, ...]
    before: str = " "
    lead: str = ""

    @property
    def statement(self) -> str:
        """What it says, to be checked."""
        return f"{self.lead} {self.text}".strip()


class Draft:
    """Give the sentences of a stream of text, each as soon as it is finished.

    `passages` is how many there are: a number in parentheses above it is no marker. `declined`
    tells that the model wrote that the passages do not answer; `endless` that it wrote a line
    that is longer than any answer, of which nothing is kept.
    """

    def __init__(self, passages: int) -> None:
        self.declined = False
        self.endless = False
        self._passages = passages
        self._raw = ""
        self._hidden: re.Pattern[str] | None = None
        self._line = ""
        self._begun = False
        self._before = "\n"
        self._markers: list[tuple[int, ...]] = []
        self._code = False
        self._fenced = False
        self._over = False
        self._item = False
        self._lead = ""

    def feed(self, text: str) -> list[Drafted]:
        """Take more of the text; return the sentences that are finished by it."""
        found: list[Drafted] = []
        self._raw += _UNSEEN.sub("", _PRIVATE.sub("", text))
        for part in self._visible(last=False):
            found += self._read(part)
        return found

    def finish(self) -> list[Drafted]:
        """Return the sentences that the end of the text finishes."""
        found: list[Drafted] = []
        for part in self._visible(last=True):
            found += self._read(part)
        return found + self._end_line()

    # --- What the reader may see --------------------------------------------------------

    def _visible(self, *, last: bool) -> Iterator[str]:
        """Give what is neither reasoning nor a call of a tool, and keep what is not clear yet."""
        while self._raw:
            if self._hidden is not None:
                end = self._hidden.search(self._raw)
                if end is None:
                    self._raw = "" if last else self._raw[-_LONGEST_TAG:]
                    return
                self._raw, self._hidden = self._raw[end.end() :], None
                continue
            begin, lone = _OPEN.search(self._raw), _LONE_CLOSE.search(self._raw)
            if lone is not None and (begin is None or lone.start() < begin.start()):
                self._forget()
                self._raw = self._raw[lone.end() :]
            elif begin is not None:
                yield _TOKEN.sub("", self._raw[: begin.start()])
                self._raw, self._hidden = self._raw[begin.end() :], _closing(begin)
            else:
                partial = None if last else _PARTIAL.search(self._raw)
                end_of = len(self._raw) if partial is None else partial.start()
                yield _TOKEN.sub("", self._raw[:end_of])
                self._raw = self._raw[end_of:]
                return

    def _forget(self) -> None:
        self._line, self._begun, self._item, self._lead = "", False, False, ""

    # --- Lines --------------------------------------------------------------------------

    def _read(self, text: str) -> list[Drafted]:
        found: list[Drafted] = []
        *whole, rest = text.split("\n")
        for line in whole:
            self._line += line
            found += self._end_line()
        self._line += rest
        if len(self._line) > _LONGEST_LINE:
            self.endless = True
            self._forget()
        return found + self._advance()

    def _end_line(self) -> list[Drafted]:
        line, begun = self._line.strip(), self._begun
        self._line, self._begun = "", False
        fence = None if begun else _FENCE.match(line)
        if fence:
            self._fenced = not self._fenced
            self._code = self._fenced and fence[1].lower() not in _PROSE_FENCES
            return []
        if not line or self._code or self._over:
            return []
        if _REFERENCES.match(_plain(re.sub(r"^#+\s*", "", line))):
            self._over = True
            return []
        if not begun:
            if _SILENT.match(line):
                self._lead = ""
                return []
            line = self._begin_line(line)
        return list(self._sentences(self._marked(line, len(line)), last=True))

    def _begin_line(self, line: str) -> str:
        """Take off what begins a line in Markdown."""
        bullet = _BULLET.match(line)
        self._item = bullet is not None
        self._before = "\n"
        if not self._item:
            self._lead = ""
        return line[bullet.end() :] if bullet else _QUOTED.sub("", line)

    def _advance(self) -> list[Drafted]:
        """Give the sentences of an unfinished line behind which another has begun."""
        if self._code or self._over or (not self._begun and _WAITING.match(self._line)):
            return []
        # The last word may go on, and so may a marker.
        cut = max(self._line.rfind(" "), self._line.rfind("\u00a0"), 0)
        opened = _OPENED.search(self._line[:cut])
        cut = opened.start() if opened else cut
        unsure = _UNSURE_END.search(self._line[:cut])
        cut = unsure.start() if unsure else cut
        if not cut:
            return []
        if not self._begun:
            begun = self._begin_line(self._line)
            cut -= len(self._line) - len(begun)
            self._line, self._begun = begun, True
            if cut <= 0:
                return []
        tail = len(self._line) - cut
        self._line = self._marked(self._line, cut)
        return list(self._sentences(self._line[: len(self._line) - tail], last=False))

    def _sentences(self, text: str, *, last: bool) -> Iterator[Drafted]:
        spans = sentences(text)
        done = spans if last else spans[:-1]
        for start, end in done:
            drafted = self._drafted(text[start:end])
            if drafted is not None:
                self._before = " "
                yield drafted
        if done and not last:
            self._line = self._line[spans[-1][0] :]

    def _drafted(self, text: str) -> Drafted | None:
        cited = [number for held in _PRIVATE.findall(text) for number in self._numbers(held)]
        said = _plain(re.sub(rf"[ \u00a0]*{_HELD}", "", text))
        according = _ACCORDING.match(said)
        if according:
            cited += _listed(according["list"])
            said = said[according.end() :]
            said = said[:1].upper() + said[1:]
        if re.search(r"\bNO[_ ]ANSWER\b", said):
            self.declined = True
            return None
        if not any(character.isalnum() for character in said):
            return None
        if said.endswith(":") and not self._item:
            self._lead = said
            return None
        return Drafted(
            said, tuple(dict.fromkeys(cited)), self._before, self._lead if self._item else ""
        )

    # --- Markers ------------------------------------------------------------------------

    def _marked(self, text: str, end: int) -> str:
        """Put a character for each marker that ends before `end`, in front of the full stop."""
        head, rest = text[:end], text[end:]

        def hold(match: re.Match[str]) -> str:
            if match["round"] is not None and not self._is_marker(match, text):
                return match.group()
            return self._hold(_listed(next(group for group in match.groups() if group)))

        held = _AROUND.sub(r"\1", _BETWEEN.sub("", _MARKER.sub(hold, head)))
        return _BEHIND.sub(r"\3\1\2", held) + rest

    def _is_marker(self, match: re.Match[str], text: str) -> bool:
        """Tell whether a number in parentheses is a marker, rather than a part of the sentence."""
        inside = match["round"]
        if not re.fullmatch(r"[\d\s,;&–-]+", inside):
            return True
        if any(not 1 <= number <= self._passages for number in _listed(inside)):
            return False
        before, after = text[: match.start()], text[match.end() :].lstrip()
        if not before.strip() or _LEGAL.search(before):
            return False
        # "(1) la défense, (2) le renseignement" counts.
        closed = re.match(rf"$|[.,;:!?…)]|\[|\(\d|{_HELD}", after) is not None
        return closed or before.rstrip()[-1] in ".!?…"

    def _hold(self, numbers: list[int]) -> str:
        if len(self._markers) > _LAST - _FIRST:
            return ""
        self._markers.append(tuple(numbers))
        return chr(_FIRST + len(self._markers) - 1)

    def _numbers(self, held: str) -> tuple[int, ...]:
        return self._markers[ord(held) - _FIRST]


def _closing(begin: re.Match[str]) -> re.Pattern[str]:
    if begin["tag"]:
        return re.compile(rf"</{re.escape(begin['tag'])}>", re.IGNORECASE)
    if begin["think"]:
        return re.compile(r"\[/THINK\]", re.IGNORECASE)
    if begin["channel"]:
        return re.compile(r"<\|channel\|>\s*final(?:\s*<\|message\|>)?")
    return re.compile(r"\n")


def _listed(text: str) -> list[int]:
    """Return the numbers of "1, 3-5" and the like."""
    text = text.translate(_RAISED)
    numbers: list[int] = []
    for part in re.split(r"[,;&˒ʼ]|\bet\b|\band\b|\ben\b", text):
        span = _SPAN.search(part)
        if span:
            numbers += range(int(span[1]), min(int(span[2]), int(span[1]) + 50) + 1)
        else:
            numbers += [int(digits) for digits in re.findall(r"\d+", part)]
    return numbers


def _plain(text: str) -> str:
    """Return a text without the marks of Markdown."""
    text = _TAG.sub("", _LINK.sub(r"\1", _IMAGE.sub("", text)))
    for _ in range(3):
        text = _EMPHASIS.sub(r"\2", text)
    return " ".join(_STRAY.sub("", text).split())
