"""Who sees the page, and what those who do not are told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from tests.ui.conftest import FakeEngine, Start, shown
from ui.login import is_allowed, own_folder
from ui.texts import TEXTS

SECRETS = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "0123456789abcdef0123456789abcdef",
    "client_id": "citadelle",
    "client_secret": "secret",
    "server_metadata_url": "http://localhost:9/.well-known/openid-configuration",
}
ANNA = {"is_logged_in": True, "name": "Anna <b>", "email": "Anna@example.org"}
WORDS = TEXTS["fr"]


class Secrets:
    """Stand for the file of secrets, or for its absence."""

    def __init__(self, auth: Mapping[str, Any] | None) -> None:
        self._auth = auth

    def get(self, name: str, default: Any) -> Any:
        if self._auth is None:
            raise StreamlitSecretNotFoundError("No file.")
        return self._auth if name == "auth" else default


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ask for a login, with secrets that are whole; return what was called of Streamlit's."""
    called: list[str] = []
    monkeypatch.setenv("CITADELLE_LOGIN", "true")
    monkeypatch.setattr(st, "secrets", Secrets(SECRETS))
    monkeypatch.setattr(st, "user", {"is_logged_in": False})
    monkeypatch.setattr(st, "login", lambda: called.append("login"))
    monkeypatch.setattr(st, "logout", lambda: called.append("logout"))
    return called


def test_nobody_logs_in_by_default(start: Start) -> None:
    page = start(FakeEngine())
    assert page.chat_input
    assert not [button for button in page.button if button.key in ("login", "logout")]


def test_a_stranger_sees_nothing_but_the_login(start: Start, guarded: list[str]) -> None:
    engine = FakeEngine()
    page = start(engine)
    assert not page.chat_input and not page.sidebar.children
    assert engine.refreshed == 0
    assert [button.label for button in page.button] == [WORDS.login]
    assert WORDS.login_help in shown(page)
    page.button(key="login").click().run()
    assert guarded == ["login"]
    # Not even by an address that says what to show.
    page.session_state["view"] = "documents"
    assert "note.md" not in shown(page.run())


def test_who_logged_in_sees_the_page_and_can_leave(
    start: Start, guarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "user", ANNA)
    page = start(FakeEngine())
    assert page.chat_input
    assert "Anna &lt;b&gt;" in shown(page)
    # What answers is not the computer of who asks.
    assert WORDS.footnote.format(here=WORDS.this_server) in shown(page)
    page.button(key="logout").click().run()
    assert guarded == ["logout"]


def test_who_is_not_on_the_list_sees_nothing_and_can_leave(
    start: Start, guarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITADELLE_ALLOWED_USERS", "@example.com, eve@example.org")
    monkeypatch.setattr(st, "user", ANNA)
    page = start(FakeEngine())
    assert not page.chat_input and not page.sidebar.children
    assert "Anna@example.org" in shown(page)
    page.button(key="logout").click().run()
    assert guarded == ["logout"]
    monkeypatch.setenv("CITADELLE_ALLOWED_USERS", "@EXAMPLE.org")
    assert page.run().chat_input


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        (None, "ce fichier ne peut pas être lu"),
        (
            {},
            "manque redirect_uri, cookie_secret, client_id, client_secret, server_metadata_url",
        ),
        (SECRETS | {"client_id": ""}, "manque client_id dans"),
        (SECRETS | {"cookie_secret": "xxx"}, "moins de 32 caractères"),
    ],
)
def test_secrets_that_are_missing_are_named(
    start: Start,
    guarded: list[str],
    monkeypatch: pytest.MonkeyPatch,
    secrets: Mapping[str, Any] | None,
    said: str,
) -> None:
    monkeypatch.setattr(st, "secrets", Secrets(secrets))
    monkeypatch.setattr(st, "user", ANNA)
    page = start(FakeEngine())
    assert said in shown(page)
    assert not page.chat_input and not page.button


def test_the_package_that_is_missing_is_named(
    start: Start, guarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "citadelle[oidc]" in shown(start(FakeEngine()))


def test_settings_that_are_wrong_let_nobody_in(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = start(FakeEngine())
    assert page.chat_input
    # The engine is open by now, and the list of who may come in is spelt wrongly.
    monkeypatch.setenv("CITADELLE_ALOWED_USERS", "@example.org")
    page.run()
    assert "CITADELLE_ALOWED_USERS" in shown(page)
    assert not page.chat_input


@pytest.mark.parametrize(
    ("user", "allowed"),
    [
        ({"email": "anna@example.org"}, True),
        ({"email": "ANNA@EXAMPLE.ORG", "email_verified": True}, True),
        ({"email": "bob@other.org"}, True),
        ({"email": "eve@other.org"}, False),
        ({"email": "eve@sub.example.org"}, False),
        ({"email": "eve@evil.org@example.org.evil.net"}, False),
        ({"email": "anna@example.org", "email_verified": False}, False),
        ({"name": "anna@example.org"}, False),
        ({}, False),
    ],
)
def test_the_list_holds_addresses_and_domains(user: Mapping[str, Any], allowed: bool) -> None:
    assert is_allowed(user, ("@example.org", "bob@other.org")) is allowed
    assert is_allowed(user, ())


def test_what_visitors_keep_is_kept_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(st, "user", {"is_logged_in": False})
    assert own_folder(tmp_path) == tmp_path
    folders = []
    for user in (
        {"iss": "https://one.example", "sub": "1", "email": "anna@example.org"},
        {"iss": "https://two.example", "sub": "1", "email": "anna@example.org"},
        {"email": "../../anna@example.org"},
    ):
        monkeypatch.setattr(st, "user", {"is_logged_in": True, **user})
        folders.append(own_folder(tmp_path))
        assert own_folder(tmp_path).parent == tmp_path / "visitors"
    assert len(set(folders)) == 3


def test_a_visitor_does_not_see_the_conversations_of_another(
    start: Start, guarded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "user", {**ANNA, "sub": "anna"})
    page = start(FakeEngine())
    page.chat_input[0].set_value("Où est le bureau ?").run()
    mine = [button.key for button in page.button if (button.key or "").startswith("open-")]
    monkeypatch.setattr(st, "user", {**ANNA, "sub": "bert"})
    other = start(FakeEngine())
    theirs = [b.key for b in other.button if (b.key or "").startswith("open-")]
    assert mine
    assert not theirs
