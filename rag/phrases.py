"""The names that a question mentions, with the preposition and the article before each.

By capitals and word lists, in French, English and Dutch: what can take the place of what when
one question follows another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from rag.lexical import fold
from rag.types import Language

__all__ = [
    "ARTICLES",
    "PREPOSITIONS",
    "Phrase",
    "fold_letters",
    "joined",
    "phrases",
    "put",
    "said",
    "straight",
]

Kind = Literal["country", "name", "year"]
# Where something is, whose it is, with whom, and what merely names a topic ("and for Niger?").
Relation = Literal["", "in", "of", "with", "topic"]

# By language: French article with the name, English, Dutch. Those that questions on European
# and development cooperation name; any other country is a name like others.
_COUNTRIES: Final = """
l'Allemagne|Germany|Duitsland
l'Autriche|Austria|Oostenrijk
la Belgique|Belgium|België
la Bulgarie|Bulgaria|Bulgarije
Chypre|Cyprus|Cyprus
la Croatie|Croatia|Kroatië
le Danemark|Denmark|Denemarken
l'Espagne|Spain|Spanje
l'Estonie|Estonia|Estland
la Finlande|Finland|Finland
la France|France|Frankrijk
la Grèce|Greece|Griekenland
la Hongrie|Hungary|Hongarije
l'Irlande|Ireland|Ierland
l'Italie|Italy|Italië
la Lettonie|Latvia|Letland
la Lituanie|Lithuania|Litouwen
le Luxembourg|Luxembourg|Luxemburg
Malte|Malta|Malta
les Pays-Bas|the Netherlands|Nederland
la Pologne|Poland|Polen
le Portugal|Portugal|Portugal
la Roumanie|Romania|Roemenië
la Slovaquie|Slovakia|Slowakije
la Slovénie|Slovenia|Slovenië
la Suède|Sweden|Zweden
la Tchéquie|Czechia|Tsjechië
l'Albanie|Albania|Albanië
l'Islande|Iceland|IJsland
la Moldavie|Moldova|Moldavië
la Norvège|Norway|Noorwegen
le Royaume-Uni|the United Kingdom|het Verenigd Koninkrijk
la Russie|Russia|Rusland
la Serbie|Serbia|Servië
la Suisse|Switzerland|Zwitserland
la Turquie|Turkey|Turkije
l'Ukraine|Ukraine|Oekraïne
les États-Unis|the United States|de Verenigde Staten
le Canada|Canada|Canada
le Mexique|Mexico|Mexico
le Brésil|Brazil|Brazilië
l'Argentine|Argentina|Argentinië
l'Algérie|Algeria|Algerije
le Bénin|Benin|Benin
le Burkina Faso|Burkina Faso|Burkina Faso
le Burundi|Burundi|Burundi
le Cameroun|Cameroon|Kameroen
le Congo|Congo|Congo
la Côte d'Ivoire|Ivory Coast|Ivoorkust
l'Égypte|Egypt|Egypte
la Guinée|Guinea|Guinee
le Kenya|Kenya|Kenia
le Mali|Mali|Mali
le Maroc|Morocco|Marokko
le Mozambique|Mozambique|Mozambique
le Niger|Niger|Niger
le Nigeria|Nigeria|Nigeria
l'Ouganda|Uganda|Oeganda
le Rwanda|Rwanda|Rwanda
le Sénégal|Senegal|Senegal
la Tanzanie|Tanzania|Tanzania
le Tchad|Chad|Tsjaad
la Tunisie|Tunisia|Tunesië
l'Australie|Australia|Australië
la Chine|China|China
la Corée du Sud|South Korea|Zuid-Korea
l'Inde|India|India
Israël|Israel|Israël
le Japon|Japan|Japan
"""
_LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en", "nl")

ARTICLES: Final = {
    "fr": r"l'|(?:le|la|les|un|une)\b",
    "en": r"(?:the|an?)\b",
    "nl": r"(?:de|het|een)\b",
}
_RELATIONS: Final[dict[str, tuple[tuple[Relation, str], ...]]] = {
    "fr": (
        ("in", r"au sein (?:de|du|des|d')|aupres (?:de|du|des|d')|dans|chez|en|aux?|a|vers|sur"),
        ("of", r"du|des|de|d'"),
        ("with", r"avec"),
        ("topic", r"pour|concernant|par rapport (?:a|au|aux)|quant (?:a|au|aux)"),
    ),
    "en": (
        ("in", r"within|inside|in|at|on|to"),
        ("of", r"of|from|by"),
        ("with", r"with"),
        ("topic", r"for|about|concerning|regarding"),
    ),
    "nl": (
        ("in", r"binnen|in|bij|op|te|aan|naar"),
        ("of", r"van|uit"),
        ("with", r"met"),
        ("topic", r"voor|over|wat betreft"),
    ),
}
PREPOSITIONS: Final = {
    language: "|".join(rf"(?:{words})(?:\b|(?<=')|(?= ))" for _, words in _RELATIONS[language])
    for language in _RELATIONS
}
# "du" is a preposition and an article.
_CONTRACTED: Final = {
    "du": ("de", "le"),
    "des": ("de", "les"),
    "au": ("à", "le"),
    "aux": ("à", "les"),
}
# As typed in haste, or before a vowel.
_SPELT: Final = {"a": "à", "d'": "de"}

_CAPITAL = r"[A-ZÀ-Ý](?:[\w.-]*\w)?"
_NAME: Final = re.compile(
    rf"\b{_CAPITAL}(?:(?: | (?:de|du|des|of|for|van|voor)(?: la| l'| the| de| het)? | d')?(?<=[ '])"
    rf"(?:{_CAPITAL}|\d+\b))*(?: (?:nationale?s?|europeen\w*|belges?|unies?)\b)*"
)
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
# Adjectives that English and Dutch write with a capital; alone they name nothing, and neither
# do languages, in which an answer may be wanted.
_ADJECTIVES: Final = re.compile(
    r"(?:europe(?:an|se?)|belgian|belgische?|french|franse?|dutch|nederlandse?|english|engelse?|"
    r"american|amerikaanse?|german|duitse?|international|internationale?|i)"
)
# Nouns that stand beside a name and are part of it: "the CyCLONe network", "la loi NIS".
_AFTER: Final = re.compile(
    r" (?:network|group|project|program(?:me)?|law|directive|initiative|act|framework|agency|"
    r"regulation|netwerk|groep|programma|wet|richtlijn|verordening|initiatief)\b"
)
_BEFORE: Final = re.compile(
    r"\b(?:loi|directive|reseau|groupe(?: de cooperation)?|programme|projet|reglement|"
    r"initiative|exercice) $"
)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A name in a text, with what stands before it.

    `text[start:end]` is all of it and `text[name_start:end]` the name. A contracted French
    preposition is parted: "du BCC" has the preposition "de" and the article "le".
    """

    start: int
    name_start: int
    end: int
    preposition: str
    article: str
    name: str
    kind: Kind
    relation: Relation
    language: Language


def straight(text: str) -> str:
    """Return a text with plain apostrophes and single spaces, as long as patterns need it."""
    return " ".join(text.replace("’", "'").split())


def fold_letters(text: str) -> str:
    """Return a text folded letter by letter: places in the result are places in the text."""
    return "".join(fold(letter)[:1] or letter for letter in text)


def phrases(text: str, language: Language) -> list[Phrase]:
    """Return the names in a text, in its order.

    A capital that opens a question names nothing unless the word is an acronym, a country or
    inside more capitals.
    """
    found: list[Phrase] = []
    folded = fold_letters(text)
    for start, end, kind in _spans(text, folded):
        if all(end <= other.start or start >= other.end for other in found):
            found.append(_with_head(text, folded, start, end, kind, language))
    return sorted(found, key=lambda phrase: phrase.start)


def _spans(text: str, folded: str) -> Iterator[tuple[int, int, Kind]]:
    for match in _countries_pattern().finditer(folded):
        yield match.start(), match.end(), "country"
    for match in _NAME.finditer(text):
        start, end = match.span()
        if start == 0 or text[:start].rstrip().endswith((".", "?", "!")):
            first = text[start:end].split()[0]
            if sum(map(str.isupper, first)) < 2:
                # The capital of a sentence, or of the first word of a name after it.
                start += len(first) + 1
        if start < end and not _ADJECTIVES.fullmatch(folded[start:end]):
            after = _AFTER.match(folded, end)
            before = _BEFORE.search(folded, 0, start)
            yield (before.start() if before else start), (after.end() if after else end), "name"
    for match in _YEAR.finditer(text):
        yield match.start(), match.end(), "year"


def _with_head(
    text: str, folded: str, start: int, end: int, kind: Kind, language: Language
) -> Phrase:
    name_start = start
    tongue = language if language in ARTICLES else "fr"
    article = preposition = ""
    relation: Relation = ""
    if match := re.search(rf"(?:^|(?<=[\s'])){_ended(ARTICLES[tongue])}", folded[:start]):
        article, start = text[match.start() : start].strip().lower(), match.start()
    for candidate, words in _RELATIONS[tongue]:
        if match := re.search(rf"(?:^|(?<=[\s'])){_ended(words)}", folded[:start]):
            preposition, relation = text[match.start() : start].strip(), candidate
            start = match.start()
            break
    head, _, last = preposition.rpartition(" ")
    if last.lower() in _CONTRACTED and tongue == "fr":
        parted, article = _CONTRACTED[last.lower()]
        preposition = f"{head} {parted}".strip()
    elif last.lower() in _SPELT and tongue == "fr":
        preposition = f"{head} {_SPELT[last.lower()]}".strip()
    name = text[name_start:end]
    return Phrase(start, name_start, end, preposition, article, name, kind, relation, tongue)


def _ended(words: str) -> str:
    return rf"(?:{words})\s*$"


@lru_cache(maxsize=1)
def _countries() -> dict[str, tuple[str, str, str]]:
    """Return the three forms of each country, by each of its names, folded."""
    found = {}
    for line in _COUNTRIES.split("\n"):
        if line:
            french, english, dutch = line.split("|")
            for form in (french, english, dutch):
                found[fold(_without_article(form))] = (french, english, dutch)
    return found


def _without_article(form: str) -> str:
    return re.sub(r"^(?:l'|(?:le|la|les|the|de|het) )", "", form)


@lru_cache(maxsize=1)
def _countries_pattern() -> re.Pattern[str]:
    longest_first = sorted(_countries(), key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b")


def said(phrase: Phrase, language: Language) -> str:
    """Return the name with its article, in another language if need be."""
    forms = _countries().get(fold(phrase.name)) if phrase.kind == "country" else None
    if forms is not None and (language != phrase.language or not phrase.article):
        return dict(zip(_LANGUAGES, forms, strict=True)).get(language, phrase.name)
    article = phrase.article
    if language != phrase.language:
        # Of a name of several words English wants the article; which one French or Dutch
        # would have is not to be told from the name.
        article = "the" if article and language == "en" and " " in phrase.name else ""
    return joined(article, phrase.name)


def joined(*words: str) -> str:
    """Put French or other words together: "de" and "le" are "du", "de" and a vowel "d'"."""
    text = " ".join(word for word in words if word)
    text = re.sub(r"(?<=l') ", "", text)
    for before, after in (
        ("de le ", "du "),
        ("de les ", "des "),
        ("à le ", "au "),
        ("à les ", "aux "),
    ):
        text = re.sub(rf"(?<!\w){before}", after, text)
    return text


def put(text: str, old: Phrase, new: Phrase) -> str:
    """Return a text with one name of it in the place of another.

    The preposition is the new one's where both say the same kind of thing in the same
    language, and else stays: "au sein de l'ECCG" with "the OECD" is "au sein de OECD".
    """
    language = old.language
    if new.relation and new.relation == old.relation and new.language == language:
        return text[: old.start] + joined(new.preposition, _plain(new)) + text[old.end :]
    preposition = old.preposition
    name = said(new, language) if new.kind == "country" or new.language != language else _plain(new)
    if old.relation == "in" and new.kind == "country" and language == "fr":
        return text[: old.start] + _locative(said(new, "fr")) + text[old.end :]
    return text[: old.start] + joined(preposition, name) + text[old.end :]


def _plain(phrase: Phrase) -> str:
    return joined(phrase.article, phrase.name)


def _locative(country: str) -> str:
    """Return a French country as where something is: "en France", "au Niger"."""
    article = re.match(r"l'|(?:le|la|les) ", country)
    name = _without_article(country)
    match article.group().strip() if article else "":
        case "le":
            return f"au {name}"
        case "les":
            return f"aux {name}"
        case "la" | "l'":
            return f"en {name}"
    return f"à {name}"
