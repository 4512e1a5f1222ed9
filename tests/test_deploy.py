"""The files of `docs/deploy`, run by the programs that they are for, where these are installed."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from docs.screenshot import free_port
from tests.conftest import ROOT
from tests.proxy import CERTIFICATE, NAME, behind_nginx, find_nginx, running
from ui.server import HEADERS, Guard

DEPLOY = ROOT / "docs" / "deploy"
MEGABYTE = 1 << 20

needs_nginx = pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed")


@dataclass
class Proxied:
    """nginx on `port`, and without TLS on `plain`, before a small application."""

    folder: Path
    port: int = field(default_factory=free_port)
    plain: int = field(default_factory=free_port)
    # What is streamed goes on when this is set.
    on: threading.Event = field(default_factory=threading.Event)

    def ask(
        self, path: str, *, host: str = NAME, body: bytes | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        """Return what comes back, its body not read yet."""
        connection = http.client.HTTPConnection(NAME, self.port)
        connection.sock = self.tls().wrap_socket(self.socket(), server_hostname=NAME)
        headers["Host"] = f"{host}:{self.port}"
        connection.request("GET" if body is None else "POST", path, body, headers)
        return connection.getresponse()

    def socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / CERTIFICATE))

    def app(self) -> Guard:
        """Return an application behind the guard of the page that says what reaches it."""

        async def seen(request: Request) -> JSONResponse:
            client = request.client.host if request.client else ""
            size = len(await request.body())
            found = JSONResponse({"url": str(request.url), "client": client, "size": size})
            found.set_cookie("kept", "1")
            return found

        async def pieces() -> AsyncIterator[bytes]:
            yield b"first\n"
            # A proxy that waits for more before it passes anything on gets this too late.
            yield b"last\n" if await asyncio.to_thread(self.on.wait, 5) else b"late\n"

        async def stream(_: Request) -> StreamingResponse:
            return StreamingResponse(pieces())

        async def talk(websocket: WebSocket) -> None:
            await websocket.accept()
            await websocket.send_text(await websocket.receive_text())
            await websocket.close()

        routes = [
            Route("/citadelle/seen", seen, methods=["GET", "POST"]),
            Route("/citadelle/stream", stream),
            WebSocketRoute("/citadelle/talk", talk),
        ]
        return Guard(Starlette(routes=routes), [NAME])


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    proxied = Proxied(tmp_path_factory.mktemp("nginx"))
    upstream = free_port()
    with (
        running(proxied.app(), upstream),
        behind_nginx(upstream, proxied.port, proxied.folder, proxied.plain),
    ):
        yield proxied


@needs_nginx
def test_nginx_adds_to_the_headers_and_takes_none(proxied: Proxied) -> None:
    for path, status in (("seen", 200), ("missing", 404)):
        response = proxied.ask(f"/citadelle/{path}")
        assert response.status == status
        for name, value in HEADERS.items():
            assert response.headers.get_all(name) == [value]
        assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


@needs_nginx
def test_nginx_tells_who_asks_and_by_which_address(proxied: Proxied) -> None:
    # What the one who asks says of this counts for nothing.
    response = proxied.ask("/citadelle/seen?a=b", **{"X-Forwarded-For": "192.0.2.7"})
    seen = json.load(response)
    assert seen["url"] == f"https://{NAME}:{proxied.port}/citadelle/seen?a=b"
    assert seen["client"] == "127.0.0.1"
    assert "secure" in response.headers["Set-Cookie"].lower()


@needs_nginx
def test_nginx_lets_the_guard_refuse_other_names_and_sites(proxied: Proxied) -> None:
    refused = proxied.ask("/citadelle/seen", host="rebound.example")
    assert refused.status == 403
    assert b"'rebound.example'" in refused.read()
    assert proxied.ask("/citadelle/seen", Origin="https://evil.example").status == 403
    assert proxied.ask("/citadelle/seen", Origin=f"https://{NAME}:{proxied.port}").status == 200


@needs_nginx
def test_nginx_takes_large_documents(proxied: Proxied) -> None:
    assert json.load(proxied.ask("/citadelle/seen", body=bytes(60 * MEGABYTE)))["size"] == (
        60 * MEGABYTE
    )


@needs_nginx
def test_nginx_passes_each_piece_on_as_it_comes(proxied: Proxied) -> None:
    proxied.on.clear()
    response = proxied.ask("/citadelle/stream")
    assert response.readline() == b"first\n"
    proxied.on.set()
    assert response.read() == b"last\n"


@needs_nginx
def test_nginx_passes_websockets_on(proxied: Proxied) -> None:
    address = f"wss://{NAME}:{proxied.port}/citadelle/talk"
    options = {"ssl": proxied.tls(), "proxy": None}
    origin = f"https://{NAME}:{proxied.port}"
    with connect(address, sock=proxied.socket(), origin=origin, **options) as websocket:
        websocket.send("echo")
        assert websocket.recv(timeout=20) == "echo"
    with (
        pytest.raises(InvalidStatus),
        connect(address, sock=proxied.socket(), origin="https://evil.example", **options),
    ):
        pytest.fail("It was answered.")


@needs_nginx
def test_nginx_keeps_what_an_address_asks_for(proxied: Proxied) -> None:
    place = "?doc=a.md&at=12-17"
    assert proxied.ask(f"/citadelle{place}").headers["Location"] == (
        f"https://{NAME}:{proxied.port}/citadelle/{place}"
    )
    connection = http.client.HTTPConnection("127.0.0.1", proxied.plain, timeout=20)
    connection.request("GET", f"/citadelle/{place}", headers={"Host": NAME})
    response = connection.getresponse()
    assert (response.status, response.headers["Location"]) == (
        301,
        f"https://{NAME}/citadelle/{place}",
    )
    connection.close()


@pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed")
def test_caddy_understands_its_file() -> None:
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("unit", sorted(DEPLOY.glob("*.service")), ids=lambda unit: unit.name)
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    program = "ExecStart=/opt/citadelle/.venv/bin/citadelle "
    assert program in text
    copy = tmp_path / unit.name
    copy.write_text(text.replace(program, f"ExecStart={sys.executable} "), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
