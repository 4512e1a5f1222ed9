"""Pronouns of a follow-up, and what they stand for put in their place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from rag.lexical import fold
from rag.phrases import Phrase, fold_letters, joined, said
from rag.types import Language

__all__ = ["Unclear", "resolved"]


class Unclear(Exception):
    """A question depends on the one before, and on what of it cannot be told."""


# What stands in for nobody: "y a-t-il", "is it true that".
_EXPLETIVE: Final = re.compile(
    r"\b(?:y a-t-il|il y a|faut-il|il faut|s'agit-il|il s'agit|(?:qu')?est-ce(?= qu)|"
    r"(?:quel temps|quelle heure) (?:fait|est)-il|il (?:fait|pleut)\b|pleut-il|"
    r"(?:est-il|il est|c'est|est-ce) (?:vrai|possible|exact|correct|prevu|obligatoire|necessaire|"
    r"interdit|permis)|existe-t-il (?:un|une|des|d')|il existe|se peut-il|"
    r"(?:is it|it is|it's|was it) (?:true|possible|correct|mandatory|necessary|forbidden|allowed)|"
    r"does it (?:take|cost) to|time is it|day is it|is it raining|does it rain|"
    r"is het (?:waar|mogelijk|juist|verplicht|nodig)|het (?:is|regent)|regent het|hoe laat is het|"
    r"hoe zit het)\b"
)
# Who answers a question that asks who is not named in it, and "he" may be nobody else.
_ASKS_WHO: Final = re.compile(
    r"^(?:(?:a|avec|de|par|pour|with|met|door|van) )?(?:qui|who|whom?|wie)\b"
)
# "Which law designated …": what then is "it" is the law, and that is not known here.
_WHICH_DOES: Final = re.compile(
    r"^(?:quel(?:le)?s? (?!est |sont |etai)\w+ "
    r"(?!l'|(?:le|la|les|a-t|est-ce)\b)(?!.*-(?:t-)?(?:ils?|elles?)\b)"
    r"|(?:which|what) (?!is |are |was |were |does |do |did )\w+ "
    r"(?!(?:does|do|did|is|are|was|were|has|have|can|will|the)\b))"
)
_ASKS_WHICH: Final = re.compile(r"\b(?:quel(?:le)?s?|quoi|which|what|welke?|wat)\b")
_OF_A_PERSON: Final = re.compile(
    r"(?:nom|prenom|age|nationalite|parcours|cv|carriere|name|age|nationality|career|naam|leeftijd)\b"
)
_MANY: Final = re.compile(
    r"\b(?:les|des|quels|quelles|ces|which \w+s|what are|the \w+s|welke \w+(?:en|s)|wat zijn)\b"
)
# What begins another clause, in which "it" may be the name before.
_CLAUSE: Final = {
    "fr": re.compile(r"[,;:]|\b(?:et|ou|que|qui|si|quand|lorsque|dont)\b"),
    "en": re.compile(
        r"[,;:]|\b(?:and|or|that|which|who|whom|when|if|because|where|what|why|how)\b"
    ),
    "nl": re.compile(r"[,;:]|\b(?:en|of|die|dat|als|wie|wat|waar|omdat|wanneer|waarom|hoe)\b"),
}
_TIME: Final = (
    r"annee|an|mois|jour|semaine|moment|fois|cas|year|month|week|day|time|case|point|jaar|maand|"
    r"week|dag|keer|moment"
)
_PERSON: Final = (
    r"personne|homme|femme|monsieur|dame|directeur|directrice|person|man|woman|director|people|"
    r"persoon|vrouw|mens|mensen|directeur"
)
_END: Final = (
    r"(?=$|,| (?:a|a l'|au|aux|dans|en|sur|par|pour|avec|et|ou|qui|que|est|sont|in|at|on|for|with|"
    r"and|or|to|by|is|are|was|were|bij|met|voor|op|over|zijn|werd)\b)"
)


def resolved(
    text: str,
    language: Language,
    subject: Phrase | None,
    place: str,
    found: Sequence[Phrase],
    earlier: str,
) -> str | None:
    """Return a question with its pronouns replaced by what they stand for.

    `subject` is what the `earlier` question is about, `place` where it is set; `found` are
    the names of the text itself, and a pronoun after one of them stands for it. None where
    nothing points back. Raises `Unclear` where something does and it cannot be told to what.
    """
    folded = fold_letters(text)
    before = fold(earlier)
    spared = _EXPLETIVE.sub(lambda match: "_" * len(match.group()), folded)
    own = min((phrase.start for phrase in found if phrase.kind != "year"), default=len(text))
    placed = any(phrase.relation == "in" for phrase in found)
    rules = {"fr": _french, "en": _english, "nl": _dutch}.get(language)
    if rules is None:
        return None
    return rules(_Clause(text, spared, own, before, subject, place, language, placed))


class _Clause:
    """A follow-up while its pronouns are looked for."""

    def __init__(
        self,
        text: str,
        folded: str,
        own: int,
        before: str,
        subject: Phrase | None,
        place: str,
        language: Language,
        placed: bool,
    ) -> None:
        self.text, self.folded, self.own, self.before = text, folded, own, before
        self.placed = placed
        self.place = place
        self._subject = subject
        self._language = language

    def find(self, pattern: str) -> re.Match[str] | None:
        """Find what points back: before any name that the question has of its own."""
        match = re.search(pattern, self.folded)
        return match if match and match.start() < self.own else None

    def find_object(self, pattern: str) -> re.Match[str] | None:
        """Find what points back, after a name too: within one clause "it" is not its subject."""
        match = re.search(pattern, self.folded)
        if match and match.start() > self.own:
            between = self.folded[self.own : match.start()]
            return None if _CLAUSE[self._language].search(between) else match
        return match

    def find_there(self, pattern: str) -> re.Match[str] | None:
        """Find what points back to a place, unless the question names one of its own."""
        return None if self.placed else re.search(pattern, self.folded)

    def subject(self, *, person: bool = False, many: bool = False) -> str:
        """Return what a pronoun stands for; raises `Unclear`."""
        if self._subject is None or _WHICH_DOES.search(self.before):
            raise Unclear
        if (person and _ASKS_WHO.search(self.before)) or (many and _MANY.search(self.before)):
            raise Unclear
        return said(self._subject, self._language)

    def with_(self, start: int, end: int, words: str) -> str:
        return re.sub(r" {2,}", " ", self.text[:start] + words + self.text[end:]).strip()

    def demonstrated(self, pattern: str) -> str | None:
        """Say which "this group" is meant, beside it."""
        match = self.find(pattern)
        if match is None:
            return None
        noun = match["noun"]
        if re.fullmatch(_PERSON, noun) or re.search(
            rf"(?:quel(?:le)?s?|which|what|welke?) (?:\w+ )?{noun}", self.before
        ):
            raise Unclear
        return self.with_(match.end(), match.end(), f" ({self.subject()})")


def _french(clause: _Clause) -> str | None:
    text, folded = clause.text, clause.folded
    if match := clause.find(rf"\b(?P<own>sa|son|ses|leurs?) (?P<noun>\w+(?: \S+?)*?){_END}"):
        if match["own"] == "leur" or _OF_A_PERSON.match(match["noun"]):
            clause.subject(person=True, many=match["own"].startswith("leur"))
        subject = clause.subject(many=match["own"].startswith("leur"))
        article = {"sa": "la", "son": "le"}.get(match["own"], "les")
        noun = text[match.start("noun") : match.end("noun")]
        if match["own"] == "leur":
            return clause.with_(match.end(), match.end(), f" ({subject})")
        if article != "les" and re.match(r"[aeiouyh]", match["noun"]):
            article = "l'"
        whole = joined(article, noun)
        whole = f"{whole} {joined('de', subject)}"
        head = re.sub(r"\bde $", "de ", text[: match.start()])
        return _contracted(f"{head}{whole}{text[match.end() :]}")
    if match := clause.find(
        r"\bqui (?:ne )?(?P<object>le |la |les |l')(?P<verb>(?:a|ont|avait|est|sont) \w+|\w+)"
        r"|\bquel(?:le)?s? (?!est |sont |etai)\w+ (?P<object2>le |la |les |l')"
        r"(?P<verb2>(?:a|ont|avait) \w+|\w+$)"
    ):
        subject = clause.subject()
        place, said_ = ("object", "verb") if match["object"] else ("object2", "verb2")
        verb = text[match.start(said_) : match.end(said_)]
        return f"{text[: match.start(place)]}{verb} {subject}{text[match.end() :]}"
    if match := clause.find(r"\bqui (?P<object>lui |leur )(?P<verb>(?:a|ont) \w+|\w+)"):
        verb = text[match.start("verb") : match.end("verb")]
        to = joined("à", clause.subject(person=False))
        return f"{text[: match.start('object')]}{verb}{text[match.end() :]} {to}"
    if match := clause.find(
        r"\b(?:peut|peux|pouvez|pourrait|doit|faut-il|veut|comment|pour|puis-je|peut-on) "
        r"(?P<object>le |la |les |l')(?P<verb>\w+(?:er|ir|re|oir))\b"
    ):
        verb = text[match.start("verb") : match.end("verb")]
        return f"{text[: match.start('object')]}{verb} {clause.subject()}{text[match.end() :]}"
    if (match := clause.find_there(r"\by (?=\w)")) and clause.place:
        return clause.with_(match.start(), match.end(), "") + f" {clause.place}"
    if match := clause.find(r"\b(?:qui|combien) (?P<of>en )(?=\w)"):
        return (
            clause.with_(match.start("of"), match.end("of"), "")
            + " "
            + joined("de", clause.subject())
        )
    if re.search(r"\ben (?:fait|font|est|sont|existe\w*|a|ont|fera)\b", folded):
        raise Unclear
    if match := clause.find(r"(?P<verb>(?:n'|s'|l')?\w+)-(?:t-)?(?P<who>ils?|elles?)\b"):
        return _inverted(clause, match)
    if match := clause.find(r"(?P<that>\bqu'|\bs'|^|, )(?P<who>ils?|elles?)\b(?! y a)"):
        subject = clause.subject(person=True, many=match["who"].endswith("s"))
        that = {"qu'": "que ", "s'": "si "}.get(match["that"], match["that"])
        return clause.with_(match.start(), match.end(), f"{that}{subject}")
    if match := clause.find(r"\b(?P<to>avec|pour|chez|sur|par|de|d'|a|sans) ?(?:lui|elles?|eux)\b"):
        to = "de" if match["to"] == "d'" else "à" if match["to"] == "a" else match["to"]
        return clause.with_(match.start(), match.end(), joined(to, clause.subject(person=True)))
    if match := clause.find(
        r"\b(?:ce dernier|cette derniere|celui-ci|celle-ci|ceux-ci|celles-ci)\b"
    ):
        if _ASKS_WHICH.search(clause.before):
            raise Unclear
        return clause.with_(match.start(), match.end(), clause.subject(person=True))
    if shown := clause.demonstrated(
        rf"\b(?:cet|cette|ce|ces) (?!qu|dernier|derniere|(?:{_TIME})\b)(?P<noun>\w+)"
    ):
        return shown
    if match := clause.find(r"\b(?:c'est|c'etait|est-ce(?! qu)|ca|cela|y|lui|leur|eux)\b"):
        if _ASKS_WHICH.search(clause.before) or match.group() in ("y", "lui", "leur", "eux"):
            raise Unclear
        return f"{text}, {clause.subject(person=True)}"
    return None


def _contracted(text: str) -> str:
    for old, new in (
        (r"\bde le ", "du "),
        (r"\bde les ", "des "),
        (r"\bà le ", "au "),
        (r"\bà les ", "aux "),
    ):
        text = re.sub(old, new, text)
    return text


def _inverted(clause: _Clause, match: re.Match[str]) -> str | None:
    """Put a noun in the place of the pronoun after a French verb."""
    text, folded = clause.text, clause.folded
    own = re.search(
        r"\b(?:l'|(?:le|la|les|un|une|ce|cette|ces) )[\w-]+(?: \w+)? $", folded[: match.start()]
    )
    if own:
        return None
    subject = clause.subject(person=True, many=match["who"].endswith("s"))
    after = folded[match.end() :]
    auxiliary = match["verb"] in (
        "a",
        "ont",
        "avait",
        "avaient",
        "est",
        "sont",
        "etait",
        "etaient",
        "s'est",
        "n'est",
    )
    participle = re.match(
        r" (?:pas |deja |jamais )?(?:ete|\w+(?:e|ee|es|ees|i|is|it|u|us|ue))\b", after
    )
    alone = match.start() == 0
    whatever = re.search(r"\bqu(?:e |')$", folded[: match.start()])
    if (auxiliary and participle and not whatever) or alone:
        verb = text[match.start() : match.end()]
        verb = verb[0].lower() + verb[1:] if alone else verb
        return f"{text[: match.start()]}{subject} {verb}{text[match.end() :]}"
    verb = text[match.start("verb") : match.end("verb")]
    if auxiliary and participle:
        done = text[match.end() : match.end() + participle.end()]
        return (
            f"{text[: match.start()]}{verb}{done} {subject}{text[match.end() + participle.end() :]}"
        )
    return f"{text[: match.start()]}{verb} {subject}{text[match.end() :]}"


def _english(clause: _Clause) -> str | None:
    if match := clause.find(r"\b(?P<own>its|their|his|her) (?P<noun>\w+)"):
        person = match["own"] in ("his", "her") or bool(_OF_A_PERSON.match(match["noun"]))
        subject = clause.subject(person=person, many=match["own"] == "their")
        end = "'" if subject.endswith("s") and not subject.isupper() else "'s"
        return clause.with_(match.start("own"), match.end("own"), f"{subject}{end}")
    if match := clause.find(r"\b(?:this one|that one|the latter)\b"):
        if _ASKS_WHICH.search(clause.before):
            raise Unclear
        return clause.with_(match.start(), match.end(), clause.subject(person=True))
    if match := clause.find(r"\b(?P<who>it|they|them|he|she|him|her)\b") or clause.find_object(
        r"\b(?P<who>it|them|him|her)$"
    ):
        plural = match["who"] in ("they", "them")
        subject = clause.subject(
            person=match["who"] in ("he", "she", "him", "her", "they"), many=plural
        )
        result = clause.with_(match.start(), match.end(), subject)
        if match["who"] == "they":
            head = re.sub(r"\bdo $", "does ", result[: match.start()])
            head = re.sub(r"\bare $", "is ", re.sub(r"\bhave $", "has ", head))
            result = head + result[match.start() :]
        return result
    if shown := clause.demonstrated(
        r"(?<!did )(?<!does )(?<!do )\b(?:this|that|these|those) "
        rf"(?!(?:{_TIME}|the|is|are|it|a)\b)(?P<noun>\w+)"
    ):
        return shown
    if match := clause.find_there(
        r"(?<!is )(?<!are )(?<!was )(?<!were )\bthere\b(?! (?:is|are|was|were|a)\b)"
    ):
        if not clause.place or re.match(r"\w+ ", clause.place) is None:
            raise Unclear
        return clause.with_(match.start(), match.end(), clause.place)
    if clause.find(
        r"\b(?:this|that|these|those)$|"
        r"\b(?:is|was|does|do|did|are|were) (?:this|that|these|those)\b"
    ):
        raise Unclear
    return None


_NEUTER: Final = re.compile(
    r"(?:\w+(?:ment|je|um|isme|sel)|doel|budget|hoofdkwartier|adres|jaar|land|hoofd|nummer|personeel|"
    r"statuut|mandaat|bestuur|logo|werk|ministerie|netwerk)\b"
)
_DUTCH_ADVERBS: Final = (
    r"in|voor|met|bij|op|van|aan|over|nu|precies|allemaal|daar|al|eigenlijk|dan|ook|niet|om|te"
)


def _dutch(clause: _Clause) -> str | None:
    text = clause.text
    if match := clause.find(
        r"(?:^|\b(?:is|was|waren|zijn|van|met|in|over|bij|voor) )(?P<own>zijn|haar|hun) "
        rf"(?!de\b|het\b|een\b|er\b|ze\b|zij\b|dat\b|die\b)(?P<noun>\w+(?: \w+)?){_END}"
    ):
        person = bool(_OF_A_PERSON.match(match["noun"]))
        subject = clause.subject(person=person, many=match["own"] == "hun")
        noun = text[match.start("noun") : match.end("noun")]
        article = "het" if _NEUTER.match(match["noun"]) else "de"
        return clause.with_(match.start("own"), match.end(), f"{article} {noun} van {subject}")
    if match := clause.find_object(
        r"\b(?:er|daar)(?P<to>van|in|mee|voor|aan|bij|over|uit|op|toe)\b"
    ):
        to = {"mee": "met", "toe": "tot"}.get(match["to"], match["to"])
        return clause.with_(match.start(), match.end(), f"{to} {clause.subject()}")
    if match := clause.find(
        r"\bhet(?=$|,| (?:nu|precies|dan|al|eigenlijk|samen)$|"
        r" (?:(?:nu|precies|dan|al|eigenlijk|samen) )?"
        r"(?:(?:ge|be|ver|ont|op|aan|uit|in)\w+(?:d|t|en)\b|"
        rf"(?:{_DUTCH_ADVERBS})\b|"
        r"(?:de|het|een|welke?|wie|wat|lid|deel)\b|[A-Z]))|^het(?= (?:is|valt|hoort|werkt)\b)"
    ):
        return clause.with_(match.start(), match.end(), clause.subject())
    if match := clause.find(r"\b(?P<who>hij|zij|ze|hem|haar)\b"):
        subject = clause.subject(person=match["who"] != "haar", many=False)
        return clause.with_(match.start(), match.end(), subject)
    if (match := clause.find(r" (?P<who>die)$")) and not _ASKS_WHICH.search(clause.before):
        return clause.with_(match.start("who"), match.end(), clause.subject(person=True))
    if shown := clause.demonstrated(
        rf"\b(?:deze|dit|dat|die) (?!(?:{_TIME}|is|was|zijn|de|het|een|ook)\b)(?P<noun>\w{{3,}})"
    ):
        return shown
    if clause.find_there(r"\ber$"):
        raise Unclear
    if match := clause.find_there(r"\bdaar\b"):
        if not clause.place:
            raise Unclear
        return clause.with_(match.start(), match.end(), clause.place)
    if clause.find(
        r"\b(?:dat|dit|deze|die)$|\b(?:is|doet|was|kan|heeft) (?:dat|dit|deze|die)\b|^dat\b"
    ):
        raise Unclear
    return None
