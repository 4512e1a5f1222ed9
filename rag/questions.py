"""What a question asks for, told from its words in French, English and Dutch."""

from __future__ import annotations

import re
from typing import Literal

from rag.lexical import fold

__all__ = ["Asks", "asked_for", "asked_key", "wants_list"]

Asks = Literal["date", "number", "place", "expansion", "definition", "alias", "other"]

# Patterns over folded text; the first that matches decides.
_PATTERNS: tuple[tuple[Asks, str], ...] = (
    (
        "alias",
        r"\b(autres? noms?|alias|aussi appele|egalement appele|s'appelle|surnom|"
        r"nom complet|noms? de|"
        r"also (called|known)|other names?|aka|full name|"
        r"ook (genoemd|bekend)|andere (naam|namen)|volledige naam|heet)\b",
    ),
    (
        "expansion",
        r"(que (veut dire|signifie)|\bsignification\b|\bveut dire\b|\bsignifie\b|\bsigle\b|"
        r"\bacronyme\b|\babreviation\b|\bstands? for\b|\bstand for\b|\bacronym\b|\babbreviation\b|"
        r"\bmeaning of\b|\bmean\b|\bstaat\b.*\bvoor\b|\bbetekent\b|\bbetekenis\b|\bafkorting\b)",
    ),
    (
        "date",
        r"\b(quand|quelle (date|annee)|en quelle annee|depuis quand|a quelle date|date de|annee|"
        r"when|what (year|date)|which (year|date)|since when|what day|"
        r"wanneer|welk jaar|welke datum|sinds wanneer|in welk jaar)\b",
    ),
    (
        "number",
        r"\b(combien|quel (nombre|montant|age|pourcentage)|quelle (duree|taille|proportion)|"
        r"how (many|much|long|old|often)|what (number|percentage|age|amount)|"
        r"hoeveel|hoe (lang|oud|vaak|groot)|welk (aantal|percentage|bedrag))\b",
    ),
    (
        "place",
        r"(\bou (est|se|siege|sont|a|se trouve)\b|^ou\b|\bsiege\b|\bquel (pays|endroit|lieu)\b|"
        r"\bquelle ville\b|\bwhere\b|\bwhich (country|city)\b|\bwhat (country|city)\b|"
        r"\bbased\b|\bheadquarter|\bwaar\b|\bwelke stad\b|\bwelk land\b|\bgevestigd\b|\bzetel\b)",
    ),
    (
        "definition",
        r"(\bqu'?\s?est[- ]ce que?\b|^c'est quoi\b|\bc'est quoi\b|^definition\b|\bdefini|"
        r"^what (is|are)\b|^what's\b|"
        r"^who (is|are)\b|^wat (is|zijn)\b|^wie (is|zijn)\b|\bwat houdt\b)",
    ),
)
_COMPILED = tuple((asks, re.compile(pattern)) for asks, pattern in _PATTERNS)

_LIST = re.compile(
    r"(\bquel(le)?s (sont|autres)\b|\bquelles? .*\b(missions|objectifs|taches|roles)\b|"
    r"\b(lesquel(le)?s|enumer|citez|cite|nommez|listez?|liste des?)\b|"
    r"\bquel(le)?s \w+s\b|"
    r"\bwhat are\b|\bwhich \w+s (are|does|do|is|has|have)?\b|\blist\b|\bname (the|all|some)\b|"
    r"\bwhat \w+s (are|does|do|has|have)\b|\bmissions\b|\btasks\b|"
    r"\b(wat|welke) zijn\b|\bwelke \w+(en|s)\b|\bnoem\b|\bopsomming\b|\blijst\b|\btaken\b)"
)


def asked_for(question: str) -> Asks:
    """Return what kind of thing the question asks for."""
    text = fold(question).replace("’", "'")
    return next((asks for asks, pattern in _COMPILED if pattern.search(text)), "other")


def wants_list(question: str) -> bool:
    """Return whether the question asks for several things."""
    return _LIST.search(fold(question).replace("’", "'")) is not None


# What a card calls its rows, and the words that ask for them in the three languages.
_KEYS: tuple[tuple[str, str], ...] = (
    (r"nom complet|full name|volledige naam", r"nom complet|nom|naam"),
    (
        r"\bou\b|siege|situe|base|where|headquarter|located|waar|zetel|gevestigd",
        r"siege|lieu|ville",
    ),
    (
        r"\bquand\b|annee|date|creat|cree|fonde|when|year|founded|established|set up|wanneer|jaar|"
        r"opgericht",
        r"creation|date|fondation|fonde",
    ),
    (
        r"rattach|depend|autorite|ministere|report|belong|under|attached|ministry|valt|onder|hoort|"
        r"ministerie|deel van",
        r"rattachement|tutelle|parent",
    ),
    (r"\brole\b|fonction|\brol\b|functie", r"role|fonction"),
    (r"\bpays\b|country|\bland\b", r"pays"),
    (
        r"alias|autres? noms?|aussi appele|egalement appele|other name|also called|also known|"
        r"andere na|ook genoemd|ook bekend|heet",
        r"alias|aliases|nom complet",
    ),
    (r"\btype\b|sorte|kind of|soort", r"type"),
)
_COMPILED_KEYS = tuple((re.compile(asked), re.compile(rf"^({key})\b")) for asked, key in _KEYS)


def asked_key(question: str, key: str) -> bool:
    """Return whether the question asks for the value of a card's row.

    `key` is what stands before the colon, such as "Siège".
    """
    text, label = fold(question).replace("’", "'"), fold(key)
    return any(
        asked.search(text) is not None and row.search(label) is not None
        for asked, row in _COMPILED_KEYS
    )
