"""The catalogues of the interface's strings, in gettext's format, one a language.

A string of the page has a context, which is its name; a message of the engine has none, and is
found by its English template.

`ui/locale/LANGUAGE/LC_MESSAGES/citadelle.po` is read as it is: nothing is to be compiled, and
what a translator edits is what the page says.
"""

from __future__ import annotations

import re
import string
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from babel.messages.catalog import Catalog
from babel.messages.catalog import Message as BabelMessage
from babel.messages.pofile import read_po
from babel.numbers import get_decimal_symbol

from rag.errors import Message

__all__ = ["InterfaceLanguage", "catalogue", "messages", "strings", "translated", "typeset"]

InterfaceLanguage = Literal["fr", "en", "nl"]

_LOCALE: Final = Path(__file__).parent / "locale"


@cache
def catalogue(language: InterfaceLanguage) -> dict[str, str]:
    """Return the strings of a language by their context, such as "page.language".

    One that is not translated is left out, so that whoever asks for it is told at once.
    """
    return {
        message.context: _text(message, language)
        for message in _read(language)
        if message.context and message.string and not message.fuzzy
    }


@cache
def messages(language: InterfaceLanguage) -> dict[str, str]:
    """Return the templates of the engine's messages in a language by their English."""
    return {
        str(message.id): _text(message, language)
        for message in _read(language)
        # The first entry of a file has no id: it is about the file.
        if not message.context and message.id and message.string and not message.fuzzy
    }


def translated(message: str, language: InterfaceLanguage) -> str:
    """Return a `Message` in a language, with those within it; another text as it is.

    What has no translation is English.
    """
    if not isinstance(message, Message):
        return message
    template = messages(language).get(message.template, message.template)
    if not message.values:
        return template
    values = {
        name: translated(value, language) if isinstance(value, str) else value
        for name, value in message.values.items()
    }
    return _Filled(language).format(template, **values)


class _Filled(string.Formatter):
    """Fill in a template, with numbers as a language writes them."""

    def __init__(self, language: InterfaceLanguage) -> None:
        self._mark = get_decimal_symbol(language)

    def format_field(self, value: Any, format_spec: str) -> str:
        text = str(super().format_field(value, format_spec))
        return text.replace(".", self._mark) if isinstance(value, float) else text


def _read(language: InterfaceLanguage) -> Catalog:
    path = _LOCALE / language / "LC_MESSAGES" / "citadelle.po"
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def _text(message: BabelMessage, language: InterfaceLanguage) -> str:
    text = str(message.string)
    return typeset(text) if language == "fr" else text


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
