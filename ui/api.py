"""Answer other programs, in the way of OpenAI's interface, beside the page.

`POST /v1/chat/completions` asks the engine of the page, `GET /v1/models` lists what can be asked:
`citadelle`, which quotes, and `citadelle-written` where a language model may write for programs.
Off unless the setting `api` is true.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import logging
import re
import threading
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, closing, suppress
from contextvars import copy_context
from dataclasses import dataclass
from datetime import date
from functools import wraps
from typing import Any, Final, Literal

import streamlit as st
from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rag.chat_model import writes_for_programs
from rag.config import Settings, load_settings
from rag.errors import CitadelleError, DocumentNotFound, InvalidFilter, InvalidQuestion
from rag.logs import begin_request, request_id
from rag.types import Answer, Document
from rag.writing import Sentence
from ui import engine as engines
from ui.engine import Engine
from ui.export import Origin, answer_footnotes
from ui.texts import TEXTS

__all__ = ["QUOTES", "WRITES", "ChatRequest", "Interface", "routes"]

logger = logging.getLogger(__name__)

QUOTES: Final = "citadelle"
WRITES: Final = "citadelle-written"

# Questions that are answered at the same time, and those that may wait for their turn.
_AT_ONCE: Final = 4
_WAITING: Final = 16
_LARGEST_BODY: Final = 1 << 20
# What a follow-up says again stands in the last few questions.
_EARLIER_QUESTIONS: Final = 20
_RETRY_SECONDS: Final = 5
# Under which a program and the log speak of the same request.
_NUMBER: Final = "X-Request-Id"
# What would be a picture, a link or markup where a program shows the text as Markdown: a
# picture would be fetched from wherever a document says.
_MARKUP: Final = re.compile(r"(?<=!)(?=\[)|(?<=\])(?=\()|(?=<[a-zA-Z/!?])")
# A proxy must not keep an answer, nor hold its sentences back.
_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_UNSUPPORTED_PARTS: Final = {
    "image_url": "pictures",
    "input_audio": "sound",
    "file": "files",
}


class Part(BaseModel):
    """A part of a message; only text is read."""

    type: str
    text: str = ""


class Message(BaseModel):
    """A message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[Part] | None = None


class StreamOptions(BaseModel):
    """What is sent besides the words."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """What a program asks. Fields that are not named here change nothing."""

    model: str
    messages: list[Message] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None
    response_format: Mapping[str, Any] | None = None
    filters: dict[str, str] | None = None


class _Refused(Exception):
    """End a request with a status and one sentence."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param
        self.headers = headers

    def to_dict(self) -> dict[str, Any]:
        """Return OpenAI's object for an error."""
        kind = {401: "authentication_error", 429: "rate_limit_error"}.get(self.status)
        kind = kind or ("server_error" if self.status >= 500 else "invalid_request_error")
        return {
            "error": {
                "message": str(self),
                "type": kind,
                "param": self.param,
                "code": self.code,
            }
        }


class _Left(Exception):
    """End the work for a program that has gone away."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question as the engine takes it."""

    question: str
    history: tuple[str, ...]
    filters: Mapping[str, str] | None
    written: bool


@dataclass(frozen=True, slots=True)
class _Begun:
    """The question and the filters are good; the passages are being read."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """Nothing more comes."""


_Handler = Callable[["Interface", Request], Awaitable[Response]]


def _guarded(handler: _Handler) -> Callable[[Interface, Request], Awaitable[Response]]:
    """Let in who may ask, number what is asked, and turn what goes wrong into OpenAI's object."""

    @wraps(handler)
    async def guarded(interface: Interface, request: Request) -> Response:
        number = begin_request(request.headers.get(_NUMBER, ""))
        response = await _answered(handler, interface, request)
        response.headers[_NUMBER] = number
        return response

    return guarded


async def _answered(handler: _Handler, interface: Interface, request: Request) -> Response:
    try:
        interface.let_in(request)
        return await handler(interface, request)
    except _Refused as refused:
        return JSONResponse(refused.to_dict(), refused.status, refused.headers)
    except (ClientDisconnect, _Left):
        # Nobody is there to read it.
        return Response(status_code=400)


class Interface:
    """What is served under /v1, with the settings in force; None where they cannot be read."""

    def __init__(self, settings: Settings | None) -> None:
        self._on = settings is not None and settings.api
        self._key = settings.api_key.get_secret_value() if settings is not None else ""
        writes = settings is not None and writes_for_programs(settings)
        self._models = (QUOTES, WRITES) if writes else (QUOTES,)
        # Why there is none that writes.
        elsewhere = settings is not None and bool(settings.llm)
        self._missing = (
            "the model of 'llm' is on another machine, and programs ask no person first; set "
            "llm_programs = true"
            if elsewhere
            else "it needs the setting 'llm'"
        )
        self._created = int(time.time())
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="citadelle-api")
        self._room = threading.Semaphore(_AT_ONCE + _WAITING)

    def let_in(self, request: Request) -> None:
        """Raise unless the interface is on and the program may ask."""
        if not self._on:
            raise _Refused(
                404, "Programs are not answered here; set api = true and start Citadelle again."
            )
        if not self._key:
            if not _is_here(request):
                raise _Refused(
                    401,
                    "Without a key only this machine is answered; set api_key.",
                    code="invalid_api_key",
                )
            return
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(given.strip().encode(), self._key.encode())
        if scheme.lower() != "bearer" or not same:
            raise _Refused(
                401,
                "The key is missing or wrong; send the one of the setting 'api_key' as "
                "'Authorization: Bearer KEY'.",
                code="invalid_api_key",
                headers={"WWW-Authenticate": "Bearer"},
            )

    # --- What can be asked for ------------------------------------------------------------

    @_guarded
    async def models(self, _: Request) -> Response:
        """List the models."""
        return JSONResponse(
            {"object": "list", "data": [self._model(name) for name in self._models]}
        )

    @_guarded
    async def model(self, request: Request) -> Response:
        """Describe one model."""
        return JSONResponse(self._model(self._known(request.path_params["name"])))

    @_guarded
    async def missing(self, request: Request) -> Response:
        """Refuse what is not served."""
        raise _Refused(
            404,
            f"{request.method} {request.url.path} is not served; POST /v1/chat/completions and "
            "GET /v1/models are.",
        )

    @_guarded
    async def chat(self, request: Request) -> Response:
        """Answer the last question of a conversation."""
        chat = _read(await _body(request))
        model = self._known(chat.model)
        asked = _asked(chat, written=model == WRITES)
        engine = _engine()
        asked = _within(asked, engine.settings.max_question_chars)
        reply = _Reply(model, engine, asked, _page(request), chat)
        happening = self._events(request, engine, asked)
        # What is wrong with a question shows before anything is sent.
        first = await anext(happening, None)
        if chat.stream:
            return StreamingResponse(
                _streamed(reply, first, happening),
                media_type="text/event-stream",
                headers=_HEADERS,
            )
        async with aclosing(happening):
            event = first
            while event is not None and not isinstance(event, Answer):
                event = await anext(happening, None)
        if event is None:
            raise _failed()
        return JSONResponse(await asyncio.to_thread(reply.whole, event), headers=_HEADERS)

    def _model(self, name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": self._created, "owned_by": "citadelle"}

    def _known(self, name: str) -> str:
        if name in self._models:
            return name
        why = f"; {self._missing}" if name == WRITES else ""
        raise _Refused(
            404,
            f"There is no model {name[:100]!r}{why}; there is {' and '.join(self._models)}.",
            code="model_not_found",
            param="model",
        )

    # --- Asking the engine ----------------------------------------------------------------

    async def _events(
        self, request: Request, engine: Engine, asked: _Asked
    ) -> AsyncGenerator[object, None]:
        """Yield what happens while a thread answers; end the work when the program leaves.

        Raises `_Refused`, and `_Left` when nobody waits for the answer any more.
        """
        if not self._room.acquire(blocking=False):
            raise _Refused(
                429,
                "Too many questions are waiting; ask again in a moment.",
                code="rate_limit_exceeded",
                headers={"Retry-After": str(_RETRY_SECONDS)},
            )
        loop = asyncio.get_running_loop()
        happened: asyncio.Queue[object] = asyncio.Queue()
        left = threading.Event()

        def tell(event: object) -> None:
            # The loop is closed when the server stops while a question is answered.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(happened.put_nowait, event)

        work: Future[None] = self._threads.submit(
            copy_context().run, _work, engine, asked, tell, left
        )
        work.add_done_callback(lambda _: self._room.release())
        watch = asyncio.create_task(_watch(request, happened))
        try:
            while not isinstance(event := await happened.get(), _Ended):
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            watch.cancel()
            left.set()
            work.cancel()


class _Reply:
    """Write what a program is sent: one object, or a stream of pieces."""

    def __init__(
        self, model: str, engine: Engine, asked: _Asked, page: str, chat: ChatRequest
    ) -> None:
        self._engine = engine
        self._asked = asked
        self._page = page
        self._counts = bool(chat.stream_options and chat.stream_options.include_usage)
        self._sent = "\n".join(_text(message) for message in chat.messages)
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return an answer as one object."""
        content = _shown(answer.text) + self.end(answer)
        message = {"role": "assistant", "content": content, "refusal": None}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": self._usage(content),
            "citadelle": answer.to_dict(),
        }

    def end(self, answer: Answer) -> str:
        """Return what stands under the text of an answer: a notice, hints, footnotes."""
        engine = self._engine
        fallback = engine.settings.fallback_language
        texts = TEXTS[fallback if answer.language == "unknown" else answer.language]
        documents = _documents(engine, answer)
        hints = engine.hints(answer, self._asked.filters)
        blocks = [answer.notice] if answer.notice else []
        blocks += ["\n".join(f"- {hint}" for hint in hints)] if hints else []
        blocks += answer_footnotes(answer, Origin(self._page, date.today(), documents), texts)
        return "".join(f"\n\n{_shown(block)}" for block in blocks)

    def piece(
        self, delta: Mapping[str, str], finish: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """Return a piece of an answer."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._counts else {}
        return {**self._chunk([choice]), **usage, **more}

    def count(self, content: str) -> list[dict[str, Any]]:
        """Return the piece that counts the tokens, where it was asked for."""
        return [{**self._chunk([]), "usage": self._usage(content)}] if self._counts else []

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self._head, "object": "chat.completion.chunk", "choices": choices}

    def _usage(self, content: str) -> dict[str, int]:
        # The encoder's: nothing is billed, and no two models count the same.
        sent, written = map(self._engine.count_tokens, (self._sent, content))
        return {
            "prompt_tokens": sent,
            "completion_tokens": written,
            "total_tokens": sent + written,
        }


async def _streamed(
    reply: _Reply, first: object, happening: AsyncGenerator[object, None]
) -> AsyncIterator[bytes]:
    """Yield an answer as server-sent events: each sentence as soon as it was checked."""
    said = sent = ""
    async with aclosing(happening):
        try:
            yield _event(reply.piece({"role": "assistant", "content": ""}))
            event = first
            while not isinstance(event, Answer):
                if isinstance(event, Sentence):
                    said += event.before + event.text
                    sent += (words := _shown(event.before + event.text))
                    yield _event(reply.piece({"content": words}))
                event = await anext(happening)
            rest = _shown(event.text.removeprefix(said)) + await asyncio.to_thread(reply.end, event)
            if rest:
                yield _event(reply.piece({"content": rest}))
            yield _event(reply.piece({}, "stop", citadelle=event.to_dict()))
            for counted in await asyncio.to_thread(reply.count, sent + rest):
                yield _event(counted)
        except _Left:
            return
        except _Refused as refused:
            yield _event(refused.to_dict())
        except StopAsyncIteration:
            yield _event(_failed().to_dict())
        yield b"data: [DONE]\n\n"


def _event(record: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(record, ensure_ascii=False)}\n\n".encode()


def _work(
    engine: Engine,
    asked: _Asked,
    tell: Callable[[object], None],
    left: threading.Event,
) -> None:
    """Answer in a thread, and tell everything that happens."""

    def progress(stage: str, done: int, total: int) -> None:
        if left.is_set():
            raise _Left
        if stage == "read":
            tell(_Begun())

    try:
        try:
            engine.refresh()
        except CitadelleError:
            # What was opened before still answers.
            logger.exception("The new index is not used.")
        if not asked.written:
            tell(engine.ask(asked.question, asked.history, asked.filters, progress, written=False))
            return
        with closing(
            engine.stream(
                asked.question, asked.history, asked.filters, progress, stopped=left.is_set
            )
        ) as events:
            for event in events:
                if left.is_set():
                    return
                tell(event)
    except (InvalidQuestion, InvalidFilter) as error:
        param = "messages" if isinstance(error, InvalidQuestion) else "filters"
        tell(_Refused(400, str(error), code="invalid_value", param=param))
    except CitadelleError as error:
        tell(_Refused(500, str(error)))
    except _Left:
        pass
    except Exception:
        logger.exception("A question of a program was not answered.")
        tell(_failed())
    finally:
        tell(_Ended())


async def _watch(request: Request, happened: asyncio.Queue[object]) -> None:
    """Tell when the program goes away."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    happened.put_nowait(_Left())


# --- Reading a request --------------------------------------------------------------------


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            raise _Refused(
                413, f"The request is too large; at most {_LARGEST_BODY} bytes are read."
            )
    return bytes(body)


def _read(body: bytes) -> ChatRequest:
    try:
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            raise _Refused(400, "The request is not valid JSON.", code="invalid_json") from error
        # Alternatives of a type have a name of pydantic's after the field.
        place = ".".join(str(part) for part in first["loc"][:3])
        where = f"Field '{place}'" if place else "The request"
        raise _Refused(
            422,
            f"{where} is not as it should be: {first['msg'].lower()}.",
            code="invalid_type",
            param=place or None,
        ) from error


def _asked(chat: ChatRequest, *, written: bool) -> _Asked:
    """Return what a program asks; refuse what would be promised and not done."""
    if chat.n is not None and chat.n != 1:
        raise _Refused(400, "There is one answer to a question; leave out 'n'.", param="n")
    if chat.tools or chat.functions:
        raise _Refused(400, "Citadelle calls no tools; leave out 'tools'.", param="tools")
    if chat.response_format and chat.response_format.get("type") != "text":
        raise _Refused(
            400,
            "The answer is text, and an object in the field 'citadelle'; leave out "
            "'response_format'.",
            param="response_format",
        )
    questions = [_text(message) for message in chat.messages if message.role == "user"]
    if not questions:
        raise _Refused(400, "No message has the role 'user'; the last one is the question.")
    *earlier, question = questions
    return _Asked(question, tuple(earlier[-_EARLIER_QUESTIONS:]), chat.filters, written)


def _within(asked: _Asked, longest: int) -> _Asked:
    """Return what is asked without earlier messages that are no question, or too long for one."""
    kept = tuple(
        text for text in asked.history if len(text) <= longest and any(map(str.isalnum, text))
    )
    return _Asked(asked.question, kept, asked.filters, asked.written)


def _text(message: Message) -> str:
    """Return the text of a message; refuse a question that is more than text."""
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    if message.role == "user":
        for part in message.content:
            if part.type != "text":
                kind = _UNSUPPORTED_PARTS.get(part.type, f"parts of the type {part.type[:40]!r}")
                raise _Refused(
                    400, f"Citadelle reads text only; leave out {kind}.", param="messages"
                )
    return "\n".join(part.text for part in message.content if part.type == "text")


def _page(request: Request) -> str:
    """Return the address of the page that a request came to."""
    path = request.url.path.rpartition("/v1/")[0]
    return str(request.url.replace(path=f"{path}/", query=""))


def _is_here(request: Request) -> bool:
    """Tell whether a request comes from this machine."""
    try:
        return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


# --- The engine and its answers -----------------------------------------------------------


def _engine() -> Engine:
    opening = engines.opening()
    if opening.engine is not None:
        return opening.engine
    headers = {"Retry-After": str(_RETRY_SECONDS)}
    if opening.error is not None:
        # What failed is not kept: the next question, by anyone, tries again.
        engines.opening.clear()
        raise _Refused(503, str(opening.error), code="not_open", headers=headers)
    raise _Refused(
        503, "Citadelle is still opening; ask again in a moment.", code="not_open", headers=headers
    )


def _documents(engine: Engine, answer: Answer) -> dict[str, Document]:
    found = {}
    for doc_id in {citation.doc_id for citation in answer.citations}:
        # A document may leave the index while the answer is written.
        with suppress(DocumentNotFound):
            found[doc_id] = engine.document(doc_id)
    return found


def _shown(text: str) -> str:
    """Return a text as it reads, in plain text and nearly so where Markdown is drawn."""
    return _MARKUP.sub(r"\\", text)


def _failed() -> _Refused:
    return _Refused(
        500,
        "The question was not answered; the log of the server says why, under the number "
        f"{request_id()}.",
    )


def routes() -> list[BaseRoute]:
    """Return what is served beside the page, under the path of the page."""
    try:
        settings = load_settings()
    except CitadelleError:
        settings = None  # The page says what is wrong with the settings.
    interface = Interface(settings)
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    root = f"/{base}/v1" if base else "/v1"
    every = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return [
        Route(f"{root}/models", interface.models, methods=["GET"]),
        Route(f"{root}/models/{{name}}", interface.model, methods=["GET"]),
        Route(f"{root}/chat/completions", interface.chat, methods=["POST"]),
        Route(f"{root}/{{rest:path}}", interface.missing, methods=every),
    ]
