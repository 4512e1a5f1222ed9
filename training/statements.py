"""Statements written with right and wrong wordings.

A file has blocks of lines:

    @ 12 # Title of the document > heading
    > A line of the passage, in French.
    > Another one.
    fr Le comité {se réunit|ne se réunit jamais} {au moins|au plus} quatre fois [par an|l'an].
    en {1:The agency|The Commission} advises {1:the Commission|the agency}{|, free of charge}.

A statement begins with its language. Of `{right|wrong|wrong}` the first wording is true by the
passage, and each other one makes the statement false, or says what the passage does not; slots
with a number change together. The wordings of `[one|another]` are all right.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Statement", "Wording", "parse", "read_statements", "render"]

_SLOT = re.compile(r"\{(?:(?P<group>\d):)?(?P<wrong>[^{}]*)\}|\[(?P<right>[^\[\]]*)\]")
_BRACKETS = re.compile(r"[{}\[\]|]")
_LANGUAGES = ("fr", "en", "nl")
_HELD_OUT = 25


@dataclass(frozen=True, slots=True)
class Wording:
    """A part of a statement: its wordings, the first of them right.

    `slot` is the number of the slot that it belongs to; -1 where all wordings are right.
    """

    options: tuple[str, ...]
    slot: int = -1


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement about a passage; `passage` names it, in order within its file."""

    file: str
    passage: int
    title: str
    text: str
    parts: tuple[Wording, ...]

    @property
    def held_out(self) -> bool:
        """Whether its passage is kept for measuring: one in 25."""
        digest = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        return int(digest, 16) % _HELD_OUT == 0

    @property
    def slots(self) -> dict[int, int]:
        """How many wrong wordings each slot has."""
        return {part.slot: len(part.options) - 1 for part in self.parts if part.slot >= 0}


def parse(text: str) -> tuple[Wording, ...]:
    """Return the parts of a statement; raises `ValueError` where it is written otherwise."""
    parts: list[Wording] = []
    numbers: dict[str, int] = {}
    at = 0
    for match in _SLOT.finditer(text):
        parts.append(_plain(text[at : match.start()]))
        at = match.end()
        written = match["wrong"] if match["wrong"] is not None else match["right"]
        options = tuple(written.split("|"))
        if len(set(options)) < max(len(options), 2):
            raise ValueError(f"{match.group()!r} has fewer than two wordings, or one twice.")
        slot = -1
        if match["wrong"] is not None:
            slot = numbers.setdefault(match["group"] or f"at {at}", len(numbers))
        parts.append(Wording(options, slot))
    parts.append(_plain(text[at:]))
    lengths: dict[int, set[int]] = {}
    for part in parts:
        lengths.setdefault(part.slot, set()).add(len(part.options))
    if any(len(found) > 1 for slot, found in lengths.items() if slot >= 0):
        raise ValueError("Slots that change together have as many wordings each.")
    if max(lengths) < 0:
        raise ValueError("No slot has a wrong wording.")
    return tuple(part for part in parts if part.options != ("",))


def _plain(text: str) -> Wording:
    if _BRACKETS.search(text):
        raise ValueError(f"A bracket stands alone near {text[:40]!r}.")
    return Wording((text,))


def render(
    parts: Sequence[Wording], wrong: Mapping[int, int], rng: random.Random
) -> tuple[str, list[tuple[int, int]]]:
    """Return a statement and the characters that are wrong in it.

    `wrong` says which wording each slot has, the right one where it is not named. What is
    left out to make a statement wrong has an empty span.
    """
    text = ""
    spans = []
    for part in parts:
        chosen = wrong.get(part.slot, 0) if part.slot >= 0 else rng.randrange(len(part.options))
        said = part.options[chosen]
        # An empty wording leaves two spaces, or one before a comma.
        if not text or text.endswith(" "):
            said = said.lstrip(" ")
        if said[:1] in (",", ".", ";"):
            text = text.rstrip(" ")
        if part.slot >= 0 and chosen:
            spans.append((len(text), len(text) + len(said)))
        text += said
    return text[:1].upper() + text[1:], spans


def read_statements(path: Path) -> list[Statement]:
    """Return the statements of a file.

    Raises `ValueError` with file and line where something is written otherwise.
    """
    found: list[Statement] = []
    passage = 0
    title = ""
    lines: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        kind, _, rest = line.strip().partition(" ")
        if kind == "@":
            passage += 1
            title = rest.partition(" # ")[2]
            lines = []
        elif kind == ">" and (not found or found[-1].passage != passage):
            lines.append(rest)
        elif kind in _LANGUAGES and lines:
            try:
                parts = parse(rest)
            except ValueError as error:
                raise ValueError(f"{path.name}, line {number}: {error}") from error
            found.append(Statement(path.stem, passage, title, "\n".join(lines), parts))
        elif kind:
            raise ValueError(f"{path.name}, line {number}: neither a passage nor a statement.")
    return found
