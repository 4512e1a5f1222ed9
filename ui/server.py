"""What stands between the network and the page: who may ask, and what a browser may do.

Streamlit sends no Content-Security-Policy, answers to any name, and looks up this machine's
address on the internet when another site asks it something.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ipaddress
import logging
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any, Final, cast
from urllib.parse import urlsplit

import streamlit as st
import uvicorn.config
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose
from streamlit import logger as streamlit_logger

from rag.config import Settings, load_settings
from rag.errors import CitadelleError
from rag.logs import begin_request, request_id, set_up_logs
from rag.tracing import set_up_tracing
from ui.engine import opening
from ui.languages import first_language
from ui.rendering.notices import notice_html
from ui.scripts import SCRIPTS
from ui.texts import TEXTS, InterfaceLanguage

__all__ = ["HEADERS", "Guard", "guards", "opened", "policy", "say_failed", "set_up_observing"]

logger = logging.getLogger(__name__)

# With an index at hand the engine opens within this; otherwise the page shows how far it is.
_PATIENCE_SECONDS: Final = 20.0
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# Nothing of this is used by the page, whatever comes to stand in it.
_REFUSED_FEATURES: Final = (
    "accelerometer",
    "autoplay",
    "camera",
    "display-capture",
    "encrypted-media",
    "fullscreen",
    "geolocation",
    "gyroscope",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "picture-in-picture",
    "publickey-credentials-get",
    "screen-wake-lock",
    "usb",
    "xr-spatial-tracking",
)


def policy(scripts: Iterable[str]) -> str:
    """Return a Content-Security-Policy that lets the `scripts` run, and nothing come from afar."""
    allowed = " ".join(dict.fromkeys(map(_source, scripts)))
    return "; ".join(
        (
            "default-src 'self'",
            # Streamlit makes the scripts of its components into blobs; only a script that
            # runs already can make one. Its numbers of 64 bits are multiplied by a few bytes of
            # WebAssembly.
            f"script-src 'self' blob: 'wasm-unsafe-eval' {allowed}",
            # Streamlit writes its styles into the page.
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            # The page of an evaluation, which is an origin of its own.
            "frame-src data:",
            "worker-src 'none'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def _source(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _scripts() -> tuple[str, ...]:
    """Return the scripts of the page, those that Streamlit of whatever version writes in it too."""
    page = resources.files("streamlit").joinpath("static", "index.html")
    # What is shown within the page is held to the policy of the page.
    report = resources.files("eval.report").joinpath("templates", "page.js")
    return (
        *_INLINE_SCRIPT.findall(page.read_text(encoding="utf-8")),
        *SCRIPTS,
        report.read_text(encoding="utf-8"),
    )


HEADERS: Final = {
    "content-security-policy": policy(_scripts()),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": ", ".join(
        ("clipboard-write=(self)", *(f"{feature}=()" for feature in _REFUSED_FEATURES))
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Answer only to this machine's names and to `hosts`, and send `HEADERS` with everything.

    A page elsewhere could otherwise read the documents through a visitor's browser: its name
    can be made to lead to this machine (DNS rebinding), which an address in figures cannot.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = {"localhost", *(host.casefold() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(Headers(scope=scope))
        if not refusal:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008, refusal)(scope, receive, send)
        else:
            await PlainTextResponse(refusal, 403)(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers) -> str:
        host = headers.get("host", "")
        name = _name(f"//{host}")
        if not (name in self._hosts or _is_address(name)):
            return (
                f"Citadelle is not served under the name {name!r}; if it should be, "
                "add the name to the setting 'hosts'."
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "Citadelle does not answer what other sites ask."
        return ""


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def guards() -> list[Middleware]:
    """Return what the page is served through, with the settings in force."""
    try:
        hosts = load_settings().hosts
    except CitadelleError:
        hosts = ()  # The page says what is wrong with the settings.
    return [Middleware(Guard, hosts=hosts)]


def set_up_observing() -> None:
    """Log and trace as the settings and the environment say, whoever of the server speaks."""
    try:
        settings = load_settings()
    except CitadelleError:
        # The page says what is wrong with the settings.
        settings = Settings.model_construct()
    set_up_logs(settings, serving=True)
    # Both give each of their loggers an output, a form and a level of its own.
    level = logging.getLogger("uvicorn").level
    streamlit_logger.set_log_level(level)
    streamlit_logger.setup_formatter = _pass_on  # type: ignore[assignment]
    streamlit_logger.update_formatter()
    for name, wanted in uvicorn.config.LOGGING_CONFIG["loggers"].items():
        wanted.update(handlers=[], propagate=_is_passed_on(name), level=level)
    set_up_tracing()


def _pass_on(theirs: logging.Logger) -> None:
    theirs.handlers.clear()
    theirs.propagate = _is_passed_on(theirs.name)


def _is_passed_on(name: str) -> bool:
    # Addresses of the page, which name documents.
    return name != "uvicorn.access"


def say_failed(error: Exception) -> bool:
    """Say that the page could not be drawn, with the number to report; tell that it is said.

    Streamlit has logged it.
    """
    number = request_id()
    if not number:
        # Of a part that is drawn by itself the log has no number yet.
        number = begin_request()
        logger.error("A part of the page could not be drawn.", exc_info=error)
    language = st.session_state.get("language") or first_language()
    texts = TEXTS[cast(InterfaceLanguage, language)]
    st.html(notice_html(texts.numbered(texts.page_broken, number), "error"))
    return True


@asynccontextmanager
async def opened(_: Any) -> AsyncIterator[None]:
    """Open the engine with the server, so that the first visitor need not wait for it."""
    await asyncio.to_thread(opening().wait, _PATIENCE_SECONDS)
    yield
