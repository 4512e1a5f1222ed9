"""The interface for programs, over an engine that a person can hold in their head."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import streamlit as st
import uvicorn
from starlette.applications import Starlette
from starlette.testclient import TestClient

from rag.config import Settings, load_settings
from rag.errors import ConfigurationError, IndexMissing, InvalidFilter, InvalidQuestion
from rag.types import Answer
from rag.writing import Event, Notice, Removed, Sentence
from tests.ui.conftest import NOTE, FakeEngine, document, quoting
from ui.api import routes
from ui.engine import ProgressCallback, opening
from ui.server import guards

QUESTION = "Que garde le fort ?"
HERE = ("127.0.0.1", 50_000)
KEY = "a-secret-key"
# The quote, where it stands (37-55 in the canonical text of the note), and its address.
FOOTNOTE = (
    "[1] «\u00a0Il garde la Meuse.\u00a0», Le fort › Histoire (note.md), "
    "http://127.0.0.1:8501/?doc=note.md&at=37-55&hash=618657684437"
)


@dataclass
class Asked(FakeEngine):
    """Also writes: yields what `happens`, and waits for `go` before each of them."""

    happens: Sequence[Event] = ()
    go: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    taken: int = 0

    def ask(
        self,
        question: str,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        *,
        written: bool = True,
    ) -> Answer:
        assert not written
        return super().ask(question, history, filters, progress, written=written)

    def hints(self, answer: Answer, filters: Mapping[str, str] | None = None) -> tuple[str, ...]:
        return super().hints(answer, filters) if answer.abstained else ()

    def stream(
        self,
        question: str,
        history: Sequence[str] = (),
        filters: Mapping[str, str] | None = None,
        progress: ProgressCallback | None = None,
        *,
        stopped: Callable[[], bool] | None = None,
    ) -> Generator[Event, None, None]:
        assert stopped is not None
        try:
            super().ask(question, history, filters, progress, written=False)
            for event in self.happens:
                assert self.go.wait(20)
                yield event
                self.taken += 1
        finally:
            self.closed.set()


Serve = Callable[..., TestClient]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Return a function that gives a program of this machine, with an engine open behind it."""
    st.cache_resource.clear()
    monkeypatch.setenv("CITADELLE_API", "true")

    def start(engine: FakeEngine | Exception | None = None, client: Any = HERE) -> TestClient:
        def opener(_: ProgressCallback) -> FakeEngine:
            if isinstance(engine, Exception):
                raise engine
            return engine or Asked()

        monkeypatch.setattr("ui.engine.open_engine", opener)
        assert opening().wait(10)
        app = Starlette(routes=routes(), middleware=guards())
        return TestClient(app, base_url="http://127.0.0.1:8501", client=client)

    yield start
    st.cache_resource.clear()


def chat(client: TestClient, *messages: Any, **more: Any) -> Any:
    """Ask, with strings as messages of the user."""
    said = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages]
    body = {"model": "citadelle", "messages": said, **more}
    return client.post("/v1/chat/completions", json=body)


def pieces(text: str) -> list[dict[str, Any]]:
    """Return the objects of a stream, which must end as OpenAI's do."""
    *events, last, empty = text.split("\n\n")
    assert (last, empty) == ("data: [DONE]", "")
    return [json.loads(event.removeprefix("data: ")) for event in events]


def refusal(response: Any, status: int) -> str:
    """Return the one sentence of a refusal."""
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    return str(error["message"])


def test_a_request_has_a_number_in_the_log_and_for_the_program(
    serve: Serve, numbers: list[str]
) -> None:
    client = serve(Asked(gives=RuntimeError("secret detail")))
    client.headers["X-Request-Id"] = "program-7"
    response = chat(client, QUESTION)
    assert refusal(response, 500).endswith("under the number program-7.")
    assert response.headers["X-Request-Id"] == "program-7"
    assert set(numbers) == {"program-7"}
    client.headers["X-Request-Id"] = "two words"
    refused = client.get("/v1/absent")
    assert re.fullmatch(r"[0-9a-f]{12}", refused.headers["X-Request-Id"])


# --- Answers ------------------------------------------------------------------------------


def test_an_answer_has_its_footnotes_and_all_it_rests_on(serve: Serve) -> None:
    engine = Asked()
    response = chat(serve(engine), QUESTION)
    reply = response.json()
    (choice,) = reply["choices"]
    text = "D'après le document :\nIl garde la Meuse. [1]"
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": f"{text}\n\n{FOOTNOTE}", "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert (reply["object"], reply["model"]) == ("chat.completion", "citadelle")
    assert reply["citadelle"] == quoting(document(), "Il garde la Meuse.", QUESTION).to_dict()
    # The engine of these tests takes words for tokens: "Que garde le fort ?" has 5.
    assert reply["usage"]["prompt_tokens"] == 5
    assert reply["usage"]["completion_tokens"] == len(f"{text}\n\n{FOOTNOTE}".split())
    assert engine.refreshed == 1
    assert response.headers["x-content-type-options"] == "nosniff"


def test_the_last_question_is_asked_and_earlier_ones_are_its_history(serve: Serve) -> None:
    engine = Asked(settings=Settings(max_question_chars=100))
    parts = [{"type": "text", "text": "et"}, {"type": "text", "text": "ensuite ?"}]
    response = chat(
        serve(engine),
        {"role": "system", "content": "Réponds en vers."},
        "Où est le fort ?",
        {"role": "assistant", "content": "À Namur."},
        "…",
        "x" * 101,
        {"role": "user", "content": parts},
        temperature=0.7,
        max_tokens=10,
        user="anna",
        filters={"tag": "histoire"},
    )
    assert response.status_code == 200
    # Neither what is no question nor what is too long for one is history.
    assert engine.asked == [("et\nensuite ?", ["Où est le fort ?"])]
    assert engine.filtered == [{"tag": "histoire"}]


def test_an_abstention_is_an_answer_with_hints(serve: Serve) -> None:
    quoted = quoting(document(), "Il garde la Meuse.")
    nothing = replace(
        quoted, text="Je n’ai rien trouvé.", citations=(), abstained=True, mode="abstention"
    )
    reply = chat(serve(Asked(gives=nothing)), "Quel temps fait-il ?").json()
    content = reply["choices"][0]["message"]["content"]
    # Markup in a hint stays text where Markdown is drawn.
    assert content == "Je n’ai rien trouvé.\n\n- Dites-le \\<b>autrement\\</b>."
    assert reply["citadelle"]["abstained"] is True


def test_what_a_document_says_draws_no_picture_and_makes_no_link(serve: Serve) -> None:
    hostile = document('![x](http://evil.example/x.png) <img src="x"> [a](javascript:b) fin.')
    engine = Asked({hostile.doc_id: hostile}, gives=quoting(hostile, hostile.text))
    content = chat(serve(engine), QUESTION).json()["choices"][0]["message"]["content"]
    assert content.count('!\\[x]\\(http://evil.example/x.png) \\<img src="x"> [a]\\(javas') >= 2
    assert "![" not in content and "](" not in content


def test_a_stream_is_made_of_pieces(serve: Serve) -> None:
    client = serve()
    whole = chat(client, QUESTION).json()
    response = chat(client, QUESTION, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    first, words, last = pieces(response.text)
    assert len({piece["id"] for piece in (first, words, last)}) == 1
    assert {piece["object"] for piece in (first, words, last)} == {"chat.completion.chunk"}
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert words["choices"][0]["delta"]["content"] == whole["choices"][0]["message"]["content"]
    assert words["choices"][0]["finish_reason"] is None
    assert (last["choices"][0]["delta"], last["choices"][0]["finish_reason"]) == ({}, "stop")
    assert last["citadelle"] == whole["citadelle"]
    assert "usage" not in first


def test_usage_comes_last_where_it_is_asked_for(serve: Serve) -> None:
    response = chat(serve(), QUESTION, stream=True, stream_options={"include_usage": True})
    *before, usage = pieces(response.text)
    assert usage["choices"] == []
    assert usage["usage"]["prompt_tokens"] == 5
    assert [piece["usage"] for piece in before] == [None, None, None]


# --- Answers of a language model ----------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Return an engine that writes two sentences, and takes one away."""
    monkeypatch.setenv("CITADELLE_LLM", "openai:local")
    monkeypatch.setenv("CITADELLE_LLM_BASE_URL", "http://127.0.0.1:8080/v1")
    quoted = quoting(document(), "Il garde la Meuse.")
    one = Sentence("Le fort garde la Meuse [1].", quoted.citations)
    other = Sentence("Il est vieux [1].", quoted.citations, before=" ")
    answer = replace(
        quoted,
        text="Le fort garde la Meuse [1]. Il est vieux [1].",
        mode="written",
        removed=("Il est bleu.",),
        model="openai:local",
    )
    engine = Asked(happens=(one, Removed("Il est bleu.", ("meaning",)), other, answer))
    engine.go.set()
    return engine


def test_sentences_are_streamed_as_they_stand_the_check(serve: Serve, written: Asked) -> None:
    client = serve(written)
    found = pieces(chat(client, QUESTION, model="citadelle-written", stream=True).text)
    said = [piece["choices"][0]["delta"].get("content") for piece in found]
    assert said == [
        "",
        "Le fort garde la Meuse [1].",
        " Il est vieux [1].",
        f"\n\n{FOOTNOTE}",
        None,
    ]
    assert found[-1]["citadelle"]["removed"] == ["Il est bleu."]
    whole = chat(client, QUESTION, model="citadelle-written").json()
    assert whole["choices"][0]["message"]["content"] == "".join(said[:-1])
    assert whole["model"] == "citadelle-written"
    assert written.closed.is_set() and written.taken == 2 * len(written.happens)


def test_a_notice_says_why_the_passages_are_quoted(serve: Serve, written: Asked) -> None:
    quoted = replace(quoting(document(), "Il garde la Meuse."), notice="Trop lent.")
    written.happens = (Notice("slow", "Trop lent."), quoted)
    found = pieces(chat(serve(written), QUESTION, model="citadelle-written", stream=True).text)
    said = "".join(piece["choices"][0]["delta"].get("content", "") for piece in found)
    assert said == f"{quoted.text}\n\nTrop lent.\n\n{FOOTNOTE}"


def test_there_is_a_model_that_writes_only_where_one_is_configured(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve()
    listed = client.get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == ["citadelle"]
    assert client.get("/v1/models/citadelle").json()["object"] == "model"
    said = refusal(chat(client, QUESTION, model="citadelle-written"), 404)
    assert "setting 'llm'" in said
    monkeypatch.setenv("CITADELLE_LLM", "ollama:local")
    listed = serve().get("/v1/models").json()
    assert [model["id"] for model in listed["data"]] == ["citadelle", "citadelle-written"]


def test_a_model_elsewhere_writes_for_programs_only_where_the_owner_says_so(
    serve: Serve, written: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CITADELLE_LLM_BASE_URL", "https://models.example.org/v1")
    client = serve(written)
    assert len(client.get("/v1/models").json()["data"]) == 1
    for stream in (False, True):
        said = refusal(chat(client, QUESTION, model="citadelle-written", stream=stream), 404)
        assert "llm_programs = true" in said
    # Nothing was asked, and of quotes no model is.
    assert not written.asked
    assert chat(client, QUESTION).json()["citadelle"]["mode"] == "extractive"
    monkeypatch.setenv("CITADELLE_LLM_PROGRAMS", "true")
    whole = chat(serve(written), QUESTION, model="citadelle-written").json()
    assert whole["citadelle"]["mode"] == "written"


@contextlib.contextmanager
def listening(app: Any) -> Iterator[int]:
    """Serve an application on a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    thread.join(timeout=10)


@pytest.mark.parametrize("stream", [True, False])
def test_a_program_that_goes_away_stops_the_model(
    serve: Serve, written: Asked, stream: bool
) -> None:
    written.go.clear()
    client = serve(written)
    body = json.dumps(
        {
            "model": "citadelle-written",
            "messages": [{"role": "user", "content": QUESTION}],
            "stream": stream,
        }
    )
    with listening(client.app) as port, socket.create_connection(("127.0.0.1", port)) as talk:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        talk.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        while not written.asked:
            time.sleep(0.02)
        if stream:
            assert b"200 OK" in talk.recv(1000)
        talk.close()
        time.sleep(1)
        assert not written.closed.is_set()
        written.go.set()
        assert written.closed.wait(10)
        # It was closed at the first event, and none after that was asked for.
        assert written.taken == 0


# --- Refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"n": 2}, 400, "leave out 'n'"),
        ({"tools": [{"type": "function"}]}, 400, "leave out 'tools'"),
        ({"response_format": {"type": "json_object"}}, 400, "leave out 'response_format'"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "role 'user'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            400,
            "leave out pictures",
        ),
        ({"model": "gpt-4o"}, 404, "no model 'gpt-4o'"),
        ({"messages": []}, 422, "'messages'"),
        ({"messages": [{"role": "king", "content": "x"}]}, 422, "'messages.0.role'"),
        ({"stream": "perhaps"}, 422, "'stream'"),
        ({"filters": {"tag": 3}}, 422, "'filters.tag'"),
        ({"messages": [{"role": "user", "content": "x" * (1 << 20)}]}, 413, "too large"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(
    serve: Serve, more: dict[str, Any], status: int, said: str
) -> None:
    engine = Asked()
    body = {"model": "citadelle", "messages": [{"role": "user", "content": QUESTION}], **more}
    response = serve(engine).post("/v1/chat/completions", json=body)
    assert said in refusal(response, status)
    assert engine.asked == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"model": "\\ud800"}'])
def test_what_is_no_json_is_refused(serve: Serve, body: bytes) -> None:
    refusal(serve().post("/v1/chat/completions", content=body), 400)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("error", [InvalidQuestion("Too long."), InvalidFilter("No such key.")])
def test_what_the_engine_refuses_is_refused_before_anything_is_sent(
    serve: Serve, stream: bool, error: Exception
) -> None:
    class Refusing(Asked):
        def ask(self, *_: Any, **__: Any) -> Answer:
            raise error

    assert refusal(chat(serve(Refusing()), QUESTION, stream=stream), 400) == str(error)


def test_a_failure_is_told_without_its_details(serve: Serve) -> None:
    client = serve(Asked(gives=RuntimeError("secret")))
    assert refusal(chat(client, QUESTION), 500).startswith("The question was not answered")
    # It failed after the stream had begun.
    *_, error = pieces(chat(client, QUESTION, stream=True).text)
    assert error["error"]["type"] == "server_error" and "secret" not in str(error)


def test_other_addresses_are_not_served(serve: Serve) -> None:
    client = serve()
    assert "/v1/embeddings is not served" in refusal(client.post("/v1/embeddings"), 404)
    refusal(client.get("/v1/chat/completions"), 404)
    refusal(client.get("/v1/models/other"), 404)


def test_the_engine_that_is_opening_or_failed_is_said(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = serve(IndexMissing("There is no index."))
    response = chat(client, QUESTION)
    assert refusal(response, 503) == "There is no index."
    # The next question tries again.
    wait = threading.Event()

    def opener(_: ProgressCallback) -> FakeEngine:
        assert wait.wait(10)
        return Asked()

    monkeypatch.setattr("ui.engine.open_engine", opener)
    response = chat(client, QUESTION)
    assert "still opening" in refusal(response, 503)
    assert int(response.headers["retry-after"]) > 0
    wait.set()
    assert opening().wait(10)
    assert chat(client, QUESTION).status_code == 200


def test_too_many_questions_are_told_to_come_back(
    serve: Serve, written: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ui.api._AT_ONCE", 1)
    monkeypatch.setattr("ui.api._WAITING", 0)
    written.go.clear()
    client = serve(written)
    answers: list[int] = []

    def ask() -> None:
        answers.append(chat(client, QUESTION, model="citadelle-written").status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    deadline = time.monotonic() + 20
    while not written.asked and time.monotonic() < deadline:
        time.sleep(0.02)
    response = chat(client, QUESTION)
    assert "Too many" in refusal(response, 429) and "retry-after" in response.headers
    written.go.set()
    thread.join(timeout=20)
    assert answers == [200]
    assert chat(client, QUESTION).status_code == 200


# --- Who is answered ----------------------------------------------------------------------


def test_nobody_is_answered_unless_it_is_switched_on(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CITADELLE_API")
    engine = Asked()
    client = serve(engine)
    assert "api = true" in refusal(chat(client, QUESTION), 404)
    assert "api = true" in refusal(client.get("/v1/models"), 404)
    # Nor with settings that cannot be read, which the page tells.
    monkeypatch.setenv("CITADELLE_PORT", "none")
    refusal(TestClient(Starlette(routes=routes())).get("/v1/models"), 404)
    assert engine.asked == []


def test_a_key_is_asked_for_where_one_is_set(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CITADELLE_API_KEY", KEY)
    client = serve(client=("192.0.2.1", 50_000))
    for given in ({}, {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer é".encode()}):
        response = client.get("/v1/models", headers=given)
        assert "key is missing or wrong" in refusal(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"
    for path in ("/v1/models", "/v1/models/citadelle"):
        assert client.get(path, headers={"Authorization": f"Bearer {KEY}"}).status_code == 200
    refusal(chat(client, QUESTION), 401)


def test_without_a_key_only_this_machine_is_answered(serve: Serve) -> None:
    for client in (("192.0.2.1", 50_000), None):
        response = serve(client=client or ("unix", 0)).get("/v1/models")
        assert "set api_key" in refusal(response, 401)
    assert serve(client=("::1", 50_000)).get("/v1/models").status_code == 200


def test_other_sites_and_names_are_refused_as_by_the_page(serve: Serve) -> None:
    client = serve()
    assert client.get("/v1/models", headers={"Host": "rebound.example"}).status_code == 403
    assert client.get("/v1/models", headers={"Origin": "http://evil.example"}).status_code == 403


def test_it_stands_under_the_path_of_the_page(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "get_option", lambda name: {"server.baseUrlPath": "docs"}[name])
    client = serve()
    body = {"model": "citadelle", "messages": [{"role": "user", "content": QUESTION}]}
    content = client.post("/docs/v1/chat/completions", json=body).json()["choices"][0]
    assert (
        f"http://127.0.0.1:8501/docs/?doc={NOTE}&at=37-55&hash=618657684437"
        in content["message"]["content"]
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"api": True, "login": True}, "login = true"),
        ({"api": True, "address": "0.0.0.0"}, "other machines"),  # noqa: S104
        ({"api": True, "hosts": ["docs.example.org"]}, "other machines"),
        ({"api_key": "short"}, "8 characters"),
        ({"api_key": "clé-secrète"}, "no spaces or accents"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as raised:
        load_settings(**given)
    assert str(given.get("api_key", "'")) not in str(raised.value).partition(":")[2]
    assert raised.value.__cause__ is None


def test_a_key_is_not_shown_with_the_settings() -> None:
    settings = load_settings(api=True, api_key=KEY, login=True)
    assert KEY not in repr(settings) + json.dumps(settings.model_dump(mode="json"))
