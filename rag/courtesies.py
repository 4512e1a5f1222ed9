"""Tell greetings, thanks and questions about the assistant from questions about the documents.

By rules over whole messages: every word has to be accounted for, so that a message with anything
else in it is a question.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from rag.lexical import fold
from rag.types import Language

__all__ = ["Courtesy", "CourtesyKind", "bare_question", "courtesy"]

CourtesyKind = Literal["greeting", "wellbeing", "thanks", "goodbye", "assistant", "corpus"]


@dataclass(frozen=True, slots=True)
class Courtesy:
    """A message that asks nothing of the documents, and the language it is in."""

    kind: CourtesyKind
    language: Language


# All patterns are over folded text with single spaces and without punctuation, apostrophes
# included. Each is one whole clause.
_GREETINGS: Final = {
    "fr": r"(?:re ?)?bonjour|bonsoir|salut|coucou|bjr",
    "en": r"hello|hi|hey|hiya|good (?:morning|afternoon|evening|day)|greetings",
    "nl": r"hallo|(?:he+y? )?hoi|dag|(?:goeden?|goeie)(?:dag|morgen|middag|avond)",
}
_CALLED: Final = {
    "fr": r"a tous|a toutes|tout le monde|citadelle|madame|monsieur|madame monsieur",
    "en": r"there|all|everyone|everybody|citadelle|sir|madam|again",
    "nl": r"allemaal|iedereen|daar|citadelle|mevrouw|meneer",
}
_WELLBEING: Final = {
    "fr": r"(?:comment )?ca va(?: bien)?|comment (?:allez vous|vas tu|tu vas|vous allez)"
    r"|tu vas bien|vous allez bien|enchantee?",
    "en": r"how are you(?: doing)?(?: today)?|how do you do|how s it going|are you ok(?:ay)?"
    r"|(?:nice|pleased) to meet you",
    "nl": r"hoe gaat het(?: met (?:je|jou|u))?|hoe gaat ie|alles goed(?: met (?:je|jou|u))?"
    r"|aangenaam(?: kennis te maken)?",
}
_THANKS: Final = {
    "fr": r"(?:un grand |grand )?merci(?: (?:beaucoup|bien|infiniment|d avance|a (?:toi|vous)"
    r"|pour (?:(?:ta|votre|cette|la) reponse|(?:ton|votre) aide|tout|(?:l )?aide|(?:l )?info"
    r"|ces (?:reponses|informations|infos))))*"
    r"|(?:je (?:te|vous) remercie)(?: beaucoup| d avance)?|mille mercis"
    r"|(?:c est )?(?:parfait|super|genial|tres bien|nickel|impeccable)|ok|d accord|compris",
    "en": r"(?:many )?(?:thanks|thank you|thx|cheers)(?: (?:a lot|a million|again|so much"
    r"|very much|in advance|for (?:your (?:help|answer|time)|the (?:help|answer|info)"
    r"|that|everything)))*|(?:that s |this is )?(?:great|perfect|very helpful|awesome|wonderful)"
    r"|okay|got it",
    "nl": r"(?:hartelijk |alvast |heel erg |heel |hartstikke |dank u )?"
    r"(?:bedankt|dank (?:je|u)(?: wel)?|dankjewel|dankuwel|dankje|dank)(?: (?:alvast"
    r"|voor (?:(?:je|jouw|uw) (?:hulp|antwoord)|(?:de|het) (?:hulp|antwoord|informatie|info)"
    r"|alles)))*|(?:dat is )?(?:super|perfect|geweldig|heel goed)|oke|begrepen",
}
_GOODBYES: Final = {
    "fr": r"au revoir|aurevoir|adieu|a (?:bientot|plus(?: tard)?|demain|la prochaine)"
    r"|bonne (?:journee|soiree|nuit|fin de journee)|ciao",
    "en": r"(?:good ?)?bye(?: bye)?|see (?:you|ya)(?: (?:later|soon|tomorrow))?|farewell"
    r"|have a (?:nice|good|great) (?:day|evening|night|weekend)|good night|take care",
    "nl": r"tot ziens|tot (?:later|morgen|straks|de volgende keer)|doei(?: doei)?|dag dag"
    r"|fijne (?:dag|avond)(?: (?:nog|verder))?|goede? ?nacht|houdoe|salukes",
}
_PLEASE: Final = {
    "fr": r"s il (?:te|vous) plait|svp|stp|dis moi|dites moi|pouvez vous me dire|peux tu me dire",
    "en": r"please|pls|tell me|can you tell me|could you tell me",
    "nl": r"alsjeblieft|alstublieft|aub|ajb|zeg eens|kan je (?:me|mij) zeggen"
    r"|kunt u (?:me|mij) zeggen",
}
_ASSISTANT: Final = {
    "fr": r"(?:tu es|t es|vous etes|es tu|etes vous) (?:qui|quoi)(?: (?:au juste|exactement))?"
    r"|qui (?:es tu|etes vous|tu es|vous etes)(?: (?:au juste|exactement))?"
    r"|(?:qu est ce que tu es|qu es tu|c est quoi citadelle|qui est citadelle"
    r"|qu est ce que citadelle)"
    r"|comment (?:tu t appelles|t appelles tu|vous appelez vous|vous vous appelez)"
    r"|quel est (?:ton|votre) nom|(?:presente toi|presentez vous)"
    r"|(?:es tu|etes vous|tu es|vous etes) (?:un |une )?(?:robot|humain|humaine|ia|machine"
    r"|intelligence artificielle|chatbot|vraie personne|personne reelle)"
    r"|que (?:peux tu|pouvez vous|sais tu|savez vous) faire(?: pour (?:moi|nous))?"
    r"|(?:qu est ce que|a quoi) (?:tu (?:peux|sais) faire|tu sers|vous (?:pouvez|savez) faire"
    r"|vous servez|sers tu|servez vous)(?: pour (?:moi|nous))?"
    r"|comment (?:peux tu|pouvez vous) m aider|(?:peux tu|pouvez vous|tu peux) m aider"
    r"|comment (?:tu fonctionnes|fonctionnes tu|fonctionnez vous|vous fonctionnez)"
    r"|aide moi|aidez moi",
    "en": r"(?:who|what) (?:exactly )?are you(?: exactly)?|who is citadelle|what is citadelle"
    r"|what s (?:your name|citadelle)|what is your name|(?:introduce|present) yourself"
    r"|are you (?:a |an )?(?:robot|bot|human|person|real|ai|machine|chatbot"
    r"|artificial intelligence|real person)"
    r"|what (?:can|do|could) you do(?: for (?:me|us))?"
    r"|how (?:can|could|do) you help(?: (?:me|us))?|(?:can|could) you help(?: (?:me|us))?"
    r"|how do you work|what are you for|help(?: me)?",
    "nl": r"wie (?:ben je|bent u|ben jij|zijn jullie)|wat (?:ben je|bent u|ben jij)"
    r"|wat is citadelle|wie is citadelle|hoe (?:heet je|heet u|heet jij)"
    r"|wat is (?:je|jouw|uw) naam|stel (?:je|jezelf|u) (?:eens )?voor"
    r"|(?:ben je|bent u|ben jij) (?:een )?(?:robot|mens|bot|computer|machine|ai|chatbot"
    r"|echte? persoon|echt)"
    r"|wat (?:kan je|kun je|kunt u|kan jij|kun jij|kan u|doe je|doet u)(?: allemaal)?"
    r"(?: doen)?(?: voor (?:mij|me|ons))?"
    r"|hoe (?:kan je|kun je|kunt u) (?:me|mij|ons) helpen"
    r"|(?:kan je|kun je|kunt u) (?:me|mij|ons) helpen"
    r"|hoe (?:werk je|werkt u)|help(?: me| mij)?",
}
# What the documents are called; `{docs}` is for those of the assistant, `{files}` for those said
# to be indexed or there: the documents to bring to the town hall are no business of ours.
_DOCUMENTS: Final = {
    "fr": r"(?:documents|sources|fichiers|donnees|textes)",
    "en": r"(?:documents|sources|files|data|texts)",
    "nl": r"(?:documenten|bronnen|bestanden|gegevens|teksten)",
}
_FILES: Final = {
    "fr": r"(?:documents|fichiers)",
    "en": r"(?:documents|files)",
    "nl": r"(?:documenten|bestanden)",
}
_CORPUS: Final = {
    "fr": r"(?:quels|quelles) {docs} (?:as tu|avez vous|tu as|vous avez|connais tu|connaissez vous"
    r"|utilises tu|utilisez vous|peux tu lire|as tu lus|avez vous lus|consultes tu"
    r"|consultez vous)"
    r"|(?:quels|quelles) {files} sont (?:disponibles|indexes)"
    r"|(?:quels|quelles) sont (?:(?:tes|vos) {docs}|les {files} (?:disponibles|indexes"
    r"|que tu as|que vous avez|que tu utilises|que vous utilisez))"
    r"|(?:c est quoi|montre moi|montrez moi|liste|listez) (?:tes|vos) {docs}"
    r"|(?:tes|vos) {docs}|liste des {files} indexes"
    r"|combien de {docs} (?:as tu|avez vous|tu as|vous avez)"
    r"|(?:as tu|avez vous|tu as) combien de {docs}"
    r"|sur (?:quels|quelles) {docs} (?:te bases tu|vous basez vous|tu te bases|vous vous basez"
    r"|t appuies tu|vous appuyez vous)"
    r"|(?:d ou|de quels {docs}) (?:viennent|proviennent) (?:tes|vos) (?:reponses|informations)"
    r"|(?:de quoi parlent|que contiennent|que disent|qu y a t il dans) (?:tes|vos) {docs}"
    r"|que sais tu|que savez vous|qu est ce que tu sais|qu est ce que vous savez|tu sais quoi"
    r"|(?:de quoi|sur quoi) (?:puis je|peut on) (?:te |vous )(?:parler|interroger|questionner)"
    r"|(?:que|quoi) (?:puis je|peut on) (?:te |vous )demander"
    r"|quelles questions (?:puis je|peut on) (?:te |vous )?poser",
    "en": r"(?:what|which) {docs} (?:do you (?:have|use|know|read)|have you (?:got|read)"
    r"|can you (?:read|search)|are you (?:using|based on))"
    r"|(?:what|which) {files} are (?:available|indexed)"
    r"|what are your {docs}|what is your (?:source|data|corpus)"
    r"|(?:show|list)(?: me)? (?:all )?your {docs}|your {docs}|list of indexed {files}"
    r"|how many {docs} (?:do you (?:have|know)|have you got)"
    r"|what (?:is|s) in your {docs}"
    r"|what do your {docs} (?:contain|say|talk about|cover)"
    r"|what are your {docs} about"
    r"|where do your (?:answers|facts|information) come from"
    r"|where do you get your (?:answers|facts|information)(?: from)?"
    r"|what do you know(?: about)?|what (?:questions )?can (?:i|we) ask you(?: about)?",
    "nl": r"(?:welke|wat voor) {docs} (?:heb je|heb jij|hebt u|heeft u|ken je|kent u|gebruik je"
    r"|gebruikt u|lees je|doorzoek je|raadpleeg je)"
    r"|welke {files} zijn (?:beschikbaar|geindexeerd)"
    r"|wat zijn (?:je|jouw|uw) {docs}"
    r"|(?:toon|geef)(?: me| mij)? (?:je|jouw|uw) {docs}"
    r"|(?:je|jouw|uw) {docs}"
    r"|hoeveel {docs} (?:heb je|heb jij|hebt u|heeft u|ken je)"
    r"|wat staat er in (?:je|jouw|uw) {docs}"
    r"|waarover gaan (?:je|jouw|uw) {docs}"
    r"|waar gaan (?:je|jouw|uw) {docs} over"
    r"|waar komen (?:je|jouw|uw) antwoorden vandaan|waar haal je (?:je|jouw) antwoorden vandaan"
    r"|op welke {docs} (?:baseer je je|baseert u zich)"
    r"|wat weet (?:je|jij|u)(?: allemaal)?|wat kan ik (?:je |jou |u )(?:allemaal )?vragen",
}

# What may stand between clauses and says nothing by itself.
_FILLERS: Final = {
    "fr": _PLEASE["fr"] + r"|et|mais|alors|donc|oui|non|ah|oh",
    "en": _PLEASE["en"] + r"|and|but|so|yes|no|well",
    "nl": _PLEASE["nl"] + r"|en|maar|dus|ja|nee|nou",
}

_KINDS: Final[Mapping[CourtesyKind, Mapping[str, str]]] = {
    "greeting": _GREETINGS,
    "wellbeing": _WELLBEING,
    "thanks": _THANKS,
    "goodbye": _GOODBYES,
    "assistant": _ASSISTANT,
    "corpus": _CORPUS,
}
_LANGUAGES: Final[tuple[Language, ...]] = ("fr", "en", "nl")
# Of several courtesies in a message the one with the greatest weight is replied to, and the last
# of those: "Hello, what can you do? Thanks." asks what it can do, "Merci, au revoir" takes leave.
_WEIGHTS: Final[Mapping[CourtesyKind, int]] = {
    "greeting": 0,
    "wellbeing": 1,
    "thanks": 1,
    "goodbye": 2,
    "assistant": 3,
    "corpus": 3,
}
# The longest message that is looked at, in characters; a courtesy is short.
_LONGEST: Final = 200
_LONGEST_ACRONYM: Final = 4
_NOT_WORDS: Final = re.compile(r"[\W_]+")

# Thanks as they are typed around a question.
_THANKED: Final = (
    r"(?:alvast |many )?(?:merci|thanks|thank you|bedankt|dank (?:u|je)|dankjewel)"
    r"(?: (?:beaucoup|bien|d['’]avance|a lot|very much|in advance|wel|alvast))*"
)
# What opens a question after a greeting without a comma.
_QUESTION_WORDS: Final = (
    r"qu['’]|j['’]|(?:qui|que|quoi|quel(?:le)?s?|où|quand|comment|pourquoi|combien|est-ce|pouvez|pourriez"
    r"|peux|peut|je|y a|who|what|which|where|when|why|how|can|could|does?|did|is|are|i"
    r"|please|wie|wat|welke?|waar|wanneer|waarom|hoe|hoeveel|kan|kunt|kun|kunnen|ik|zijn)\b"
)


def courtesy(message: str) -> Courtesy | None:
    """Return what courtesy a message is, or None when it asks something of the documents."""
    # DAG is an acronym, not a Dutch greeting.
    acronym = message.strip().isupper() and len(message.strip()) <= _LONGEST_ACRONYM
    if acronym or len(message) > _LONGEST:
        return None
    words = _NOT_WORDS.sub(" ", fold(message)).split()
    best: Courtesy | None = None
    while words:
        found, length = _clause(words)
        if length == 0:
            return None
        if found and (best is None or _WEIGHTS[found.kind] >= _WEIGHTS[best.kind]):
            best = found
        words = words[length:]
    return best


def _clause(words: Sequence[str]) -> tuple[Courtesy | None, int]:
    """Return the longest clause at the beginning, and its words: 0 for none, fillers are None."""
    for length in range(len(words), 0, -1):
        text = " ".join(words[:length])
        for meaning, pattern in _clauses():
            if pattern.fullmatch(text):
                return meaning, length
    return None, 0


def bare_question(message: str) -> str:
    """Return a question without the greeting before it and the thanks after it.

    "Bonjour, qui dirige le CCB ? Merci." asks what "qui dirige le CCB ?" asks. A message that
    is nothing but courtesies stays as it is.
    """
    rest = message
    if opening := _opening().match(rest):
        rest = rest[opening.end() :]
    if closing := _closing().search(rest):
        rest = rest[: closing.start()] + closing["mark"].rstrip(", ;")
    return rest if any(character.isalnum() for character in rest) else message


@lru_cache(maxsize=1)
def _clauses() -> tuple[tuple[Courtesy | None, re.Pattern[str]], ...]:
    """Return what matches one whole clause, with what it is; fillers say nothing."""
    clauses: list[tuple[Courtesy | None, re.Pattern[str]]] = []
    for language in _LANGUAGES:
        called = f"(?: (?:{_CALLED[language]}))*"
        meanings = [(Courtesy(kind, language), _KINDS[kind]) for kind in _KINDS]
        for meaning, patterns in (*meanings, (None, _FILLERS)):
            clause = patterns[language].replace("{docs}", _DOCUMENTS[language])
            clause = clause.replace("{files}", _FILES[language])
            clauses.append((meaning, re.compile(f"(?:{clause}){called}")))
    return tuple(clauses)


@lru_cache(maxsize=1)
def _opening() -> re.Pattern[str]:
    greetings = "|".join(_GREETINGS[language] for language in _LANGUAGES)
    called = "|".join(_CALLED[language] for language in _LANGUAGES)
    one = rf"(?:{greetings}|{_THANKED})(?: (?:{called}))*\b"
    return re.compile(
        rf"\s*{one}(?:[\s,]+{one})*(?:\s*[,.!;:…]+\s*|\s+(?=(?:{_QUESTION_WORDS})))", re.IGNORECASE
    )


@lru_cache(maxsize=1)
def _closing() -> re.Pattern[str]:
    # After a mark of punctuation: "comment dit-on merci" asks for the word.
    return re.compile(rf"(?P<mark>\s*[,;.!?…]+)\s*(?:{_THANKED})[\s.!]*$", re.IGNORECASE)
