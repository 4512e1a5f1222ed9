"""Other names of the same thing, learned from the documents themselves.

Three sources: the aliases in a note's properties, the texts of its links (`[[BCC|Belgian Cyber
Command]]`), and acronyms explained in the text, "Expansion (ACRONYM)" or "ACRONYM (Expansion)"
(Schwartz & Hearst 2003, "A simple algorithm for identifying abbreviation definitions").
A question with one name then also finds passages with another. Where the documents have an
acronym and the question spells it out, in any language, its initials tell.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.lexical import content_words, fold, surface_tokens
from rag.types import Document, Language

__all__ = ["Alias", "Aliases", "Names", "definitions", "names"]

# Schwartz & Hearst: an acronym has 2 to 10 characters, of which one at least is a letter.
_ACRONYM = re.compile(r"(?<!\w)(?=(?:[\w.&-]*[A-Z]){2})[A-Z0-9][\w.&-]{1,9}")
_PARENTHESIS = re.compile(r"\(([^()\n]{2,120})\)")
# "(GTHQC, en anglais HWPCI)" holds two acronyms of one thing; "(CDD, CDI)" does not.
_BETWEEN = re.compile(
    r"\s*[,;]?\s*(?:\bou\s+)?\ben (?:anglais|français|néerlandais|allemand|abrégé)\b\s*:?\s*"
)
_LINK = re.compile(r"(?<!!)\[\[([^\[\]\n|#^]+)(?:[#^][^\[\]\n|]*)?\|([^\[\]\n|]+)\]\]")
_SENTENCE = re.compile(r"[.!?;:\n]\s|\n")
_ELIDED = re.compile(r"^(?:[dl]|qu)['’]", re.IGNORECASE)
# A name longer than this is a sentence, and not what people ask by.
_LONGEST_NAME = 8
# Two letters are the initials of too much.
_SHORTEST_INITIALS = 3


@dataclass(frozen=True, slots=True)
class Alias:
    """A name found in a question, and another name of the same thing."""

    name: str
    other: str


# What one document has: groups of names, and acronyms.
Names = tuple[list[list[str]], list[str]]


class Aliases:
    """Groups of names of the same thing, and the acronyms that the documents use.

    `found` is what each document gave to that, by its identifier.
    """

    def __init__(
        self,
        groups: Iterable[Sequence[str]],
        acronyms: Iterable[str] = (),
        found: Mapping[str, Names] | None = None,
    ) -> None:
        self.groups = tuple(tuple(group) for group in groups)
        self.acronyms = tuple(sorted(set(acronyms)))
        self.found = found or {}
        self._groups_of: dict[tuple[str, ...], list[int]] = {}
        for number, group in enumerate(self.groups):
            for name in group:
                self._groups_of.setdefault(tuple(surface_tokens(name)), []).append(number)
        self._initials = {fold(acronym): acronym for acronym in self.acronyms}

    @classmethod
    def learn(cls, documents: Iterable[Document]) -> Aliases:
        """Return the names that documents give to the same things."""
        return cls.of({document.doc_id: names(document) for document in documents})

    @classmethod
    def of(cls, found: Mapping[str, Names]) -> Aliases:
        """Return the names that documents give to the same things, from what each has."""
        groups = _joined(set(group) for own in found.values() for group in own[0])
        return cls(groups, (word for own in found.values() for word in own[1]), found)

    def save(self, path: Path) -> None:
        """Write the names into a file."""
        record = {"groups": self.groups, "acronyms": self.acronyms, "found": self.found}
        path.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Aliases:
        """Read what `save` wrote; raises `OSError`, `ValueError` or `KeyError`."""
        record = json.loads(path.read_text(encoding="utf-8"))
        return cls(record["groups"], record["acronyms"], record["found"])

    def expand(self, question: str, language: Language) -> tuple[Alias, ...]:
        """Return the other names of what a question names, each once."""
        tokens = surface_tokens(question)
        found: dict[str, Alias] = {}
        for length in range(min(len(tokens), _LONGEST_NAME), 0, -1):
            for start in range(len(tokens) - length + 1):
                for number in self._groups_of.get(tuple(tokens[start : start + length]), ()):
                    name = " ".join(tokens[start : start + length])
                    self._add(name, number, tokens, found)
        words = content_words(question, language)
        initials = "".join(word[0] for word in words)
        for length in range(min(len(words), 10), _SHORTEST_INITIALS - 1, -1):
            for start in range(len(words) - length + 1):
                acronym = self._initials.get(initials[start : start + length])
                if acronym is None or acronym in found or fold(acronym) in tokens:
                    continue
                name = " ".join(words[start : start + length])
                found.setdefault(acronym, Alias(name, acronym))
                for number in self._groups_of.get(tuple(surface_tokens(acronym)), ()):
                    self._add(name, number, tokens, found)
        return tuple(found.values())

    def _add(self, name: str, number: int, tokens: Sequence[str], found: dict[str, Alias]) -> None:
        for other in self.groups[number]:
            # What the question says already has its own vote.
            if not set(surface_tokens(other)) <= set(tokens):
                found.setdefault(other, Alias(name, other))


def names(document: Document) -> Names:
    """Return what one document says of the names of things."""
    own = document.metadata.get("aliases", ())
    aliases = {own} if isinstance(own, str) else set(own)
    groups = [{*aliases, *_title_names(document.title)}] if aliases else []
    groups += [{target.strip(), shown.strip()} for target, shown in _links(document)]
    groups += [{short, long} for short, long in definitions(document.plain)]
    words = (word.rstrip(".&-") for word in _ACRONYM.findall(document.plain))
    acronyms = {word for word in words if word.isupper() and word.isalpha()}
    return [sorted(group) for group in groups], sorted(acronyms)


def definitions(text: str) -> Iterator[tuple[str, str]]:
    """Yield every acronym that a text explains, with its expansion."""
    for match in _PARENTHESIS.finditer(text):
        inside = match.group(1).strip()
        before = _SENTENCE.split(text[max(0, match.start() - 200) : match.start()])[-1].rstrip()
        shorts = [part for part in _BETWEEN.split(inside) if _ACRONYM.fullmatch(part)]
        if shorts:
            for long in filter(None, (_expansion(short, before) for short in shorts)):
                yield from ((short, long) for short in shorts)
                break
            continue
        outside = re.search(r"([\w.&-]+)$", before)
        if outside and _ACRONYM.fullmatch(outside.group(1)):
            short = outside.group(1)
            if _expansion(short, inside) == inside:
                yield short, inside


def _expansion(short: str, text: str) -> str | None:
    """Return the end of a text that an acronym stands for, None where there is none.

    The words whose initials spell it, where there are; else the shortest end that has its
    letters in order, the first of them at the beginning of a word (algorithm 1 of Schwartz &
    Hearst). As they do, no more words are looked at than its letters plus five, or twice as
    many; as they do not, a name may not begin with a function word.
    """
    letters = "".join(c for c in fold(short) if c.isalnum())
    words = text.split()[-min(len(letters) + 5, 2 * len(letters)) :]
    start = _by_initials(letters, words)
    if start is None:
        start = _by_letters(letters, words)
    if start is None or not content_words(words[start], "fr"):
        return None
    found = _ELIDED.sub("", " ".join(words[start:]).strip(" ,;:\"'«»’()"))
    if len(found) <= len(short) or short in found.split() or len(words) - start < 2:
        return None
    return found


def _by_initials(letters: str, words: Sequence[str]) -> int | None:
    """Return the first of the last words whose initials, function words aside, are letters."""
    initials = [
        (number, tokens[-1][0])
        for number, word in enumerate(words)
        if (tokens := content_words(word, "fr"))
    ]
    last = initials[-len(letters) :]
    return last[0][0] if "".join(c for _, c in last) == letters else None


def _by_letters(letters: str, words: Sequence[str]) -> int | None:
    # Folded character by character, so that places stay those of the words.
    folded = [fold(c)[:1] or " " for c in " ".join(words)]
    place = len(folded)
    for number in range(len(letters) - 1, -1, -1):
        place -= 1
        while place >= 0 and not (
            folded[place] == letters[number]
            and (number > 0 or place == 0 or not folded[place - 1].isalnum())
        ):
            place -= 1
        if place < 0:
            return None
    return "".join(folded[:place]).count(" ") if place == 0 or folded[place - 1] == " " else None


def _title_names(title: str) -> set[str]:
    """Return the names in a title: "Belgian Cyber Command (BCC)" has two."""
    return {part.strip() for part in re.split(r"[()]", title) if part.strip()}


def _links(document: Document) -> list[tuple[str, str]]:
    pairs = _LINK.findall(document.text)
    # A link's text may be any words of a sentence; a name begins with a capital or a digit.
    return [
        (target.rsplit("/", 1)[-1], shown)
        for target, shown in pairs
        if (shown.strip()[:1].isupper() or shown.strip()[:1].isdigit())
        and len(shown.split()) <= _LONGEST_NAME
    ]


def _joined(groups: Iterable[set[str]]) -> list[tuple[str, ...]]:
    """Join groups that share a name of several words; an acronym may stand for two things.

    Names that differ by case or accents only are one.
    """
    members: dict[int, dict[tuple[str, ...], str]] = {}
    group_of: dict[tuple[str, ...], int] = {}
    for number, group in enumerate(groups):
        members[number] = {}
        for name in sorted(group):
            key = tuple(surface_tokens(name))
            if not key or len(key) > _LONGEST_NAME + 4:
                continue
            other = group_of.get(key)
            if other is not None and other != number and len(key) > 1:
                taken = members.pop(other)
                members[number].update(taken)
                group_of.update(dict.fromkeys(taken, number))
            members[number].setdefault(key, name)
        group_of.update(dict.fromkeys(members[number], number))
    return [tuple(names.values()) for names in members.values() if len(names) > 1]
