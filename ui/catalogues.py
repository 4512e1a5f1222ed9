"""The catalogues of the interface's strings, in gettext's format, one a language.

`ui/locale/LANGUAGE/LC_MESSAGES/citadelle.po` is read as it is: nothing is to be compiled, and
what a translator edits is what the page says.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final, Literal

from babel.messages.pofile import read_po

__all__ = ["InterfaceLanguage", "catalogue", "strings", "typeset"]

InterfaceLanguage = Literal["fr", "en", "nl"]

_LOCALE: Final = Path(__file__).parent / "locale"


@cache
def catalogue(language: InterfaceLanguage) -> dict[str, str]:
    """Return the strings of a language by their context, such as "page.language".

    One that is not translated is left out, so that whoever asks for it is told at once.
    """
    path = _LOCALE / language / "LC_MESSAGES" / "citadelle.po"
    with path.open("rb") as file:
        messages = read_po(file, locale=language, abort_invalid=True)
    found = {
        message.context: str(message.string)
        for message in messages
        if message.context and message.string and not message.fuzzy
    }
    return {name: typeset(text) for name, text in found.items()} if language == "fr" else found


def strings(view: str, language: InterfaceLanguage) -> dict[str, str]:
    """Return the strings of one view by their names."""
    found = catalogue(language)
    return {
        name.removeprefix(f"{view}."): text
        for name, text in found.items()
        if name.startswith(f"{view}.")
    }


def typeset(text: str) -> str:
    """Return a French text with spaces that do not break where French has them."""
    text = re.sub(r" (?=[?!;%])", "\N{NARROW NO-BREAK SPACE}", text)
    return re.sub(r" (?=[:»])|(?<=«) ", "\N{NO-BREAK SPACE}", text)
