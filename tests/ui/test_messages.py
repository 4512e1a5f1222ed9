"""What the engine says to a person can be said in every language of the page."""

from __future__ import annotations

import ast
import copy
import re
import string
from collections.abc import Iterator, Set
from pathlib import Path

import pytest

from eval.experiment import QuoteError
from rag import errors
from rag.config import load_settings
from rag.errors import CitadelleError, ConfigurationError, IndexDamaged, Message, UnreadableDocument
from tests.conftest import ROOT
from ui.catalogues import InterfaceLanguage, messages, translated

# What only a terminal or a program ever shows.
_ELSEWHERE = {"rag/cli.py", "rag/mcp_server.py", "ui/api.py", "ui/server.py"}
# Of the evaluation, what its view on the page goes through.
_EVALUATION = ("dataset", "experiment", "journal", "runs")
_FILES = [
    *(ROOT / "rag").rglob("*.py"),
    *(ROOT / "ui").rglob("*.py"),
    *(ROOT / "eval" / f"{name}.py" for name in _EVALUATION),
]
_ERRORS = {
    name
    for name in errors.__all__
    if issubclass(found := getattr(errors, name), CitadelleError)
    and found is not UnreadableDocument
}
# `self.failure` is the error that a store raises of its file.
_MAKERS = _ERRORS | {"Message", QuoteError.__name__, "failure"}


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}


def name_of(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")


def calls(source: str, names: Set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and name_of(node.func) in names:
            yield node


def sources() -> Iterator[tuple[str, str]]:
    for path in sorted(_FILES):
        name = path.relative_to(ROOT).as_posix()
        if name not in _ELSEWHERE:
            yield name, path.read_text(encoding="utf-8")


def templates() -> dict[str, str]:
    """Return every template in the code that reaches the page, and where it is."""
    found = {}
    for file, source in sources():
        for call in calls(source, _MAKERS):
            first = call.args[0] if call.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                found[first.value] = f"{file}, line {call.lineno}"
    return found


TEMPLATES = templates()


def problems(source: str) -> list[str]:
    """Return the messages of a module of which no catalogue can have the template."""
    found = []
    for call in calls(source, _MAKERS):
        first = call.args[0] if call.args else None
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            given = {keyword.arg for keyword in call.keywords}
            if given != fields(first.value) or len(call.args) > 1:
                found.append(f"line {call.lineno}: fields other than the values")
        else:
            found.append(f"line {call.lineno}: no template")
    reasons = (ast.Constant, ast.JoinedStr, ast.BinOp)
    return found + [
        f"line {call.lineno}: a reason that is no message"
        for call in calls(source, {"UnreadableDocument", "Skipped", "fail"})
        if len(call.args) > 1 and isinstance(call.args[1], reasons)
    ]


def test_a_message_that_cannot_be_translated_is_noticed() -> None:
    assert problems('raise IndexDamaged(f"{root} is damaged")') == ["line 1: no template"]
    assert problems("raise IndexDamaged(sentence)") == ["line 1: no template"]
    assert problems('Message("{a} is {b}", a=1)') == ["line 1: fields other than the values"]
    assert problems('UnreadableDocument(path, "is empty")') == [
        "line 1: a reason that is no message"
    ]
    assert problems('self.failure("{file} is damaged", file=self.path)') == []
    assert problems('UnreadableDocument(path, Message("is empty"))') == []


# Where a message is put together again from what was kept of it, or is handed on.
_AGAIN = {"rag/errors.py": 1, "rag/storage.py": 1}


@pytest.mark.parametrize(("file", "source"), [*sources()])
def test_messages_are_written_out_where_they_are_made(file: str, source: str) -> None:
    found = problems(source)
    if file in _AGAIN:
        assert len(found) == _AGAIN[file] and all("no template" in each for each in found), found
    else:
        assert found == []


@pytest.mark.parametrize("language", ["fr", "nl"])
def test_every_message_is_translated_and_nothing_else(language: InterfaceLanguage) -> None:
    known = messages(language)
    assert {text: place for text, place in TEMPLATES.items() if text not in known} == {}
    assert set(known) - set(TEMPLATES) == set()


@pytest.mark.parametrize("language", ["fr", "nl"])
def test_translations_have_the_fields_of_the_english(language: InterfaceLanguage) -> None:
    for english, text in messages(language).items():
        assert fields(text) == fields(english), english


def test_english_messages_are_those_of_the_code() -> None:
    assert messages("en") == {}


def test_french_messages_are_typeset() -> None:
    for text in messages("fr").values():
        # Fields, addresses and names of models have a colon of their own.
        plain = re.sub(r"\{[^}]*\}|\w+:[\w/]\S*", "", text)
        assert not re.search(r"(?<![\u00a0\u202f])[?!;:»%]|«(?!\u00a0)", plain), text
        assert "'" not in text, text


REPAIR = Message("Run 'citadelle index' to rebuild it.")


def test_an_error_is_english_and_says_the_same_in_every_language() -> None:
    error = IndexDamaged(
        "The index in {folder} is damaged: {problem}. {repair}",
        folder=Path("a{b}"),
        problem=Message("{file} is missing", file="is empty"),
        repair=REPAIR,
    )
    assert str(error) == (
        "The index in a{b} is damaged: is empty is missing. Run 'citadelle index' to rebuild it."
    )
    assert translated(error.message, "en") == str(error)
    # What is no message stays as it is, even where a message has the same words.
    assert translated(error.message, "fr") == (
        "L’index dans a{b} est endommagé\u00a0: is empty manque. "
        "Lancez «\u00a0citadelle index\u00a0» pour le reconstruire."
    )
    assert translated(error.message, "nl") == (
        "De index in a{b} is beschadigd: is empty ontbreekt. "
        "Voer ‘citadelle index’ uit om hem opnieuw op te bouwen."
    )


def test_what_has_no_translation_is_english() -> None:
    assert translated("is empty", "fr") == "is empty"
    assert translated(Message("of {this} nobody spoke", this=1), "fr") == "of 1 nobody spoke"
    assert translated(CitadelleError("{0} of {a library}").message, "nl") == "{0} of {a library}"


def test_numbers_are_written_as_the_language_does() -> None:
    size = Message(
        "is too large: {size:.1f} MB, the limit is {limit:.1f} MB", size=52.25, limit=50.0
    )
    assert size == "is too large: 52.2 MB, the limit is 50.0 MB"
    assert translated(size, "fr") == "est trop grand\u00a0: 52,2 Mo, la limite est de 50,0 Mo"
    assert translated(size, "en") == size


def test_a_copy_of_a_message_still_knows_its_template() -> None:
    once = copy.deepcopy(Message("{file} is missing", file="a"))
    assert (once, translated(once, "nl")) == ("a is missing", "a ontbreekt")


def test_what_is_wrong_with_a_setting_is_said_in_french() -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(language="de")
    assert translated(raised.value.message, "fr") == (
        "Réglage «\u00a0language\u00a0» (donné en argument, par CITADELLE_LANGUAGE ou dans "
        "citadelle.toml)\u00a0: les valeurs admises sont 'auto', 'fr', 'en' et 'nl'\u202f; "
        "valeur reçue\u00a0: 'de'."
    )
