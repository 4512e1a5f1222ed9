"""What a question asks for, told from its words in French, English and Dutch."""

from __future__ import annotations

import re
from typing import Literal

from rag.lexical import fold

__all__ = [
    "ACRONYM",
    "DATE",
    "NUMBER",
    "Asks",
    "asked_for",
    "asked_key",
    "lacks_form",
    "names",
    "wants_list",
]

Asks = Literal[
    "alias",
    "expansion",
    "date",
    "contact",
    "amount",
    "number",
    "person",
    "place",
    "definition",
    "other",
]

_OFFICES = (
    r"(directeur|directrice|president\w*|ambassad\w+|chef|cheffe|ministre|commandant|patron|"
    r"director|chair\w*|head|minister|commander|ambassador|boss|voorzitter|hoofd|bevelhebber|baas|"
    r"leider)\b"
)

# Patterns over folded text; the first that matches decides.
_PATTERNS: tuple[tuple[Asks, str], ...] = (
    (
        "person",
        rf"(\b(comment s'appelle|quel est le nom|name of|naam van|hoe heet)\b.*\b{_OFFICES}|"
        rf"\b(qui|who|wie) (est|is)\b(?: \S+){{0,3}} {_OFFICES}|\bwie (is )?de {_OFFICES}|"
        r"\bqui (dirige|preside|commande)\b|\bwho (heads?|leads?|chairs?|runs|commands)\b|"
        r"\bwie leidt\b)",
    ),
    (
        "alias",
        r"\b(autres? noms?|alias|aussi appele|egalement appele|s'appelle|surnom|"
        r"nom complet|also (called|known)|other names?|aka|full name|"
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
        # "quand" and "when" also join clauses; they ask only where they open the question.
        r"(^(et |mais |and |en )?(c'est |depuis |de |since )?(quand|when|wanneer|sinds wanneer)\b|"
        r"\bdepuis quand\b|\bsince when\b|\bc'est quand\b|"
        r"\b(quelle|en quelle|a quelle) (date|annee)\b|\bdate (de|d'|a laquelle)|^(date|annee)\b|"
        r"\bannee de\b|\b(what|which) (year|date|day)\b|\b(welk|in welk) jaar\b|\bwelke datum\b|"
        r"\bsinds wanneer\b)",
    ),
    (
        "contact",
        r"(\b(telephone|numero de (tel|portable)|phone|telefoon\w*|courriel|e-?mails?|mailadres|"
        r"postcode|site (web|internet)|website)\b|"
        r"(^|\b(l'|une |d'|quelle ))adresse\b|\b(the|an|its|postal|street|what) address\b|"
        r"\b(het|een|welk|wat is het) (post|mail)?adres\b)",
    ),
    (
        "amount",
        r"\b(budgets?|salaires?|salary|wages?|couts?|coute\w*|costs?|kost(en)?|prix|price|prijs|"
        r"subventions?|subsid\w+|financement|funding|montants?|amount|bedrag|euros?|"
        r"how much|combien d'argent|hoeveel geld|begroting|loon|salaris)\b",
    ),
    (
        "number",
        r"\b(combien|quel (est le )?(nombre|age|pourcentage)|"
        r"quelle (est la )?(duree|taille|proportion)|"
        r"how (many|long|old|often)|what (is the )?(number|percentage|age)|"
        r"hoeveel|hoe (lang|oud|vaak|groot)|welk (aantal|percentage))\b",
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
    r"(\b(les|aux|des)?quel(le)?s\b|"
    r"\b(enumer\w*|citez|cite|citer|nommez|listez?|lister|liste des?)\b|"
    r"^\w+s (du|de la|des|de l'|of|van)\b|"
    r"\bwhat are\b|\bwhich (\w+ ){0,3}\w*[^\Wsu]s\b|"
    r"\bwhat (\w+ ){0,2}\w*[^\Wsu]s (are|do|have)\b|\blist\b|"
    r"\bname (the|all|some)\b|\bwhat are\b|\btasks\b|\bmissions\b|"
    r"\bwat zijn\b|\bwelke (\w+ ){0,2}\w+(en|s)\b|\bnoem\b|\bopsomming\b|\blijst\b|\btaken\b)"
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
    (r"nom complet|full name|volledige naam", r"nom|naam"),
    (
        r"ou|siege|situee?s?|base|where|based|headquarter\w*|headquarters|located|quartier general|"
        r"waar|zetel|gevestigd|hoofdkwartier",
        r"siege|lieu|ville|adresse",
    ),
    (
        r"quand|annee|date|creat\w*|cree\w*|fondee?|when|year|founded|established|set up|created|"
        r"wanneer|jaar|opgericht|sinds|depuis|since",
        r"creation|date|fondation",
    ),
    (
        r"rattach\w*|depend\w*|autorite|ministere|reports?|belongs?|attached|ministry|"
        r"part of|valt|hoort|ministerie|deel van|verbonden",
        r"rattachement|tutelle",
    ),
    (r"roles?|fonctions?|rol|functie|taak", r"role|fonction"),
    (r"pays|country|land", r"pays"),
    (
        r"alias\w*|autres? noms?|(aussi|egalement) appelee?|s'appelle|appelle-t-on|"
        r"(other|alternative) names?|(also|otherwise) (called|known)|aka|"
        r"andere na(am|men)|ook (wel )?(genoemd|bekend)|heet",
        r"alias|aliases|nom complet",
    ),
    (r"types?|sorte|kind of|soort", r"type"),
)
_COMPILED_KEYS = tuple(
    (re.compile(rf"\b(?:{asked})\b"), re.compile(rf"^(?:{key})\b")) for asked, key in _KEYS
)


def asked_key(question: str, key: str) -> bool:
    """Return whether the question asks for the value of a card's row.

    `key` is what stands before the colon, such as "Siège".
    """
    text, label = fold(question).replace("’", "'"), fold(key)
    return any(
        asked.search(text) is not None and row.search(label) is not None
        for asked, row in _COMPILED_KEYS
    )


# The forms that dates, numbers and acronyms have in French text.
_MONTHS = "janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre|novembre|décembre"
DATE = re.compile(
    rf"\b(?:(?:\d{{1,2}}(?:er)? )?(?:{_MONTHS}) )?(?:1[5-9]|20)\d\d\b"
    rf"|\b\d{{1,2}}(?:er)? (?:{_MONTHS})\b|\b\d{{1,2}}/\d{{1,2}}/\d{{4}}\b",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\b\d+(?:[  .,]\d+)*(?: ?(?:%|€)| [^\W\d_]{3,})?")
ACRONYM = re.compile(r"\b(?=[\w.-]*[A-Z][\w.-]*[A-Z])[A-Z][\w.-]*\w\b")
_PERSON = re.compile(r"\b[A-ZÀ-Ý][a-zà-ÿ]+(?:[- ](?:de |van |von )?[A-ZÀ-Ý][a-zà-ÿ]+)+\b")
_CONTACT = re.compile(r"@|https?://|www\.|\+?\d[\d /.()-]{6,}\d|\b\d{4,5} [A-Z]")
_AMOUNT = re.compile(r"\d[\d .,]*\s?(?:€|%|\$|EUR|euros?|millions?|milliards?|francs?)|€\s?\d")
_FORMS: dict[Asks, re.Pattern[str]] = {
    "date": DATE,
    "number": re.compile(
        r"\d|\b(?:un|une|deux|trois|quatre|cinq|six|sept|huit|neuf|dix|onze|douze|quinze|vingt|"
        r"trente|cent|mille|plusieurs|tous les)\b",
        re.IGNORECASE,
    ),
    "person": _PERSON,
    "contact": _CONTACT,
    "amount": _AMOUNT,
}


def lacks_form(question: str, text: str) -> bool:
    """Return whether a text cannot answer: it asks for a date, a number, a sum, a name or
    an address, and the text holds nothing of that form.
    """
    form = _FORMS.get(asked_for(question))
    return form is not None and form.search(text) is None


# A capital that does not open a sentence, an acronym, or a number.
_NAME = re.compile(
    r"""(?:(?<=[^.?!\s] )|(?<=['’"“«(\[])|(?<=«\u00a0))[A-ZÀ-Ý][\w.-]+|\b[A-Z]{2}[\w.-]*|\b\d+\b"""
)


def names(question: str) -> set[str]:
    """Return the names, acronyms and numbers that a question mentions."""
    return {match.group().rstrip(".-") for match in _NAME.finditer(question)}
