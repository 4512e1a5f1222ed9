"""Settings: defaults, then `citadelle.toml`, then `CITADELLE_*` variables, then arguments."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from rag.errors import ConfigurationError, Message

__all__ = [
    "API_KEY_VARIABLE",
    "BUNDLED_ENCODER",
    "BUNDLED_READER",
    "NO_READER",
    "SETTINGS_FILE",
    "Settings",
    "api_key",
    "load_settings",
]

SETTINGS_FILE = Path("citadelle.toml")
BUNDLED_ENCODER = "bundled"
BUNDLED_READER = "bundled"
NO_READER = "none"
# No setting: files of settings are shared, and settings are printed and kept with measurements.
API_KEY_VARIABLE = "CITADELLE_LLM_API_KEY"

_SHORTEST_KEY = 8
_KEY = re.compile(r"[\x21-\x7e]+")
_HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+ *= *[\x20-\x7e]+", re.ASCII)
_CHROMA_NAME = r"^[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]$"
# Not printed, and neither is an error that holds them.
_SECRETS = ("api_key", "chroma_headers")

# What changes the content of an index; everything else may change without rebuilding it.
_INDEX_FIELDS = ("encoder", "chunk_tokens")

# What a pattern asks for, in words.
_FORMS = {
    "llm": Message("should be 'provider:model', such as 'ollama:qwen3:8b'"),
    "llm_base_url": Message(
        "should be an address such as 'http://127.0.0.1:8080/v1', without a key"
    ),
    "chroma_headers": Message("should be 'Name=value', without accents, parted by semicolons"),
    "chroma_url": Message(
        "should be an address such as 'http://10.0.0.5:8000', without a password"
    ),
}

# What a value is not, by the type of pydantic's error.
_UNREAD: dict[str, str] = {
    "bool_parsing": Message("input should be a valid boolean, unable to interpret input"),
    "float_parsing": Message("input should be a valid number, unable to parse string as a number"),
    "int_parsing": Message("input should be a valid integer, unable to parse string as an integer"),
    "string_too_short": Message("string should have at least 1 character"),
}

# In a variable they stand one after the other, with commas between them.
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """Hold every setting; unknown keys and values out of bounds are refused."""

    model_config = SettingsConfigDict(
        env_prefix="CITADELLE_", toml_file=SETTINGS_FILE, extra="forbid", frozen=True
    )

    corpus: Path = Field(Path("corpus"), description="Folder or file with the source documents.")
    index: Path = Field(Path(".citadelle/index"), description="Folder that holds the index.")
    data: Path = Field(
        Path("data"),
        description="Folder that holds conversations, feedback on answers, and documents that were "
        "taken away; it is made when it is needed.",
    )
    cache: Path = Field(
        default_factory=lambda: Path(platformdirs.user_cache_dir("citadelle", appauthor=False)),
        description="Folder for converted encoders and embedded passages; can be deleted while "
        "nothing runs.",
    )
    embedding_cache_mib: int = Field(
        2048,
        ge=0,
        description="Most that the passages kept in 'cache' may take, in MiB; those that were not "
        "wanted for longest leave. 0 keeps none.",
    )
    encoder: str = Field(
        BUNDLED_ENCODER,
        min_length=1,
        description="'bundled' (multilingual-e5-small, no download), a folder, or a name on the "
        "Hugging Face hub (downloaded once).",
    )
    reader: str = Field(
        BUNDLED_READER,
        min_length=1,
        description="What reads the passages: 'bundled' (the trained reader, no download), 'none' "
        "(sentences are chosen by similarity), a folder, or a name on the hub of a model for "
        "extractive question answering.",
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Arithmetic of the encoder; 'auto' takes bf16 where it is faster."
    )
    chunk_tokens: int = Field(
        256, ge=32, le=480, description="Most tokens in a passage; the encoder reads 512."
    )
    candidates: int = Field(
        50, ge=5, le=1000, description="Passages that each retriever proposes before fusion."
    )
    reranker: str = Field(
        "",
        description="Cross-encoder that puts the best passages in order once more: a folder, or a "
        "name on the Hugging Face hub (downloaded once). Empty means none.",
    )
    read_passages: int = Field(8, ge=1, le=50, description="Passages that are read for an answer.")
    abstain_below: float = Field(
        0.5, ge=0.0, le=1.0, description="Abstain when the confidence is below this."
    )
    max_question_chars: int = Field(
        2000, ge=100, le=100_000, description="Longest question that is accepted, in characters."
    )
    language: Literal["auto", "fr", "en", "nl"] = Field(
        "auto",
        description="Language of the page at the start, and of answers whose question's is not "
        "clear; 'auto' takes the browser's for the page, and French for such answers.",
    )
    llm: str = Field(
        "",
        pattern=r"^$|^[a-z_]+:\S+$",
        description="Language model that writes the answers, as 'provider:model', such as "
        "'ollama:qwen3:8b'. Empty means none: answers are quotes.",
    )
    llm_base_url: str = Field(
        "",
        pattern=r"^$|^https?://[^\s@]+$",
        description="Address of the model's server, such as 'http://127.0.0.1:8080/v1'. Empty "
        "means that of the provider.",
    )
    llm_temperature: float = Field(
        0.0, ge=0.0, le=2.0, description="How freely the model chooses its words; 0 is the least."
    )
    llm_first_seconds: float = Field(
        20.0,
        gt=0.0,
        le=600.0,
        description="Longest wait, in seconds, for the first sentence that stands the check; "
        "then the passages are quoted instead.",
    )
    llm_timeout: float = Field(
        120.0,
        gt=0.0,
        le=3600.0,
        description="Longest time, in seconds, for a whole answer of the model; what stands by "
        "then is kept.",
    )
    llm_context_tokens: int = Field(
        8192,
        ge=2048,
        le=1_000_000,
        description="Tokens that the model reads at once; passages that do not fit are left out.",
    )
    llm_max_sentences: int = Field(
        6, ge=1, le=30, description="Most sentences that the model's answer may have."
    )
    llm_programs: bool = Field(
        False,
        description="Whether a model on another machine may write for programs too, which ask no "
        "person first; one on this machine always may.",
    )
    port: int = Field(8501, ge=1, le=65535, description="Port of the page.")
    address: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Address on which the page is served; any but 127.0.0.1 lets other machines "
        "ask.",
    )
    base_path: str = Field(
        "",
        pattern=r"^/?([\w.~-]+(/[\w.~-]+)*/?)?$",
        description="Path under which the page is served, such as 'citadelle' behind a proxy "
        "that serves other things too.",
    )
    hosts: Names = Field(
        (),
        description="Names by which browsers reach the page; without them, localhost and "
        "addresses in figures only.",
    )
    login: bool = Field(
        False,
        description="Show nothing before a visitor logged in, with the provider in the file "
        ".streamlit/secrets.toml.",
    )
    allowed_users: Names = Field(
        (),
        description="E-mail addresses, or domains such as '@example.org', that may log in; empty "
        "lets in everyone whom the provider knows.",
    )
    allow_changes: bool = Field(
        True,
        description="Whether the page may add documents, take them away and index them again.",
    )
    log_level: Literal["auto", "debug", "info", "warning", "error"] = Field(
        "auto",
        description="Least weight of what is logged, on stderr; 'auto' logs every question where "
        "a page or an assistant is served, and nothing in other commands. No text of a question, "
        "an answer or a document is ever logged.",
    )
    log_format: Literal["auto", "text", "json"] = Field(
        "auto",
        description="Form of a line of the log; 'auto' is text at a terminal, JSON elsewhere.",
    )
    api: bool = Field(
        False,
        description="Answer programs too, beside the page: under /v1 as OpenAI's interface does.",
    )
    api_key: SecretStr = Field(
        SecretStr(""),
        validate_default=True,
        description="Key that programs must send. Empty means none, and then only this machine is "
        "answered.",
    )

    chroma_url: str = Field(
        "",
        pattern=r"^$|^https?://[^\s@]+$",
        description="Address of a Chroma server that holds the index for several machines, such as "
        "'http://10.0.0.5:8000'. Empty means none: the index is on this machine.",
    )
    chroma_tenant: str = Field(
        "default_tenant", pattern=_CHROMA_NAME, description="Tenant on the Chroma server."
    )
    chroma_database: str = Field(
        "default_database",
        pattern=_CHROMA_NAME,
        description="Database on the Chroma server, one for each index; 'citadelle index' makes "
        "it.",
    )
    chroma_headers: SecretStr = Field(
        SecretStr(""),
        description="What is sent with each request to the Chroma server, such as "
        "'Authorization=Bearer …'; several are parted by semicolons.",
    )

    @field_validator("corpus", "index", "data", "cache")
    @classmethod
    def _expand(cls, path: Path) -> Path:
        return path.expanduser()

    @property
    def serves_others(self) -> bool:
        """Whether the page is there for others than the person at this machine."""
        return self.login or bool(self.hosts) or not _is_loopback(self.address)

    @field_validator("address")
    @classmethod
    def _is_address(cls, address: str) -> str:
        return str(ipaddress.ip_address(address))

    @field_validator("base_path")
    @classmethod
    def _strip(cls, path: str) -> str:
        return path.strip("/")

    @field_validator("hosts", "allowed_users", mode="before")
    @classmethod
    def _split(cls, names: Any) -> Any:
        if isinstance(names, str):
            return tuple(filter(None, map(str.strip, names.split(","))))
        return names

    @field_validator("allowed_users")
    @classmethod
    def _need_login(cls, users: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if users and not info.data.get("login", True):
            raise ValueError(Message("nobody is kept out without login = true"))
        if any("@" not in user for user in users):
            raise ValueError(Message("should hold addresses, or domains with an @ before them"))
        return users

    @field_validator("api_key")
    @classmethod
    def _can_be_sent(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        value = key.get_secret_value()
        if value and (len(value) < _SHORTEST_KEY or not _KEY.fullmatch(value)):
            raise ValueError(
                Message(
                    "should have {least} characters or more, and no spaces or accents",
                    least=_SHORTEST_KEY,
                )
            )
        if not value and info.data.get("api"):
            if info.data.get("login"):
                raise ValueError(Message("must be set where api = true and login = true"))
            # A name is for others, who come through a proxy on this machine.
            if info.data.get("hosts") or not _is_loopback(info.data.get("address", "127.0.0.1")):
                raise ValueError(Message("must be set where api = true and other machines can ask"))
        return key

    @field_validator("chroma_headers")
    @classmethod
    def _are_headers(cls, headers: SecretStr) -> SecretStr:
        if not all(map(_HEADER.fullmatch, _parted(headers))):
            raise ValueError(_FORMS["chroma_headers"])
        return headers

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @property
    def fallback_language(self) -> Literal["fr", "en", "nl"]:
        """Return the language of answers whose question's is not clear."""
        return "fr" if self.language == "auto" else self.language

    def header_fields(self) -> dict[str, str]:
        """Return the headers for the Chroma server by their names; they are secrets."""
        fields = (header.partition("=") for header in _parted(self.chroma_headers))
        return {name.strip(): value.strip() for name, _, value in fields}

    def fingerprint(self) -> str:
        """Return 12 hexadecimal digits that change when an index must be rebuilt."""
        values = "\n".join(f"{name}={getattr(self, name)}" for name in _INDEX_FIELDS)
        return hashlib.sha256(values.encode()).hexdigest()[:12]


def _parted(headers: SecretStr) -> list[str]:
    return [part for part in map(str.strip, headers.get_secret_value().split(";")) if part]


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def api_key() -> SecretStr | None:
    """Return the key of the language model's server, where the environment has one."""
    value = os.environ.get(API_KEY_VARIABLE, "").strip()
    return SecretStr(value) if value else None


def load_settings(**overrides: Any) -> Settings:
    """Return the settings in force; `overrides` that are None are ignored.

    Raises `ConfigurationError` with one sentence that names the setting.
    """
    known = ", ".join(sorted(Settings.model_fields))
    prefix = str(Settings.model_config["env_prefix"])
    for variable in os.environ:
        # A misspelt variable would otherwise be ignored without a word.
        if (
            variable.startswith(prefix)
            and variable != API_KEY_VARIABLE
            and (variable[len(prefix) :].lower() not in Settings.model_fields)
        ):
            raise ConfigurationError(
                "Unknown variable {variable}; known settings are: {known}.",
                variable=variable,
                known=known,
            )
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "settings"
        if first["type"] == "extra_forbidden":
            raise ConfigurationError(
                "Unknown setting '{name}'; known are: {known}.", name=name, known=known
            ) from error
        wrong = _FORMS.get(name) or _wrong(first)
        secret = name in _SECRETS
        if not secret:
            wrong = Message("{wrong}, not {given!r}", wrong=wrong, given=first["input"])
        raise ConfigurationError(
            "Setting '{name}' (from an argument, {variable} or {file}): {wrong}.",
            name=name,
            variable=f"{prefix}{name.upper()}",
            file=SETTINGS_FILE,
            wrong=wrong,
        ) from (None if secret else error)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            "{file} is not valid TOML: {problem}.", file=SETTINGS_FILE, problem=str(error)
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "{file} cannot be read: {problem}.", file=SETTINGS_FILE, problem=error.strerror
        ) from error


def _wrong(problem: ErrorDetails) -> str:
    """Return what is wrong with a value, in words that other languages have where they can."""
    kind, context = problem["type"], problem.get("ctx", {})
    if isinstance(said := getattr(context.get("error"), "args", (None,))[0], Message):
        return Message("value error, {wrong}", wrong=said)
    # A bound is text: it is written as in a file of settings, whatever the language.
    if kind == "greater_than_equal":
        return Message(
            "input should be greater than or equal to {bound}", bound=f"{context['ge']:.15g}"
        )
    if kind == "greater_than":
        return Message("input should be greater than {bound}", bound=f"{context['gt']:.15g}")
    if kind == "less_than_equal":
        return Message(
            "input should be less than or equal to {bound}", bound=f"{context['le']:.15g}"
        )
    if kind == "literal_error":
        others, _, last = context["expected"].lower().rpartition(" or ")
        return Message("input should be {others} or {last}", others=others, last=last)
    return _UNREAD.get(kind, problem["msg"].lower())
