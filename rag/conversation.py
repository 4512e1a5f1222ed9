"""Follow-ups into questions that stand alone, by rules over words, without a model of language.

What a follow-up replaces is replaced ("and in NATO?"), a pronoun gives way to what it stands
for ("where is it based?"), a question word is asked of the question before ("since when?").
Where nothing finer is certain, the earlier question is carried over whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from rag.courtesies import bare_question, courtesy
from rag.language import detect
from rag.lexical import content_words
from rag.phrases import (
    ARTICLES,
    PREPOSITIONS,
    Phrase,
    fold_letters,
    joined,
    phrases,
    put,
    said,
    straight,
)
from rag.pronouns import Unclear, resolved
from rag.types import Language

__all__ = ["Understood", "standalone"]


@dataclass(frozen=True, slots=True)
class Understood:
    """A question that stands alone; `carried` tells that some of it was said earlier."""

    question: str
    carried: bool = False


@dataclass(frozen=True, slots=True)
class _Earlier:
    """What a follow-up follows: the question as understood, in its language.

    `clauses` are what it was joined from, where nothing finer was certain. `name` is what
    was last put in the place of another.
    """

    question: str
    language: Language
    clauses: tuple[str, ...] = ()
    name: str = ""


_AND: Final[dict[str, str]] = {"fr": "et", "en": "and", "nl": "en"}
_OPENINGS: Final = {
    "fr": r"et si|et sinon|et|mais|alors|sinon|ou bien|(?:et )?qu'en est-il(?= d)",
    "en": r"and (?:what|how) about|what about|how about|and|but|or|so|same (?:question )?(?=for)",
    "nl": r"(?:en )?hoe zit het(?: met|(?= (?:in|bij)))|(?:en )?wat met|en|maar|dus|of",
}
_LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en", "nl")
# First words that tell the language of a follow-up too short for anything else to tell it.
_FIRST: Final = {
    "fr": r"et|a|au|aux|quand|pourquoi|ou|depuis|combien|qui|comment|par|avec|pour|dans|il|elle",
    "en": r"and|since|when|why|where|how|who|what|with|by|at|for|in which|is|does|same",
    "nl": r"en (?:in|bij|de|het|voor|met|van|wie|wat|waar\w*|wanneer|hoe|sinds|door)|"
    r"wanneer|waarom|waar|sinds|hoe|wie|met|door|bij|hoeveel|voor|welke?",
}
# Question words that ask about the whole of a question, the same in the three languages.
_ASKING: Final = (
    ("Depuis quand", "Since when", "Sinds wanneer", r"depuis quand|since when|sinds wanneer"),
    (
        "Depuis combien de temps",
        "For how long",
        "Hoe lang",
        r"(?:depuis|pendant) combien de temps|(?:for )?how long|hoe ?lang(?: al)?",
    ),
    ("Jusqu'à quand", "Until when", "Tot wanneer", r"jusqu'a quand|until when|tot wanneer"),
    ("Quand", "When", "Wanneer", r"(?:c'est )?quand(?: ca)?|when|wanneer|a quelle date"),
    (
        "En quelle année",
        "In which year",
        "In welk jaar",
        r"(?:en )?quelle annee|(?:in )?(?:which|what) year|(?:in )?welk jaar",
    ),
    ("Où", "Where", "Waar", r"(?:c'est )?ou(?: ca)?|where|waar|dans quelle ville|in which city"),
    (
        "Pourquoi",
        "Why",
        "Waarom",
        r"pourquoi(?: ca)?|pour quelles? raisons?|why|how come|waarom",
    ),
    (
        "À quelle fréquence",
        "How often",
        "Hoe vaak",
        r"a quelle frequence|tous les combien|how often|hoe vaak",
    ),
    ("Comment", "How", "Hoe", r"comment(?: ca)?|how|hoe"),
    ("Par qui", "By whom", "Door wie", r"par qui|by whom?|who by|door wie"),
    ("Avec qui", "With whom", "Met wie", r"avec qui|with whom?|who with|met wie"),
    ("Pour qui", "For whom", "Voor wie", r"pour qui|for whom?|voor wie"),
)
_ANY_ASKING: Final = "|".join(pattern for *_, pattern in _ASKING)
_INTERROGATIVE: Final = re.compile(
    r"(?:qui|que|qu'|quoi|quel(?:le)?s?|lequel|laquelle|lesquel(?:le)?s|ou|quand|comment|pourquoi|"
    r"combien|est-ce|who|whom|whose|what|which|where|when|why|how|wie|wat|welke?|waar\w*|wanneer|"
    r"waarom|hoe|hoeveel)\b"
)
# A question word with what it stands before, and no verb: "with which countries?".
_ASKING_PHRASE: Final = re.compile(
    r"(?:(?:a|avec|dans|de|en|par|pour|sur|sous|with|in|of|for|by|from|to|met|van|voor|door|bij) )?"
    r"(?:quel(?:le)?s?|which|what|welke?|combien d[e']|how many|hoeveel) ?\w+(?: \w+)?"
)
_VERBS: Final = re.compile(
    r"\b(?:est|sont|etait|sera|ont|avait|fait|font|peut|doit|dirige|siege|travaille|coopere(?:nt|ra)?|"
    r"represente|soutient|is|are|was|were|be|has|have|had|does|do|did|can|could|should|will|"
    r"would|zijn|werd|werden|wordt|worden|heeft|hebben|had|kan|kunnen|moet|moeten|doet|"
    r"werkt|leidt|vertegenwoordigt)\b|-(?:t-)?(?:il|elle|ils|elles|on)\b|^a-t-"
)
# Fragments that ask for more, and of what only the question before says.
_VAGUE: Final = re.compile(
    r"(?:(?:un peu |encore |d'|de |des |any |some |wat |nog |iets )?"
    r"(?:plus|details?|precisions?|exemples?|autres?|apres|ensuite|avant|encore|vraiment|sur|sure|"
    r"quoi d'autre|rien d'autre|more|else|others?|examples?|really|sure|next|then|before|after|"
    r"afterwards|meer|andere?n?|voorbeeld\w*|echt|zeker|daarna|daarvoor|verder)\b.*|"
    r"(?:tell me|dis|dites|vertel)\b.*\b(?:more|plus|meer)\b.*|what else|who else|"
    r"wie (?:nog|anders)|wat nog|(?:es-tu|tu es|t'es|vous etes|are you|ben je) "
    r"(?:sure?|certain\w*|zeker).*)"
)
# Nouns that are always of something: "the budget" is that of what was just asked about.
_OF_SOMETHING: Final = re.compile(
    r"(?:missions?|taches?|roles?|sieges?|budgets?|adresse|alias|noms?|dates?|directeur|directrice|"
    r"president\w*|chef|membres?|partenaires?|objectifs?|ministre|ministere|statut|fonctions?|"
    r"creation|effectifs?|personnel|employes|patron|rattachement|tutelle|quartier|but|"
    r"tasks?|names?|boss|address|director|chair\w*|head|heads|headquarters|members?|partners?|"
    r"objectives?|goals?|aims?|purpose|staff|employees|aliases|seat|ministry|mission|"
    r"taken|taak|baas|rol|zetel|begroting|adres|naam|namen|datum|voorzitter|hoofd|hoofdkwartier|leden|"
    r"lid|partners|doel|doelen|doelstelling\w*|personeel|ministerie|opdracht\w*|leider)"
)
_OPENING_CLAUSE: Final = re.compile(
    r"^(?:(?:quel(?:le)?s?|qui) (?:est|sont|etait|etaient)|c'est quoi|c'est qui|"
    r"(?:what|who|where|when|how (?:big|large|high)) (?:is|are|was|were)|"
    r"(?:wat|wie|waar|hoe groot|hoe hoog) (?:is|zijn|was|waren)) "
)
_LANGUAGE_NAMES: Final = re.compile(
    r"\b(?:francais|anglais|neerlandais|french|english|dutch|frans|engels|nederlands)\b"
)
_CIRCUMSTANCE: Final = re.compile(
    r"(?:comme|selon|sans|apres|avant|depuis|pendant|as|according to|without|after|before|since|"
    r"during|als|volgens|zonder|na|sinds|tijdens) "
)
_ALSO: Final = re.compile(
    r",? (?:aussi|egalement|alors|donc|plutot|too|as well|then|also|instead|ook|dan)$"
)


def standalone(question: str, history: Sequence[str]) -> Understood:
    """Return the question with what it leaves unsaid taken from the ones before it.

    `history` holds the user's earlier questions, oldest first. A question that stands alone
    is returned as it is, and so is a courtesy, which is no part of what is followed either.
    """
    if courtesy(question) is not None:
        return Understood(question)
    earlier: _Earlier | None = None
    for turn in history:
        asked = bare_question(turn)
        if asked.strip() and courtesy(asked) is None:
            earlier = _understand(asked, earlier) or _alone(asked, earlier)
    understood = _understand(question, earlier)
    return Understood(question) if understood is None else Understood(understood.question, True)


def _understand(question: str, earlier: _Earlier | None) -> _Earlier | None:
    """Return what a follow-up asks; None for a question that stands alone."""
    text = straight(question)
    bare = text.rstrip(" ?!.…")
    if earlier is None or not bare:
        return None
    language = _language(question, earlier)
    folded = fold_letters(bare)
    opening = re.match(rf"(?:{_OPENINGS[language]})(?:,? |$)", folded)
    rest = bare[opening.end() :] if opening else bare
    # "Et lui, quand …" says twice what it is about.
    rest = re.sub(r"^(?:lui|elle|eux|elles|hij|him),\s*", "", rest, flags=re.IGNORECASE)
    folded = fold_letters(rest)
    found = phrases(rest, language)
    understood = (
        _asked_again(folded, rest, found, language, earlier)
        or _replaced(folded, rest, found, language, earlier, opening is not None)
        or _with_subject(folded, rest, found, language, earlier, opening is not None)
    )
    if understood is _JOIN:
        # After "and" a capital is that of a name, elsewhere that of the sentence.
        clause = rest or bare
        return _join(clause if opening else _lowered(clause), language, earlier)
    return understood


def _alone(asked: str, earlier: _Earlier | None) -> _Earlier:
    language = _language(asked, earlier)
    text = straight(asked)
    opening = re.match(rf"(?:{_OPENINGS[language]})(?:,? )", fold_letters(text))
    return _Earlier(text[opening.end() :] if opening else text, language)


_JOIN: Final = _Earlier("", "unknown")


def _language(question: str, earlier: _Earlier | None) -> Language:
    """Return the language of a question, or else that of the one before it."""
    detected = detect(question)
    if detected != "unknown":
        return detected
    folded = fold_letters(straight(question))
    matching = [one for one in _LANGUAGES if re.match(rf"(?:{_FIRST[one]})\b", folded)]
    before: Language = earlier.language if earlier else "fr"
    return matching[0] if matching and before not in matching else before


def _asked_again(
    folded: str, rest: str, found: list[Phrase], language: Language, earlier: _Earlier
) -> _Earlier | None:
    """Ask a question word of the question before."""
    for *words, pattern in _ASKING:
        if re.fullmatch(pattern, folded):
            word = words[_LANGUAGES.index(earlier.language)]
            return _with_question_word(word, earlier)
    if _VERBS.search(folded):
        return None
    if found or not (_ASKING_PHRASE.fullmatch(folded) or _bare_question_word(folded)):
        return None
    if language == earlier.language and re.match(r"\w+ (?:quel|which|what|welk)", folded):
        return _with_question_word(rest[0].upper() + rest[1:], earlier)
    return _JOIN


def _bare_question_word(folded: str) -> bool:
    return (
        re.fullmatch(
            r"(?:\w+ )?(?:qui|quoi|combien|who|whom|what|which|which ones?|how many|"
            r"how much|wie|wat|welke?|hoeveel)",
            folded,
        )
        is not None
    )


def _with_question_word(word: str, earlier: _Earlier) -> _Earlier:
    """Return the earlier question with another question word, where its grammar allows."""
    bare = earlier.question.rstrip(" ?!.…")
    folded = fold_letters(bare)
    if not earlier.clauses:
        if match := re.match(
            rf"(?:{_ANY_ASKING})(?: (?!de\b|d'|many|much|veel|long)|(?=$))", folded
        ):
            return _finished(f"{word} {bare[match.end() :]}", earlier.language)
        if _yes_or_no(folded, earlier.language):
            return _finished(f"{word} {_lowered(bare)}", earlier.language)
    return _join(_lowered(word), earlier.language, earlier)


def _yes_or_no(folded: str, language: Language) -> bool:
    if _INTERROGATIVE.match(folded) and not folded.startswith("est-ce"):
        return False
    if language == "fr":
        return bool(
            re.match(r"est-ce qu", folded)
            or (
                re.search(r"-(?:t-)?(?:il|elle|ils|elles)\b", folded)
                and not re.match(r"\w+ (?:quel|qui|quoi)", folded)
            )
        )
    return bool(
        re.match(
            r"(?:is|are|was|were|does|do|did|has|have|had|can|could|will|would|should|zijn|heeft|"
            r"hebben|werd|wordt|kan|doet|werkt|moet|mag)\b",
            folded,
        )
    )


def _replaced(
    folded: str,
    rest: str,
    found: list[Phrase],
    language: Language,
    earlier: _Earlier,
    opened: bool,
) -> _Earlier | None:
    """Put what a fragment names in the place of its like in the question before."""
    if not folded or _VAGUE.fullmatch(folded):
        return _JOIN
    if re.fullmatch(r"ils?|elles?|lui|eux|he|she|it|they|him|her|them|hij|zij|ze|hem|haar", folded):
        return _JOIN
    if also := _ALSO.search(folded):
        folded, rest = folded[: also.start()], rest[: also.start()]
    if pointing := re.match(r"(?:celui|celle|ceux|celles|that|those|die)(?= (?:d|of|van))", folded):
        folded, rest = folded[pointing.end() + 1 :], rest[pointing.end() + 1 :]
    # "Bij wie hoort het?" opens with a preposition and is no fragment.
    asking = _INTERROGATIVE.match(folded) or _INTERROGATIVE.match(folded.partition(" ")[2])
    if _VERBS.search(folded) or asking or len(folded.split()) > 9:
        return None
    found = phrases(rest, language)
    led = re.match(rf"(?:{PREPOSITIONS[language]})\s*", folded)
    if not (opened or (led and led.end() < len(folded)) or _CIRCUMSTANCE.match(folded)):
        return None
    if _LANGUAGE_NAMES.search(folded) or _CIRCUMSTANCE.match(folded):
        return _JOIN
    new = _whole(rest, found, language)
    if new is None:
        return None
    if not new.preposition and new.kind == "name" and not _is_name(new, found):
        return None
    # What was joined on is of the name that goes.
    base = (
        _finished(earlier.clauses[0], earlier.language).question
        if earlier.clauses
        else earlier.question
    )
    old = _like(new, replace(earlier, question=base), _is_name(new, found))
    if old is not None:
        asked = put(base, old, new)
        asked = asked[0].upper() + asked[1:]
        return _Earlier(asked, earlier.language, name=new.name)
    if new.relation in ("in", "with", "topic") and language == earlier.language:
        return _finished(f"{base.rstrip(' ?!.…')} {_lowered(rest)}", language)
    return _JOIN


def _whole(rest: str, found: list[Phrase], language: Language) -> Phrase | None:
    """Return a fragment as one phrase, whatever it names."""
    if found and found[0].start == 0 and found[0].end == len(rest):
        return found[0]
    folded = fold_letters(rest)
    if re.match(
        r"(?:sa|son|ses|leurs?|its|their|his|her|zijn|haar|hun|ce|cet|cette|ces|this|"
        r"that|these|those|deze|dit|dat|die|lui|eux|elles?|him|them|it|hem)\b",
        folded,
    ):
        return None
    # Its own name at the start tells where the preposition and the article end.
    head = phrases(_capitalised_head(rest, language), language)
    if not head or head[0].start != 0:
        return None
    first = head[0]
    return Phrase(
        0,
        first.name_start,
        len(rest),
        first.preposition,
        first.article,
        rest[first.name_start :],
        "name",
        first.relation,
        language,
    )


def _capitalised_head(rest: str, language: Language) -> str:
    """Return a fragment with the first word of its noun as an acronym has it."""
    folded = fold_letters(rest)
    tongue = language if language in ARTICLES else "fr"
    head = re.match(rf"(?:(?:{PREPOSITIONS[tongue]})\s*)?(?:(?:{ARTICLES[tongue]})\s*)?", folded)
    place = head.end() if head else 0
    word = re.match(r"[\w.-]+", rest[place:])
    if not word:
        return rest
    end = place + word.end()
    return rest[:place] + "X" * (end - place) + rest[end:]


def _is_name(phrase: Phrase, found: Sequence[Phrase]) -> bool:
    """Return whether a fragment is a name and not a common noun, as far as capitals tell."""
    if any(phrase.name_start == other.name_start for other in found):
        return True
    return (
        not phrase.article
        and len(phrase.name.split()) == 1
        and not _OF_SOMETHING.fullmatch(fold_letters(phrase.name))
    )


def _like(new: Phrase, earlier: _Earlier, named: bool) -> Phrase | None:
    """Return what a new name takes the place of in the earlier question."""
    there = phrases(earlier.question, earlier.language)
    if new.kind == "year":
        return next((old for old in there if old.kind == "year"), None)
    if new.relation in ("in", "of", "with"):
        there = [old for old in there if old.relation == new.relation]
        same = [old for old in there if old.kind == new.kind]
        return (same or there)[-1] if there else _last_words(earlier, new)
    same = [old for old in there if old.kind == new.kind]
    if not named:
        return None
    if not new.preposition:
        same = (
            [old for old in same if old.name == earlier.name]
            or [old for old in same if not old.preposition]
            or same
        )
    return same[-1] if same else None


def _last_words(earlier: _Earlier, new: Phrase) -> Phrase | None:
    """Return the end of a question typed without capitals: "… in eccg"."""
    bare = earlier.question.rstrip(" ?!.…")
    folded = fold_letters(bare)
    match = re.search(
        rf"\b(?:{PREPOSITIONS[earlier.language]})\s*(?:(?:{ARTICLES[earlier.language]})"
        r"\s*)?(?P<word>[\w.-]+)$",
        folded,
    )
    if match is None:
        return None
    shouted = bare[: match.start("word")] + "X" * len(match["word"])
    last = [phrase for phrase in phrases(shouted, earlier.language) if phrase.end == len(bare)]
    return last[0] if last and last[0].relation == new.relation else None


def _with_subject(
    folded: str,
    rest: str,
    found: list[Phrase],
    language: Language,
    earlier: _Earlier,
    opened: bool,
) -> _Earlier | None:
    """Say what a question is about that leaves it to the one before."""
    subject = _subject(earlier)
    place = _place(earlier, subject)
    try:
        text = resolved(rest, language, subject, place, found, earlier.question)
    except Unclear:
        return _JOIN
    if text is not None:
        return _finished(text, language)
    if found:
        return None
    clause = _OPENING_CLAUSE.match(folded)
    noun = folded[clause.end() :] if clause else folded
    tongue = language if language in ARTICLES else "fr"
    article = re.match(rf"(?:{ARTICLES[tongue]})\s*", noun)
    if article and (clause or opened) and _OF_SOMETHING.match(noun, article.end()):
        if subject is None:
            return _JOIN
        of = {"fr": "de", "en": "of", "nl": "van"}[language]
        return _finished(f"{rest} {joined(of, said(subject, language))}", language)
    if article and opened and not clause and not _VERBS.search(folded):
        return _JOIN
    return None if content_words(rest, language) else _JOIN


def _subject(earlier: _Earlier) -> Phrase | None:
    """Return what the earlier question is about: what stands before its verb, if names tell."""
    there = phrases(earlier.question, earlier.language)
    for kind in ("name", "country"):
        of_kind = [phrase for phrase in there if phrase.kind == kind]
        for relations in (("",), ("of",), ("in", "with", "topic")):
            for phrase in of_kind:
                if phrase.relation in relations:
                    return phrase
    return _common_noun(earlier)


def _common_noun(earlier: _Earlier) -> Phrase | None:
    """Return the last noun with its article that ends a question: "où siège le bcc"."""
    bare = earlier.question.rstrip(" ?!.…")
    folded = fold_letters(bare)
    articles = ARTICLES[earlier.language]
    match = re.search(
        rf"(?:^|(?<=[ ']))(?P<article>{articles})\s*(?P<name>[\w.-]+(?: [\w.-]+){{0,4}})$", folded
    )
    if match is None or _VERBS.search(match["name"]):
        return None
    name = bare[match.start("name") :]
    if _OF_SOMETHING.match(fold_letters(name)):
        return None
    return Phrase(
        match.start(),
        match.start("name"),
        len(bare),
        "",
        match["article"],
        name,
        "name",
        "",
        earlier.language,
    )


def _place(earlier: _Earlier, subject: Phrase | None) -> str:
    """Return where the earlier question is set, for "there": "à l'ECCG"."""
    there = [p for p in phrases(earlier.question, earlier.language) if p.relation == "in"]
    return earlier.question[there[-1].start : there[-1].end] if len(there) == 1 else ""


def _join(text: str, language: Language, earlier: _Earlier) -> _Earlier:
    """Carry the earlier question over whole: "Who represents …, and since when?".

    Of a chain of such only the first and the last two are kept.
    """
    clauses = earlier.clauses or (earlier.question.rstrip(" ?!.…"),)
    kept = (*clauses[:1], *clauses[1:][-1:], f"{_AND[language]} {text}")
    question = _finished(", ".join(kept), language).question
    return _Earlier(question, earlier.language, kept, earlier.name)


def _finished(text: str, language: Language) -> _Earlier:
    text = text[:1].upper() + text[1:]
    return _Earlier(f"{text} ?" if language == "fr" else f"{text}?", language)


def _lowered(text: str) -> str:
    """Return a clause as it stands inside a question: without the capital of a sentence."""
    first = re.match(r"[\w'-]+", text)
    named = any(phrase.name_start == 0 for phrase in phrases(text, "unknown"))
    if first is None or named or sum(map(str.isupper, first.group())) != 1:
        return text
    return text[0].lower() + text[1:]
