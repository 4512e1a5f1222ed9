"""Every string is there in every language, and typeset."""

from __future__ import annotations

import re
import string
from dataclasses import fields

import pytest
from babel.messages.pofile import read_po

from eval.report.glossary import HEADLINES
from tests.conftest import ROOT
from ui.catalogues import catalogue
from ui.evaluation_texts import EVALUATION_TEXTS, EvaluationTexts
from ui.texts import EXAMPLES, LANGUAGE_NAMES, TEXTS, InterfaceLanguage, Texts


def strings(record: Texts | EvaluationTexts) -> dict[str, str]:
    """Return every string of a record by its name, those of a mapping with their key."""
    found = {}
    for item in fields(record):
        value = getattr(record, item.name)
        parts = value if isinstance(value, dict) else {"": (value,)}
        for key, texts in parts.items():
            found |= {f"{item.name} {key} {place}": text for place, text in enumerate(texts)}
    return found


RECORDS = [TEXTS, EVALUATION_TEXTS]


@pytest.mark.parametrize("language", ["fr", "en", "nl"])
def test_catalogues_hold_what_the_page_says_and_nothing_else(language: InterfaceLanguage) -> None:
    wanted = {f"page.{name.split()[0]}" for name in strings(TEXTS[language])} - {"page.code"}
    for name in strings(EVALUATION_TEXTS[language]):
        field, key, place = name.split(" ")
        part = ("name", "meaning")[int(place)]
        wanted.add(f"evaluation.{field}.{key}.{part}" if key else f"evaluation.{field}")
    assert set(catalogue(language)) == wanted


@pytest.mark.parametrize("language", ["fr", "en", "nl"])
def test_catalogues_are_translated_from_the_same_english(language: InterfaceLanguage) -> None:
    path = ROOT / "ui" / "locale" / language / "LC_MESSAGES" / "citadelle.po"
    with path.open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    english = catalogue("en")
    for message in messages:
        assert message.string and not message.fuzzy, message.id
        # What the engine says has no name: its English stands in the code.
        if message.context:
            assert message.id == english[message.context], message.context


@pytest.mark.parametrize("records", RECORDS)
def test_every_language_has_a_name_and_every_string(
    records: dict[InterfaceLanguage, Texts | EvaluationTexts],
) -> None:
    assert set(records) == set(LANGUAGE_NAMES) == {"fr", "en", "nl"}
    for record in records.values():
        for name, text in strings(record).items():
            assert text.strip() or name.startswith("thousands_mark")


@pytest.mark.parametrize("records", RECORDS)
def test_languages_fill_in_the_same_words(
    records: dict[InterfaceLanguage, Texts | EvaluationTexts],
) -> None:
    french, english, dutch = (strings(record) for record in records.values())
    assert french.keys() == english.keys() == dutch.keys()
    for name in french:
        found = [
            sorted(word for _, word, _, _ in string.Formatter().parse(texts[name]) if word)
            for texts in (french, english, dutch)
        ]
        assert found[0] == found[1] == found[2], name


@pytest.mark.parametrize("records", RECORDS)
def test_french_spaces_do_not_break(
    records: dict[InterfaceLanguage, Texts | EvaluationTexts],
) -> None:
    for name, text in strings(records["fr"]).items():
        assert not re.search(r"(?<![\u00a0\u202f])[?!;:»%]|«(?!\u00a0)", text), name
        assert "'" not in text, name


def test_every_headline_is_named_in_every_language() -> None:
    for words in EVALUATION_TEXTS.values():
        assert words.measures.keys() == HEADLINES.keys()


def test_numbers_are_written_as_each_language_does() -> None:
    assert [TEXTS[code].count(20000) for code in ("fr", "en", "nl")] == [
        "20\u202f000",
        "20,000",
        "20.000",
    ]


def test_examples_are_about_documents_of_the_corpus() -> None:
    assert len(EXAMPLES) == 6
    assert {example.language for example in EXAMPLES} == {"fr", "en", "nl"}
    assert all((ROOT / "corpus" / example.doc_id).is_file() for example in EXAMPLES)
