"""Language models through LangChain: opening one, and reading what it writes as it comes.

The only module that imports langchain's models, and only when one is configured.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from rag.config import API_KEY_VARIABLE, Settings, api_key
from rag.errors import Message, ModelError, ModelSlow

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from pydantic import SecretStr

__all__ = [
    "ChatModel",
    "Readable",
    "Reply",
    "Stopped",
    "host_of",
    "is_here",
    "open_chat_model",
    "stoppable",
    "writes_elsewhere",
    "writes_for_programs",
]

# What is installed for a provider, and by which extra of this project.
_PACKAGES = {
    "anthropic": "langchain_anthropic",
    "mistralai": "langchain_mistralai",
    "ollama": "langchain_ollama",
    "openai": "langchain_openai",
}
# The variables in which a provider's client looks for another address, and its usual one.
_ADDRESSES = {
    "anthropic": (("ANTHROPIC_API_URL", "ANTHROPIC_BASE_URL"), "https://api.anthropic.com"),
    "mistralai": (("MISTRAL_BASE_URL",), "https://api.mistral.ai"),
    "ollama": (("OLLAMA_HOST",), "http://127.0.0.1:11434"),
    "openai": (("OPENAI_API_BASE", "OPENAI_BASE_URL"), "https://api.openai.com"),
}
# OpenAI's client asks for a key even where a server of one's own wants none.
_NO_KEY = "none"
_SECRET = re.compile(r"\b(?:sk|pk|key|Bearer)[-_ ][\w*.-]{6,}", re.IGNORECASE)
_LONGEST_REASON = 200
# How often it is asked, in seconds, whether a person stopped the model.
_STOP_SECONDS = 0.2


class ChatModel:
    """Ask a chat model of LangChain; safe to share between threads.

    All its requests run in one event loop of their own: there, one that is waiting for its
    server can be stopped at once, and the clients of the providers keep their connections.
    """

    def __init__(self, model: BaseChatModel, name: str, where: str = "") -> None:
        self.name = name
        self._model = model
        self._where = where
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def ask(self, system: str, user: str) -> Reply:
        """Send a question; the reply must be closed."""
        return Reply(lambda put: self._start(system, user, put))

    def close(self) -> None:
        """Stop every request."""
        with self._lock:
            loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(_stop, loop)

    def _start(self, system: str, user: str, put: Callable[[Any], None]) -> Future[None]:
        from langchain_core.messages import HumanMessage, SystemMessage

        messages = [SystemMessage(system), HumanMessage(user)]
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), daemon=True).start()
            return asyncio.run_coroutine_threadsafe(self._read(messages, put), self._loop)

    async def _read(self, messages: list[Any], put: Callable[[Any], None]) -> None:
        from langsmith import tracing_context

        try:
            # A variable of another project must not send what the documents say to a service.
            with tracing_context(enabled=False):
                async for chunk in self._model.astream(messages):
                    # Calls of tools and reasoning stand beside the text.
                    put(str(chunk.text))
        except Exception as error:
            if "No generation chunks" in str(error):
                # That is how LangChain says that the reply was empty.
                put(None)
                return
            # Every client has errors of its own: whatever it is, there is no answer.
            put(_explained(error, self.name, self._where))
        else:
            put(None)


class Reply:
    """What a model writes, piece by piece."""

    def __init__(self, start: Callable[[Callable[[Any], None]], Future[None]]) -> None:
        self._pieces: queue.SimpleQueue[str | ModelError | None] = queue.SimpleQueue()
        self._running = start(self._pieces.put)

    def read(self, seconds: float) -> str | None:
        """Return the next piece, None at the end.

        Raises `ModelSlow` when there is none within `seconds`, `ModelError` when there is
        no more to come.
        """
        try:
            # What came in time and could not be checked in time is late too.
            piece = self._pieces.get(timeout=seconds) if seconds > 0 else _late()
        except queue.Empty:
            piece = _late()
        if isinstance(piece, ModelError):
            raise piece
        return piece

    def close(self) -> None:
        """Stop the request, if it still runs."""
        self._running.cancel()


class Readable(Protocol):
    """What is needed of a `Reply` to read it."""

    def read(self, seconds: float) -> str | None: ...

    def close(self) -> None: ...


class Stopped(Exception):
    """A person stopped the model."""


def stoppable(reply: Readable, stopped: Callable[[], bool]) -> Callable[[float], str | None]:
    """Return what reads a reply and raises `Stopped` soon after `stopped` says so."""

    def read(seconds: float) -> str | None:
        end = time.monotonic() + seconds
        while True:
            if stopped():
                raise Stopped
            left = end - time.monotonic()
            if left <= _STOP_SECONDS:
                return reply.read(left)
            with suppress(ModelSlow):
                return reply.read(_STOP_SECONDS)

    return read


def open_chat_model(settings: Settings) -> ChatModel:
    """Open the model of the settings, without asking it anything.

    Raises `ModelError` with what to install or to set.
    """
    provider, _, model = settings.llm.partition(":")
    package = _PACKAGES.get(provider)
    if package is None:
        raise ModelError(
            "Setting 'llm' names the provider '{provider}'; known are {known}. A server that "
            "speaks the protocol of OpenAI is 'openai:MODEL' with its address in 'llm_base_url'.",
            provider=provider,
            known=", ".join(sorted(_PACKAGES)),
        )
    if find_spec("langchain") is None or find_spec(package) is None:
        raise ModelError(
            "The model '{model}' needs a package that is not installed; "
            "run: pip install 'citadelle[{provider}]'",
            model=settings.llm,
            provider=provider,
        )
    from langchain.chat_models import init_chat_model

    try:
        opened = init_chat_model(
            model, model_provider=provider, **_arguments(provider, settings, api_key())
        )
    except Exception as error:
        # A missing key, mostly; each provider raises something else.
        raise _explained(error, settings.llm, settings.llm_base_url) from error
    return ChatModel(opened, settings.llm, settings.llm_base_url)


def host_of(settings: Settings) -> str:
    """Return the host, with its port if that is given, to which the model's questions go."""
    variables, usual = _ADDRESSES.get(settings.llm.partition(":")[0], ((), ""))
    given = (settings.llm_base_url, *(os.environ.get(name, "") for name in variables), usual)
    address = next(filter(None, map(str.strip, given)), "")
    try:
        place = urlsplit(address if "//" in address else f"//{address}").netloc
    except ValueError:
        # The client will say what is wrong with it.
        return address
    return place.rpartition("@")[2].lower()


def writes_elsewhere(settings: Settings) -> bool:
    """Tell whether a language model writes the answers that is not on this machine."""
    return bool(settings.llm) and not is_here(host_of(settings))


def writes_for_programs(settings: Settings) -> bool:
    """Tell whether a language model writes for programs: it is here, or the owner allows it."""
    return bool(settings.llm) and (settings.llm_programs or not writes_elsewhere(settings))


def is_here(host: str) -> bool:
    """Tell whether a host, with a port or without, is this machine itself."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        # A name, whatever it stands for today.
        return False


def _arguments(provider: str, settings: Settings, key: SecretStr | None) -> dict[str, Any]:
    """Return what a provider's class is made with, under the names that it uses."""
    arguments: dict[str, Any] = {"temperature": settings.llm_temperature}
    if settings.llm_base_url:
        arguments["base_url"] = settings.llm_base_url
    if provider == "ollama":
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        # Unless told, its server cuts what it reads to a few thousand tokens without a word.
        return arguments | {
            "num_ctx": settings.llm_context_tokens,
            "client_kwargs": {"timeout": settings.llm_timeout, "headers": headers},
        }
    arguments |= {"timeout": settings.llm_timeout, "max_retries": 1}
    if key is not None:
        arguments["api_key"] = key
    elif settings.llm_base_url:
        # The provider's own key is for the provider, not for another server.
        arguments["api_key"] = _NO_KEY
    return arguments


def _late() -> ModelError:
    return ModelSlow("The language model did not answer in time.")


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    """End the loop once its requests have been told to end."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    asyncio.gather(*tasks, return_exceptions=True).add_done_callback(lambda _: loop.stop())


def _explained(error: BaseException, name: str, where: str) -> ModelError:
    """Return one sentence for a person: what went wrong with the model, and what to do."""
    place = where or Message("its usual address")
    kinds = {type(cause).__name__ for cause in _causes(error)}
    said = " ".join(str(error).split())
    status = getattr(error, "status_code", None)
    if status in (401, 403) or "api_key" in said.lower() or "api key" in said.lower():
        return ModelError(
            "The server of '{name}' wants a key that it knows; set {variable} or the variable of "
            "the provider.",
            name=name,
            variable=API_KEY_VARIABLE,
        )
    if status == 404:
        return ModelError(
            "The server of '{name}' at {place} has no such model, or is no server of models.",
            name=name,
            place=place,
        )
    if any("Connect" in kind for kind in kinds):
        return ModelError(
            "No server answers for '{name}' at {place}; start it, or set 'llm_base_url'.",
            name=name,
            place=place,
        )
    if any("Timeout" in kind for kind in kinds):
        return ModelError(
            "The server of '{name}' at {place} did not answer in time.", name=name, place=place
        )
    return ModelError(
        "The model '{name}' failed: {kind}: {reason}",
        name=name,
        kind=type(error).__name__,
        reason=_SECRET.sub("***", said)[:_LONGEST_REASON],
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__
    return causes
