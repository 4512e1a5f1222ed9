"""Language models over loopback: what is sent where, and what is said when it goes wrong."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rag import chat_model
from rag.chat_model import ChatModel, host_of, is_here, open_chat_model
from rag.config import Settings, api_key
from rag.errors import ModelError, ModelSlow

PRIVATE = "sk-very-secret-0123456789"


@dataclass
class Server:
    """A server of models that says the same to everybody, and keeps what it was sent."""

    pieces: list[str] = field(default_factory=lambda: ["Le BCC ", "siège [1]."])
    status: int = 200
    pause: float = 0.0
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    address: str = ""


def _lines(path: str, pieces: list[str]) -> Iterator[bytes]:
    """Write pieces as OpenAI's protocol does, or as Ollama's."""
    if path.endswith("/api/chat"):
        for piece in pieces:
            message = {"role": "assistant", "content": piece}
            yield json.dumps({"model": "m", "message": message, "done": False}).encode() + b"\n"
        yield (
            json.dumps(
                {
                    "model": "m",
                    "message": {"role": "assistant", "content": ""},
                    "done": True,
                    "done_reason": "stop",
                }
            ).encode()
            + b"\n"
        )
        return
    for piece in pieces:
        choice = {"index": 0, "delta": {"role": "assistant", "content": piece}}
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        yield b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append((self.path, dict(self.headers), body))
            self.send_response(state.status)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            if state.status != 200:
                self.wfile.write(json.dumps({"error": {"message": f"no: {PRIVATE}"}}).encode())
                return
            try:
                for line in _lines(self.path, state.pieces):
                    self.wfile.write(line)
                    self.wfile.flush()
                    time.sleep(state.pause)
            except OSError:
                state.left.set()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{http.server_port}"
    yield state
    http.shutdown()
    http.server_close()


Opened = Callable[..., ChatModel]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    models: list[ChatModel] = []
    for name in ("CITADELLE_LLM_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def open_(llm: str, **settings: Any) -> ChatModel:
        models.append(open_chat_model(Settings(llm=llm, **settings)))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def said(model: ChatModel, seconds: float = 30.0) -> str:
    reply = model.ask("Réponds.", "Où siège le BCC ?")
    text = ""
    try:
        while (piece := reply.read(seconds)) is not None:
            text += piece
    finally:
        reply.close()
    return text


def test_a_server_that_speaks_as_openai(server: Server, opened: Opened) -> None:
    model = opened("openai:small", llm_base_url=f"{server.address}/v1", llm_temperature=0.5)
    assert said(model) == "Le BCC siège [1]."
    # Its connections are used again.
    assert said(model) == "Le BCC siège [1]."
    (path, _, body), _ = server.requests
    assert path == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["stream"]) == ("small", 0.5, True)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == "Où siège le BCC ?"


def test_ollama_is_told_how_much_to_read(server: Server, opened: Opened) -> None:
    model = opened("ollama:qwen3:8b", llm_base_url=server.address, llm_context_tokens=4096)
    assert said(model) == "Le BCC siège [1]."
    ((path, _, body),) = server.requests
    assert (path, body["model"]) == ("/api/chat", "qwen3:8b")
    assert body["options"]["num_ctx"] == 4096
    assert body["options"]["temperature"] == 0.0


def test_the_key_of_a_provider_is_not_sent_elsewhere(
    server: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", PRIVATE)
    assert said(opened("openai:small", llm_base_url=f"{server.address}/v1"))
    monkeypatch.setenv("CITADELLE_LLM_API_KEY", "own-key")
    assert said(opened("openai:small", llm_base_url=f"{server.address}/v1"))
    assert said(opened("ollama:small", llm_base_url=server.address))
    sent = [
        headers.get("Authorization", headers.get("authorization"))
        for _, headers, _ in server.requests
    ]
    assert sent == ["Bearer none", "Bearer own-key", "Bearer own-key"]


def test_keys_are_never_printed(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITADELLE_LLM_API_KEY", PRIVATE)
    key = api_key()
    assert key is not None
    assert key.get_secret_value() == PRIVATE
    settings = Settings(llm="openai:small")
    model = open_chat_model(settings)
    shown = f"{key} {key!r} {settings!r} {settings.model_dump_json()} {model._model!r}"
    assert PRIVATE not in shown


@pytest.mark.parametrize(
    ("status", "words"), [(401, "wants a key"), (403, "wants a key"), (404, "no such model")]
)
def test_what_a_server_refuses_is_said(
    status: int, words: str, server: Server, opened: Opened
) -> None:
    server.status = status
    with pytest.raises(ModelError, match=words) as raised:
        said(opened("openai:small", llm_base_url=f"{server.address}/v1"))
    assert PRIVATE not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("provider", ["openai", "ollama"])
def test_a_server_that_is_not_there(provider: str, opened: Opened) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    model = opened(f"{provider}:small", llm_base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(ModelError, match=f"No server answers .* at http://127.0.0.1:{port}/v1"):
        said(model)


def test_closing_ends_the_request_at_the_server(server: Server, opened: Opened) -> None:
    server.pieces, server.pause = ["encore "] * 1000, 0.02
    reply = opened("openai:small", llm_base_url=f"{server.address}/v1").ask("Réponds.", "Où ?")
    assert reply.read(30) == "encore "
    reply.close()
    assert server.left.wait(10)


def test_a_late_piece_is_not_waited_for(server: Server, opened: Opened) -> None:
    server.pieces, server.pause = ["Le ", "BCC "], 3.0
    reply = opened("openai:small", llm_base_url=f"{server.address}/v1").ask("Réponds.", "Où ?")
    assert reply.read(30) == "Le "
    begin = time.monotonic()
    with pytest.raises(ModelSlow):
        reply.read(0.1)
    assert time.monotonic() - begin < 2
    with pytest.raises(ModelSlow):
        reply.read(-1.0)
    reply.close()


@pytest.mark.parametrize("provider", ["anthropic", "mistralai", "openai"])
def test_every_provider_opens_with_a_key(
    provider: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITADELLE_LLM_API_KEY", PRIVATE)
    assert opened(f"{provider}:large").name == f"{provider}:large"


def test_a_key_that_is_missing_is_named(opened: Opened) -> None:
    with pytest.raises(ModelError, match="CITADELLE_LLM_API_KEY"):
        opened("openai:large")


def test_a_provider_that_is_not_known(opened: Opened) -> None:
    with pytest.raises(ModelError, match="'acme'; known are anthropic, mistralai, ollama, openai"):
        opened("acme:large")


@pytest.mark.parametrize("missing", ["langchain", "langchain_ollama"])
def test_a_package_that_is_missing_is_named(
    missing: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_model, "find_spec", lambda name: None if name == missing else name)
    with pytest.raises(ModelError, match=r"run: pip install 'citadelle\[ollama\]'"):
        opened("ollama:small")


def test_nothing_is_traced(server: Server, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of another project must not send questions to a service."""
    monkeypatch.setenv("LANGSMITH_TRACING", "true")
    monkeypatch.setenv("LANGSMITH_API_KEY", PRIVATE)
    monkeypatch.setenv("LANGSMITH_ENDPOINT", f"{server.address}/tracing")
    assert said(opened("openai:small", llm_base_url=f"{server.address}/v1"))
    time.sleep(1)
    assert [path for path, _, _ in server.requests] == ["/v1/chat/completions"]


# --- Where it goes ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("llm", "address", "variables", "host", "here"),
    [
        ("ollama:m", "", {}, "127.0.0.1:11434", True),
        ("ollama:m", "", {"OLLAMA_HOST": "models.lan:1234"}, "models.lan:1234", False),
        ("ollama:m", "http://localhost:1/", {"OLLAMA_HOST": "models.lan"}, "localhost:1", True),
        ("openai:m", "", {}, "api.openai.com", False),
        ("openai:m", "", {"OPENAI_BASE_URL": "http://u:p@[::1]:8080/v1"}, "[::1]:8080", True),
        ("openai:m", "http://127.0.0.1.example.org/v1", {}, "127.0.0.1.example.org", False),
        ("openai:m", "http://10.0.0.7:8080/v1", {}, "10.0.0.7:8080", False),
        ("openai:m", "http://127.9.9.9:8080/v1", {}, "127.9.9.9:8080", True),
        ("openai:m", "http://LOCALHOST/v1", {}, "localhost", True),
        ("openai:m", "http://[x/v1", {}, "http://[x/v1", False),
        ("anthropic:m", "", {}, "api.anthropic.com", False),
        ("mistralai:m", "", {}, "api.mistral.ai", False),
    ],
)
def test_where_the_passages_go_is_known_beforehand(
    llm: str,
    address: str,
    variables: dict[str, str],
    host: str,
    here: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("OLLAMA_HOST", "OPENAI_API_BASE", "OPENAI_BASE_URL", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = host_of(Settings(llm=llm, llm_base_url=address))
    assert (found, is_here(found)) == (host, here)
