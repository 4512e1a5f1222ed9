"""Settings: sources, bounds, and sentences that name what is wrong."""

from pathlib import Path

import pytest

from rag.config import Settings, api_key, load_settings
from rag.errors import ConfigurationError


def test_defaults() -> None:
    settings = load_settings()
    assert settings.encoder == "bundled"
    assert settings.corpus == Path("corpus")
    assert (settings.language, settings.fallback_language) == ("auto", "fr")
    assert (settings.address, settings.login) == ("127.0.0.1", False)


def test_file_then_environment_then_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("citadelle.toml").write_text('port = 9000\ncandidates = 20\nlanguage = "nl"\n')
    monkeypatch.setenv("CITADELLE_CANDIDATES", "30")
    settings = load_settings(language="en")
    assert (settings.port, settings.candidates, settings.language) == (9000, 30, "en")


@pytest.mark.parametrize(
    ("given", "others"),
    [
        ({}, False),
        ({"address": "::1"}, False),
        ({"address": "192.0.2.7"}, True),
        ({"hosts": "citadelle.example.org"}, True),
        ({"login": True}, True),
    ],
)
def test_whether_others_are_served(given: dict[str, object], others: bool) -> None:
    assert load_settings(**given).serves_others == others


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"chunk_tokens": 1}, "chunk_tokens"),
        ({"chunk_tokens": 1000}, "chunk_tokens"),
        ({"language": "de"}, "language"),
        ({"address": "here"}, "address"),
        ({"base_path": "a b"}, "base_path"),
        ({"base_path": "//evil.example"}, "base_path"),
        ({"allowed_users": "@example.org"}, "allowed_users.*login"),
        ({"login": True, "allowed_users": "example.org"}, "allowed_users.*@"),
        ({"llm": "qwen3"}, "'provider:model'"),
        ({"llm_base_url": "127.0.0.1:8080"}, "llm_base_url"),
        ({"llm_base_url": "http://me:secret@host/v1"}, "without a key"),
        ({"llm_context_tokens": 100}, "llm_context_tokens"),
        ({"llm_api_key": "x"}, "Unknown setting 'llm_api_key'"),
        ({"chunk_token": 100}, "Unknown setting 'chunk_token'"),
    ],
)
def test_bad_values_are_named(given: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as raised:
        load_settings(**given)
    assert "\n" not in str(raised.value)


def test_a_key_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITADELLE_LLM_API_KEY", " a-secret ")
    assert "a-secret" not in repr(load_settings())
    key = api_key()
    assert key is not None and key.get_secret_value() == "a-secret"
    monkeypatch.setenv("CITADELLE_LLM_API_KEY", "")
    assert api_key() is None


def test_unknown_keys_of_file_and_environment_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITADELLE_PROT", "1")
    with pytest.raises(ConfigurationError, match="CITADELLE_PROT"):
        load_settings()
    monkeypatch.delenv("CITADELLE_PROT")
    monkeypatch.chdir(tmp_path)
    Path("citadelle.toml").write_text("prot = 1\n")
    with pytest.raises(ConfigurationError, match="'prot'"):
        load_settings()
    Path("citadelle.toml").write_text("port = = 1\n")
    with pytest.raises(ConfigurationError, match=r"citadelle\.toml is not valid TOML"):
        load_settings()


def test_names_are_parted_by_commas_in_variables_and_are_lists_in_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("citadelle.toml").write_text('login = true\nallowed_users = ["@example.org"]\n')
    monkeypatch.setenv("CITADELLE_HOSTS", "docs.example.org, wiki.example.org,")
    settings = load_settings(base_path="/citadelle/")
    assert settings.allowed_users == ("@example.org",)
    assert settings.hosts == ("docs.example.org", "wiki.example.org")
    assert settings.base_path == "citadelle"


def test_the_fingerprint_follows_what_changes_an_index() -> None:
    assert Settings().fingerprint() == Settings(port=9000).fingerprint()
    assert Settings().fingerprint() != Settings(chunk_tokens=128).fingerprint()
