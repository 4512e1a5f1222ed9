"""Numbers, months and units as they are written in French, English and Dutch.

What is read here is compared between languages and ways of writing: "trois", "three" and 3,
"1 500", "1,500" and "1.500", "20 mai 2021", "May 20th, 2021" and "20-05-2021".
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Literal

from rag.lexical import fold

__all__ = ["Quantity", "missing", "quantities"]

Kind = Literal["number", "month", "weekday"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number, a month or a day of the week in a text.

    `values` are what it can be read as: "1.500" is 1500 and 1.5. `unit` is what is counted,
    where that is one of the units known here. `text` is how it is written.
    """

    kind: Kind
    values: frozenset[float]
    unit: str
    text: str

    def agrees(self, other: Quantity) -> bool:
        """Return whether two can be the same; a unit counts where both have one."""
        same = self.kind == other.kind and bool(self.values & other.values)
        return same and (not self.unit or not other.unit or self.unit == other.unit)


_MONTHS = (
    ("janvier", "january", "januari", "jan"),
    ("fevrier", "february", "februari", "feb"),
    ("mars", "march", "maart"),
    ("avril", "april", "apr"),
    ("mai", "mei"),
    ("juin", "june", "juni", "jun"),
    ("juillet", "july", "juli", "jul"),
    ("aout", "august", "augustus", "aug"),
    ("septembre", "september", "sept"),
    ("octobre", "october", "oktober", "oct", "okt"),
    ("novembre", "november", "nov"),
    ("decembre", "december", "dec"),
)
# "may" is a verb as well: a month only beside a number.
_MAY = "may"
_WEEKDAYS = (
    ("lundi", "monday", "maandag"),
    ("mardi", "tuesday", "dinsdag"),
    ("mercredi", "wednesday", "woensdag"),
    ("jeudi", "thursday", "donderdag"),
    ("vendredi", "friday", "vrijdag"),
    ("samedi", "saturday", "zaterdag"),
    ("dimanche", "sunday", "zondag"),
)
# "one" is left out: it is an article or a pronoun as often as a number.
_UNITS_OF_TEN = {
    0: "zero zero nul",
    2: "deux two twee",
    3: "trois three drie",
    4: "quatre four vier",
    5: "cinq five vijf",
    6: "six zes",
    7: "sept seven zeven",
    8: "huit eight acht",
    9: "neuf nine negen",
    10: "dix ten tien",
    11: "onze eleven elf",
    12: "douze twelve twaalf",
    13: "treize thirteen dertien",
    14: "quatorze fourteen veertien",
    15: "quinze fifteen vijftien",
    16: "seize sixteen zestien",
    17: "dix-sept seventeen zeventien",
    18: "dix-huit eighteen achttien",
    19: "dix-neuf nineteen negentien",
    20: "vingt vingts twenty twintig",
    30: "trente thirty dertig",
    40: "quarante forty veertig",
    50: "cinquante fifty vijftig",
    60: "soixante sixty zestig",
    70: "soixante-dix septante seventy zeventig",
    80: "quatre-vingts quatre-vingt huitante eighty tachtig",
    90: "quatre-vingt-dix nonante ninety negentig",
}
_ORDINALS = {
    2: "deuxieme second seconde tweede",
    3: "troisieme third derde",
    4: "quatrieme fourth vierde",
    5: "cinquieme fifth vijfde",
    6: "sixieme sixth zesde",
    7: "septieme seventh zevende",
    8: "huitieme eighth achtste",
    9: "neuvieme ninth negende",
    10: "dixieme tenth tiende",
}
_MULTIPLIERS = {
    100.0: "cent cents hundred hundreds honderd",
    1000.0: "mille thousand duizend",
    1e6: "million millions miljoen",
    1e9: "milliard milliards billion miljard",
}
# What stands for a number without being one; either reading will do.
_FRACTIONS = {
    "moitie": (0.5, 50.0),
    "demi": (0.5, 50.0),
    "demie": (0.5, 50.0),
    "half": (0.5, 50.0),
    "helft": (0.5, 50.0),
    "halve": (0.5, 50.0),
    "tiers": (1 / 3, 3.0),
    "derde": (1 / 3, 3.0),
    "quart": (0.25, 25.0),
    "quarter": (0.25, 25.0),
    "kwart": (0.25, 25.0),
    "double": (2.0,),
    "twice": (2.0,),
    "dubbel": (2.0,),
    "dubbele": (2.0,),
    "tweemaal": (2.0,),
    "triple": (3.0,),
    "dozijn": (12.0,),
    "douzaine": (12.0,),
    "dozen": (12.0,),
}
_UNITS = {
    "day": "jour jours day days dag dagen",
    "week": "semaine semaines week weeks weken",
    "month": "mois month months maand maanden",
    "year": "an ans annee annees year years jaar jaren",
    "hour": "heure heures hour hours uur uren h",
    "minute": "minute minutes minuut minuten",
    "second": "seconde secondes seconds seconden",
    "euro": "euro euros € eur",
    "dollar": "dollar dollars $ usd",
    "percent": "% pourcent percent procent pct",
    "kilometre": "km kilometre kilometres kilometer kilometers",
    "metre": "m metre metres meter meters",
    "kilogram": "kg kilo kilos kilogramme kilogrammes kilogram kilograms",
    "tonne": "tonne tonnes ton",
    "degree": "° degre degres degree degrees graad graden",
    "person": "personne personnes person persons people persoon personen mensen",
    "member": "membre membres member members lid leden",
    "country": "pays country countries land landen",
}


def _by_word(table: dict[float, str]) -> dict[str, float]:
    return {word: value for value, words in table.items() for word in words.split()}


_WORDS = _by_word({float(value): words for value, words in _UNITS_OF_TEN.items()})
_ORDINAL_WORDS = _by_word({float(value): words for value, words in _ORDINALS.items()})
_MULTIPLIER_WORDS = _by_word(_MULTIPLIERS)
_UNIT_WORDS = {word: unit for unit, words in _UNITS.items() for word in words.split()}
_MONTH_WORDS = {word: float(n) for n, words in enumerate(_MONTHS, 1) for word in words}
_WEEKDAY_WORDS = {word: float(n) for n, words in enumerate(_WEEKDAYS, 1) for word in words}
_TOKEN = re.compile(
    r"\d+(?:[ .,'’]\d{3})+(?:[.,]\d+)?(?!\d)"  # 1 500 000,50
    r"|\d+[.,]\d+|\d+"
    r"|[^\W\d_]+(?:-[^\W\d_]+)*|[%€$°]"
)
_GROUPED = re.compile(r"\d{1,3}(?:[ .,'’]\d{3})+$")
_ROMAN = re.compile(r"[ivx]+$")
_CENTURY = {"siecle", "siecles", "century", "centuries", "eeuw", "eeuws"}
_ROMAN_VALUES = {"i": 1, "v": 5, "x": 10}
_SUFFIX = re.compile(r"(?:er|re|e|eme|ieme|st|nd|rd|th|ste|de)$")
_ORDINAL_MARK = {"er", "re", "e", "eme", "ieme", "st", "nd", "rd", "th", "ste", "de"}
# The Dutch "ten" is a preposition in these.
_DUTCH_TEN = frozenset(
    [
        "laste",
        "minste",
        "opzichte",
        "gevolge",
        "tijde",
        "einde",
        "slotte",
        "behoeve",
        "gunste",
        "eerste",
    ]
)
_MOST_JOINED = 5
# Texts whose quantities are kept: a passage is compared with every sentence of an answer.
_KEPT = 256
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})


def quantities(text: str) -> list[Quantity]:
    """Return the numbers, months and days of the week in a text, in order."""
    return list(_quantities(text))


@lru_cache(_KEPT)
def _quantities(text: str) -> tuple[Quantity, ...]:
    tokens = [match.group() for match in _TOKEN.finditer(fold(text.translate(_SPACES)))]
    return tuple(_read(tokens))


def missing(statement: str, *texts: str) -> tuple[Quantity, ...]:
    """Return the quantities of a statement that agree with none in the texts.

    A number without a unit, on either side, agrees with the same number.
    """
    known = [quantity for text in texts for quantity in quantities(text)]
    return tuple(wanted for wanted in quantities(statement) if not any(map(wanted.agrees, known)))


def _read(tokens: list[str]) -> Iterator[Quantity]:
    place = 0
    while place < len(tokens):
        token = tokens[place]
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        before = tokens[place - 1] if place else ""
        if token in ("ten",) and following in _DUTCH_TEN:
            place += 1
            continue
        if token[0].isdigit() or token in _WORDS or token in _MULTIPLIER_WORDS or _joined(token):
            values, used = _number(tokens, place)
            place += used
            unit, text = _unit_at(tokens, place), " ".join(tokens[place - used : place])
            yield Quantity("number", values, unit, text)
            continue
        if token in _MONTH_WORDS or (token == _MAY and (before[:1] + following[:1]).isdigit()):
            yield Quantity("month", frozenset({_MONTH_WORDS.get(token, 5.0)}), "", token)
        elif token in _WEEKDAY_WORDS:
            yield Quantity("weekday", frozenset({_WEEKDAY_WORDS[token]}), "", token)
        elif token in _ORDINAL_WORDS and token not in _UNIT_WORDS:
            values = frozenset({_ORDINAL_WORDS[token], *_FRACTIONS.get(token, ())})
            yield Quantity("number", values, "", token)
        elif token in _FRACTIONS:
            yield Quantity("number", frozenset(_FRACTIONS[token]), "", token)
        elif (roman := _roman(token)) and (following in _CENTURY or _after_suffix(tokens, place)):
            yield Quantity("number", frozenset({roman}), "", token)
        place += 1


def _number(tokens: list[str], place: int) -> tuple[frozenset[float], int]:
    """Return what a number that begins at a token can be, and how many tokens it has."""
    token = tokens[place]
    used = 1
    if token[0].isdigit():
        values = _digits(token)
        # "1er", "20th"
        if place + 1 < len(tokens) and tokens[place + 1] in _ORDINAL_MARK:
            used += 1
        if tokens[place + 1 : place + 3] == ["p", "m"] or tokens[place + 1 : place + 2] == ["pm"]:
            values |= {value + 12 for value in values}
    else:
        words = list(_one_number(tokens[place : place + _MOST_JOINED]))
        return frozenset({_spoken([p for word in words for p in _split(word)])}), len(words)
    while place + used < len(tokens) and tokens[place + used] in _MULTIPLIER_WORDS:
        factor = _MULTIPLIER_WORDS[tokens[place + used]]
        values = frozenset(value * factor for value in values)
        used += 1
    return values, used


def _digits(token: str) -> frozenset[float]:
    plain = re.sub(r"[ '’]", "", token)
    readings = set()
    if _GROUPED.fullmatch(token):
        readings.add(float(re.sub(r"[ .,'’]", "", token)))
    # The last mark may stand before decimals: "1.500,25", "1,500.25".
    head, mark, tail = max(
        (plain.rpartition(sign) for sign in ".,"), key=lambda parts: len(parts[0])
    )
    if mark:
        head = re.sub(r"[.,]", "", head)
        readings.add(float(f"{head}.{tail}"))
    else:
        readings.add(float(plain))
    return frozenset(readings)


def _one_number(tokens: list[str]) -> Iterator[str]:
    """Yield the words of the number that begins: "eleven twelve" are two."""
    room = math.inf
    for token in takewhile(_counts, tokens):
        value = _spoken(_split(token))
        multiplies = token in _MULTIPLIER_WORDS or (value == 20 and room == 4)
        if not multiplies and value >= room:
            return
        yield token
        room = math.inf if multiplies else _room_after(value)


def _room_after(value: float) -> float:
    """Return below what a word that goes on with a number must be: "twenty" takes a digit."""
    if value in (4, 60, 80):
        return {4: 4, 60: 20, 80: 20}[int(value)]
    return 10 if value >= 20 and value % 10 == 0 else 0


def _counts(token: str) -> bool:
    return token in _WORDS or token in _MULTIPLIER_WORDS or bool(_joined(token))


def _split(word: str) -> list[str]:
    return [word] if word in _WORDS or word in _MULTIPLIER_WORDS else list(_joined(word))


@lru_cache(1 << 14)
def _joined(word: str) -> tuple[str, ...]:
    """Return the parts of a number written as one word: "vingt-trois", "drieentwintig"."""
    if "-" in word:
        parts = [part for part in word.split("-") if part not in ("et", "and", "en")]
        whole = all(
            p in _WORDS or p in _MULTIPLIER_WORDS or p in ("un", "une", "one") for p in parts
        )
        return tuple(parts) if len(parts) > 1 and whole else ()
    for first, second in ((f, s) for f in _WORDS for s in _WORDS if _WORDS[s] >= 20):
        if word == f"{first}en{second}" and _WORDS[first] < 10:
            return second, first
    if word.startswith("eenen") and word[5:] in _WORDS:
        return word[5:], "one"
    for multiplier in ("honderd", "duizend"):
        if word.endswith(multiplier) and word[: -len(multiplier)] in _WORDS:
            return word[: -len(multiplier)], multiplier
    return ()


def _spoken(parts: list[str]) -> float:
    """Return the value of a number in words, as "deux cent cinquante mille"."""
    total, current = 0.0, 0.0
    for part in parts:
        if part in _MULTIPLIER_WORDS:
            factor = _MULTIPLIER_WORDS[part]
            if factor == 100:
                current = max(current, 1.0) * factor
            else:
                total, current = total + max(current, 1.0) * factor, 0.0
            continue
        value = 1.0 if part in ("un", "une", "one") else _WORDS[part]
        # "quatre-vingts" is four twenties where it is written apart.
        times = value == 20 and current == 4
        current = current * value if times else current + value
    return total + current


def _unit_at(tokens: list[str], place: int) -> str:
    """Return the unit right after a number, past one adjective or preposition such as "de"."""
    for token in tokens[place : place + 2]:
        if token in _UNIT_WORDS:
            return _UNIT_WORDS[token]
        if token in ("pour", "per"):
            continue
        if token in ("cent",):
            return "percent"
        if token not in ("d", "de", "working", "calendar", "autres", "other"):
            break
    return ""


def _roman(token: str) -> float:
    letters = _SUFFIX.sub("", token)
    if not _ROMAN.fullmatch(letters):
        return 0.0
    values = [_ROMAN_VALUES[letter] for letter in letters]
    return float(
        sum(
            -value if any(later > value for later in values[i + 1 :]) else value
            for i, value in enumerate(values)
        )
    )


def _after_suffix(tokens: list[str], place: int) -> bool:
    return any(token in _CENTURY for token in tokens[place + 1 : place + 3])
