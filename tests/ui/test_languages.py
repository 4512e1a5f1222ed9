"""Which language the page begins with."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import streamlit as st

from tests.ui.conftest import FakeEngine, Start, shown
from ui.languages import first_language
from ui.texts import TEXTS


@dataclass(frozen=True)
class Context:
    """What a browser tells of its visitor."""

    locale: str | None


@pytest.mark.parametrize(
    ("browser", "setting", "spoken"),
    [
        ("nl-BE", "auto", "nl"),
        ("en", "auto", "en"),
        ("FR-ca", "auto", "fr"),
        # None of the three: that of most documents.
        ("de-DE", "auto", "fr"),
        (None, "auto", "fr"),
        # The settings decide when they say one.
        ("nl-BE", "en", "en"),
    ],
)
def test_the_page_begins_in_the_language_of_the_browser_unless_the_settings_say_one(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    browser: str | None,
    setting: str,
    spoken: str,
) -> None:
    monkeypatch.setattr(st, "context", Context(browser))
    monkeypatch.setenv("CITADELLE_LANGUAGE", setting)
    page = start(FakeEngine())
    markup = shown(page)
    assert [words.welcome_title in markup for words in TEXTS.values()] == [
        language == spoken for language in TEXTS
    ]
    # What screen readers speak.
    assert any(f'data-language="{spoken}"' in element.value for element in page.html)


def test_the_choice_is_kept_in_the_address(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "context", Context("nl-BE"))
    page = start(FakeEngine())
    assert "lang" not in page.query_params
    page.button_group(key="language").set_value("en").run()
    assert page.query_params["lang"] == "en"


@pytest.mark.parametrize(("address", "spoken"), [("en", "en"), ("<b>", "nl")])
def test_the_page_is_loaded_again_in_the_language_of_its_address(
    monkeypatch: pytest.MonkeyPatch, address: str, spoken: str
) -> None:
    monkeypatch.setattr(st, "context", Context("nl-BE"))
    monkeypatch.setattr(st, "query_params", {"lang": address})
    assert first_language() == spoken
