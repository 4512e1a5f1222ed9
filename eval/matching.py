"""When two texts say the same, in French, English and Dutch, without a model.

Texts are compared in a normal form, a line of words in which what is only written
differently is equal: see `words`. A false match is worse than a miss: it makes a wrong
answer right. So nothing is matched by likeness or by sense, and words are not stemmed.

Accents are kept, because they tell words apart (`interne` and `interné`, `marche` and
`marché`), and answers are quoted from documents that have them. Only the first letter
of a word loses its accent, because French capitals are often written without
(`Etats-Unis`, `États-Unis`) and hardly two words differ in that letter alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import SequenceMatcher
from functools import lru_cache

from bm25s.stopwords import STOPWORDS_DUTCH, STOPWORDS_EN_PLUS, STOPWORDS_FRENCH
from text_to_num import alpha2digit, find_numbers

__all__ = [
    "answer_tokens",
    "common_run",
    "contains",
    "fold",
    "overlap",
    "variants",
    "words",
]


def _set(names: str) -> frozenset[str]:
    return frozenset(names.split())


_DEFINITE = _set("le la les l' du d' the de het 't")
_INDEFINITE = _set("un une des a an een")
_ARTICLES = _DEFINITE | _INDEFINITE
_ONE = ("un", "une", "one", "een", "eén")
_VOWELS = frozenset("aeiouhéèêëàâîïôùûœæ")
# An acronym of the letters of such a word must not meet the word: the UN and "un".
_COMMON = frozenset((*STOPWORDS_FRENCH, *STOPWORDS_EN_PLUS, *STOPWORDS_DUTCH)).union(
    _set("si car non plus tout sous us may one first")
)
# What extraction glues to the word before it: "EU CSIRT networkle groupe".
_GLUED = frozenset(("le", "la", "les", "du", "des"))

# --- What is seen ------------------------------------------------------------------------

_LOOKALIKES = str.maketrans(
    {
        **dict.fromkeys("’‘ʼ‛′`´", "'"),
        **dict.fromkeys("«»“”„‟″", '"'),
        **dict.fromkeys("‐‑‒–—−", "-"),
        # Footnote marks; the powers that are part of a unit were spelled out before.
        **dict.fromkeys("⁰¹²³⁴⁵⁶⁷⁸⁹™®©", " "),
        **{"¼": " 1/4", "½": " 1/2", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3"},
        # Soft hyphen, joiners, marks of direction, variation selectors, byte order mark.
        **dict.fromkeys(
            map(chr, (0xAD, 0x34F, 0x61C, *range(0x200B, 0x2010), *range(0x202A, 0x202F))), ""
        ),
        **dict.fromkeys(map(chr, (*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), 0xFEFF)), ""),
    }
)
_POWER = re.compile(r"\b([kcdmh]?m)([²³])(?!\w)")
_WIKILINK = re.compile(r"\[\[(?:[^\[\]|]*\|)?([^\[\]|]*)\]\]")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\((?:[^()\s]|\([^()\s]*\))*\)")
_BOLD_INSIDE = re.compile(r"(?<=[^\W\d_])\*\*(?=[^\W\d_])")


def fold(text: str) -> str:
    """Return what is seen of a text, with case, white space, quotes and dashes made equal."""
    return _visible(text).casefold()


def _visible(text: str) -> str:
    """Return what a reader sees of a text, in one line: no links, nothing invisible."""
    text = unicodedata.normalize("NFC", text)
    text = _POWER.sub(lambda found: found[1] + {"²": "2", "³": "3"}[found[2]], text)
    text = unicodedata.normalize("NFKC", text.translate(_LOOKALIKES))
    if "[" in text:
        text = _LINK.sub(r"\1", _WIKILINK.sub(r"\1", text))
    if "**" in text:
        text = _BOLD_INSIDE.sub("", text)
    return " ".join(text.split())


# --- Numbers -----------------------------------------------------------------------------

# Thousands in threes, parted by one and the same sign; "0,125" has none, nor has "2021,125".
_GROUPED = re.compile(
    r"(?<![\w.,'/-])([1-9]\d{0,2})([ .,'])(\d{3}(?:\2\d{3})*)(?!\d)(?:(?!\2)[.,](\d+))?"
    r"(?![.,]?\d)"
)
_MULTIPLES = {
    **dict.fromkeys(("mille", "thousand", "duizend"), 1_000),
    **dict.fromkeys(("million", "millions", "miljoen"), 1_000_000),
    # Not "billion": it is 10**9 in English, and 10**12 in French.
    **dict.fromkeys(("milliard", "milliards", "miljard"), 1_000_000_000),
}
_MULTIPLIED = re.compile(rf"(?<![\w.,])(\d+(?:[.,]\d+)?) ({'|'.join(_MULTIPLES)})\b", re.IGNORECASE)
_PERCENT = re.compile(
    r"(?<=\d) ?(?:(?:pour|per)[ -]?(?:cent|100)|percent|procent|pct)(?!\w)", re.IGNORECASE
)
_PIECES = re.compile(r"\w+(?:-\w+)*|\s+|[^\w\s]")
# Words that are numbers elsewhere: acronyms (SIX), "sept." in a date, Dutch "ten" (to the),
# French "le tien" (yours), cents of a euro, and "neuf" (new) unless it is part of a number
# or a plural or a month follows.
_NOT_NUMBERS = re.compile(
    r"\b(?:[A-Z]{2,}"
    r"|[Ss]ept(?=\.? \d{4}\b)|(?<=\d )sept(?!\w)"
    r"|[Tt]en(?= (?:minste|opzichte|aanzien|behoeve|gevolge|slotte|eerste|tweede|derde|gunste"
    r"|laste|koste|hoogste|dele|nadele|tijde|einde|onrechte|noorden|zuiden|oosten|westen)\b)"
    r"|(?<=\ble )tien|(?<=\d )cent"
    r"|(?<!cent )(?<!cents )(?<!mille )(?<!dix )(?<!vingt )(?<!vingts )(?<!trente )"
    r"(?<!quarante )(?<!cinquante )(?<!soixante )(?<!virgule )[Nn]euf"
    r"(?! (?:(?!sans|dans|plus|mais|pas|sous|vers|puis)[^\W\d_]{2,}[sx]|cent|mille|mai|juin"
    r"|juillet|avril|ao[uû]t|[^\W\d_]+bre|janvier|février)\b))\b"
)
# Alone these name no number ("des millions", "several hundred").
_UNITS = _set(
    "cents hundred hundreds thousand thousands million millions milliard milliards billion "
    "billions trillion trillions miljoen miljoenen miljard miljarden biljoen"
)
_ORDINAL = re.compile(
    r"(?<![\w.,])(\d+)(?:ers?|[eè]res?|res?|i?[eè]mes?|es?|mes?|st|nd|rd|th|ste|de)(?!\w)"
)
_FIRST = re.compile(r"\b(?:premi(?:er|ère)s?|first|eerste)\b")


class _Piece:
    """A piece of a text, as text2num wants it."""

    __slots__ = ("_barred", "_text")

    def __init__(self, text: str, barred: bool) -> None:
        self._text = text
        self._barred = barred

    def text(self) -> str:
        return self._text

    def nt_separated(self, previous: _Piece) -> bool:
        return False

    def not_a_number_part(self) -> bool:
        return self._barred


def _digits(text: str) -> str:
    """Write numbers of the three languages in digits, without signs between thousands.

    A lone "un" or "one" stays: it is an article far more often than a number.
    """
    text = _GROUPED.sub(_ungrouped, text)
    text = _MULTIPLIED.sub(_multiplied, text)
    for language in ("fr", "en", "nl"):
        # This is quick, and most texts have no number in words. It is not the result, because
        # its reading of a lone "un" depends on the words around, which a part does not have.
        if alpha2digit(text, language, 1.0) != text:
            text = _in_digits(text, language)
    return _PERCENT.sub(" %", text)


def _ungrouped(found: re.Match[str]) -> str:
    first, _, others, decimals = found.groups()
    whole = first + re.sub(r"\D", "", others)
    return f"{whole}.{decimals}" if decimals else whole


def _multiplied(found: re.Match[str]) -> str:
    number = Decimal(found[1].replace(",", ".")) * _MULTIPLES[found[2].lower()]
    return f"{number.normalize():f}"


def _in_digits(text: str, language: str) -> str:
    barred = {found.start() for found in _NOT_NUMBERS.finditer(text)}
    texts = _PIECES.findall(text)
    starts = [found.start() for found in _PIECES.finditer(text)]
    pieces = [_Piece(piece, start in barred) for piece, start in zip(texts, starts, strict=True)]
    for found in reversed(find_numbers(pieces, language, 0.0)):
        said = "".join(texts[found.start : found.end])
        alone = said.isalpha()
        if alone and (found.value < 2 or said.lower() in _UNITS):
            continue
        digits = f"{Decimal(repr(found.value)).normalize():f}"
        texts[found.start : found.end] = [digits + "e" * found.is_ordinal]
    return "".join(texts)


# --- Dates -------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "janvier january januari janv jan",
            "février february februari fevrier févr fevr feb",
            "mars march maart mar mrt",
            "avril april avr apr",
            "mai may mei",
            "juin june juni jun",
            "juillet july juli juil jul",
            "août august augustus aout aug",
            "septembre september sept sep",
            "octobre october oktober oct okt",
            "novembre november nov",
            "décembre december decembre déc dec",
        ),
        1,
    )
    for name in names.split()
}


def _any_of(names: Sequence[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


_MONTH = rf"({_any_of(list(_MONTHS))})(?!\w)\.?"
_ENGLISH_MONTH = (
    "(january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)(?!\w)\.?"
)
_ISO_DATE = re.compile(r"(?<![\w.,/-])(\d{4})([-/.])(\d{2})\2(\d{2})(?!\w|[-/.]\d)")
_NUMERIC_DATE = re.compile(r"(?<![\w.,/-])(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?!\w|[-/.,]\d)")
_DAY_FIRST = re.compile(rf"(?<![\w.,/:-])(\d{{1,2}})e?(?: of| de)? {_MONTH}(?:,? (\d{{4}})(?!\d))?")
_MONTH_FIRST = re.compile(rf"(?<!\w){_ENGLISH_MONTH} (?:the )?(\d{{1,2}})e?,? (\d{{4}})(?!\d)")
# Without a year only names that are English alone: Dutch has "in april 27 landen".
_MONTH_FIRST_NO_YEAR = re.compile(
    r"(?<!\w)(january|february|march|may|june|july|august|october) (?:the )?(\d{1,2})e?"
    r"(?!\w|[.,:/]?\d| ?%)"
)
_MONTH_YEAR = re.compile(rf"(?<!\w){_MONTH} (?:of )?(\d{{4}})(?!\d)")
# Names that are nothing but a month; "mars", "mai" and "may" need a day or a year beside them.
_LONE_MONTH = re.compile(
    r"(?<!\w)("
    + _any_of([n for n in _MONTHS if len(n) > 3 and n not in ("mars", "march", "sept", "janv")])
    + r")(?!\w)"
)


def _dates(text: str) -> str:
    """Write dates as day, month and year, from folded text with numbers in digits.

    "05/06/2021" is the fifth of June, as in French and Dutch. A day is no plain number
    then, and a month no plain word; a year stays a number.
    """
    text = _ISO_DATE.sub(lambda found: _date(found, found[4], found[3], found[1]), text)
    text = _NUMERIC_DATE.sub(_numeric_date, text)
    text = _DAY_FIRST.sub(
        lambda found: _date(found, found[1], _MONTHS[found[2]], found[3] or ""), text
    )
    text = _MONTH_FIRST.sub(lambda found: _date(found, found[2], _MONTHS[found[1]], found[3]), text)
    text = _MONTH_FIRST_NO_YEAR.sub(
        lambda found: _date(found, found[2], _MONTHS[found[1]], ""), text
    )
    text = _MONTH_YEAR.sub(lambda found: f"month:{_MONTHS[found[1]]} {found[2]}", text)
    return _LONE_MONTH.sub(lambda found: f"month:{_MONTHS[found[1]]}", text)


def _numeric_date(found: re.Match[str]) -> str:
    day, month = (found[3], found[1]) if int(found[3]) > 12 else (found[1], found[3])
    return _date(found, day, month, found[4])


def _date(found: re.Match[str], day: str, month: str | int, year: str) -> str:
    if not (1 <= int(day) <= 31 and 1 <= int(month) <= 12):
        return found[0]
    return f" day:{int(day)} month:{int(month)} {year}"


# --- Words -------------------------------------------------------------------------------

_DOTTED = re.compile(r"\b[^\W\d_](?:\.[^\W\d_])+\b\.?")
_GLUED_TO_NAME = re.compile(r"\b(des|les|du|de|la|le|et|aux)(?=[A-ZÀ-Ý])")
_CAPITALS = re.compile(r"\b([A-Z]{2,6})\b")
_FIRST_LETTER = re.compile(r"(?<!\w)[àâäáéèêëîïíôöóùûüúç](?=\w)")
_BARE = dict(zip("àâäáéèêëîïíôöóùûüúç", "aaaaeeeeiiiooouuuuc", strict=True))
# "Le Monde" is a newspaper: "dans ce monde" does not say it.
_TITLE = re.compile(r"[A-Z]\w*[' ]+[A-ZÀ-Ý][^\W\d_]*[a-zà-ÿ]")
_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
_RANGE = re.compile(r"(?<=\d) ?- ?(?=\d)")
_WORD = re.compile(
    r"""
      (?:day|month):\d+
    | (?<![^\s(])-\d+(?:\.\d+)*(?!\w)                     # -5, but not the 5 of "NIS-5"
    | \d+(?:[.*×/+=<>:^]\d+)+(?![^\W_])                   # 1.5, 1.2.3, 2021/887, 16:30
    | (?<!\w)(?:[cdjlmnst]|qu)'(?=\w)                     # l', d'
    | (?<!\w)'t(?!\w)
    | (?<![\w.])\.[^\W\d_][^\W_]*                         # .NET
    | [^\W_]+(?:_+[^\W_]+)*(?:(?<=[^\W\d_])(?:\#|\+\+)(?!\w))?  # snake_case, C#, C++
    | [%€$£¥&@§]
    | (?<=\d[ ])-(?=[ ]\d)
    """,
    re.VERBOSE,
)


def words(text: str) -> list[str]:
    """Return the words of a text in the normal form in which texts are compared.

    Made equal are: Unicode forms, case, white space, apostrophes, quotes, dashes and
    hyphens, invisible characters, marks and links of markdown, punctuation; the dots of
    acronyms; numbers in digits and in words (text2num), with any sign between thousands
    and either decimal sign ("1.000" is a thousand); ordinals; percentages; dates of any
    usual order, as day, month and year. Kept apart are: accents within a word, numbers
    joined by a sign ("2*3"), negative numbers, `C#` and `snake_case`, and an acronym
    from a function word of the same letters ("UN" and "un").
    """
    return _line(text).split()


@lru_cache(maxsize=4096)
def _line(text: str) -> str:
    """Return the words between single spaces, one at each end."""
    text = _DOTTED.sub(lambda found: found[0].replace(".", ""), _visible(text))
    text = _digits(_GLUED_TO_NAME.sub(r"\1 ", text))
    parts = _CAPITALS.split(text)
    text = "".join(
        part if index % 2 and part.lower() in _COMMON else part.casefold()
        for index, part in enumerate(parts)
    )
    text = _FIRST.sub("1e", _ORDINAL.sub(r"\1e", text))
    text = _dates(text).replace("œ", "oe").replace("æ", "ae")
    text = _FIRST_LETTER.sub(lambda found: _BARE[found[0]], text)
    text = _RANGE.sub(" - ", _DECIMAL_COMMA.sub(".", text))
    return f" {' '.join(_WORD.findall(text))} "


def contains(text: str, part: str) -> bool:
    """Tell whether the text says the part: all its words, in a row and in order.

    Neither a word nor a number is cut: "NIS" is not in "administration", nor "27" in
    "2027" or "vingt-sept centres" in "cent vingt-sept centres", nor "5" in "1,5". A year
    or a month is in a date that has it; a day alone is not, for "21" is no date. An
    article before the part may be missing or differ, but "un mois" is not in "trois mois".
    The last of several words may be glued to an article, as sources do ("networkle groupe").
    """
    line = _line(text)
    forms = _forms(part)
    if not forms:
        sought = fold(part)
        return bool(sought) and sought in fold(text)
    return any(_within(line, form, article) for form, article in forms)


@lru_cache(maxsize=4096)
def _forms(part: str) -> tuple[tuple[str, bool], ...]:
    """Return what to look for, and whether only after an article or at the beginning."""
    given = words(part)
    if not given:
        return ()
    forms = [(given, False)]
    if len(given) > 1 and given[0] in _ONE:
        forms.append((["1", *given[1:]], False))
    elif len(given) > 1 and given[0] == "1":
        forms += [([one, *given[1:]], False) for one in _ONE]
    elif len(given) == 1 and given[0] in _MONTHS:
        forms.append(([f"month:{_MONTHS[given[0]]}"], False))
    rest, counted = given, False
    while len(rest) > 1 and rest[0] in _ARTICLES and not counted:
        counted = rest[0] in _INDEFINITE
        rest = rest[1:]
    telling = len(rest) > 1 or not (rest[0].isdigit() or _TITLE.match(_visible(part)))
    if len(rest) < len(given) and telling and not all(word in _COMMON for word in rest):
        forms.append((rest, counted))
    return tuple((" ".join(form), article) for form, article in forms)


def _within(line: str, form: str, after_article: bool) -> bool:
    """Tell whether a line holds a form, between words or before a glued article."""
    if not after_article and f" {form} " in line:
        return True
    if not after_article and " " not in form:
        return False
    start = line.find(f" {form}")
    while start >= 0:
        end = start + 1 + len(form)
        rest = line[end : line.index(" ", end)]
        before = line[line.rfind(" ", 0, start) + 1 : start] if start else ""
        if after_article:
            if not rest and (not before or before in _ARTICLES):
                return True
        elif rest in _GLUED:
            return True
        start = line.find(f" {form}", start + 1)
    return False


def answer_tokens(text: str) -> list[str]:
    """Return the words that EM and F1 compare.

    As in SQuAD (Rajpurkar et al., 2016) without articles, but in the normal form of
    `words`, and with French (and elided), English and Dutch articles. "an" is an article
    only before a vowel: "1 an" is a year in French. A text that consists of articles
    alone ("A") is kept as it is.
    """
    found = [word for word in words(text) if word != "-"]
    kept = [
        word
        for index, word in enumerate(found)
        if (word not in _ARTICLES or word == "an")
        and not (word == "an" and index + 1 < len(found) and found[index + 1][0] in _VOWELS)
    ]
    return kept or found or fold(text).split()


# --- Passages ----------------------------------------------------------------------------


def common_run(first: str, second: str) -> int:
    """Return the length in words of the longest run of words that both texts have."""
    a, b = words(first), words(second)
    return SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size


def overlap(quote: str, evidence: str) -> float:
    """Return the share of the evidence's words in the longest run it shares with the quote.

    In [0, 1]; 0 where the evidence has no words.
    """
    length = len(words(evidence))
    return common_run(quote, evidence) / length if length else 0.0


# --- Acronyms ----------------------------------------------------------------------------

_PARENTHESIS = re.compile(r"\(([^()]+)\)")
_ACRONYM = re.compile(r"[A-Z][\w.&-]{1,11}")
_LETTERS = re.compile(r"[^\W\d_]+")
_LONGEST_EXPANSION = 200
_LINKING = _set(
    "de des du la le les l d et en à a au aux pour sur par dans of the and for in on to van het "
    "voor der"
)


def variants(answer: str, contexts: Sequence[str] = (), question: str = "") -> tuple[str, ...]:
    """Return the answer and its forms with an acronym for its expansion or the reverse.

    "European Cybersecurity Certification Group (ECCG)" is said by either half. Where the
    contexts have such a pair, its halves stand for each other as whole answers. The
    letters of an acronym must be the initials of the expansion, in any order, as
    languages differ in it: "Bruxelles (Belgique)" and "Ambassade (USA)" are no pairs.
    What the question says already is no form of its answer: to repeat "ECCG" does not
    say what it stands for.
    """
    forms = [answer]
    for pair in _pairs(answer):
        forms += [answer[: pair.start] + half + answer[pair.end :] for half in pair.halves]
    told = [answer_tokens(form) for form in forms]
    for pair in (pair for text in (answer, *contexts) for pair in _pairs(text)):
        for half, other in (pair.halves, pair.halves[::-1]):
            if answer_tokens(half) in told:
                forms.append(other)
    new = [form for form in forms[1:] if not contains(question, form)]
    return tuple(dict.fromkeys((answer, *new)))


@dataclass(frozen=True, slots=True)
class _Pair:
    """An acronym and its expansion, one of them in brackets, and where in the text."""

    halves: tuple[str, str]
    start: int
    end: int


@lru_cache(maxsize=4096)
def _pairs(text: str) -> tuple[_Pair, ...]:
    return tuple(_found_pairs(text))


def _found_pairs(text: str) -> Iterator[_Pair]:
    for found in _PARENTHESIS.finditer(text):
        before = text[: found.start()].rstrip()
        inside, capitals = found[1].strip(), _capitals(found[1].strip())
        last = before.split()[-1] if before else ""
        if capitals:
            half = _expansion(before, capitals)
        else:
            half = last if _expansion(inside, _capitals(last)) == inside else ""
        if half:
            yield _Pair((half, inside), len(before) - len(half), found.end())


def _capitals(word: str) -> str:
    """Return the capitals of an acronym, at least two; nothing of another word."""
    if not _ACRONYM.fullmatch(word):
        return ""
    capitals = "".join(letter for letter in word if letter.isupper())
    return capitals if len(capitals) > 1 else ""


def _expansion(before: str, capitals: str) -> str:
    """Return the last words of a text when their initials are these capitals, else nothing."""
    initials: list[str] = []
    before = before[-_LONGEST_EXPANSION:]
    for found in reversed(list(_LETTERS.finditer(before))):
        if found[0].lower() in _LINKING:
            continue
        initials.append(unicodedata.normalize("NFD", found[0])[0].upper())
        if len(initials) == len(capitals):
            return before[found.start() :] if sorted(initials) == sorted(capitals) else ""
    return ""
