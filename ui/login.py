"""Who may see the page: everyone, or those who logged in with the provider of the settings."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from rag.config import load_settings
from rag.errors import CitadelleError, ConfigurationError
from ui.rendering.notices import help_html, notice_html
from ui.texts import Texts

__all__ = ["draw_logout", "is_allowed", "let_in", "own_folder"]

_SECRETS: Final = ".streamlit/secrets.toml"
_KEYS: Final = (
    "redirect_uri",
    "cookie_secret",
    "client_id",
    "client_secret",
    "server_metadata_url",
)
# Who guesses the secret can write any name in the cookie.
_LEAST_SECRET: Final = 32


def let_in(texts: Texts) -> bool:
    """Return True for a visitor who may see the page; show anyone else how to log in."""
    try:
        settings = load_settings()
        if not settings.login:
            return True
        _check_secrets()
    except CitadelleError as error:
        # Settings that cannot be read may well have said that strangers stay out.
        st.html(notice_html(texts.login_impossible, "error", detail=texts.say(error.message)))
        return False
    if _logged_in() and is_allowed(st.user, settings.allowed_users):
        return True
    st.html(f'<h1 class="cit-h1">{texts.login_title}</h1>')
    if _logged_in():
        name = str(st.user.get("email") or st.user.get("name") or "")
        st.html(notice_html(texts.login_refused.format(name=name), "warning"))
        _logout_button(texts)
    else:
        st.html(notice_html(texts.login_help))
        st.button(
            texts.login,
            key="login",
            type="primary",
            icon=":material/login:",
            on_click=st.login,
        )
    return False


def draw_logout(texts: Texts) -> None:
    """Show who is logged in, with a way out, where there is a login."""
    if _logged_in():
        name = str(st.user.get("name") or st.user.get("email") or "")
        st.html(help_html(texts.logged_in.format(name=name)))
        _logout_button(texts)


def is_allowed(user: Mapping[str, Any], allowed: Sequence[str]) -> bool:
    """Tell whether a person's address, or its domain, is among those `allowed`, if any are."""
    if not allowed:
        return True
    address = str(user.get("email") or "").casefold()
    # Some providers let people claim an address that they do not have.
    if not address or user.get("email_verified") is False:
        return False
    domain = "@" + address.rpartition("@")[2]
    return any(entry.casefold() in (address, domain) for entry in allowed)


def own_folder(data: Path) -> Path:
    """Return where what a visitor keeps is kept: below `data`, apart for each who logged in."""
    if not _logged_in():
        return data
    # The subject is the one name that a provider never gives to somebody else.
    who = f"{st.user.get('iss') or ''} {st.user.get('sub') or st.user.get('email') or ''}"
    return data / "visitors" / hashlib.sha256(who.encode()).hexdigest()[:32]


def _logged_in() -> bool:
    return bool(st.user.get("is_logged_in"))


def _logout_button(texts: Texts) -> None:
    st.button(
        texts.logout, key="logout", icon=":material/logout:", width="stretch", on_click=st.logout
    )


def _check_secrets() -> None:
    if importlib.util.find_spec("authlib") is None:
        raise ConfigurationError(
            "The setting 'login' needs the package Authlib; install it with: "
            "pip install 'citadelle[oidc]'."
        )
    try:
        given: Mapping[str, Any] = st.secrets.get("auth", {})
    except StreamlitSecretNotFoundError as error:
        raise ConfigurationError(
            "The setting 'login' needs a section [auth] in {file}, and no such file can be "
            "read; docs/deploy.md says what stands in it.",
            file=_SECRETS,
        ) from error
    missing = [key for key in _KEYS if not given.get(key)]
    if missing:
        raise ConfigurationError(
            "The section [auth] in {file} lacks {missing}; docs/deploy.md says what stands there.",
            file=_SECRETS,
            missing=", ".join(missing),
        )
    if len(str(given["cookie_secret"])) < _LEAST_SECRET:
        raise ConfigurationError(
            "The cookie_secret in {file} is shorter than {least} characters; make one with: "
            "openssl rand -hex 32.",
            file=_SECRETS,
            least=_LEAST_SECRET,
        )
